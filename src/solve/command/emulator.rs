//! What runs commands of another platform.
//!
//! In this order: the processor itself, where it has the other instructions too; what the user names; an emulator in
//! `PATH`; what the host's kernel was told of; one out of an image. The network comes last, and once: what was found in
//! an image is kept.
//!
//! An emulator's version is no part of a command's key: what a command does is meant to be the same whatever runs it,
//! as with processors.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::super::{
    Engine, StepError,
    key::KeyBuilder,
    run::{Run, blocking},
};
use crate::{
    error::{Explain, Kind},
    image::{Base, Resolver, fetch_layer},
    oci::{Digest, Platform, Reference},
    recipe::{BaseImage, ImageSource},
    rootfs::{self, View},
    sandbox::{Architecture, Emulator},
    store::Bucket,
};

/// The image that emulators are fetched from if the user names none: QEMU's, built statically for hosts of many
/// architectures.
pub const EMULATORS: &str = "docker.io/tonistiigi/binfmt:qemu-v9.2.2";

/// Where emulators are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// What the user names: for one architecture, or for all. Later ones go first.
    pub given: Vec<(Option<Architecture>, EmulatorSource)>,
    /// Directories that have programs.
    pub path: Vec<PathBuf>,
    /// The image to fetch from where nothing else is found.
    pub image: Option<Reference>,
}

/// An emulator, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmulatorSource {
    /// A file.
    File(PathBuf),
    /// An image that has it, under the name that QEMU or a distribution gives it.
    Image(Reference),
}

/// How programs of an architecture are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// By the processor.
    Natively,
    /// By what the host's kernel was told of.
    ByHost,
    /// By an emulator.
    By(Emulator),
    /// By an emulator that has to be fetched.
    From(Reference),
}

/// Why programs of another platform cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmulatorError {
    /// The user names an emulator that cannot be one.
    #[error("{what} cannot be used as an emulator of {architecture}: {reason}")]
    Unfit {
        /// The file or image.
        what: String,
        /// Whose programs it is to run.
        architecture: Architecture,
        /// Why.
        reason: String,
    },
    /// There is none.
    #[error("programs for {platform} cannot be run here: {reason}")]
    Missing {
        /// The platform.
        platform: String,
        /// What was tried, and why it failed.
        reason: String,
    },
}

impl Explain for EmulatorError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unfit { .. } => Kind::Input,
            Self::Missing { .. } => Kind::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unfit { .. } => vec!["give a statically linked qemu-user, or docker-image://REF".into()],
            Self::Missing { .. } => vec![
                "install static emulators (Debian, Ubuntu: qemu-user-static; Fedora: qemu-user-static-*), or give one \
                 with --emulator FILE or --emulator docker-image://REF"
                    .into(),
                "or cross-compile: a stage that is FROM --platform=$BUILDPLATFORM runs natively".into(),
            ],
        }
    }
}

/// How programs of a platform are run here. `no_emulation` says why steps cannot have emulators, if they cannot. Blocks.
///
/// # Errors
/// If they cannot be run.
pub fn how(
    platform: &Platform,
    options: &EmulatorOptions,
    no_emulation: Option<&str>,
) -> Result<Runs, EmulatorError> {
    let name = platform.architecture.to_string();
    if platform.architecture == Platform::host().architecture {
        return Ok(Runs::Natively);
    }
    let missing = |reason: String| EmulatorError::Missing { platform: platform.to_string(), reason };
    let architecture = Architecture::of_platform(&name);
    let architecture = architecture.ok_or_else(|| missing(format!("no emulator of {name} is known")))?;
    let (host, given) = (Architecture::host(), given(architecture, options));
    let older = match host {
        Some(Architecture::Amd64) => architecture == Architecture::I386,
        Some(Architecture::Arm64) => architecture == Architecture::Arm,
        _ => false,
    };
    if older && given.is_none() && architecture.runs_here().is_ok() {
        return Ok(Runs::Natively);
    }
    if let Some(reason) = no_emulation {
        let told = architecture.runs_here().map(|()| Runs::ByHost);
        return told.map_err(|_| {
            missing(format!("the kernel was not told how, and steps cannot have an emulator: {reason}"))
        });
    }
    match given {
        Some(EmulatorSource::File(path)) => {
            let emulator = Emulator { architecture, path: path.clone() };
            let unfit = |reason: std::io::Error| EmulatorError::Unfit {
                what: path.display().to_string(),
                architecture,
                reason: reason.to_string(),
            };
            emulator.check().and_then(|()| emulator.try_out()).map_err(unfit)?;
            return Ok(Runs::By(emulator));
        }
        Some(EmulatorSource::Image(reference)) => return Ok(Runs::From(reference.clone())),
        None => {}
    }
    let unusable = match in_path(architecture, &options.path) {
        Ok(emulator) => return Ok(Runs::By(emulator)),
        Err(unusable) => unusable,
    };
    if architecture.runs_here().is_ok() {
        return Ok(Runs::ByHost);
    }
    let image = options.image.clone().map(Runs::From);
    let that_works = unusable.map(|reason| format!(" that works: {reason}")).unwrap_or_default();
    image.ok_or_else(|| {
        missing(format!("there is no static qemu-{} in PATH{that_works}", architecture.qemu()))
    })
}

