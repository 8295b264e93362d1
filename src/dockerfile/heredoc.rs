//! Heredocs: texts inside the file, given to instructions.

use std::{borrow::Cow, ops::Range};

use super::{lines::Lines, syntax::Word};

/// A heredoc: `<<NAME`, and the lines up to one that is `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its name, unquoted.
    pub name: String,
    /// The file descriptor before `<<`, 0 if not given.
    pub descriptor: u32,
    /// Whether variables in it are expanded: its name is not quoted.
    pub expand: bool,
    /// Whether tabs that begin a line are left out (`<<-`).
    pub strip_tabs: bool,
    /// Its lines as written, with their ends, without the line that ends it.
    pub body: String,
    /// Where `<<NAME` is.
    pub span: Range<usize>,
    /// Where the lines are.
    pub body_span: Range<usize>,
}

impl Heredoc {
    /// The text that is meant: tabs left out if asked.
    pub fn text(&self) -> Cow<'_, str> {
        if !self.strip_tabs {
            return Cow::Borrowed(&self.body);
        }
        Cow::Owned(self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect())
    }

    /// Reads its lines. `false`: the file ends before it does.
    pub(super) fn read(&mut self, lines: &mut Lines<'_>) -> bool {
        self.body_span = lines.offset()..lines.offset();
        while let Some(line) = lines.next() {
            let mut content = line.content();
            if self.strip_tabs {
                content = content.trim_start_matches('\t');
            }
            if content == self.name {
                return true;
            }
            self.body.push_str(line.text);
            self.body_span.end = lines.offset();
        }
        false
    }
}

/// The heredocs that an instruction's arguments begin, in order, still without their lines. A text with open quotes
/// begins none.
pub(super) fn openings(text: &Word) -> Vec<Heredoc> {
    if !text.text.contains("<<") {
        return Vec::new();
    }
    words(&text.text).iter().flatten().filter_map(|range| opening(&text.slice(range.clone()))).collect()
}

/// The heredoc that a word begins: `<<NAME`, `<<-NAME`, `3<<"NAME"`.
pub(super) fn opening(word: &Word) -> Option<Heredoc> {
    let (descriptor, rest) = word.text.split_once("<<")?;
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (strip_tabs, quoted) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if quoted.contains('<') || words(quoted)?.len() != 1 {
        return None;
    }
    let (name, expand) = unquote(quoted);
    (!name.is_empty()).then(|| Heredoc {
        name,
        descriptor: descriptor.parse().unwrap_or(0),
        expand,
        strip_tabs,
        body: String::new(),
        span: word.span.clone(),
        body_span: word.span.end..word.span.end,
    })
}

/// Where the words are, as a shell sees them: quotes and backslashes hold spaces. `None` if a quote is not closed.
/// The `escape` directive has no say here, as in BuildKit.
fn words(text: &str) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            found.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some('"'), '\\') => {
                characters.next();
            }
            _ => {}
        }
    }
    found.extend(start.map(|start| start..text.len()));
    quote.is_none().then_some(found)
}

/// A name without its quotes and backslashes, and whether it had no quotes.
fn unquote(text: &str) -> (String, bool) {
    let mut name = String::new();
    let mut plain = true;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => {
                quote = Some(character);
                plain = false;
            }
            (Some(open), _) if open == character => quote = None,
            (None, '\\') => name.extend(characters.next()),
            _ => name.push(character),
        }
    }
    (name, plain)
}
