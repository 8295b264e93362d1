//! Image references: `[registry/]path[:tag][@digest]`.

use std::{fmt, str::FromStr};

use super::{Digest, DigestError};

/// The registry that a name without one means.
pub const DOCKER_HUB: &str = "docker.io";

/// A repository on a registry, normalised as Docker does it: `alpine` is `docker.io/library/alpine`.
///
/// Not `oci_spec::distribution::Reference`: that type refuses IPv6 registries and answers every mistake with the same
/// words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    path: String,
}

/// A repository with the tag, the digest, or both, that name an image in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Where the image is.
    pub repository: Repository,
    /// The tag, if one is given.
    pub tag: Option<String>,
    /// The digest, if one is given: it decides, whatever the tag says.
    pub digest: Option<Digest>,
}

/// Why a string is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing is there.
    #[error("an image reference must not be empty")]
    Empty,
    /// Upper-case letters in the path.
    #[error("image reference {0:?} has upper-case letters; a repository's path must be lower case")]
    UpperCase(String),
    /// The path breaks the grammar.
    #[error(
        "image reference {text:?} has {part:?} in its path; a part holds a-z and 0-9, with '.', '_', '__' or '-' between them"
    )]
    Path {
        /// The whole reference.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// The tag breaks the grammar.
    #[error(
        "image reference {text:?} has the tag {tag:?}; a tag is 1 to 128 of A-Z a-z 0-9 _ . - and starts with none of . -"
    )]
    Tag {
        /// The whole reference.
        text: String,
        /// The tag at fault.
        tag: String,
    },
    /// The registry is no host with an optional port.
    #[error("image reference {text:?} names the registry {registry:?}, which is not HOST or HOST:PORT")]
    Registry {
        /// The whole reference.
        text: String,
        /// The registry at fault.
        registry: String,
    },
    /// The digest is none.
    #[error("image reference {text:?}: {source}")]
    Digest {
        /// The whole reference.
        text: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
    /// Longer than the 255 characters that distribution-spec clients agree on.
    #[error("image reference {0:?} is longer than 255 characters")]
    TooLong(String),
}

impl Repository {
    /// The registry as people write it: `docker.io`, `ghcr.io`, `localhost:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, `library/` included for Docker's official images.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The reference to a tag in this repository.
    pub fn tagged(&self, tag: impl Into<String>) -> Reference {
        Reference { repository: self.clone(), tag: Some(tag.into()), digest: None }
    }

    /// The reference to a digest in this repository.
    pub fn at(&self, digest: Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest) }
    }

    /// The name as people write it: without `docker.io/library/`, without `docker.io/`.
    pub fn familiar(&self) -> String {
        if self.registry != DOCKER_HUB {
            return self.to_string();
        }
        self.path.strip_prefix("library/").unwrap_or(&self.path).to_owned()
    }
}

impl Reference {
    /// The tag, or `latest` where neither tag nor digest is given.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some("latest"),
        }
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn target(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag_or_latest().unwrap_or("latest").to_owned(),
        }
    }

    /// The reference as people write it.
    pub fn familiar(&self) -> String {
        self.with_name(&self.repository.familiar())
    }

    fn with_name(&self, name: &str) -> String {
        let mut out = name.to_owned();
        if let Some(tag) = &self.tag {
            out.push(':');
            out.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            out.push('@');
            out.push_str(&digest.to_string());
        }
        out
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_name(&self.repository.to_string()))
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (registry, path) = split_registry(text)?;
        check_path(text, &path)?;
        Ok(Self { registry, path })
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() > 255 + 200 {
            return Err(ReferenceError::TooLong(text.to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon behind the last slash starts a tag; one in front of it belongs to the registry's port.
        let start_of_last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[start_of_last..].rfind(':') {
            Some(colon) => (&name[..start_of_last + colon], Some(&name[start_of_last + colon + 1..])),
            None => (name, None),
        };
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        let (registry, path) = split_registry(name)?;
        check_path(text, &path)?;
        if registry.len() + 1 + path.len() > 255 {
            return Err(ReferenceError::TooLong(text.to_owned()));
        }
        Ok(Self { repository: Repository { registry, path }, tag: tag.map(str::to_owned), digest })
    }
}

/// The first part is a registry if it looks like a host: a dot, a colon, `localhost`, or an upper-case letter, as
/// in distribution's reference grammar.
fn split_registry(name: &str) -> Result<(String, String), ReferenceError> {
    if name.is_empty() {
        return Err(ReferenceError::Empty);
    }
    let official = |path: &str| {
        if path.contains('/') { path.to_owned() } else { format!("library/{path}") }
    };
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            if !is_host(first) {
                return Err(ReferenceError::Registry { text: name.to_owned(), registry: first.to_owned() });
            }
            if matches!(first, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
                return Ok((DOCKER_HUB.to_owned(), official(rest)));
            }
            Ok((first.to_owned(), rest.to_owned()))
        }
        _ => Ok((DOCKER_HUB.to_owned(), official(name))),
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                return port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn check_path(text: &str, path: &str) -> Result<(), ReferenceError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase(text.to_owned()));
    }
    match path.split('/').find(|part| !is_path_part(part)) {
        Some(part) => Err(ReferenceError::Path { text: text.to_owned(), part: part.to_owned() }),
        None => Ok(()),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec, "Pulling manifests").
fn is_path_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn check_tag(text: &str, tag: &str) -> Result<(), ReferenceError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fine = (1..=128).contains(&tag.len())
        && tag.bytes().enumerate().all(|(at, b)| word(b) || at > 0 && matches!(b, b'.' | b'-'));
    if fine { Ok(()) } else { Err(ReferenceError::Tag { text: text.to_owned(), tag: tag.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does_it() {
        let digest = Digest::of(b"x");
        for (text, full) in [
            ("alpine", "docker.io/library/alpine".to_owned()),
            ("alpine:3.20", "docker.io/library/alpine:3.20".to_owned()),
            ("me/app", "docker.io/me/app".to_owned()),
            ("index.docker.io/alpine", "docker.io/library/alpine".to_owned()),
            ("ghcr.io/me/app:v1", "ghcr.io/me/app:v1".to_owned()),
            ("localhost/app", "localhost/app".to_owned()),
            ("localhost:5000/app:1", "localhost:5000/app:1".to_owned()),
            ("[::1]:5000/a:b", "[::1]:5000/a:b".to_owned()),
            ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f".to_owned()),
            (&format!("alpine:3@{digest}"), format!("docker.io/library/alpine:3@{digest}")),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), full);
            assert_eq!(full.parse(), Ok(reference));
        }
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        for (text, words) in [
            ("", "empty"),
            ("Alpine", "upper-case"),
            ("ghcr.io/Me/app", "upper-case"),
            ("a//b", "in its path"),
            ("a..b", "in its path"),
            ("-a", "in its path"),
            ("a:", "tag"),
            ("a:-x", "tag"),
            ("a b", "in its path"),
            ("ghcr.io:port/x", "registry"),
            ("a@sha256:12", "hex digits"),
            ("[::1/a", "registry"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn familiar_names_are_short() {
        let familiar = |text: &str| text.parse::<Reference>().map(|r| r.familiar());
        assert_eq!(familiar("docker.io/library/alpine:3"), Ok("alpine:3".to_owned()));
        assert_eq!(familiar("docker.io/me/app"), Ok("me/app".to_owned()));
        assert_eq!(familiar("ghcr.io/me/app"), Ok("ghcr.io/me/app".to_owned()));
    }
}
