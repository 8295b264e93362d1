//! What a lock holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use url::Url;

use crate::{
    error::public_text,
    oci::{Digest, Platform, Reference},
};

/// What the names in one directory's files mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The names. An entry's pin is of its input's kind.
    pub entries: BTreeMap<Input, Entry>,
}

/// A name that could mean something else tomorrow, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// An image; one that is named without a tag and without a digest has the tag `latest`.
    Image(Reference),
    /// A file on the web.
    Web {
        /// Its URL without user, password, query and fragment.
        url: String,
        /// What stands for the query, which may hold secrets: the first hexadecimal digits of its digest.
        query: Option<String>,
    },
    /// A commit of a Git repository.
    Git {
        /// The repository without user, password and query.
        remote: String,
        /// A branch, a tag or a commit; the remote's HEAD if not given.
        reference: Option<String>,
    },
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it means.
    pub pin: Pin,
    /// The files that it was locked for, by their names beside the lock.
    pub used_by: BTreeSet<String>,
}

/// What a name was found to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// An image.
    Image(ImagePin),
    /// A file on the web.
    Web(WebPin),
    /// A commit in full, in lower-case hexadecimal digits.
    Git(String),
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePin {
    /// The digest of its index, or of its manifest where it has no index.
    pub digest: Digest,
    /// The digest of the manifest for each platform that it is there for.
    pub platforms: BTreeMap<String, Digest>,
}

/// A file on the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebPin {
    /// The SHA-256 digest of its content.
    pub digest: Digest,
    /// When it was last changed, as its server told: seconds since the epoch.
    pub modified: Option<i64>,
}

impl Input {
    /// The name of an image.
    pub fn image(reference: &Reference) -> Self {
        let tag = reference.tag_or_latest().map(str::to_owned);
        Self::Image(Reference { tag, ..reference.clone() })
    }

    /// The name of a file on the web.
    pub fn web(url: &str) -> Self {
        let parsed = Url::parse(url).ok();
        let query = parsed.as_ref().and_then(Url::query).filter(|query| !query.is_empty());
        Self::Web { url: public_text(url), query: query.map(|query| Digest::of(query.as_bytes()).short()) }
    }

    /// The name of a commit.
    pub fn git(remote: &str, reference: Option<&str>) -> Self {
        Self::Git { remote: public_text(remote), reference: reference.map(str::to_owned) }
    }

    /// What kind of name it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Web { .. } => "url",
            Self::Git { .. } => "git",
        }
    }

    /// Whether the name says itself what it means: an image by its digest, a commit in full.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Image(reference) => reference.digest.is_some(),
            Self::Web { .. } => false,
            Self::Git { reference, .. } => reference.as_deref().is_some_and(is_commit),
        }
    }

    /// Whether this is what the user means with a text: the name in any spelling, a repository for all that is taken
    /// of it.
    pub fn is_meant_by(&self, text: &str) -> bool {
        if self.to_string() == text {
            return true;
        }
        match self {
            Self::Image(known) => text.parse::<Reference>().is_ok_and(|asked| {
                let all = asked.tag.is_none() && asked.digest.is_none();
                asked.repository == known.repository && (all || Self::image(&asked) == *self)
            }),
            Self::Web { url, .. } => url == text || Self::web(text) == *self,
            Self::Git { remote, reference } => {
                let (asked, named) = match text.split_once('#') {
                    Some((asked, named)) => (asked, Some(named)),
                    None => (text, None),
                };
                *remote == public_text(asked) && (named.is_none() || named == reference.as_deref())
            }
        }
    }
}

/// Whether a text is a whole commit's name, SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A platform as locks have it, if it is one.
pub(super) fn platform(text: &str) -> Option<String> {
    text.parse::<Platform>().ok().map(|platform| platform.to_string())
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => f.write_str(&reference.familiar()),
            Self::Web { url, query: None } => f.write_str(url),
            Self::Web { url, query: Some(query) } => write!(f, "{url}?[{query}]"),
            Self::Git { remote, reference: None } => f.write_str(remote),
            Self::Git { remote, reference: Some(reference) } => write!(f, "{remote}#{reference}"),
        }
    }
}

impl Pin {
    /// What it is, short enough for people.
    pub fn short(&self) -> String {
        match self {
            Self::Image(ImagePin { digest, .. }) | Self::Web(WebPin { digest, .. }) => {
                format!("{}:{}", digest.algorithm(), digest.short())
            }
            Self::Git(commit) => commit.get(..12).unwrap_or(commit).to_owned(),
        }
    }
}

impl Lock {
    /// What a name means, if it is here.
    pub fn pin(&self, input: &Input) -> Option<&Pin> {
        self.entries.get(input).map(|entry| &entry.pin)
    }

    /// Says what a name means, and that a file uses it.
    pub fn put(&mut self, input: Input, pin: Pin, used_by: &str) {
        let used_by = used_by.to_owned();
        match self.entries.entry(input) {
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.pin = pin;
                known.used_by.insert(used_by);
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Entry { pin, used_by: BTreeSet::from([used_by]) });
            }
        }
    }

    /// Forgets what these files use; entries that none uses then are gone.
    pub fn forget(&mut self, is_gone: impl Fn(&str) -> bool) {
        for entry in self.entries.values_mut() {
            entry.used_by.retain(|file| !is_gone(file));
        }
        self.entries.retain(|_, entry| !entry.used_by.is_empty());
    }

    /// Takes over all that another lock has; where both know a name, the other's word counts.
    pub fn merge(&mut self, other: Self) {
        for (input, entry) in other.entries {
            for file in &entry.used_by {
                self.put(input.clone(), entry.pin.clone(), file);
            }
        }
    }

    /// The names that the user means with a text.
    pub fn meant_by(&self, text: &str) -> Vec<Input> {
        self.entries.keys().filter(|input| input.is_meant_by(text)).cloned().collect()
    }
}
