//! The configuration file, `imgbuild.toml`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    cache_settings, closest,
    compression::CompressionKind,
    eviction,
    registry::{check_host, check_mirror},
};
use crate::{
    error::Failure,
    registry::{Ecr, Proxy},
    settings::SettingsError,
    solve::SharedMounts,
    source::{Diagnostic, SourceFile},
    store::Cap,
};

/// The configuration file: TOML, at `$XDG_CONFIG_HOME/imgbuild/imgbuild.toml`, else
/// `~/.config/imgbuild/imgbuild.toml`, else where `--config` or `IMGBUILD_CONFIG` says. Relative paths in it start at
/// its own directory. Keys that are not listed here are errors.
///
/// ```toml
/// home = "/var/cache/imgbuild"
/// ca = "company-ca.pem"
/// proxy = "http://proxy.example.com:3128"
/// no-proxy = "localhost,.internal"
///
/// [build]
/// jobs = 4
/// compression = "zstd"
///
/// [cache]
/// max-size = "20GB"
/// max-age = "30d"
/// gc = true
/// mounts = "mode=both,max=2GB"
/// sign-key = "cache.key"
/// trust-keys = ["cache.pub"]
///
/// [registry."docker.io"]
/// mirrors = ["mirror.example.com:5000"]
///
/// [registry."registry.internal:5000"]
/// insecure = true
/// ca = "internal-ca.pem"
/// chunk = 95000000
///
/// [registry."images.example.com"]
/// kind = "ecr"
/// region = "eu-west-1"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// `home`: the directory of the local store. Default: `$XDG_CACHE_HOME/imgbuild`, else `~/.cache/imgbuild`.
    /// `--home` and `IMGBUILD_HOME` go before it.
    pub home: Option<PathBuf>,
    /// `ca`: a PEM file whose certificates are trusted for every registry and download, besides the system's. Those of
    /// `--ca` come on top.
    pub ca: Option<PathBuf>,
    /// `proxy`: the URL of a proxy for all requests but those to this machine. Default: what `HTTPS_PROXY`,
    /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say. `no-proxy`: hosts that are reached without it, in the form of
    /// `NO_PROXY`.
    pub proxy: Option<Proxy>,
    /// `[build]`: defaults of `imgbuild build`.
    pub build: BuildConfig,
    /// `[cache]`: how much cache is kept.
    pub cache: CacheConfig,
    /// `[registry."HOST[:PORT]"]`: one table for each registry, named as in image references (`docker.io` for Docker
    /// Hub).
    pub registries: BTreeMap<String, RegistryConfig>,
}

/// `[build]`: defaults of `imgbuild build`; flags go before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildConfig {
    /// `jobs`: how many threads to use, at least 1. Default: the number of cores.
    pub jobs: Option<usize>,
    /// `compression`: `"gzip"` (the default), `"zstd"` or `"none"`.
    pub compression: Option<CompressionKind>,
    /// `emulators`: a list of what runs programs of other platforms, each as `--emulator` takes it. Default: none.
    pub emulators: Vec<String>,
}

/// `[cache]`: how much cache is kept, and what machines share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheConfig {
    /// `max-size`: the most bytes of the local store, as in `"20GB"`, `"512MiB"` or `"15%"` of the disk. Default:
    /// [`Cap::Share`].
    pub max_size: Option<Cap>,
    /// `max-age`: how long what is not used is kept, as in `"30d"`. Default: any time.
    pub max_age: Option<Duration>,
    /// `gc`: whether builds see to that. Default: `true`.
    pub gc: Option<bool>,
    /// `mounts`: which ways cache mounts go between machines, as `--cache-mounts` takes it. Default: none.
    pub mounts: Option<SharedMounts>,
    /// `sign-key`: the file of the key that signs what shared caches get. Default: none.
    pub sign_key: Option<PathBuf>,
    /// `trust-keys`: a list of files with public keys; of shared caches, only what one of them has signed is believed.
    /// Default: none, and everything is.
    pub trust_keys: Vec<PathBuf>,
}

