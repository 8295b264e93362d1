//! What a text says of a place to fetch files from.

use std::fmt;

use url::Url;

use crate::error::public_text;

/// A commit of a Git repository.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitSource {
    /// The repository, as `git clone` takes it. It may hold a password: see [`GitSource::shown`].
    pub remote: String,
    /// A branch, a tag, a full name (`refs/…`) or a whole commit; the remote's HEAD if not given.
    pub reference: Option<String>,
    /// The directory in it that is taken; all of it if not given.
    pub subdirectory: Option<String>,
    /// Whether `.git` is taken too.
    pub keep_git_dir: bool,
    /// The commit that the reference must be, in full or its first hexadecimal digits.
    pub checksum: Option<String>,
    /// Whether submodules are taken too, and theirs.
    pub submodules: bool,
}

impl GitSource {
    /// The repository for people: without a password.
    pub fn shown(&self) -> String {
        public_text(&self.remote)
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitSource")
            .field("remote", &self.shown())
            .field("reference", &self.reference)
            .field("subdirectory", &self.subdirectory)
            .field("keep_git_dir", &self.keep_git_dir)
            .field("checksum", &self.checksum)
            .field("submodules", &self.submodules)
            .finish()
    }
}

/// A place to fetch files from, in the grammar of `docker build`'s contexts and of Dockerfile's ADD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A Git repository: `https://host/path.git`, `git://…`, `ssh://…`, `user@host:path` or `github.com/owner/name`.
    /// What is taken of it stands in the fragment, `#reference:subdirectory`, or in the query:
    /// `?ref=`, `branch=`, `tag=`, `commit=` (or `checksum=`), `subdir=`, `keep-git-dir=`, `submodules=`.
    Git(GitSource),
    /// Any other http or https URL.
    Web(String),
}

/// Why a URL names no commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It is no URL at all.
    #[error("{text} is no URL: {error}")]
    Url {
        /// The text, without secrets.
        text: String,
        /// What is wrong.
        error: url::ParseError,
    },
    /// A part of the query that is not known.
    #[error(
        "the query of {url} may say ref, branch, tag, commit, subdir, keep-git-dir and submodules, not {name:?}"
    )]
    Unknown {
        /// The URL, without secrets.
        url: String,
        /// What it says.
        name: String,
    },
    /// Two things are said where one can hold.
    #[error("{url} says twice {what}")]
    Twice {
        /// The URL, without secrets.
        url: String,
        /// What it says.
        what: &'static str,
    },
    /// A value that is neither true nor false.
    #[error("{name} in {url} is {value:?}, neither true nor false")]
    Switch {
        /// The URL, without secrets.
        url: String,
        /// The part of the query.
        name: String,
        /// Its value.
        value: String,
    },
}

impl Place {
    /// What a text names. `None`: nothing remote, so likely a path.
    pub fn parse(text: &str) -> Option<Result<Self, PlaceError>> {
        if let Some(rest) = text.strip_prefix("github.com/") {
            return Some(url(&format!("https://github.com/{rest}"), true));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("git" | "ssh") => Some(url(text, true)),
            Some("http" | "https") => Some(url(text, false)),
            Some(_) => None,
            None => scp(text).map(Ok),
        }
    }
}

/// A URL; one of http or https names a repository if its path ends in `.git`, or if it is known to.
fn url(text: &str, git: bool) -> Result<Place, PlaceError> {
    let mut url = Url::parse(text).map_err(|error| PlaceError::Url { text: public_text(text), error })?;
    if !git && !url.path().trim_end_matches('/').ends_with(".git") {
        return Ok(Place::Web(text.to_owned()));
    }
    let fragment = url.fragment().map(decoded);
    let query: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    url.set_fragment(None);
    url.set_query(None);
    let mut source = plain(url.to_string());
    if let Some(fragment) = fragment {
        apply_fragment(&mut source, &fragment);
    }
    apply_query(&mut source, &query)?;
    Ok(Place::Git(source))
}

/// `user@host:path`, as scp has it.
fn scp(text: &str) -> Option<Place> {
    let (remote, fragment) = match text.split_once('#') {
        Some((remote, fragment)) => (remote, Some(fragment)),
        None => (text, None),
    };
    let (user, rest) = remote.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let word = |text: &str, more: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !word(user, b"-_") || !word(host, b"-.") || path.is_empty() {
        return None;
    }
    let mut source = plain(remote.to_owned());
    if let Some(fragment) = fragment {
        apply_fragment(&mut source, fragment);
    }
    Some(Place::Git(source))
}

fn plain(remote: String) -> GitSource {
    GitSource {
        remote,
        reference: None,
        subdirectory: None,
        keep_git_dir: false,
        checksum: None,
        submodules: true,
    }
}

/// `reference:subdirectory`, either may be missing.
fn apply_fragment(source: &mut GitSource, fragment: &str) {
    let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    source.reference = given(reference);
    source.subdirectory = given(subdirectory.trim_matches('/'));
}

