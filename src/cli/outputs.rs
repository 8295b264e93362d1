//! What becomes of a built image.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use serde::Serialize;

use super::printer::HostError;
use crate::{
    error::Failure,
    event::{Outcome, Task},
    image::{BlobOrigin, Built, BuiltImage, fetch, remember_origin},
    oci::{Descriptor, Digest, Platform, Reference},
    output::{self, Contents, Loaded, Output, Pusher},
    release::{
        Goal, Published, Publisher,
        rendezvous::{LEASE, Meeting, Met, Set},
    },
    settings::{BuildSettings, ResolvedNames},
    solve::Engine,
};

/// A built image, and what became of it.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The image.
    pub(super) built: Built,
    pub(super) names: Vec<Reference>,
    /// Where it went besides the store, in words: `pushed to ghcr.io/me/app:1.0`.
    pub(super) went: Vec<String>,
    /// The index of the set that the build is a part of, once that is complete.
    pub(super) set_index: Option<Digest>,
    /// What `--metadata-file` has.
    pub(super) metadata: Vec<u8>,
    /// How its names came about.
    pub(super) resolved: ResolvedNames,
}

impl Delivered {
    /// What was built and where it is, for people.
    pub(super) fn summary(&self) -> String {
        let platforms: Vec<_> = self.built.images.iter().map(|image| image.platform.to_string()).collect();
        let mut text = format!("built {} ({})", self.built.root().digest, platforms.join(", "));
        let names: Vec<_> = self.names.iter().map(Reference::familiar).collect();
        if !names.is_empty() {
            text.push_str(&format!(" as {}", names.join(", ")));
        }
        text.push('\n');
        for place in &self.went {
            text.push_str(&format!("{place}\n"));
        }
        if self.went.is_empty() {
            let name = if names.is_empty() { "give it a name (-t) and " } else { "" };
            text.push_str(&format!(
                "it is in imgbuild's own store; {name}get it out with --load, --push or -o DEST\n"
            ));
        }
        text
    }
}

/// The names of an image, and what is said of the whole.
pub(super) struct Naming {
    names: Vec<Reference>,
    goals: Vec<Goal>,
    index_annotations: BTreeMap<String, String>,
}

impl Naming {
    pub(super) fn new(resolved: &ResolvedNames, index_annotations: BTreeMap<String, String>) -> Self {
        let plan = resolved.plan.clone().unwrap_or_default();
        Self {
            names: resolved.names.clone(),
            goals: Goal::of_plan(&resolved.names, &plan, &resolved.repositories),
            index_annotations,
        }
    }
}

/// Does with a built image what the settings ask for: names in the store, outputs, files with digests. Pushes come
/// last: whatever else fails, no tag of a registry was changed.
pub(super) async fn deliver(
    engine: &Engine,
    settings: &BuildSettings,
    built: Built,
    naming: Naming,
    pusher: Option<&Pusher>,
) -> Result<Delivered, Failure> {
    let names = naming.names.clone();
    let (mut went, mut set_index) = (Vec::new(), None);
    for image in &built.images {
        for (digest, origin) in &image.origins {
            if let BlobOrigin::Registry(repository) = origin {
                remember_origin(&engine.store, digest, repository)?;
            }
        }
    }
    if settings.outputs.iter().any(|output| *output != Output::Registry) {
        fetch_layers(engine, &built).await?;
    }
    for output in settings.outputs.iter().filter(|output| **output != Output::Registry) {
        let (engine, built, names, output) = (engine.clone(), built.clone(), names.clone(), output.clone());
        let written = tokio::task::spawn_blocking(move || write(&engine, &built, &names, &output)).await;
        went.extend(
            written.map_err(|error| HostError::new("write an output", std::io::Error::other(error)))??,
        );
    }
    if let Some(pusher) = pusher {
        let publisher = publisher(engine, settings);
        match &settings.set {
            None => {
                went.extend(told(&publisher.publish(&naming.goals, &Contents::from(&built), pusher).await?))
            }
            Some(set) => {
                let met = meet(&publisher, set, &built, &naming, pusher).await?;
                went.extend(told_of_set(set, &met));
                set_index = index_of(&met);
            }
        }
    }
    // A name that meant another image before should mean it still if anything above failed.
    name_image(engine, &built, &names)?;
    if let Some(path) = &settings.iidfile {
        output::write_file(path, image_id(&built).to_string().as_bytes())?;
    }
    let metadata = metadata(&built, &names, set_index)?;
    if let Some(path) = &settings.metadata_file {
        output::write_file(path, &metadata)?;
    }
    Ok(Delivered { built, names, went, set_index, metadata, resolved: ResolvedNames::default() })
}