/// `[registry."HOST[:PORT]"]`: how one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `mirrors`: a list of `"HOST[:PORT]"` that are asked first when pulling, in this order; `/PREFIX` behind it
    /// goes in front of the repository's path, and `http://` before it says that the mirror speaks no TLS. Default:
    /// none.
    pub mirrors: Vec<String>,
    /// `insecure`: whether plain HTTP, and certificates that cannot be verified, are allowed. Default: `false`.
    pub insecure: bool,
    /// `ca`: a PEM file whose certificates are trusted for this registry, besides the usual ones.
    pub ca: Option<PathBuf>,
    /// `chunk`: the largest body of a request that the registry, or a proxy in front of it, takes, in bytes; larger
    /// blobs are sent in pieces. Default: whole blobs, and pieces of 95 MiB only where those are refused.
    pub chunk: Option<u64>,
    /// `kind`: `"ecr"` or `"ecr-public"` where a registry of Amazon ECR has another name than Amazon's: its passwords come
    /// from AWS. `region`: that of a private one. `account`: its account, where that is not whose keys are used.
    pub ecr: Option<Ecr>,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl ConfigFile {
    /// Reads the file. One that is not there counts as empty unless it is `required`.
    pub fn read(path: &Path, required: bool) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(Self::default()),
            Err(error) => {
                let message = format!("failed to read the configuration file {}: {error}", path.display());
                return Err(match error.kind() {
                    io::ErrorKind::NotFound => SettingsError::not_found(message),
                    _ => SettingsError::new(message),
                }
                .into());
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(&SourceFile::new(path.display().to_string(), text), folder)?)
    }

    /// Reads the file's text; relative paths start at `folder`.
    pub fn parse(file: &SourceFile, folder: &Path) -> Result<Self, Diagnostic> {
        let root = DeTable::parse(file.text()).map_err(|error| {
            let diagnostic = Diagnostic::new(format!("this is not valid TOML: {}", error.message()));
            match error.span() {
                Some(span) => diagnostic.at(file.at(span), ""),
                None => diagnostic,
            }
        })?;
        let reader = Reader { file, folder };
        let mut config = Self::default();
        let mut no_proxy = None;
        for (key, value) in root.get_ref() {
            match key.get_ref().as_ref() {
                "home" => config.home = Some(reader.path(key, value)?),
                "ca" => config.ca = Some(reader.path(key, value)?),
                "proxy" => config.proxy = Some(Proxy { url: reader.proxy(value)?, no_proxy: None }),
                "no-proxy" => {
                    let hosts = value.get_ref().as_str();
                    let wrong = || reader.wrong(value, "hosts with commas between them", "no-proxy");
                    no_proxy = Some(hosts.ok_or_else(wrong)?.to_owned());
                }
                "build" => config.build = reader.build(key, value)?,
                "cache" => config.cache = reader.cache(key, value)?,
                "registry" => {
                    for (host, value) in reader.table(key, value)? {
                        check_host("registry", host.get_ref())
                            .map_err(|_| reader.wrong(host, "HOST or HOST:PORT", "a registry's name"))?;
                        config.registries.insert(host.get_ref().to_string(), reader.registry(host, value)?);
                    }
                }
                _ => {
                    let known = ["home", "ca", "proxy", "no-proxy", "build", "cache", "registry"];
                    return Err(reader.unknown(key, &known));
                }
            }
        }
        if let Some(proxy) = &mut config.proxy {
            proxy.no_proxy = no_proxy;
        }
        Ok(config)
    }
}

