//! `--cache-from` and `--cache-to`, spelled as buildx's.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Environment, SettingsError, pairs::split_csv};
use crate::{
    cache::{Mode, Place, Target},
    oci::{Reference, Repository},
};

const TYPES: [&str; 2] = ["registry", "local"];

/// A flag's value, taken apart: what was understood is taken out.
struct Fields<'a> {
    flag: &'static str,
    text: &'a str,
    kind: String,
    rest: BTreeMap<String, String>,
}

/// Reads one `--cache-from`: `REF`, or a list of `key=value`.
pub fn parse_cache_from(text: &str, environment: &Environment) -> Result<Place, SettingsError> {
    let mut fields = Fields::read("--cache-from", text)?;
    let place = fields.place("src", environment)?;
    fields.finish(&["type"])?;
    Ok(place)
}

/// Reads one `--cache-to`: `REF`, or a list of `key=value`. Without `mode`, entries of all steps are written; without
/// `ignore-error=false`, a cache that cannot be written does not fail the build.
pub fn parse_cache_to(text: &str, environment: &Environment) -> Result<Target, SettingsError> {
    let mut fields = Fields::read("--cache-to", text)?;
    let mode = match fields.take("mode").as_deref() {
        None => Mode::default(),
        Some("min") => Mode::Min,
        Some("max") => Mode::Max,
        Some(other) => return Err(fields.wrong(&format!("mode is {other:?}, which is neither min nor max"))),
    };
    let ignore_error = fields.boolean("ignore-error")?.unwrap_or(true);
    // What caches are like anyway may be said.
    for key in ["image-manifest", "oci-mediatypes"] {
        if fields.boolean(key)? == Some(false) {
            return Err(fields.wrong(&format!("{key}=false cannot be had: entries are OCI images")));
        }
    }
    let place = fields.place("dest", environment)?;
    fields.finish(&["type", "mode", "ignore-error"])?;
    Ok(Target { place, mode, ignore_error })
}

impl<'a> Fields<'a> {
    fn read(flag: &'static str, text: &'a str) -> Result<Self, SettingsError> {
        let mut fields = Self { flag, text, kind: String::new(), rest: BTreeMap::new() };
        let parts = split_csv(text).ok_or_else(|| fields.wrong("a quote is not closed"))?;
        if let [part] = &parts[..]
            && !part.contains('=')
        {
            if part.is_empty() {
                return Err(fields.wrong("it is empty"));
            }
            fields.kind = "registry".into();
            fields.rest.insert("ref".into(), part.clone());
            return Ok(fields);
        }
        for part in &parts {
            let pair = part.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = pair.ok_or_else(|| {
                fields
                    .wrong(&format!("{part:?} is not of the form key=value"))
                    .hint("a value that holds a comma needs quotes: '\"dest=a,b\"'")
            })?;
            if fields.rest.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(fields.wrong(&format!("{key} is given twice")));
            }
        }
        fields.kind = fields
            .take("type")
            .ok_or_else(|| fields.wrong("type is missing").hint(format!("types are {}", TYPES.join(", "))))?;
        Ok(fields)
    }

    /// An error about the flag. Its text is not shown whole: it may hold secrets.
    fn wrong(&self, problem: &str) -> SettingsError {
        let shown: Vec<&str> =
            self.text.split(',').map(|part| if is_secret(part) { "…" } else { part }).collect();
        SettingsError::new(format!("{} {:?}: {problem}", self.flag, shown.join(",")))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.rest.remove(key).filter(|value| !value.is_empty())
    }

    fn needed(&mut self, key: &str) -> Result<String, SettingsError> {
        let kind = self.kind.clone();
        self.take(key).ok_or_else(|| self.wrong(&format!("type={kind} needs {key}=…")))
    }

    fn boolean(&mut self, key: &str) -> Result<Option<bool>, SettingsError> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(value) => Err(self.wrong(&format!("{key} is {value:?}, which is neither true nor false"))),
        }
    }

    fn place(&mut self, directory: &str, environment: &Environment) -> Result<Place, SettingsError> {
        match self.kind.as_str() {
            "registry" => {
                let text = self.needed("ref")?;
                let (repository, prefix) = self.reference(&text)?;
                Ok(Place::Registry { repository, prefix })
            }
            "local" => {
                let path = PathBuf::from(self.needed(directory)?);
                Ok(Place::Directory { path: environment.current_dir().join(path) })
            }
            "inline" => Err(self
                .wrong("type \"inline\" is not known: images are not mixed with what a cache remembers")
                .hint("type=registry,ref=… with the image's own repository sends no layer twice")),
            other => Err(self
                .wrong(&format!("type {other:?} is not known"))
                .did_you_mean(other, TYPES)
                .hint(format!("types are {}", TYPES.join(", ")))),
        }
    }

    /// `HOST/REPO[:PREFIX]`.
    fn reference(&self, text: &str) -> Result<(Repository, String), SettingsError> {
        let reference: Reference = text.parse().map_err(|error| self.wrong(&format!("{error}")))?;
        if reference.digest.is_some() {
            return Err(self.wrong("ref has a digest, and a cache is no single image"));
        }
        let prefix = reference.tag.unwrap_or_else(|| Place::PREFIX.to_owned());
        if prefix.len() > Place::LONGEST_PREFIX {
            return Err(self.wrong(&format!(
                "the tag {prefix:?} has more than {} characters, and a key must fit behind it",
                Place::LONGEST_PREFIX
            )));
        }
        Ok((reference.repository, prefix))
    }

    /// The end: nothing may be left.
    fn finish(self, common: &[&'static str]) -> Result<(), SettingsError> {
        let Some(key) = self.rest.keys().next() else { return Ok(()) };
        let own: &[&str] = match (self.kind.as_str(), self.flag) {
            ("registry", _) => &["ref"],
            (_, "--cache-from") => &["src"],
            _ => &["dest"],
        };
        let known: Vec<&str> = common.iter().chain(own).copied().collect();
        let error =
            self.wrong(&format!("type={} has no {key:?}", self.kind)).did_you_mean(key, known.clone());
        Err(match key.as_str() {
            "compression" | "compression-level" | "force-compression" => {
                error.hint("caches keep the image's own layers: --compression decides for both")
            }
            "tag" | "digest" => error.hint("entries are found by their keys: nothing has to be chosen"),
            _ => error.hint(format!("type={} has {}", self.kind, known.join(", "))),
        })
    }
}