/// Who moves the tags.
fn publisher(engine: &Engine, settings: &BuildSettings) -> Publisher {
    Publisher {
        store: engine.store.clone(),
        registry: engine.registry.clone(),
        sink: engine.sink.clone(),
        releases: settings.home.join("releases"),
        terms: settings.terms,
    }
}

/// Brings a part to its set.
async fn meet(
    publisher: &Publisher,
    set: &Set,
    built: &Built,
    naming: &Naming,
    pusher: &Pusher,
) -> Result<Met, Failure> {
    // Of the part's own index nothing is left in the whole.
    let contents = Contents { indices: Vec::new(), ..Contents::from(built) };
    let image =
        |image: &BuiltImage| Descriptor { platform: Some(image.platform.clone()), ..image.manifest.clone() };
    let meeting = Meeting {
        publisher,
        set,
        contents: &contents,
        images: built.images.iter().map(image).collect(),
        goals: &naming.goals,
        annotations: &naming.index_annotations,
        lease: LEASE,
    };
    meeting.meet(pusher).await
}

fn index_of(met: &Met) -> Option<Digest> {
    match met {
        Met::Complete { index, .. } => Some(*index),
        Met::Waiting { .. } => None,
    }
}

fn told_of_set(set: &Set, met: &Met) -> Vec<String> {
    let part = &set.parts[set.own];
    match met {
        Met::Waiting { missing } => {
            vec![format!("pushed as {part} of the set {}, which waits for {}", set.id, missing.join(", "))]
        }
        Met::Complete { index, published: None } => {
            vec![format!("the set {} is complete, by another job: {index}", set.id)]
        }
        Met::Complete { index, published: Some(published) } => {
            let mut lines = vec![format!("completed the set {}: {index}", set.id)];
            lines.extend(told(published));
            lines
        }
    }
}

/// What became of the tags, in words.
pub(super) fn told(published: &Published) -> Vec<String> {
    let there = published.moved.iter().chain(&published.exist);
    let there = there.map(|name| format!("pushed to {}", name.familiar()));
    let held = published.held_back.iter();
    let held = held.map(|(name, by)| format!("left {} alone: {by} is higher", name.familiar()));
    there.chain(held).collect()
}

/// Gives the image its names in the store.
fn name_image(engine: &Engine, built: &Built, names: &[Reference]) -> Result<(), Failure> {
    let mut synced = false;
    for name in names {
        if engine.store.named_image(name)?.as_ref() == Some(built.root()) {
            continue;
        }
        // A name is synced to disk, so what it leads to must be there before.
        if !synced {
            let documents =
                built.images.iter().flat_map(|image| [&image.manifest.digest, &image.config.digest]);
            engine.store.sync_blobs(documents.chain(built.index.as_ref().map(|index| &index.digest)))?;
            synced = true;
        }
        engine.store.name_image(name, built.root())?;
    }
    Ok(())
}

/// Outputs other than a registry need every layer here, those of bases too.
async fn fetch_layers(engine: &Engine, built: &Built) -> Result<(), Failure> {
    for image in &built.images {
        let fetches = image.layers.iter().map(|layer| {
            let origin = image.origins.get(&layer.digest).unwrap_or(&BlobOrigin::Store);
            fetch(&engine.store, &engine.registry, "to write", origin, layer)
        });
        futures_util::future::try_join_all(fetches).await?;
    }
    Ok(())
}