fn apply_query(source: &mut GitSource, query: &[(String, String)]) -> Result<(), PlaceError> {
    let url = source.shown();
    let twice = |what| PlaceError::Twice { url: url.clone(), what };
    for (name, value) in query {
        let (place, value, what) = match name.as_str() {
            // `pull/42/head` is short for `refs/pull/42/head`.
            "ref" => (&mut source.reference, value.clone(), "what to check out"),
            "branch" => (&mut source.reference, full("refs/heads/", value), "what to check out"),
            "tag" => (&mut source.reference, full("refs/tags/", value), "what to check out"),
            "commit" | "checksum" => (&mut source.checksum, value.clone(), "which commit it is"),
            "subdir" => {
                (&mut source.subdirectory, value.trim_matches('/').to_owned(), "which directory is taken")
            }
            "keep-git-dir" | "submodules" => {
                let on = match value.as_str() {
                    "" | "1" | "true" => true,
                    "0" | "false" => false,
                    _ => {
                        let (name, value) = (name.clone(), value.clone());
                        return Err(PlaceError::Switch { url, name, value });
                    }
                };
                match name.as_str() {
                    "submodules" => source.submodules = on,
                    _ => source.keep_git_dir = on,
                }
                continue;
            }
            _ => return Err(PlaceError::Unknown { url, name: name.clone() }),
        };
        if place.replace(value).is_some() {
            return Err(twice(what));
        }
    }
    // A commit alone is what to check out; with a name, it is what the name must mean.
    if source.reference.is_none() && source.checksum.as_deref().is_some_and(is_commit) {
        source.reference = source.checksum.clone();
    }
    Ok(())
}

fn full(prefix: &str, name: &str) -> String {
    match name.starts_with("refs/") {
        true => name.to_owned(),
        false => format!("{prefix}{name}"),
    }
}

/// Whether a text is a whole commit's name, SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A part of a URL without its percent escapes.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(text: &str) -> (String, Option<String>, Option<String>, Option<String>) {
        match Place::parse(text) {
            Some(Ok(Place::Git(git))) => (git.remote, git.reference, git.subdirectory, git.checksum),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn repositories_are_written_in_many_ways() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let cases = [
            ("https://h/x.git", "https://h/x.git", "", "", ""),
            ("https://h/x.git#main", "https://h/x.git", "main", "", ""),
            ("https://h/x.git#v1:docker/app", "https://h/x.git", "v1", "docker/app", ""),
            ("https://h/x.git#:sub", "https://h/x.git", "", "sub", ""),
            ("http://u:p@h:81/x.git#refs/pull/4/head", "http://u:p@h:81/x.git", "refs/pull/4/head", "", ""),
            ("git://h/x", "git://h/x", "", "", ""),
            ("ssh://git@h:22/x#a:b", "ssh://git@h:22/x", "a", "b", ""),
            ("git@host.example:me/x.git#a:b", "git@host.example:me/x.git", "a", "b", ""),
            ("github.com/me/x#a", "https://github.com/me/x", "a", "", ""),
            ("https://h/x.git?branch=b&subdir=s", "https://h/x.git", "refs/heads/b", "s", ""),
            ("https://h/x.git?tag=v1&checksum=0123", "https://h/x.git", "refs/tags/v1", "", "0123"),
            ("https://h/x.git?ref=pull/4/head", "https://h/x.git", "pull/4/head", "", ""),
        ];
        for (text, remote, reference, subdirectory, checksum) in cases {
            let expected = (remote.to_owned(), some(reference), some(subdirectory), some(checksum));
            assert_eq!(git(text), expected, "{text}");
        }
        let text = format!("https://h/x.git?commit={commit}");
        assert_eq!(git(&text).1.as_deref(), Some(commit));
        let Some(Ok(Place::Git(source))) = Place::parse("https://h/x.git?keep-git-dir=1&submodules=false")
        else {
            panic!("a repository")
        };
        assert!(source.keep_git_dir && !source.submodules);
    }

    #[test]
    fn other_texts_are_web_files_paths_or_wrong() {
        for web in ["https://h/x.tar.gz", "http://h/", "https://h/x?y=.git"] {
            assert_eq!(Place::parse(web), Some(Ok(Place::Web(web.to_owned()))));
        }
        for path in
            ["a/b", "./x.git", "x.git", "c:\\x", "-", "@x", "-oProxyCommand=x@h:y", "u@-h:x", "ftp://h/x"]
        {
            assert_eq!(Place::parse(path), None, "{path}");
        }
        for (wrong, message) in [
            ("https://u:secret@h/x.git?depth=1", "the query of https://h/x.git may say"),
            ("https://h/x.git?branch=a&tag=b", "https://h/x.git says twice what to check out"),
            ("https://h/x.git?branch=a#b", "https://h/x.git says twice what to check out"),
            ("https://h/x.git?submodules=no", "submodules in https://h/x.git is \"no\""),
            ("https://:1/x.git", "https://:1/x.git is no URL"),
        ] {
            let error = Place::parse(wrong).unwrap().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
