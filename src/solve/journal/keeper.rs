//! The record of the build under way.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use super::{
    BaseRecord, BuildRecord, ContextRecord, KeptBuild, OriginRecord, StepEnd, StepRecord,
    align::{Alignment, align},
    compare::reason,
    definition, keep_list,
    kept::{earlier_of, keep},
    list::FileList,
    select::select,
};
use crate::{
    context::Context,
    error::public_text,
    event::{Outcome, Reason, Running, Sink, Value},
    graph::{Graph, Node, NodeId, Origin, Tree},
    image::Base,
    layer::Entry,
    oci::Digest,
    recipe::{ContextSource, looks_secret},
    store::Store,
};

use super::super::{Options, StepError, command::Masks, key::Part, layers::most_layers, run::lock};

/// The record of the build under way, and the one that it is compared with.
#[derive(Debug)]
pub(in super::super) struct Journal {
    store: Store,
    record: Mutex<BuildRecord>,
    earlier: OnceLock<Option<(KeptBuild, Alignment)>>,
    contexts: Vec<Context>,
    /// The steps that must be hits.
    watched: HashSet<usize>,
}

impl Journal {
    /// Before the first step. `declared` are the names of the arguments that the file declares.
    ///
    /// # Errors
    /// The user wants a hit of a step that there is not.
    pub(in super::super) fn new(
        store: &Store,
        graph: &Graph,
        bases: &[std::sync::Arc<Base>],
        options: &Options,
        declared: Vec<String>,
    ) -> Result<Self, StepError> {
        let masks = Masks::new(options.commands.secret_texts());
        let base = |(image, base): (&crate::recipe::BaseImage, &std::sync::Arc<Base>)| BaseRecord {
            name: public_text(&image.image.to_string()),
            platform: image.platform.to_string(),
            digest: base.digest,
        };
        let mut record = BuildRecord {
            file: options.file.as_ref().map(|path| absolute(path)),
            target: options.target.clone(),
            platforms: options.platforms.iter().map(ToString::to_string).collect(),
            contexts: contexts(&options.contexts),
            arguments: options.args.iter().map(|(name, value)| argument(name, value, &masks)).collect(),
            declared,
            bases: graph.bases.iter().zip(bases).map(base).collect(),
            started: now().as_millis() as u64,
            ..BuildRecord::default()
        };
        record.steps = graph.nodes.iter().map(|node| step(graph, node, options.split_copies)).collect();
        let mut watched = HashSet::new();
        for asked in &options.fail_on_miss {
            let found = select(&record.steps, asked);
            if found.is_empty() {
                return Err(StepError::NoStep { asked: asked.clone() });
            }
            watched.extend(found);
        }
        let record = Mutex::new(record);
        Ok(Self { store: store.clone(), record, earlier: OnceLock::new(), contexts: Vec::new(), watched })
    }

