//! One pattern of paths, and the automaton that matches it a name at a time.

/// A pattern of relative paths, in the syntax of Go's `filepath.Match` plus `**`, as `.dockerignore` has it:
///
/// | written | matches |
/// |---|---|
/// | `*` | any number of characters, none of them a slash |
/// | `?` | one character that is no slash |
/// | `[a-z]`, `[^a-z]` | one character of, or not of, the class |
/// | `\c` | the character `c` itself |
/// | `**/` | any number of directories, also none |
/// | `**` at the end | everything from here on |
///
/// Paths and patterns are bytes; a character is what UTF-8 makes of them, and a byte that is no UTF-8 is a character
/// of its own. Nothing here touches a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// The bytes behind the last wildcard and the last slash: no path matches whose name does not end in them.
    tail: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(u32),
    /// `?`.
    Any,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// `*`.
    Star,
    /// The way into `**/`: either round the loop that follows or past it.
    Enter,
    /// The loop of `**/`: left behind a slash only.
    Directories,
    /// `**` at the end, or in front of a suffix.
    Everything,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `[` without its `]`.
    #[error("a `[` without a closing `]`")]
    Unclosed,
    /// A class without characters, or with a `-` or `]` where a character should be.
    #[error("a character class with `-` or `]` where a character should be (write `\\-` or `\\]`)")]
    Class,
    /// A range whose end comes before its beginning.
    #[error("a character range that runs backwards")]
    Backwards,
    /// A backslash with nothing behind it.
    #[error("a `\\` with nothing behind it to escape")]
    Escape,
    /// A `!` with nothing behind it.
    #[error("a `!` with no pattern behind it")]
    Bare,
}

/// Where in a pattern the reading of a path has come to: the set of tokens that may come next.
pub(super) type States = Vec<u32>;

const SLASH: u32 = b'/' as u32;

impl Pattern {
    /// Parses a pattern as it stands: slashes at the ends and `.` parts count (see [`clean`]).
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, PatternError> {
        let text = text.as_ref();
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((c, behind)) = next_char(rest) {
            rest = behind;
            match u8::try_from(c).unwrap_or(0) {
                b'*' if rest.first() == Some(&b'*') => {
                    rest = &rest[1..];
                    // Docker matches `**suffix` without another wildcard as the end of the whole path.
                    let suffix = tokens.is_empty()
                        && rest.first().is_some_and(|b| *b != b'/')
                        && !rest.iter().any(|b| b"*?[]\\".contains(b));
                    rest = rest.strip_prefix(b"/").unwrap_or(rest);
                    if rest.is_empty() || suffix {
                        tokens.push(Token::Everything);
                    } else {
                        tokens.extend([Token::Enter, Token::Directories]);
                    }
                }
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::Any),
                b'[' => {
                    let (class, behind) = parse_class(rest)?;
                    tokens.push(class);
                    rest = behind;
                }
                b'\\' => {
                    let (escaped, behind) = next_char(rest).ok_or(PatternError::Escape)?;
                    tokens.push(Token::Char(escaped));
                    rest = behind;
                }
                _ => tokens.push(Token::Char(c)),
            }
        }
        let mut tail: Vec<u8> = tokens
            .iter()
            .rev()
            .map_while(|token| match token {
                // Only ASCII: one character is one byte there.
                Token::Char(c) if *c != SLASH && *c < 128 => u8::try_from(*c).ok(),
                _ => None,
            })
            .collect();
        tail.reverse();
        Ok(Self { tokens, tail })
    }

    /// Whether the pattern matches the path as a whole.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let mut scratch = (States::new(), States::new());
        self.run(&self.start(), path.as_ref(), &mut scratch);
        self.accepts(&scratch.0)
    }

    /// Whether the pattern is a plain name without anything special in it, and which.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            let Token::Char(c) = token else { return None };
            push_char(&mut bytes, *c);
        }
        Some(bytes)
    }

    /// Whether a name could be the last part of a path that matches: a cheap test before [`Pattern::run`].
    pub(super) fn may_end(&self, name: &[u8]) -> bool {
        name.ends_with(&self.tail)
    }

    pub(super) fn start(&self) -> States {
        let mut states = States::new();
        self.add(&mut states, 0);
        states
    }

    /// Reads `text` from the states `from`; the states reached are left in `scratch.0`. None: it can match no more.
    pub(super) fn run(&self, from: &[u32], text: &[u8], scratch: &mut (States, States)) {
        let (now, next) = scratch;
        now.clear();
        now.extend_from_slice(from);
        let mut rest = text;
        while let Some((c, behind)) = next_char(rest) {
            rest = behind;
            next.clear();
            for state in now.iter() {
                self.step(*state, c, next);
            }
            std::mem::swap(now, next);
            if now.is_empty() {
                return;
            }
        }
    }

    pub(super) fn accepts(&self, states: &[u32]) -> bool {
        states.iter().any(|state| *state as usize == self.tokens.len())
    }

    fn step(&self, state: u32, c: u32, next: &mut States) {
        let Some(token) = self.tokens.get(state as usize) else { return };
        match token {
            Token::Char(wanted) if *wanted == c => self.add(next, state + 1),
            Token::Any if c != SLASH => self.add(next, state + 1),
            Token::Class { negated, ranges } => {
                if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated {
                    self.add(next, state + 1);
                }
            }
            Token::Star if c != SLASH => self.add(next, state),
            Token::Everything => self.add(next, state),
            Token::Directories => {
                insert(next, state);
                if c == SLASH {
                    self.add(next, state + 1);
                }
            }
            Token::Char(_) | Token::Any | Token::Star | Token::Enter => {}
        }
    }

    /// Adds a state and those that it leads to without reading anything.
    fn add(&self, states: &mut States, state: u32) {
        match self.tokens.get(state as usize) {
            Some(Token::Star | Token::Everything) => {
                if insert(states, state) {
                    self.add(states, state + 1);
                }
            }
            Some(Token::Enter) => {
                insert(states, state + 1);
                self.add(states, state + 2);
            }
            _ => {
                insert(states, state);
            }
        }
    }
}