fn is_secret(part: &str) -> bool {
    part.split_once('=')
        .is_some_and(|(key, _)| ["token", "secret", "password"].iter().any(|word| key.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    fn here() -> Environment {
        Environment::of("/here", [])
    }

    fn registry(repository: &str, prefix: &str) -> Place {
        Place::Registry { repository: repository.parse().unwrap(), prefix: prefix.into() }
    }

    fn directory(path: &str) -> Place {
        Place::Directory { path: path.into() }
    }

    #[test]
    fn places_are_read() {
        for (text, place) in [
            ("ghcr.io/me/cache", registry("ghcr.io/me/cache", "cache")),
            ("localhost:5000/c:main", registry("localhost:5000/c", "main")),
            ("type=registry,ref=me/app:pr-7", registry("docker.io/me/app", "pr-7")),
            ("type=local,src=out", directory("/here/out")),
            ("type=local,\"src=/a,b\"", directory("/a,b")),
        ] {
            assert_eq!(parse_cache_from(text, &here()), Ok(place), "{text}");
        }
    }

    #[test]
    fn targets_are_read() {
        for (text, place, mode, ignore_error) in [
            ("ghcr.io/me/cache", registry("ghcr.io/me/cache", "cache"), Mode::Max, true),
            ("type=local,dest=out,mode=min", directory("/here/out"), Mode::Min, true),
            (
                "type=registry,ref=a.b/c,mode=max,ignore-error=false,image-manifest=true,oci-mediatypes=1",
                registry("a.b/c", "cache"),
                Mode::Max,
                false,
            ),
        ] {
            assert_eq!(parse_cache_to(text, &here()), Ok(Target { place, mode, ignore_error }), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let long = format!("type=registry,ref=a.b/c:{}", "x".repeat(64));
        for (text, words, hint) in [
            ("", "is empty", ""),
            ("\"a", "quote", ""),
            ("type=registry", "needs ref", ""),
            ("ref=a.b/c", "type is missing", "registry, local"),
            ("type=local,src=a", "needs dest", ""),
            ("type=locale,dest=a", "\"locale\" is not known", "did you mean `local`?"),
            ("type=inline", "not known", "the image's own repository"),
            ("type=registry,ref=A", "upper-case", ""),
            ("type=registry,ref=a@sha256:12", "hex digits", ""),
            (&long, "more than 63 characters", ""),
            ("type=registry,ref=a,mode=most", "neither min nor max", ""),
            ("type=registry,ref=a,mdoe=max", "has no \"mdoe\"", "did you mean `mode`?"),
            ("type=registry,ref=a,compression=zstd", "has no \"compression\"", "--compression"),
            ("type=registry,ref=a,oci-mediatypes=false", "cannot be had", ""),
            ("type=registry,ref=a,ignore-error=maybe", "neither true nor false", ""),
            ("type=registry,ref=a,ref=b", "given twice", ""),
            ("type=registry,ref=a,b", "key=value", "quotes"),
        ] {
            let error = parse_cache_to(text, &here()).expect_err(text);
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(error.hints().concat().contains(hint), "{text}: {:?}", error.hints());
        }
        let error = parse_cache_to("type=gcs,token=hunter2,x=1", &here()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