    /// Hears of the contexts once they are open.
    pub(in super::super) fn opened(&mut self, contexts: &BTreeMap<String, Context>) {
        let record = self.record.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, context) in contexts {
            let Some(known) = record.contexts.iter_mut().find(|known| known.name == *name) else { continue };
            known.ignore = context.ignore().file().and_then(|path| {
                let digest = Digest::of(&std::fs::read(path).ok()?);
                Some((path.file_name()?.to_string_lossy().into_owned(), digest))
            });
        }
        self.contexts = contexts.values().cloned().collect();
    }

    /// A command's key is known.
    pub(in super::super) fn keyed(&self, id: NodeId, key: Digest, parts: Vec<Part>) {
        let step = &mut lock(&self.record).steps[id.0];
        (step.key, step.parts) = (Some(key), parts);
    }

    /// A step is not in the cache: why not, if there is an earlier build to compare with. `made` are its entries and
    /// their content key, for a step that has some before it is carried out. Reads files, once for the whole build, and
    /// the list of the step's.
    ///
    /// # Errors
    /// The user wants this step to be a hit.
    pub(in super::super) fn missed(
        &self,
        id: NodeId,
        made: Option<(&[Entry], Digest)>,
        no_cache: bool,
    ) -> Result<Option<Reason>, StepError> {
        let mut record = lock(&self.record);
        record.steps[id.0].no_cache = no_cache;
        if let Some((_, content)) = made {
            record.steps[id.0].content = Some(content);
        }
        let earlier = self.earlier.get_or_init(|| {
            // Only to explain: a build does not fail for it.
            let earlier = earlier_of(&self.store, &record).ok().flatten()?;
            let alignment = align(&record.steps, &earlier.record.steps);
            Some((earlier, alignment))
        });
        let found = earlier.as_ref().and_then(|(earlier, alignment)| {
            let lists = |key: &Digest| match made {
                Some((entries, content)) if *key == content => {
                    Some(FileList::of(entries, self.contexts.iter()))
                }
                _ => FileList::load(&self.store, key),
            };
            reason(&record, &earlier.record, alignment, id.0, &lists)
        });
        if self.watched.contains(&id.0) {
            let first = if no_cache { Reason::NoCache } else { Reason::FirstBuild };
            return Err(StepError::Missed { reason: Box::new(found.unwrap_or(first)) });
        }
        Ok(found)
    }

    /// A step has failed.
    pub(in super::super) fn failed(&self, id: NodeId) {
        lock(&self.record).steps[id.0].end = StepEnd::Failed;
    }

    /// A step has ended well.
    pub(in super::super) fn ended(&self, id: NodeId, outcome: Outcome, task: &Running, bytes: Option<u64>) {
        let step = &mut lock(&self.record).steps[id.0];
        step.end = if outcome == Outcome::Done { StepEnd::Done } else { StepEnd::Cached };
        step.milliseconds = Some(task.elapsed().as_millis() as u64);
        step.bytes = bytes;
    }

    /// Keeps the entries of files that are mounted for a command, under the digest that its key has for them.
    pub(in super::super) fn mounted(&self, key: &Digest, entries: &[Entry]) {
        // Only to explain.
        let _ = keep_list(&self.store, key, entries, self.contexts.iter());
    }

    /// Keeps the record once all is over. `content` gives what is known of a step's result: the content key and, where
    /// they are at hand, the entries. Gives it back.
    pub(in super::super) fn keep<'a>(
        &self,
        well: bool,
        content: impl Fn(NodeId) -> Option<(Digest, Option<&'a [Entry]>)>,
        sink: &Sink,
    ) -> BuildRecord {
        let mut record = lock(&self.record);
        let ended = now();
        (record.well, record.ended) = (well, ended.as_millis() as u64);
        for (at, step) in record.steps.iter_mut().enumerate() {
            let Some((key, entries)) = content(NodeId(at)) else { continue };
            step.content = Some(key);
            // What a command did is known by its key's parts.
            let Some(entries) = entries.filter(|_| !step.command) else { continue };
            if let Err(error) = keep_list(&self.store, &key, entries, self.contexts.iter()) {
                sink.warn(format!("failed to keep what `imgbuild why` needs: {error}"));
            }
        }
        if let Err(error) = keep(&self.store, &mut record, ended) {
            sink.warn(format!("failed to keep what `imgbuild why` needs: {error}"));
        }
        record.clone()
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

fn absolute(path: &std::path::Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

fn contexts(given: &BTreeMap<String, ContextSource>) -> Vec<ContextRecord> {
    let root = |source: &ContextSource| match source {
        ContextSource::Directory(path) => absolute(path),
        ContextSource::Image(image) => image.to_string(),
        ContextSource::Git(git) => git.shown(),
        ContextSource::Url(url) => public_text(url),
    };
    let context = |(name, source): (&String, &ContextSource)| ContextRecord {
        name: name.clone(),
        root: root(source),
        ignore: None,
    };
    given.iter().map(context).collect()
}

/// A build argument, as its digest where it is, looks like or holds a secret.
fn argument(name: &str, value: &str, masks: &Masks) -> Part {
    let value = match is_secret(name, value, masks) {
        true => Value::Digest(Digest::of(value.as_bytes())),
        false => Value::Text(value.to_owned()),
    };
    Part { name: name.to_owned(), value }
}

/// Whether people may not read a variable's value: it is called like a secret, holds one, or is a URL with a password.
pub(in super::super) fn is_secret(name: &str, value: &str, masks: &Masks) -> bool {
    looks_secret(name) || masks.hide(value) || has_password(value)
}

/// Whether it is a URL that names a user.
fn has_password(value: &str) -> bool {
    let authority = value.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

fn step(graph: &Graph, node: &Node, split_copies: u8) -> StepRecord {
    let (number, of) = node.number;
    StepRecord {
        stage: node.stage.clone(),
        number,
        of,
        platform: node.runs_on.to_string(),
        platforms: node.platforms.iter().map(ToString::to_string).collect(),
        name: node.name.split_whitespace().collect::<Vec<_>>().join(" "),
        line: node.location.as_ref().map(ToString::to_string),
        command: matches!(node.kind, crate::recipe::StepKind::Run(_)),
        shipped: node.shipped,
        parts: definition(node).1,
        layers: most_layers(node, split_copies),
        base: node.below.base.map(|base| base.0),
        below: node.below.nodes.iter().map(|node| node.0).collect(),
        origins: node.origins.iter().map(|origin| self::origin(graph, origin)).collect(),
        ..StepRecord::default()
    }
}

fn origin(graph: &Graph, origin: &Origin) -> OriginRecord {
    let (from, context) = match origin {
        Origin::Context(name) if name.is_empty() => ("the build context".to_owned(), Some(name.clone())),
        Origin::Context(name) => (format!("the build context {name}"), Some(name.clone())),
        Origin::Url(url) => (public_text(&url.url), None),
        Origin::Git(git) => (git.shown(), None),
        Origin::Tree(Tree { base, nodes }) => {
            let stage = nodes.last().map(|node| format!("the stage {}", graph.nodes[node.0].stage));
            let image = base.map(|base| graph.bases[base.0].image.to_string());
            (stage.or(image).unwrap_or_else(|| "an empty stage".to_owned()), None)
        }
    };
    let (base, steps) = match origin {
        Origin::Tree(tree) => (tree.base.map(|base| base.0), tree.nodes.iter().map(|node| node.0).collect()),
        _ => (None, Vec::new()),
    };
    OriginRecord { from, context, base, steps }
}
