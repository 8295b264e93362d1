//! Patterns of `${name#pattern}` and its kind: `*` is any text, `?` any character, neither across lines.

use std::cell::Cell;

/// A pattern: the parts between its stars.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Vec<Vec<Element>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Any,
    Is(char),
}

/// Where a pattern matches from a place on.
enum Match {
    /// Up to here.
    To(usize),
    /// Not here.
    No,
    /// Not here, and at no later place of the line.
    NotInLine,
}

impl Pattern {
    /// Reads a pattern. `*`, `?` and the escape character can be escaped to stand for themselves, and so can `}` and
    /// `/`, for they would end the pattern. The error is another one that is escaped.
    pub(super) fn new(text: &str, escape: char) -> Result<Self, char> {
        let mut parts = vec![Vec::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let element = match character {
                '*' => {
                    parts.push(Vec::new());
                    continue;
                }
                '?' => Element::Any,
                _ if character == escape => match characters.next() {
                    Some(escaped) if matches!(escaped, '*' | '?' | '}' | '/') || escaped == escape => {
                        Element::Is(escaped)
                    }
                    other => return Err(other.unwrap_or(' ')),
                },
                _ => Element::Is(character),
            };
            if let Some(part) = parts.last_mut() {
                part.push(element);
            }
        }
        Ok(Self { parts })
    }

    /// The text without the shortest, or longest, beginning that matches. Here and below, `room` is how many characters
    /// may be compared, and what is left of it. Once it is used up, nothing matches any more.
    pub(super) fn without_prefix(&self, text: &str, longest: bool, room: &Cell<usize>) -> String {
        let text = Text { characters: text.chars().collect(), room };
        match self.at(&text, 0, longest) {
            Match::To(end) => text.characters[end..].iter().collect(),
            _ => text.characters.iter().collect(),
        }
    }

    /// The text without the shortest, or longest, end that matches: the same thing backwards.
    pub(super) fn without_suffix(&self, text: &str, longest: bool, room: &Cell<usize>) -> String {
        let parts = self.parts.iter().rev().map(|part| part.iter().rev().copied().collect());
        let reversed = Self { parts: parts.collect() };
        let text = Text { characters: text.chars().rev().collect(), room };
        match reversed.at(&text, 0, longest) {
            Match::To(end) => text.characters[end..].iter().rev().collect(),
            _ => text.characters.iter().rev().collect(),
        }
    }

    /// The text with the first match, or all of them, replaced; each is the longest at its place. `None` if they
    /// make it longer than `most` bytes.
    pub(super) fn replace(
        &self,
        text: &str,
        (replacement, all): (&str, bool),
        most: usize,
        room: &Cell<usize>,
    ) -> Option<String> {
        let text = Text { characters: text.chars().collect(), room };
        let characters = &text.characters;
        let mut replaced = String::new();
        let mut at = 0;
        // An empty match right behind another match is none.
        let mut last_end = None;
        while at <= characters.len() {
            match self.at(&text, at, true) {
                Match::To(end) if end > at || last_end != Some(at) => {
                    if replaced.len() + replacement.len() > most {
                        return None;
                    }
                    replaced.push_str(replacement);
                    last_end = Some(end);
                    if !all {
                        replaced.extend(&characters[end..]);
                        return Some(replaced);
                    }
                    if end > at {
                        at = end;
                        continue;
                    }
                }
                Match::To(_) | Match::No => {}
                Match::NotInLine => {
                    let rest = &characters[at..];
                    let line = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
                    replaced.extend(&rest[..line]);
                    at += line;
                }
            }
            replaced.extend(characters.get(at));
            at += 1;
        }
        Some(replaced)
    }

    /// Matches from a place on.
    fn at(&self, text: &Text<'_>, start: usize, longest: bool) -> Match {
        let Some((first, rest)) = self.parts.split_first() else { return Match::To(start) };
        if !text.matches(first, start) {
            return Match::No;
        }
        let mut end = start + first.len();
        let mut line = end;
        for (index, part) in rest.iter().enumerate() {
            if index == 0 || end > line {
                line = text.line_end(end);
            }
            let mut places = end..=line;
            let found = if longest && index + 1 == rest.len() {
                places.rev().find(|place| text.matches(part, *place))
            } else {
                places.find(|place| text.matches(part, *place))
            };
            let Some(place) = found else { return Match::NotInLine };
            end = place + part.len();
        }
        Match::To(end)
    }
}

/// What is looked through.
struct Text<'a> {
    characters: Vec<char>,
    /// How many characters may still be compared.
    room: &'a Cell<usize>,
}

impl Text<'_> {
    fn matches(&self, part: &[Element], start: usize) -> bool {
        let rest = &self.characters[start..];
        let pairs = part.iter().zip(rest).take_while(|(element, character)| match element {
            Element::Any => **character != '\n',
            Element::Is(wanted) => wanted == *character,
        });
        let same = if rest.len() < part.len() { 0 } else { pairs.take(self.room.get()).count() };
        self.room.set(self.room.get().saturating_sub(same + 1));
        self.room.get() > 0 && rest.len() >= part.len() && same == part.len()
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = &self.characters[from..];
        from + rest.iter().position(|character| *character == '\n').unwrap_or(rest.len())
    }
}