fn given(architecture: Architecture, options: &EmulatorOptions) -> Option<&EmulatorSource> {
    let of = |wanted: Option<Architecture>| {
        options.given.iter().rev().find(|(of, _)| *of == wanted).map(|(_, source)| source)
    };
    // One file cannot be for all: without a name before it, it is for what its own name says.
    let fits = |source: &&EmulatorSource| match source {
        EmulatorSource::Image(_) => true,
        EmulatorSource::File(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let named = Architecture::ALL.into_iter().find(|known| names(*known).contains(&name));
            named.is_none_or(|named| named == architecture)
        }
    };
    of(Some(architecture)).or_else(|| {
        let all = options.given.iter().rev().filter(|(of, _)| of.is_none()).map(|(_, source)| source);
        all.into_iter().find(fits)
    })
}

fn names(architecture: Architecture) -> [String; 2] {
    let name = architecture.qemu();
    [format!("qemu-{name}-static"), format!("qemu-{name}")]
}

/// The first emulator in `PATH` that works; if there is none, why the first one does not that is there.
fn in_path(architecture: Architecture, path: &[PathBuf]) -> Result<Emulator, Option<String>> {
    let mut unusable = None;
    for name in names(architecture) {
        for path in path.iter().map(|directory| directory.join(&name)) {
            let emulator = Emulator { architecture, path };
            // Distributions have the others, which need libraries, under the same names.
            match emulator.check().and_then(|()| emulator.try_out()) {
                Ok(()) => return Ok(emulator),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    unusable.get_or_insert_with(|| format!("{}: {error}", emulator.path.display()));
                }
            }
        }
    }
    Err(unusable)
}

/// What runs the commands of a platform in a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Emulation {
    /// The processor.
    Unneeded,
    /// What the host's kernel was told of.
    Hosts,
    /// An emulator that the sandbox is given.
    Own(Emulator),
}

/// What runs commands of a platform: found once for a build, which says what it is.
pub(super) async fn emulation(
    run: &Arc<Run>,
    platform: &Platform,
    no_emulation: Option<String>,
) -> Result<Emulation, StepError> {
    let (options, wanted) = (run.commands.options.emulators.clone(), platform.clone());
    let runs = blocking(move || how(&wanted, &options, no_emulation.as_deref())).await??;
    let (emulation, by) = match runs {
        Runs::Natively => return Ok(Emulation::Unneeded),
        Runs::ByHost => (Emulation::Hosts, "what the host's kernel was told of (binfmt_misc)".to_owned()),
        Runs::By(emulator) => {
            let (emulator, version) = blocking(move || {
                let version = emulator.version();
                (emulator, version)
            })
            .await?;
            let version = version.map(|version| format!(" ({version})")).unwrap_or_default();
            let by = format!("{}{version}", emulator.path.display());
            (Emulation::Own(emulator), by)
        }
        // What comes from the network is run in the sandbox alone, and so not asked for its version.
        Runs::From(reference) => {
            let (emulator, digest) = fetched(run, platform, &reference).await?;
            (Emulation::Own(emulator), format!("{reference} ({digest})"))
        }
    };
    run.engine.sink.note(format!("programs for {platform} are run by {by}"));
    Ok(emulation)
}

/// What is kept of an image that an emulator was in.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The manifest.
    image: Digest,
    /// The emulator.
    blob: Digest,
}

/// The emulator in an image, and its digest: kept by an earlier build, or fetched. With `--pull`, what was kept is used
/// as long as the image's name still means what it meant then.
async fn fetched(run: &Run, platform: &Platform, from: &Reference) -> Result<(Emulator, Digest), StepError> {
    let missing = |reason: String| EmulatorError::Missing { platform: platform.to_string(), reason };
    let architecture = Architecture::of_platform(&platform.architecture.to_string());
    let architecture = architecture.ok_or_else(|| missing("no emulator of it is known".to_owned()))?;
    let mut key = KeyBuilder::new(b"imgbuild emulator 1");
    [from.to_string().as_str(), architecture.name()].iter().for_each(|part| key.part(part.as_bytes()));
    let (key, store) = (key.finish(), &run.engine.store);
    let kept = match store.record::<Kept>(Bucket::Emulators, &key)? {
        Some(kept) if store.read_blob(&kept.blob)?.is_some() => Some(kept),
        _ => None,
    };
    let emulator = |blob: Digest| (Emulator { architecture, path: store.blob_path(&blob) }, blob);
    if let Some(kept) = kept.as_ref().filter(|_| !run.pull) {
        return Ok(emulator(kept.blob));
    }
    let unavailable = |error: StepError| {
        missing(format!(
            "there is no static qemu-{} in PATH, and none could be fetched: {error}",
            architecture.qemu()
        ))
    };
    let base = resolved(run, from).await.map_err(unavailable)?;
    if let Some(kept) = kept.filter(|kept| kept.image == base.digest) {
        return Ok(emulator(kept.blob));
    }
    let image = base.digest;
    let bytes = read_out(&run.engine, base, architecture).await.map_err(unavailable)?;
    let unfit = |reason: String| EmulatorError::Unfit { what: from.to_string(), architecture, reason };
    let bytes = bytes.ok_or_else(|| unfit(format!("it has no {}", names(architecture).join(" or "))))?;
    let blob = store.put_blob(&bytes)?;
    let found = emulator(blob);
    found.0.check().map_err(|reason| unfit(reason.to_string()))?;
    store.put_record(Bucket::Emulators, &key, &Kept { image, blob })?;
    Ok(found)
}

