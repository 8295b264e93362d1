//! `--cache-from` and `--cache-to`, spelled as buildx's.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Environment, SettingsError, pairs::split_csv};
use url::Url;

use crate::{
    cache::{Bucket, Mode, Place, Service, Target},
    oci::{Reference, Repository},
    registry::Secret,
};

const TYPES: [&str; 4] = ["registry", "local", "s3", "gha"];

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
            "s3" => Ok(Place::Bucket(Box::new(self.bucket(environment)?))),
            "gha" => Ok(Place::Actions(self.service(environment)?)),
            "inline" => Err(self
                .wrong("type \"inline\" is not known: images are not mixed with what a cache remembers")
                .hint("type=registry,ref=… with the image's own repository sends no layer twice")),
            other => Err(self
                .wrong(&format!("type {other:?} is not known"))
                .did_you_mean(other, TYPES)
                .hint(format!("types are {}", TYPES.join(", ")))),
        }
    }

    /// The cache service of GitHub Actions, with the environment's word where the flag has none.
    fn service(&mut self, environment: &Environment) -> Result<Service, SettingsError> {
        if let Some(version) = self.take("version").filter(|version| version != "2") {
            return Err(self.wrong(&format!("version is {version:?}, and GitHub's service knows but 2")));
        }
        // The URL of version 1, which some pass along.
        self.take("url");
        let given = |error: SettingsError| {
            error.hint(
                "GitHub Actions gives it to actions and not to scripts: the action \
                 crazy-max/ghaction-github-runtime passes it on",
            )
        };
        let url = self.taken_or(environment, "url_v2", &["ACTIONS_RESULTS_URL"]).map_err(given)?;
        let token = self.taken_or(environment, "token", &["ACTIONS_RUNTIME_TOKEN"]).map_err(given)?;
        let mut url = self.url("url_v2", &url)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let scope = self.take("scope").unwrap_or_else(|| Service::SCOPE.to_owned());
        if scope.contains(',') || scope.len() > Service::LONGEST_SCOPE {
            return Err(self.wrong("scope is too long, or has a comma"));
        }
        Ok(Service { url, token: Secret::new(token), scope })
    }

    /// A bucket of S3, with the environment's word where the flag has none.
    fn bucket(&mut self, environment: &Environment) -> Result<Bucket, SettingsError> {
        let name = self.taken_or(environment, "bucket", &["AWS_BUCKET"])?;
        let region = self.taken_or(environment, "region", &["AWS_REGION", "AWS_DEFAULT_REGION"])?;
        let name_fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !name.chars().all(name_fits) || !region.chars().all(name_fits) {
            return Err(self.wrong("bucket or region is no name"));
        }
        let endpoint = self.take("endpoint_url").or_else(|| {
            let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
            variables.iter().find_map(|name| environment.text(name)).map(str::to_owned)
        });
        let endpoint = endpoint.map(|text| self.url("endpoint_url", &text)).transpose()?;
        let path_style = self.boolean("use_path_style")?.unwrap_or(false);
        let prefix = self.take("prefix").unwrap_or_default().trim_matches('/').to_owned();
        let credentials = self.credentials(environment)?;
        Ok(Bucket { name, region, prefix, endpoint, path_style, credentials })
    }

    fn credentials(
        &mut self,
        environment: &Environment,
    ) -> Result<BTreeMap<&'static str, Secret>, SettingsError> {
        let [id, key, token] =
            ["access_key_id", "secret_access_key", "session_token"].map(|name| self.take(name));
        let named = |(name, value): (&'static str, Option<String>)| Some((name, Secret::new(value?)));
        match (&id, &key) {
            (Some(_), Some(_)) => {
                let [id_name, key_name, token_name, ..] = Bucket::CREDENTIALS;
                Ok([(id_name, id), (key_name, key), (token_name, token)]
                    .into_iter()
                    .filter_map(named)
                    .collect())
            }
            (None, None) if token.is_none() => {
                let variable = |name| named((name, environment.text(name).map(str::to_owned)));
                Ok(Bucket::CREDENTIALS.into_iter().filter_map(variable).collect())
            }
            _ => Err(self.wrong("access_key_id and secret_access_key go together")),
        }
    }

    fn taken_or(
        &mut self,
        environment: &Environment,
        key: &str,
        variables: &[&str],
    ) -> Result<String, SettingsError> {
        let set = || variables.iter().find_map(|name| environment.text(name)).map(str::to_owned);
        let missing = |this: &Self| {
            let error = this.wrong(&format!("type={} needs {key}=…", this.kind));
            error.hint(format!("the variable {} says it as well", variables[0]))
        };
        self.take(key).or_else(set).ok_or_else(|| missing(self))
    }

    fn url(&self, key: &str, text: &str) -> Result<Url, SettingsError> {
        let url =
            Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| self.wrong(&format!("{key} is no http:// or https:// URL")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.wrong(&format!("{key} must not hold a user or a password")));
        }
        Ok(url)
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
            ("gha", _) => &["url", "url_v2", "token", "scope", "version"],
            ("s3", _) => &[
                "bucket",
                "region",
                "prefix",
                "endpoint_url",
                "use_path_style",
                "access_key_id",
                "secret_access_key",
                "session_token",
            ],
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
            "manifests_prefix" | "blobs_prefix" => error.hint("prefix=… is in front of everything"),
            "tag" | "digest" | "name" => {
                error.hint("entries are found by their keys: nothing has to be chosen")
            }
            _ => error.hint(format!("type={} has {}", self.kind, known.join(", "))),
        })
    }
}