/// Writes an output, and tells where it went.
fn write(
    engine: &Engine,
    built: &Built,
    names: &[Reference],
    output: &Output,
) -> Result<Option<String>, Failure> {
    let store = &engine.store;
    let task = engine.sink.start(Task::Export { output: output.to_string() }, None);
    let mut went = format!("written to {output}");
    match output {
        Output::Oci { dest, tar: false } => output::write_layout(store, built, names, dest, &engine.sink)?,
        Output::Oci { dest, tar: true } => output::write_layout_tar(store, built, names, dest)?,
        Output::Docker { dest } => output::write_archive(store, built, names, dest)?,
        Output::Local { dest } => {
            output::write_directory(store, built, dest, &engine.sink)?;
            if let Some(file) = looks_like_archive(dest) {
                engine.sink.warn(format!(
                    "{file} is a directory with the image's files; for an archive, write -o type=oci,dest={file}, \
                     or type=docker, or type=tar"
                ));
            }
        }
        Output::Tar { dest } => output::write_tar(store, built, dest.as_deref())?,
        Output::Load => {
            let one = for_this_machine(engine, built);
            went = loaded(&output::load(store, &one, names)?);
        }
        // Pushed by the caller.
        Output::Registry => return Ok(None),
    }
    task.finish(Outcome::Done, None);
    Ok(Some(went))
}

/// The name of a directory that sounds as if an archive had been meant.
fn looks_like_archive(dest: &Path) -> Option<Cow<'_, str>> {
    let is_archive = dest.extension().is_some_and(|end| end == "tar" || end == "tgz" || end == "gz");
    dest.file_name().filter(|_| is_archive).map(|name| name.to_string_lossy())
}

/// Where an image was loaded, and as what. Without Docker it is podman: not everybody expects that.
fn loaded(Loaded { engine, names }: &Loaded) -> String {
    let why = if *engine == "podman" { " (there is no docker)" } else { "" };
    let names = if names.is_empty() { String::new() } else { format!(" as {}", names.join(", ")) };
    format!("loaded into {engine}{why}{names}")
}

/// Docker and podman take one platform: this machine's, if it is among those built.
fn for_this_machine(engine: &Engine, built: &Built) -> Built {
    if built.images.len() == 1 {
        return built.clone();
    }
    let host = Platform::host();
    let fit = |image: &&BuiltImage| image.platform.distance(&host);
    let best = built.images.iter().filter(|image| fit(image).is_some()).min_by_key(fit);
    let image = best.unwrap_or(&built.images[0]).clone();
    engine
        .sink
        .warn(format!("only the image for {} is loaded: an engine takes one platform", image.platform));
    Built { images: vec![image], index: None }
}

/// What `docker build --iidfile` writes: the config's digest, and the index's where there are several images.
pub(super) fn image_id(built: &Built) -> Digest {
    match &built.images[..] {
        [only] => only.config.digest,
        _ => built.root().digest,
    }
}

/// The file of `buildx build --metadata-file`.
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "containerimage.config.digest", skip_serializing_if = "Option::is_none")]
    config: Option<Digest>,
    #[serde(rename = "containerimage.descriptor")]
    descriptor: &'a Descriptor,
    #[serde(rename = "containerimage.digest")]
    digest: Digest,
    #[serde(rename = "image.name", skip_serializing_if = "String::is_empty")]
    name: String,
    /// Not in buildx's file: the manifest of each platform.
    #[serde(rename = "imgbuild.manifests")]
    manifests: BTreeMap<String, Digest>,
    /// Not in buildx's file: the index of the set that this build completed, or found complete.
    #[serde(rename = "imgbuild.set.index", skip_serializing_if = "Option::is_none")]
    set_index: Option<Digest>,
}

fn metadata(built: &Built, names: &[Reference], set_index: Option<Digest>) -> Result<Vec<u8>, Failure> {
    let names: Vec<String> = names.iter().map(Reference::to_string).collect();
    let metadata = Metadata {
        config: match &built.images[..] {
            [only] => Some(only.config.digest),
            _ => None,
        },
        descriptor: built.root(),
        digest: built.root().digest,
        name: names.join(","),
        manifests: built
            .images
            .iter()
            .map(|image| (image.platform.to_string(), image.manifest.digest))
            .collect(),
        set_index,
    };
    let mut bytes = serde_json::to_vec_pretty(&metadata)
        .map_err(|error| HostError::new("write the metadata", std::io::Error::other(error)))?;
    bytes.push(b'\n');
    Ok(bytes)
}