/// The image, for this host's platform.
async fn resolved(run: &Run, from: &Reference) -> Result<Base, StepError> {
    let engine = &run.engine;
    let (store, registry, sink) = (engine.store.clone(), engine.registry.clone(), engine.sink.clone());
    let resolver = Resolver { store, registry, sink, pull: run.pull };
    let image = ImageSource::Reference(from.clone());
    // What runs commands is this host's, and no input of the build: locks do not have it.
    Ok(resolver.resolve(&BaseImage { image, platform: Platform::host() }, None).await?)
}

/// The emulator in an image.
async fn read_out(
    engine: &Engine,
    base: Base,
    architecture: Architecture,
) -> Result<Option<Vec<u8>>, StepError> {
    for layer in base.layers() {
        fetch_layer(&engine.store, &engine.registry, &base, &layer).await?;
    }
    let store = engine.store.clone();
    blocking(move || {
        let index = |layer: crate::image::BaseLayer| {
            let open = || Ok(store.open_blob(&layer.descriptor.digest)?);
            rootfs::materialise_layer(&store, &layer.diff_id, &base.name, open)
        };
        let view = View::new(base.layers().into_iter().map(index).collect::<Result<Vec<_>, _>>()?);
        for name in names(architecture) {
            for directory in ["usr/bin", "usr/local/bin", "bin", ""] {
                if let Some(bytes) =
                    view.read(format!("{directory}/{name}").trim_matches('/'), Emulator::LARGEST)?
                {
                    return Ok(Some(bytes));
                }
            }
        }
        Ok(None)
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str) -> EmulatorSource {
        EmulatorSource::File(path.into())
    }

    #[test]
    fn what_is_given_is_for_what_it_says() {
        let options = EmulatorOptions {
            given: vec![
                (None, source("/any")),
                (None, source("/q/qemu-arm-static")),
                (Some(Architecture::S390x), source("/s")),
            ],
            ..EmulatorOptions::default()
        };
        for (architecture, expected) in [
            (Architecture::S390x, "/s"),
            (Architecture::Arm, "/q/qemu-arm-static"),
            (Architecture::Arm64, "/any"),
        ] {
            assert_eq!(given(architecture, &options), Some(&source(expected)), "{architecture}");
        }
        assert_eq!(given(Architecture::Arm, &EmulatorOptions::default()), None);
    }

    #[test]
    fn each_way_is_told() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        let options = EmulatorOptions::default();
        assert_eq!(how(&Platform::host(), &options, None), Ok(Runs::Natively));
        let error = how(&platform("linux/mips64le"), &options, None).unwrap_err();
        assert!(error.to_string().contains("mips64le"), "{error}");
        let given = EmulatorOptions { given: vec![(None, source("/bin/busybox"))], ..options.clone() };
        let error = how(&platform("linux/s390x"), &given, None).unwrap_err();
        assert!(error.to_string().contains("it ended with exit status"), "{error}");
        let given = EmulatorOptions { given: vec![(None, source("/etc/passwd"))], ..options.clone() };
        let error = how(&platform("linux/s390x"), &given, None).unwrap_err();
        assert!(error.to_string().contains("it is no program"), "{error}");
        // Only where the kernel was told of nothing.
        if Architecture::S390x.runs_here().is_err() {
            let error = how(&platform("linux/s390x"), &options, None).unwrap_err();
            assert!(error.to_string().contains("qemu-s390x") && error.hints()[0].contains("--emulator"));
            let error = how(&platform("linux/s390x"), &given, Some("no namespaces")).unwrap_err();
            assert!(error.to_string().ends_with("no namespaces"), "{error}");
            // One that does not run its programs is passed over, and named.
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy("/bin/busybox", folder.path().join("qemu-s390x")).unwrap();
            let path = vec!["/nowhere".into(), folder.path().to_owned()];
            let mut options = EmulatorOptions { path, ..options.clone() };
            let error = how(&platform("linux/s390x"), &options, None).unwrap_err().to_string();
            assert!(error.contains("in PATH that works: /") && error.contains("exit status"), "{error}");
            options.image = EMULATORS.parse().ok();
            assert!(matches!(how(&platform("linux/s390x"), &options, None), Ok(Runs::From(_))));
        }
    }
}
