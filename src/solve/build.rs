//! A build from front end to image.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
};

use super::{
    Engine, FetchedContext, Options, Ready, StepError,
    bases::Bases,
    created::rfc3339,
    fetch::fetch_pinned,
    journal::Journal,
    layers::Piece,
    run::{Run, Trust, used_contexts},
};
use crate::{
    error::Failure,
    graph::Graph,
    image::{Base, BlobOrigin, Built, BuiltImage, ImageStep, Parts, assemble, index},
    oci::{Descriptor, Platform, media_type},
    recipe::{ContextSource, Frontend, Recipe},
};

/// Builds the images of all platforms. Their documents and new layers are then in the store.
///
/// `ready` hears of each new layer that an image ships as soon as it is there, and of layers of its base that had to be
/// fetched, so that sending can begin while others are still being made.
pub async fn build(
    engine: &Engine,
    frontend: &dyn Frontend,
    options: &Options,
    ready: Ready,
) -> Result<Built, Failure> {
    let mut bases = Bases::new(engine, frontend, options);
    let configs = bases.find().await?;
    for base in bases.iter().filter(|base| !base.config.config.on_build.is_empty()) {
        if !frontend.runs_triggers() {
            engine.sink.warn(format!(
                "image {} has ONBUILD triggers, which are not carried out: {}",
                base.name,
                base.config.config.on_build.join("; ")
            ));
        }
    }

    let mut recipes: Vec<(Platform, Recipe)> = Vec::new();
    for platform in &options.platforms {
        recipes.push((platform.clone(), frontend.recipe(&options.request(platform), &configs)?));
    }
    let graph = Arc::new(Graph::new(&recipes));
    // Images that are only copied from are known now.
    let bases = bases.all(&graph.bases).await?;

    let declared = frontend.defaults(&options.args)?.args;
    let (given, options) =
        (options, &Options { contexts: contexts(engine, &graph, options).await?, ..options.clone() });
    let run = |trust| {
        let journal = Journal::new(&engine.store, &graph, &bases, given, declared.clone())?;
        let ready = Arc::clone(&ready);
        Run::new(engine.clone(), Arc::clone(&graph), bases.clone(), options, journal, ready, trust)
    };
    let first = run(Trust::Records)?;
    let layers = match Arc::clone(&first).finish().await {
        Err(lost) if first.lost.load(Ordering::Relaxed) => {
            engine.sink.note(format!("{lost}: it is made anew"));
            drop(first);
            run(Trust::Content)?.finish().await?
        }
        layers => layers?,
    };
    put_together(engine, options, &graph, &bases, &layers)
}

/// The build contexts, of which those that the graph uses are on this machine now.
async fn contexts(
    engine: &Engine,
    graph: &Graph,
    options: &Options,
) -> Result<BTreeMap<String, ContextSource>, Failure> {
    let mut contexts = options.contexts.clone();
    for name in used_contexts(graph) {
        let Some(source) = contexts.get_mut(name) else { continue };
        match fetch_pinned(engine, source, options.pins.as_ref()).await? {
            Some(FetchedContext::Directory { path, .. }) => *source = ContextSource::Directory(path),
            Some(FetchedContext::File { .. }) => {
                return Err(StepError::NoArchive { name: name.to_owned() }.into());
            }
            None => {}
        }
    }
    Ok(contexts)
}

fn put_together(
    engine: &Engine,
    options: &Options,
    graph: &Graph,
    bases: &[Arc<Base>],
    layers: &HashMap<usize, Vec<Piece>>,
) -> Result<Built, Failure> {
    let created = rfc3339(options.created);
    let mut images = Vec::new();
    let mut index_annotations = BTreeMap::new();
    for plan in &graph.images {
        let base = plan.base.map(|id| bases[id.0].as_ref());
        let step = |step: &crate::graph::PlannedStep| ImageStep {
            created_by: step.created_by.clone(),
            changes: step.changes.clone(),
            layers: step.node.map_or_else(Vec::new, |id| {
                let pieces = layers[&id.0].iter().map(|piece| &piece.layer);
                pieces.map(|layer| (layer.descriptor.clone(), layer.diff_id)).collect()
            }),
        };
        let mut annotations = plan.annotations.clone();
        annotations.extend(options.annotations.clone());
        index_annotations.extend(plan.index_annotations.clone());
        let (config, manifest) = assemble(Parts {
            platform: &plan.platform,
            base,
            steps: plan.steps.iter().map(step).collect(),
            labels: &options.labels,
            annotations,
            created: &created,
        });
        engine.store.put_blob(&config.to_bytes())?;
        let bytes = manifest.to_bytes();
        engine.store.put_blob(&bytes)?;
        let origins = base
            .into_iter()
            .flat_map(|base| base.manifest.layers.iter().map(|layer| (layer.digest, base.origin.clone())));
        images.push(BuiltImage {
            platform: plan.platform.clone(),
            manifest: Descriptor::of(media_type::MANIFEST, &bytes),
            config: manifest.config.clone(),
            layers: manifest.layers.clone(),
            origins: origins.filter(|(_, origin)| *origin != BlobOrigin::Store).collect(),
        });
    }
    index_annotations.extend(options.index_annotations.clone());
    let index = match images.len() {
        0 | 1 => None,
        _ => {
            let manifests =
                images.iter().map(|image| (image.manifest.clone(), image.platform.clone())).collect();
            let bytes = index(manifests, index_annotations).to_bytes();
            engine.store.put_blob(&bytes)?;
            Some(Descriptor::of(media_type::INDEX, &bytes))
        }
    };
    Ok(Built { images, index })
}
