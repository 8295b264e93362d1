//! An instruction's text → keyword, flags, arguments.

use super::{
    syntax::{Flag, Word},
    text::{WordBuilder, is_blank},
};

/// An instruction cut into pieces.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// All of it.
    pub(super) line: Word,
    /// Its keyword.
    pub(super) keyword: Word,
    /// Its flags.
    pub(super) flags: Vec<Flag>,
    /// The rest, without spaces around.
    pub(super) args: Word,
}

impl Parts {
    /// Cuts an instruction.
    pub(super) fn new(line: Word) -> Self {
        let end = line.text.find(is_blank).unwrap_or(line.text.len());
        let keyword = line.slice(0..end);
        let (flags, args) = flags(&line.rest(end));
        Self { line, keyword, flags, args }
    }

    /// Whether it is this instruction; `keyword` in capitals.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.keyword.text.eq_ignore_ascii_case(keyword)
    }
}

/// The words that begin with `--`, up to one that does not or is `--` alone; and what is after them. Quotes and
/// backslashes in them are taken away (BuildKit's `extractBuilderFlags`: the `escape` directive has no say).
fn flags(text: &Word) -> (Vec<Flag>, Word) {
    let mut flags = Vec::new();
    let mut position = 0;
    loop {
        let rest = &text.text[position..];
        position += rest.len() - rest.trim_start().len();
        if !text.text[position..].starts_with("--") {
            break;
        }
        let (word, end) = unquoted(text, position);
        position = end;
        if word.text == "--" {
            break;
        }
        flags.push(flag(word));
    }
    (flags, text.rest(position).trim())
}

fn flag(word: Word) -> Flag {
    let span = word.span.clone();
    let word = word.rest(2);
    match word.key_value() {
        Some((name, value)) => Flag { name, value: Some(value), span },
        None => Flag { name: word, value: None, span },
    }
}

/// The word that begins here, without its quotes, and where it ends.
fn unquoted(text: &Word, start: usize) -> (Word, usize) {
    let mut word = WordBuilder::new(text, start);
    let mut quote = None;
    let mut characters = text.text[start..].char_indices().map(|(at, character)| (start + at, character));
    let mut end = text.text.len();
    while let Some((at, character)) = characters.next() {
        match quote {
            None if character.is_whitespace() => {
                end = at;
                break;
            }
            None if matches!(character, '\'' | '"') => quote = Some(character),
            Some(open) if character == open => quote = None,
            _ if character == '\\' => {
                if let Some((at, escaped)) = characters.next() {
                    word.push(at, escaped);
                }
            }
            _ => word.push(at, character),
        }
    }
    (word.finish(end), end)
}

/// Words between spaces, with their quotes and escapes, which may hold spaces (BuildKit's `parseWords`): for `ARG`,
/// `ENV` and `LABEL`.
pub(super) fn quoted_words(text: &Word, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut current: Option<WordBuilder<'_>> = None;
    let mut quote = None;
    let mut characters = text.text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(current.take().filter(|word| !word.is_empty()).map(|word| word.finish(at)));
            continue;
        }
        let word = current.get_or_insert_with(|| WordBuilder::new(text, at));
        match quote {
            None if matches!(character, '\'' | '"') => quote = Some(character),
            Some(open) if character == open => quote = None,
            _ => {}
        }
        if character == escape && quote != Some('\'') {
            // At the very end it escapes nothing, and is left out.
            let Some((next, escaped)) = characters.next() else { break };
            word.push(at, character);
            word.push(next, escaped);
        } else {
            word.push(at, character);
        }
    }
    let end = text.text.len();
    words.extend(current.filter(|word| !word.text().is_empty()).map(|word| word.finish(end)));
    words
}
