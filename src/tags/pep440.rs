//! Versions of Python packages (PEP 440).

use std::fmt;

use semver::{BuildMetadata, Prerelease, Version};

/// A version of a Python package; as a text, in its normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pep440 {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(&'static str, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Option<String>,
}

/// How kinds of prereleases are written, and their normal forms; the longest first.
const PRE: [(&str, &str); 8] = [
    ("alpha", "a"),
    ("beta", "b"),
    ("preview", "rc"),
    ("pre", "rc"),
    ("rc", "rc"),
    ("a", "a"),
    ("b", "b"),
    ("c", "rc"),
];

impl Pep440 {
    /// Reads a version in any of its forms.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let mut reader = Reader { rest: text.strip_prefix('v').unwrap_or(&text) };
        let mut first = reader.number()?;
        let mut epoch = 0;
        if reader.eat("!") {
            epoch = first;
            first = reader.number()?;
        }
        let mut release = vec![first];
        while let Some(number) = reader.after(".", Reader::number) {
            release.push(number);
        }
        let pre = PRE.iter().find_map(|(word, kind)| Some((*kind, reader.segment(word)?)));
        let post = reader.after("-", Reader::number);
        let post = post.or_else(|| ["post", "rev", "r"].iter().find_map(|word| reader.segment(word)));
        let dev = reader.segment("dev");
        let local = match reader.eat("+") {
            true => Some(reader.local()?),
            false => None,
        };
        reader.rest.is_empty().then_some(Self { epoch, release, pre, post, dev, local })
    }

    /// Whether it is a final release: none before or after one, and none of a developer.
    pub(super) fn is_final(&self) -> bool {
        self.pre.is_none() && self.post.is_none() && self.dev.is_none()
    }

    /// The number at a place of the release; 0 where there is none.
    pub(super) fn number(&self, place: usize) -> u64 {
        self.release.get(place).copied().unwrap_or_default()
    }

    /// How many numbers the release has.
    pub(super) fn numbers(&self) -> usize {
        self.release.len()
    }

    /// A version to compare by. What semantic versions have no place for is in the build metadata: numbers after the
    /// third, and `0` and the number of a post-release.
    pub(super) fn rank(&self) -> Version {
        let mut rest: Vec<String> = self.release.iter().skip(3).map(u64::to_string).collect();
        while rest.last().is_some_and(|number| number == "0") {
            rest.pop();
        }
        rest.extend(self.post.iter().flat_map(|post| ["0".to_owned(), post.to_string()]));
        let mut pre = Vec::new();
        pre.extend(self.pre.iter().map(|(kind, number)| format!("{kind}.{number}")));
        pre.extend(self.dev.iter().map(|number| format!("dev.{number}")));
        Version {
            pre: Prerelease::new(&pre.join(".")).unwrap_or(Prerelease::EMPTY),
            build: BuildMetadata::new(&rest.join(".")).unwrap_or(BuildMetadata::EMPTY),
            ..Version::new(self.number(0), self.number(1), self.number(2))
        }
    }
}

impl fmt::Display for Pep440 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let release: Vec<_> = self.release.iter().map(u64::to_string).collect();
        f.write_str(&release.join("."))?;
        if let Some((kind, number)) = self.pre {
            write!(f, "{kind}{number}")?;
        }
        if let Some(post) = self.post {
            write!(f, ".post{post}")?;
        }
        if let Some(dev) = self.dev {
            write!(f, ".dev{dev}")?;
        }
        match &self.local {
            Some(local) => write!(f, "+{local}"),
            None => Ok(()),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// What follows a text; nothing is taken if it does not.
    fn after<T>(&mut self, text: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.rest;
        let read = if self.eat(text) { read(self) } else { None };
        if read.is_none() {
            self.rest = before;
        }
        read
    }

    fn number(&mut self) -> Option<u64> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest[..length].parse().ok()?;
        self.rest = &self.rest[length..];
        Some(number)
    }

    fn separator(&mut self) {
        self.rest = self.rest.strip_prefix(['-', '_', '.']).unwrap_or(self.rest);
    }

    /// A word and its number, which is 0 if it is left out.
    fn segment(&mut self, word: &str) -> Option<u64> {
        let before = self.rest;
        self.separator();
        if !self.eat(word) {
            self.rest = before;
            return None;
        }
        let behind = self.rest;
        self.separator();
        Some(self.number().unwrap_or_else(|| {
            self.rest = behind;
            0
        }))
    }

    fn local(&mut self) -> Option<String> {
        let local = self.rest.replace(['-', '_'], ".");
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.rest = "";
        local.split('.').all(is_part).then_some(local)
    }
}
