//! The characters of a word, one after the other, expanded.

use std::{cell::Cell, collections::BTreeSet};

use super::{Expanded, Variables, WordError, pattern::Pattern};

/// Deeper than this, `${a:-${b:-…}}` is not followed: the limit bounds the stack.
const DEEPEST: usize = 64;

/// The most bytes that variables may put into one word, what is nested counted at each level. Linux takes no
/// environment variable of more than 128 KiB; without a limit a few short lines make a text of any size.
const LONGEST: usize = 4 << 20;

/// The most that a word, and all words of a file, may take: bytes of values that are read and put in, and characters that
/// are compared with those of patterns. Without it few lines take hours, or all memory. It is a second's work, and a
/// thousand times what large files take.
pub(in crate::dockerfile) const MOST_WORK: usize = 32 << 20;

/// What is done with quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// They hold text together, and are removed.
    Remove,
    /// They are characters as any other.
    Plain,
}

/// Reads a word.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    escape: char,
    quotes: Quotes,
    variables: &'a dyn Variables,
    used: BTreeSet<String>,
    unset: BTreeSet<String>,
    depth: usize,
    /// How many bytes variables may still put in.
    room: usize,
    /// How much may still be done.
    work: Cell<usize>,
}

/// What was read so far, as one text and as words.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// Adds what a space ends.
    fn open(&mut self, text: &str) {
        self.text.push_str(text);
        for character in text.chars() {
            if character.is_whitespace() {
                self.end();
            } else {
                self.word.push(character);
            }
        }
    }

    /// Adds what stays together.
    fn closed(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn end(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    pub(super) fn into_words(mut self) -> Vec<String> {
        self.end();
        self.words
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, variables: &'a dyn Variables, escape: char, quotes: Quotes) -> Self {
        let (used, unset) = (BTreeSet::new(), BTreeSet::new());
        let work = Cell::new(MOST_WORK);
        Self { text, position: 0, escape, quotes, variables, used, unset, depth: 0, room: LONGEST, work }
    }

    /// Reads it all.
    pub(super) fn whole(&mut self) -> Result<Output, WordError> {
        self.until(None, false, 0)
    }

    pub(super) fn finish<T>(self, text: T) -> Expanded<T> {
        Expanded { text, used: self.used, unset: self.unset, work: MOST_WORK - self.work.get() }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn skip(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.position += wanted.len_utf8();
        }
        found
    }

    fn error(&self, start: usize, message: impl Into<String>) -> WordError {
        WordError { message: message.into(), range: start..self.position.max(start) }
    }

    /// Reads up to a character, which is left out; to the end if there is none to look for. `start` is where what the
    /// character ends begins. With `raw`, characters that escape others stay.
    fn until(&mut self, stop: Option<char>, raw: bool, start: usize) -> Result<Output, WordError> {
        let mut output = Output::default();
        while let Some(character) = self.peek() {
            let here = self.position;
            match character {
                _ if Some(character) == stop => {
                    self.next();
                    return Ok(output);
                }
                '\'' if self.quotes == Quotes::Remove => output.closed(&self.single_quoted()?),
                '"' if self.quotes == Quotes::Remove => output.closed(&self.double_quoted(raw)?),
                '$' => output.open(&self.dollar()?),
                _ if character == self.escape => {
                    self.next();
                    if raw {
                        output.closed(&self.text[here..self.position]);
                    }
                    let here = self.position;
                    self.next();
                    output.closed(&self.text[here..self.position]);
                }
                _ => {
                    self.next();
                    output.open(&self.text[here..self.position]);
                }
            }
        }
        match stop {
            None => Ok(output),
            Some(stop) => Err(self.error(start, format!("`${{` is not closed: `{stop}` is missing"))),
        }
    }

    /// `'…'`: all as it is.
    fn single_quoted(&mut self) -> Result<String, WordError> {
        let start = self.position;
        self.next();
        let Some(length) = self.text[self.position..].find('\'') else {
            self.position = self.text.len();
            return Err(self.error(start, "the quote ' is not closed"));
        };
        let quoted = self.text[self.position..self.position + length].to_owned();
        self.position += length + 1;
        Ok(quoted)
    }

    /// `"…"`: variables are expanded, and `"`, `$` and the escape character can be escaped.
    fn double_quoted(&mut self, raw: bool) -> Result<String, WordError> {
        let start = self.position;
        self.next();
        let mut quoted = String::new();
        while let Some(character) = self.peek() {
            match character {
                '"' => {
                    self.next();
                    return Ok(quoted);
                }
                '$' => quoted.push_str(&self.dollar()?),
                _ if character == self.escape => {
                    self.next();
                    let escaped =
                        self.peek().filter(|next| matches!(next, '"' | '$') || *next == self.escape);
                    if raw || escaped.is_none() {
                        quoted.push(character);
                    }
                    if let Some(escaped) = escaped {
                        self.next();
                        quoted.push(escaped);
                    }
                }
                _ => {
                    self.next();
                    quoted.push(character);
                }
            }
        }
        Err(self.error(start, "the quote \" is not closed"))
    }

    /// `$name`, `${name}` and all the others; a `$` before anything else is itself.
    fn dollar(&mut self) -> Result<String, WordError> {
        let start = self.position;
        self.next();
        if !self.skip('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.value(&name, false).unwrap_or_default();
            return self.bounded(start, value);
        }
        if self.depth == DEEPEST {
            return Err(self.error(start, format!("variables are nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let value = self.braces(start);
        self.depth -= 1;
        self.bounded(start, value?)
    }

    /// What a variable puts in, if there is room for it.
    fn bounded(&mut self, start: usize, value: String) -> Result<String, WordError> {
        self.spend(value.len());
        if self.work.get() == 0 {
            return Err(self.error(start, "variables and their patterns take too long here"));
        }
        self.room = self.room.checked_sub(value.len()).ok_or_else(|| self.too_long(start))?;
        Ok(value)
    }

    fn spend(&self, work: usize) {
        self.work.set(self.work.get().saturating_sub(work));
    }

    fn too_long(&self, start: usize) -> WordError {
        self.error(start, format!("variables make this longer than {} MiB", LONGEST >> 20))
    }

    /// What follows `${`.
    fn braces(&mut self, start: usize) -> Result<String, WordError> {
        let name = self.name();
        match self.next() {
            None => Err(self.error(start, "`${` is not closed: `}` is missing")),
            Some(_) if name.is_empty() => Err(self.error(start, "a name must follow `${`")),
            Some('}') => Ok(self.value(&name, false).unwrap_or_default()),
            Some(':') => match self.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.conditional(start, &name, modifier, true),
                None => Err(self.error(start, "`${` is not closed: `}` is missing")),
                Some(other) => Err(self.error(start, unknown_modifier(&format!(":{other}")))),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.conditional(start, &name, modifier, false),
            Some(side @ ('#' | '%')) => self.trimmed(start, &name, side),
            Some('/') => self.replaced(start, &name),
            Some(other) => Err(self.error(start, unknown_modifier(&other.to_string()))),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`; with a colon, an empty value is as good as none.
    fn conditional(
        &mut self,
        start: usize,
        name: &str,
        modifier: char,
        colon: bool,
    ) -> Result<String, WordError> {
        let word = self.until(Some('}'), false, start)?.text;
        let value = self.value(name, true);
        let state = if value.is_none() { "unset" } else { "empty" };
        let value = value.filter(|value| !colon || !value.is_empty());
        match (modifier, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) if word.is_empty() => {
                Err(self.error(start, format!("{name} is {state}, and must not be")))
            }
            (_, None) => Err(self.error(start, format!("{name}: {word}"))),
        }
    }

    /// `${name#pattern}`, `${name%pattern}`, and the doubled ones, which take as much as they can.
    fn trimmed(&mut self, start: usize, name: &str, side: char) -> Result<String, WordError> {
        let longest = self.skip(side);
        let pattern = self.until(Some('}'), true, start)?.text;
        let pattern = self.pattern(start, &pattern)?;
        let value = self.value(name, false).unwrap_or_default();
        Ok(if side == '#' {
            pattern.without_prefix(&value, longest, &self.work)
        } else {
            pattern.without_suffix(&value, longest, &self.work)
        })
    }

    /// `${name/pattern/text}`: the first match; with `//`, all of them.
    fn replaced(&mut self, start: usize, name: &str) -> Result<String, WordError> {
        let all = self.skip('/');
        let pattern = self.until(Some('/'), true, start)?.text;
        let replacement = self.until(Some('}'), true, start)?.text;
        let pattern = self.pattern(start, &pattern)?;
        let value = self.value(name, false).unwrap_or_default();
        let replaced = pattern.replace(&value, (&replacement, all), self.room, &self.work);
        replaced.ok_or_else(|| self.too_long(start))
    }

    fn pattern(&self, start: usize, text: &str) -> Result<Pattern, WordError> {
        Pattern::new(text, self.escape).map_err(|escaped| {
            let escape = self.escape;
            self.error(start, format!("`{escape}{escaped}` in a pattern: only * ? {escape} can be escaped"))
        })
    }

    /// The name that begins here; may be empty.
    fn name(&mut self) -> String {
        let name = name_at(&self.text[self.position..]);
        self.position += name.len();
        name.to_owned()
    }

    /// The value of a variable. If there is none, the name is noted, unless `provided` for.
    fn value(&mut self, name: &str, provided: bool) -> Option<String> {
        let value = self.variables.value(name).map(std::borrow::Cow::into_owned);
        self.spend(value.as_ref().map_or(0, String::len));
        match &value {
            Some(_) => self.used.insert(name.to_owned()),
            None if provided => false,
            None => self.unset.insert(name.to_owned()),
        };
        value
    }
}

fn unknown_modifier(modifier: &str) -> String {
    format!("`{modifier}` cannot follow a name in `${{…}}`")
}

/// The name that a text begins with: letters, digits and `_`; or digits alone; or one of the shell's special characters.
/// May be empty.
pub(super) fn name_at(text: &str) -> &str {
    let Some(first) = text.chars().next() else { return "" };
    let end = |inside: fn(char) -> bool| text.find(|character| !inside(character)).unwrap_or(text.len());
    let length = match first {
        '@' | '*' | '#' | '?' | '-' | '$' | '!' => 1,
        '0'..='9' => end(|character| character.is_ascii_digit()),
        _ => end(|character| character.is_alphanumeric() || character == '_'),
    };
    &text[..length]
}
