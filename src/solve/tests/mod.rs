//! Recipes carried out, without any front end.

mod copy;
mod remote;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroUsize,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use tempfile::TempDir;

use super::{Engine, Options, build};
use crate::{
    error::Failure,
    event::Sink,
    layer::{Compression, Entry, EntryPath, Kind, Pool},
    oci::{ImageConfig, Manifest, Platform},
    recipe::{
        Archives, Base, BaseConfigs, BaseImage, ContextSource, Copy, CopySource, Defaults, Destination,
        Frontend, Modes, Recipe, Request, Rules, Stage, Step, StepKind, Symlink, Timestamps, Write,
    },
    registry::{Client, Credentials, Settings},
    rootfs::{View, materialise_layer},
    store::Store,
};

/// A front end that has its recipe already.
#[derive(Debug)]
struct Ready(Recipe);

impl Frontend for Ready {
    fn defaults(&self, _: &BTreeMap<String, String>) -> Result<Defaults, Failure> {
        Ok(Defaults::default())
    }

    fn bases(&self, _: &Request) -> Result<Vec<BaseImage>, Failure> {
        Ok(Vec::new())
    }

    fn recipe(&self, _: &Request, _: &BaseConfigs) -> Result<Recipe, Failure> {
        Ok(self.0.clone())
    }
}

/// A context and a store of their own.
struct Bench {
    folder: TempDir,
    engine: Engine,
}

impl Bench {
    /// A context of these files: `path` or `path:mode`, a slash at the end for a directory, `path->target` for a link.
    /// A file's content is its path.
    fn new(files: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let context = folder.path().join("context");
        fs::create_dir(&context).unwrap();
        fs::set_permissions(&context, fs::Permissions::from_mode(0o755)).unwrap();
        for file in files {
            make(&context, file);
        }
        let sink = Sink::silent();
        let engine = Engine {
            store: Store::open(&folder.path().join("home")).unwrap(),
            registry: Client::new(Settings::new(Credentials::default(), sink.clone())).unwrap(),
            pool: Pool::new(NonZeroUsize::MIN).unwrap(),
            sink,
        };
        Self { folder, engine }
    }

    fn context(&self) -> std::path::PathBuf {
        self.folder.path().join("context")
    }

    /// The last stage's files after these stages' steps.
    fn entries(&self, stages: Vec<Vec<StepKind>>) -> Result<Vec<Entry>, Failure> {
        self.entries_with(stages, ("", ContextSource::Directory(self.context())))
    }

    fn entries_with(
        &self,
        stages: Vec<Vec<StepKind>>,
        (name, source): (&str, ContextSource),
    ) -> Result<Vec<Entry>, Failure> {
        let platform = Platform::host();
        let stage = |(number, steps): (usize, Vec<StepKind>)| Stage {
            name: number.to_string(),
            base: Base::Scratch,
            platform: platform.clone(),
            steps: steps
                .into_iter()
                .enumerate()
                .map(|(at, kind)| Step {
                    name: at.to_string(),
                    created_by: String::new(),
                    location: None,
                    kind,
                })
                .collect(),
        };
        let stages = stages.into_iter().enumerate().map(stage).collect();
        let recipe = Recipe { stages, annotations: BTreeMap::new(), index_annotations: BTreeMap::new() };
        let options = Options {
            commands: crate::solve::CommandOptions::default(),
            platforms: vec![platform.clone()],
            target: None,
            args: BTreeMap::new(),
            contexts: BTreeMap::from([(name.to_owned(), source)]),
            file: None,
            source_date_epoch: None,
            created: 0,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            index_annotations: BTreeMap::new(),
            compression: Compression::None,
            split_copies: 1,
            pins: None,
            pull: false,
            no_cache: false,
            no_cache_stages: BTreeSet::new(),
            cache: None,
            fail_on_miss: Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let built = runtime.block_on(build(&self.engine, &Ready(recipe), &options, Arc::new(|_, _| {})))?;
        let store = &self.engine.store;
        let read = |digest| store.read_blob(digest).unwrap().unwrap();
        let manifest = Manifest::parse(&read(&built.images[0].manifest.digest)).unwrap();
        let config = ImageConfig::parse(&read(&manifest.config.digest)).unwrap();
        let layers: Vec<_> = manifest
            .layers
            .iter()
            .zip(&config.rootfs.diff_ids)
            .map(|(layer, diff_id)| {
                materialise_layer(store, diff_id, "a layer", || Ok(store.open_blob(&layer.digest)?)).unwrap()
            })
            .collect();
        Ok(View::new(layers).flatten().unwrap())
    }

    /// The last stage's files as lines, or the error in words.
    fn run(&self, stages: Vec<Vec<StepKind>>) -> Vec<String> {
        match self.entries(stages) {
            Ok(entries) => entries.iter().map(line).collect(),
            Err(failure) => vec![format!("error: {failure}")],
        }
    }
}

fn make(root: &Path, file: &str) {
    if let Some((path, target)) = file.split_once("->") {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return symlink(target, path).unwrap();
    }
    let (path, mode) = match file.split_once(':') {
        Some((path, mode)) => (path, u32::from_str_radix(mode, 8).unwrap()),
        None if file.ends_with('/') => (file, 0o755),
        None => (file, 0o644),
    };
    let place = root.join(path);
    if path.ends_with('/') {
        fs::create_dir_all(&place).unwrap();
    } else {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, path).unwrap();
    }
    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
}

/// `path kind mode[ uid:gid][ = content]`, the owner where it is not root.
fn line(entry: &Entry) -> String {
    let (kind, rest) = match &entry.kind {
        Kind::Directory => ('d', String::new()),
        Kind::File(content) => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut content.open().unwrap(), &mut bytes).unwrap();
            ('f', format!(" = {}", String::from_utf8_lossy(&bytes)))
        }
        Kind::Symlink(target) => ('l', format!(" -> {}", String::from_utf8_lossy(target))),
        Kind::Hardlink(target) => ('h', format!(" -> {target}")),
        _ => ('?', String::new()),
    };
    let owner = match (entry.uid, entry.gid) {
        (0, 0) => String::new(),
        (uid, gid) => format!(" {uid}:{gid}"),
    };
    format!("{} {kind} {:o}{owner}{rest}", entry.path, entry.mode)
}

/// A Dockerfile's COPY of these sources of the main context; a slash at the end of `to` counts.
fn docker_copy(sources: &[&str], to: &str) -> Copy {
    let to = match EntryPath::new(to) {
        Some(path) if !to.ends_with('/') => Destination::Path(path),
        path => Destination::Directory(path),
    };
    let sources = sources.iter().map(|source| (*source).to_owned()).collect();
    Copy::docker(CopySource::Context(String::new()), sources, to)
}

fn write(path: &str, content: &'static str) -> StepKind {
    StepKind::Write(Write {
        path: EntryPath::new(path).unwrap(),
        content: content.into(),
        owner: None,
        mode: None,
    })
}

fn link(path: &str, target: &str) -> StepKind {
    StepKind::Symlink(Symlink { path: EntryPath::new(path).unwrap(), target: target.into(), owner: None })
}

/// What a failure says.
fn words(failure: &Failure) -> String {
    failure.to_string()
}