fn is_secret(part: &str) -> bool {
    part.split_once('=').is_some_and(|(key, value)| {
        let words = ["token", "secret", "password", "access_key"];
        words.iter().any(|word| key.contains(word)) || value.contains('@') && value.contains("://")
    })
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
    fn buckets_are_read() {
        let text = "type=s3,bucket=b,region=r,prefix=/a/b/,endpoint_url=http://minio:9000,use_path_style=true,\
                    access_key_id=AKIA,secret_access_key=hunter2,session_token=hunter3";
        let environment = Environment::of("/", [("AWS_SESSION_TOKEN", "other"), ("AWS_REGION", "other")]);
        let Place::Bucket(bucket) = parse_cache_from(text, &environment).unwrap() else { panic!() };
        assert_eq!((bucket.name.as_str(), bucket.region.as_str(), bucket.prefix.as_str()), ("b", "r", "a/b"));
        assert_eq!(bucket.endpoint.as_ref().unwrap().as_str(), "http://minio:9000/");
        assert!(bucket.path_style);
        assert_eq!(bucket.credentials["AWS_SESSION_TOKEN"].expose(), "hunter3");
        let place = Place::Bucket(bucket);
        assert!(!format!("{place:?} {place}").contains("hunter"), "{place:?}");
        assert_eq!(place.to_string(), "s3://b/a/b");
    }

    #[test]
    fn the_environment_stands_in_for_what_is_not_said_of_a_bucket() {
        let variables = [
            ("AWS_BUCKET", "b"),
            ("AWS_DEFAULT_REGION", "r"),
            ("AWS_ENDPOINT_URL", "https://s3.example"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "hunter3"),
        ];
        let environment = Environment::of("/", variables);
        let Place::Bucket(bucket) = parse_cache_from("type=s3", &environment).unwrap() else { panic!() };
        assert_eq!((bucket.name.as_str(), bucket.region.as_str(), bucket.prefix.as_str()), ("b", "r", ""));
        assert_eq!(bucket.endpoint.unwrap().as_str(), "https://s3.example/");
        assert_eq!(bucket.credentials.len(), 3);
        // Keys of the flag do not go with a session of the environment.
        let text = "type=s3,access_key_id=A,secret_access_key=B";
        let Place::Bucket(bucket) = parse_cache_from(text, &environment).unwrap() else { panic!() };
        assert_eq!(bucket.credentials.len(), 2);
    }

    #[test]
    fn the_service_of_github_is_read() {
        let variables =
            [("ACTIONS_RESULTS_URL", "https://results.example/x"), ("ACTIONS_RUNTIME_TOKEN", "hunter2")];
        for (text, url, token, scope) in [
            ("type=gha", "https://results.example/x/", "hunter2", "imgbuild"),
            ("type=gha,scope=app,version=2,url=https://v1/", "https://results.example/x/", "hunter2", "app"),
            ("type=gha,url_v2=https://other/,token=hunter3", "https://other/", "hunter3", "imgbuild"),
        ] {
            let place = parse_cache_from(text, &Environment::of("/", variables)).unwrap();
            assert!(!format!("{place} {place:?}").contains("hunter"), "{place:?}");
            let Place::Actions(service) = place else { panic!() };
            assert_eq!((service.url.as_str(), service.token.expose()), (url, token), "{text}");
            assert_eq!(service.scope, scope);
        }
    }

    #[test]
    fn mistakes_are_told() {
        let long = format!("type=registry,ref=a.b/c:{}", "x".repeat(64));
        for (text, words, hint) in [
            ("", "is empty", ""),
            ("\"a", "quote", ""),
            ("type=registry", "needs ref", ""),
            ("ref=a.b/c", "type is missing", "registry, local, s3, gha"),
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
            ("type=gha", "needs url_v2", "ghaction-github-runtime"),
            ("type=gha,url_v2=https://x", "needs token", "ACTIONS_RUNTIME_TOKEN"),
            ("type=gha,url_v2=https://x,token=t,version=1", "but 2", ""),
            ("type=gha,url_v2=https://x,token=t,scop=x", "has no \"scop\"", "`scope`"),
            ("type=s3,region=r", "needs bucket", "AWS_BUCKET"),
            ("type=s3,bucket=b", "needs region", "AWS_REGION"),
            ("type=s3,bucket=a/b,region=r", "no name", ""),
            ("type=s3,bucket=b,region=r,name=x", "has no \"name\"", "found by their keys"),
            ("type=s3,bucket=b,region=r,blobs_prefix=x", "has no", "prefix"),
            ("type=s3,bucket=b,region=r,endpoint_url=minio:9000", "no http", ""),
            ("type=s3,bucket=b,region=r,endpoint_url=https://u:p@h", "must not hold", ""),
            ("type=s3,bucket=b,region=r,access_key_id=x", "go together", ""),
        ] {
            let error = parse_cache_to(text, &here()).expect_err(text);
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(error.hints().concat().contains(hint), "{text}: {:?}", error.hints());
        }
        for text in [
            "type=gcs,token=hunter2,x=1",
            "type=s3,secret_access_key=hunter2",
            "type=s3,bucket=b,region=r,access_key_id=hunter2",
            "type=s3,bucket=b,region=r,endpoint_url=https://u:hunter2@h",
        ] {
            let error = parse_cache_to(text, &here()).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