/// The keys that say which registry of ECR it is, as written.
#[derive(Default)]
struct EcrKeys<'v, 'i> {
    kind: Option<(&'v str, &'v Value<'i>)>,
    region: Option<(&'v str, &'v Value<'i>)>,
    account: Option<(&'v str, &'v Value<'i>)>,
}

impl EcrKeys<'_, '_> {
    fn resolve(self, reader: &Reader<'_>) -> Result<Option<Ecr>, Diagnostic> {
        let Some((kind, at)) = self.kind else {
            return match self.region.or(self.account) {
                Some((_, at)) => Err(reader.wrong(at, "beside kind = \"ecr\"", "region or account")),
                None => Ok(None),
            };
        };
        match (kind, self.region) {
            ("ecr-public", _) => Ok(Some(Ecr::Public)),
            ("ecr", None) => Err(reader.wrong(at, "with region = \"…\" beside it", "kind = \"ecr\"")),
            ("ecr", Some((region, at))) => {
                let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if region.is_empty() || !word(region) {
                    return Err(reader.wrong(at, "a region, as in \"eu-west-1\"", "region"));
                }
                if let Some((account, at)) = self.account
                    && (account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()))
                {
                    return Err(reader.wrong(at, "a text of 12 digits", "account"));
                }
                let (region, account) = (region.to_owned(), self.account.map(|(text, _)| text.to_owned()));
                Ok(Some(Ecr::Private { account, region, fips: false, dual_stack: false }))
            }
            _ => Err(reader.wrong(at, "\"ecr\" or \"ecr-public\"", "kind")),
        }
    }
}

struct Reader<'a> {
    file: &'a SourceFile,
    folder: &'a Path,
}

impl Reader<'_> {
    fn proxy(&self, value: &Value<'_>) -> Result<String, Diagnostic> {
        let text = value.get_ref().as_str();
        let is_proxy = |text: &&str| {
            url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        };
        let wrong = || self.wrong(value, "a URL, as in \"http://proxy.example.com:3128\"", "proxy");
        Ok(text.filter(is_proxy).ok_or_else(wrong)?.to_owned())
    }

    fn build(&self, key: &Key<'_>, value: &Value<'_>) -> Result<BuildConfig, Diagnostic> {
        let mut config = BuildConfig::default();
        for (key, value) in self.table(key, value)? {
            match key.get_ref().as_ref() {
                "jobs" => {
                    let number = value.get_ref().as_integer().and_then(|number| {
                        usize::from_str_radix(number.as_str(), number.radix()).ok().filter(|jobs| *jobs > 0)
                    });
                    config.jobs = Some(number.ok_or_else(|| self.wrong(value, "a number from 1", "jobs"))?);
                }
                "compression" => {
                    let kind = value.get_ref().as_str().and_then(CompressionKind::parse);
                    let kind = kind
                        .ok_or_else(|| self.wrong(value, "\"gzip\", \"zstd\" or \"none\"", "compression"))?;
                    config.compression = Some(kind);
                }
                "emulators" => {
                    let wrong = || self.wrong(value, "a list of texts", "emulators");
                    for emulator in value.get_ref().as_array().ok_or_else(wrong)? {
                        config.emulators.push(emulator.get_ref().as_str().ok_or_else(wrong)?.to_owned());
                    }
                }
                _ => return Err(self.unknown(key, &["jobs", "compression", "emulators"])),
            }
        }
        Ok(config)
    }

    fn cache(&self, key: &Key<'_>, value: &Value<'_>) -> Result<CacheConfig, Diagnostic> {
        let mut config = CacheConfig::default();
        for (key, value) in self.table(key, value)? {
            let text = value.get_ref().as_str().unwrap_or_default();
            match key.get_ref().as_ref() {
                "max-size" => {
                    let size = eviction::size(text);
                    config.max_size =
                        Some(size.ok_or_else(|| self.wrong(value, eviction::SIZE, "max-size"))?);
                }
                "max-age" => {
                    let age = eviction::age(text);
                    config.max_age = Some(age.ok_or_else(|| self.wrong(value, eviction::AGE, "max-age"))?);
                }
                "gc" => {
                    let on = value.get_ref().as_bool();
                    config.gc = Some(on.ok_or_else(|| self.wrong(value, "true or false", "gc"))?);
                }
                "mounts" => {
                    let mounts = cache_settings::mounts(text);
                    let wrong = || self.wrong(value, cache_settings::MOUNTS, "mounts");
                    config.mounts = Some(mounts.ok_or_else(wrong)?);
                }
                "sign-key" => config.sign_key = Some(self.path(key, value)?),
                "trust-keys" => {
                    let wrong = || self.wrong(value, "a list of paths", "trust-keys");
                    for file in value.get_ref().as_array().ok_or_else(wrong)? {
                        config.trust_keys.push(self.path(key, file)?);
                    }
                }
                _ => {
                    let known = ["max-size", "max-age", "gc", "mounts", "sign-key", "trust-keys"];
                    return Err(self.unknown(key, &known));
                }
            }
        }
        Ok(config)
    }