fn insert(states: &mut States, state: u32) -> bool {
    let new = !states.contains(&state);
    if new {
        states.push(state);
    }
    new
}

/// Parses what follows a `[`.
fn parse_class(text: &[u8]) -> Result<(Token, &[u8]), PatternError> {
    let negated = text.first() == Some(&b'^');
    let mut rest = if negated { &text[1..] } else { text };
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&b']') && !ranges.is_empty() {
            return Ok((Token::Class { negated, ranges }, &rest[1..]));
        }
        let (low, behind) = class_char(rest)?;
        rest = behind;
        let mut high = low;
        if rest.first() == Some(&b'-') {
            (high, rest) = class_char(&rest[1..])?;
        }
        if high < low {
            return Err(PatternError::Backwards);
        }
        ranges.push((low, high));
    }
}

fn class_char(text: &[u8]) -> Result<(u32, &[u8]), PatternError> {
    match text.first() {
        None => Err(PatternError::Unclosed),
        Some(b'-' | b']') => Err(PatternError::Class),
        Some(b'\\') => next_char(&text[1..]).ok_or(PatternError::Escape),
        Some(_) => next_char(text).ok_or(PatternError::Unclosed),
    }
}

/// Above all of Unicode: the characters that stand for bytes that are no UTF-8.
const RAW: u32 = 0x0100_0000;

/// The first character of a text, and the rest of it.
fn next_char(text: &[u8]) -> Option<(u32, &[u8])> {
    let first = *text.first()?;
    let length = match first {
        0..0x80 => return Some((u32::from(first), &text[1..])),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => 1,
    };
    let decoded = text
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    Some(match decoded {
        Some(c) => (u32::from(c), &text[length..]),
        None => (RAW + u32::from(first), &text[1..]),
    })
}

fn push_char(bytes: &mut Vec<u8>, c: u32) {
    match char::from_u32(c) {
        Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => bytes.push((c & 0xff) as u8),
    }
}

/// Go's `path.Clean`: the shortest path that means the same without looking at any file. `.` where nothing is left.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
