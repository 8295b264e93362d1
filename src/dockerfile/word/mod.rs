//! Word expansion: variables, quotes and escapes, as Dockerfiles have them (Dockerfile reference, "Environment
//! replacement"; BuildKit's `shell.Lex`).

mod expanded;
mod lexer;
mod parts;
mod pattern;
#[cfg(test)]
mod tests;

pub use expanded::{Expanded, Variables, WordError};
pub(super) use lexer::MOST_WORK;
use lexer::{Lexer, Quotes};
pub use parts::{Modifier, Part, heredoc_parts, parts};

use super::syntax::Escape;

/// Expands variables and takes quotes and escapes away; the result is one word, spaces and all.
pub fn expand(text: &str, variables: &dyn Variables, escape: Escape) -> Result<Expanded<String>, WordError> {
    let mut lexer = Lexer::new(text, variables, escape.character(), Quotes::Remove);
    let output = lexer.whole()?;
    Ok(lexer.finish(output.text))
}

/// As [`expand`], split at spaces that are not quoted, those in values of variables too. Empty words are left out.
pub fn expand_words(
    text: &str,
    variables: &dyn Variables,
    escape: Escape,
) -> Result<Expanded<Vec<String>>, WordError> {
    let mut lexer = Lexer::new(text, variables, escape.character(), Quotes::Remove);
    let output = lexer.whole()?;
    Ok(lexer.finish(output.into_words()))
}

/// Expands variables and takes escapes away, but keeps quotes: for the text of a heredoc that `COPY` or `ADD` writes to
/// a file. BuildKit escapes with a backslash there, whatever the `escape` directive says.
pub fn expand_heredoc(
    text: &str,
    variables: &dyn Variables,
    escape: Escape,
) -> Result<Expanded<String>, WordError> {
    let mut lexer = Lexer::new(text, variables, escape.character(), Quotes::Plain);
    let output = lexer.whole()?;
    Ok(lexer.finish(output.text))
}
