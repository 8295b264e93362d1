//! A build from front end to image.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::{
    Engine, FetchedContext, Options, StepError,
    created::rfc3339,
    fetch_context,
    run::{Run, used_contexts},
};
use crate::{
    error::Failure,
    graph::Graph,
    image::{Base, BlobOrigin, Built, BuiltImage, ImageStep, Parts, Resolver, assemble, index},
    layer::Layer,
    oci::{Descriptor, Platform, media_type},
    recipe::{BaseConfigs, BaseImage, ContextSource, Frontend, Recipe},
};

/// Builds the images of all platforms. Their documents and new layers are then in the store.
///
/// `ready` hears of each new layer that an image ships as soon as it is there, so that sending can begin while others
/// are still being made.
pub async fn build(
    engine: &Engine,
    frontend: &dyn Frontend,
    options: &Options,
    ready: Arc<dyn Fn(&Layer) + Send + Sync>,
) -> Result<Built, Failure> {
    let resolver = Resolver {
        store: engine.store.clone(),
        registry: engine.registry.clone(),
        sink: engine.sink.clone(),
        pull: options.pull,
    };
    let mut known: HashMap<BaseImage, Arc<Base>> = HashMap::new();
    let mut wanted = Vec::new();
    for platform in &options.platforms {
        wanted.extend(frontend.bases(&options.request(platform))?);
    }
    let mut configs = BaseConfigs::new();
    loop {
        resolve_all(&resolver, &mut known, wanted).await?;
        configs.extend(known.iter().map(|(image, base)| (image.clone(), base.config.clone())));
        wanted = Vec::new();
        for platform in &options.platforms {
            wanted.extend(frontend.further_bases(&options.request(platform), &configs)?);
        }
        wanted.retain(|image| !known.contains_key(image));
        if wanted.is_empty() {
            break;
        }
    }
    for base in known.values().filter(|base| !base.config.config.on_build.is_empty()) {
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
    resolve_all(&resolver, &mut known, graph.bases.clone()).await?;
    let bases: Vec<Arc<Base>> = graph.bases.iter().map(|image| Arc::clone(&known[image])).collect();

    let options = &Options { contexts: contexts(engine, &graph, options).await?, ..options.clone() };
    let run = Run::new(engine.clone(), Arc::clone(&graph), bases.clone(), options)?;
    let layers = run.finish(ready).await?;
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
        match fetch_context(engine, source).await? {
            Some(FetchedContext::Directory { path, .. }) => *source = ContextSource::Directory(path),
            Some(FetchedContext::File { .. }) => {
                return Err(StepError::NoArchive { name: name.to_owned() }.into());
            }
            None => {}
        }
    }
    Ok(contexts)
}

async fn resolve_all(
    resolver: &Resolver,
    known: &mut HashMap<BaseImage, Arc<Base>>,
    mut wanted: Vec<BaseImage>,
) -> Result<(), Failure> {
    let mut unique: Vec<BaseImage> = Vec::new();
    wanted.retain(|image| !known.contains_key(image));
    for image in wanted {
        if !unique.contains(&image) {
            unique.push(image);
        }
    }
    let bases = try_join_all(unique.iter().map(|image| resolver.resolve(image))).await?;
    known.extend(unique.into_iter().zip(bases.into_iter().map(Arc::new)));
    Ok(())
}

fn put_together(
    engine: &Engine,
    options: &Options,
    graph: &Graph,
    bases: &[Arc<Base>],
    layers: &HashMap<usize, Layer>,
) -> Result<Built, Failure> {
    let created = rfc3339(options.created);
    let mut images = Vec::new();
    let mut index_annotations = BTreeMap::new();
    for plan in &graph.images {
        let base = plan.base.map(|id| bases[id.0].as_ref());
        let step = |step: &crate::graph::PlannedStep| ImageStep {
            created_by: step.created_by.clone(),
            changes: step.changes.clone(),
            layer: step.node.map(|id| {
                let layer = &layers[&id.0];
                (layer.descriptor.clone(), layer.diff_id)
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
