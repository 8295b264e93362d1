//! A word in parts, unexpanded: for those who write it in another language.

use super::{WordError, lexer::name_at};
use crate::dockerfile::syntax::Escape;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text, without its quotes and escapes.
    Text(String),
    /// A variable.
    Variable {
        /// Its name; the shell's special ones, such as `1` and `@`, too.
        name: String,
        /// What follows the name in the braces.
        modifier: Option<Modifier>,
    },
}

/// What is made of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modifier {
    /// `-`, `+` or `?`.
    Condition {
        /// The sign.
        sign: char,
        /// Whether an empty value is as good as none.
        colon: bool,
        /// The word that follows.
        word: Vec<Part>,
    },
    /// `#`, `%` or `/` and a pattern.
    Pattern,
}

/// The parts of a word that [`expand`](super::expand) makes one text of. Texts do not stand side by side.
pub fn parts(text: &str, escape: Escape) -> Result<Vec<Part>, WordError> {
    Reader { text, position: 0, escape: escape.character(), quotes: true, depth: 0 }.until(None, false)
}

/// The same of a heredoc's text, as [`expand_heredoc`](super::expand_heredoc) reads it.
pub fn heredoc_parts(text: &str) -> Result<Vec<Part>, WordError> {
    let escape = Escape::Backslash.character();
    Reader { text, position: 0, escape, quotes: false, depth: 0 }.until(None, false)
}

/// Deeper nesting is refused, as where words are expanded.
const DEEPEST: usize = 64;

struct Reader<'a> {
    text: &'a str,
    position: usize,
    escape: char,
    /// Whether quotes hold text together.
    quotes: bool,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn error<T>(&self, start: usize, message: &str) -> Result<T, WordError> {
        Err(WordError { message: message.to_owned(), range: start..self.position.max(start) })
    }

    /// Reads up to a character that is left out, or to the end. With `raw`, escapes stay.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Vec<Part>, WordError> {
        let start = self.position;
        let mut parts = Vec::new();
        while let Some(character) = self.next() {
            match character {
                _ if Some(character) == stop => return Ok(parts),
                '\'' if self.quotes => {
                    let rest = &self.text[self.position..];
                    let Some(length) = rest.find('\'') else {
                        return self.error(start, "the quote ' is not closed");
                    };
                    add(&mut parts, &rest[..length]);
                    self.position += length + 1;
                }
                '"' if self.quotes => self.double_quoted(raw, &mut parts)?,
                '$' => self.dollar(&mut parts)?,
                _ if character == self.escape => {
                    if raw {
                        add(&mut parts, character.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(escaped) = self.next() {
                        add(&mut parts, escaped.encode_utf8(&mut [0; 4]));
                    }
                }
                _ => add(&mut parts, character.encode_utf8(&mut [0; 4])),
            }
        }
        match stop {
            None => Ok(parts),
            Some(_) => self.error(start, "`${` is not closed"),
        }
    }

    fn double_quoted(&mut self, raw: bool, parts: &mut Vec<Part>) -> Result<(), WordError> {
        let start = self.position;
        while let Some(character) = self.next() {
            match character {
                '"' => return Ok(()),
                '$' => self.dollar(parts)?,
                _ if character == self.escape => {
                    let escaped =
                        self.peek().filter(|next| matches!(next, '"' | '$') || *next == self.escape);
                    if raw || escaped.is_none() {
                        add(parts, character.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(escaped) = escaped {
                        self.next();
                        add(parts, escaped.encode_utf8(&mut [0; 4]));
                    }
                }
                _ => add(parts, character.encode_utf8(&mut [0; 4])),
            }
        }
        self.error(start, "the quote \" is not closed")
    }

    /// What follows a `$`.
    fn dollar(&mut self, parts: &mut Vec<Part>) -> Result<(), WordError> {
        let start = self.position;
        if self.peek() != Some('{') {
            match self.name() {
                name if name.is_empty() => add(parts, "$"),
                name => parts.push(Part::Variable { name, modifier: None }),
            }
            return Ok(());
        }
        self.next();
        if self.depth == DEEPEST {
            return self.error(start, "variables are nested too deep");
        }
        self.depth += 1;
        let name = self.name();
        if name.is_empty() {
            return self.error(start, "a name must follow `${`");
        }
        let modifier = match self.next() {
            Some('}') => None,
            Some(':') => match self.next() {
                Some(sign @ ('-' | '+' | '?')) => {
                    Some(Modifier::Condition { sign, colon: true, word: self.until(Some('}'), false)? })
                }
                _ => return self.error(start, "this cannot follow a name in `${…}`"),
            },
            Some(sign @ ('-' | '+' | '?')) => {
                Some(Modifier::Condition { sign, colon: false, word: self.until(Some('}'), false)? })
            }
            Some(sign @ ('#' | '%' | '/')) => {
                if self.peek() == Some(sign) {
                    self.next();
                }
                if sign == '/' {
                    self.until(Some('/'), true)?;
                }
                self.until(Some('}'), true)?;
                Some(Modifier::Pattern)
            }
            _ => return self.error(start, "this cannot follow a name in `${…}`"),
        };
        self.depth -= 1;
        parts.push(Part::Variable { name, modifier });
        Ok(())
    }

    /// The name that begins here; may be empty.
    fn name(&mut self) -> String {
        let name = name_at(&self.text[self.position..]);
        self.position += name.len();
        name.to_owned()
    }
}

fn add(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}