    fn registry(&self, key: &Key<'_>, value: &Value<'_>) -> Result<RegistryConfig, Diagnostic> {
        let mut config = RegistryConfig::default();
        let mut ecr = EcrKeys::default();
        for (key, value) in self.table(key, value)? {
            match key.get_ref().as_ref() {
                "mirrors" => {
                    let wrong = || self.wrong(value, "a list of \"HOST[:PORT]\"", "mirrors");
                    for mirror in value.get_ref().as_array().ok_or_else(wrong)? {
                        let host = mirror.get_ref().as_str().filter(|host| check_mirror("", host).is_ok());
                        let host =
                            host.ok_or_else(|| self.wrong(mirror, "\"HOST\" or \"HOST:PORT\"", "a mirror"))?;
                        config.mirrors.push(host.to_owned());
                    }
                }
                "insecure" => {
                    let insecure = value.get_ref().as_bool();
                    config.insecure =
                        insecure.ok_or_else(|| self.wrong(value, "true or false", "insecure"))?;
                }
                "ca" => config.ca = Some(self.path(key, value)?),
                "chunk" => {
                    let number = value.get_ref().as_integer();
                    let bytes = number.and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
                    let wrong = || self.wrong(value, "a number of bytes, at least 1048576", "chunk");
                    config.chunk = Some(bytes.filter(|bytes| *bytes >= 1 << 20).ok_or_else(wrong)?);
                }
                "kind" => ecr.kind = Some((self.text(key, value)?, value)),
                "region" => ecr.region = Some((self.text(key, value)?, value)),
                "account" => ecr.account = Some((self.text(key, value)?, value)),
                _ => {
                    let known = ["mirrors", "insecure", "ca", "chunk", "kind", "region", "account"];
                    return Err(self.unknown(key, &known));
                }
            }
        }
        config.ecr = ecr.resolve(self)?;
        Ok(config)
    }

    fn text<'v>(&self, key: &Key<'_>, value: &'v Value<'_>) -> Result<&'v str, Diagnostic> {
        value.get_ref().as_str().ok_or_else(|| self.wrong(value, "a text", key.get_ref()))
    }

    fn table<'v, 'i>(&self, key: &Key<'_>, value: &'v Value<'i>) -> Result<&'v DeTable<'i>, Diagnostic> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(value, "a table", key.get_ref()))
    }

    fn path(&self, key: &Key<'_>, value: &Value<'_>) -> Result<PathBuf, Diagnostic> {
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        text.map(|text| self.folder.join(text)).ok_or_else(|| self.wrong(value, "a path", key.get_ref()))
    }

    fn wrong<T>(&self, at: &Spanned<T>, wanted: &str, what: &str) -> Diagnostic {
        Diagnostic::new(format!("{what} must be {wanted}")).at(self.file.at(at.span()), "")
    }

    fn unknown(&self, key: &Key<'_>, known: &[&str]) -> Diagnostic {
        let word = key.get_ref();
        let diagnostic = Diagnostic::new(format!("unknown key `{word}`")).at(self.file.at(key.span()), "");
        match closest(word, known.iter().copied()) {
            Some(candidate) => diagnostic.hint(format!("did you mean `{candidate}`?")),
            None => diagnostic.hint(format!("keys here are {}", known.join(", "))),
        }
    }
}
