//! What a build takes from elsewhere, found without building it, and what the names of it mean: the content of a lock.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::{
    Engine, Options, StepError,
    bases::Bases,
    pinned::{commit_of, web_file},
    run::{blocking, used_contexts},
};
use crate::{
    error::{Failure, Kind, public_text},
    event::{Outcome, Sink, Task},
    graph::{Graph, Node, Origin},
    image::{Base, fetch_layer},
    lock::{Input, Lock, Pin, Pins, WebPin},
    oci::Digest,
    recipe::{Archive, BaseImage, ContextSource, Frontend, GitSource, ImageSource, StepKind, Unpack},
    remote,
};

/// How the inputs of a file are locked.
#[derive(Debug, Clone, Copy)]
pub struct Locking<'a> {
    /// What names mean that need not be looked up.
    pub kept: &'a Lock,
    /// The file, as the lock names it.
    pub file: &'a str,
    /// Whether other names are looked up.
    pub look_up: bool,
    /// Whether all that a build needs of the inputs is brought into the store.
    pub fetch: bool,
}

/// The inputs of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// What they are.
    pub lock: Lock,
    /// Those that would have had to be looked up. Behind an image that is missing there may be more.
    pub missing: BTreeSet<Input>,
}

/// Finds the inputs of a file: of the target, or of all its stages if none is asked for. A stage beside the default one
/// that cannot be evaluated, or whose base is not there, is told of and left out.
///
/// # Errors
/// The file is wrong, or a name cannot be looked up.
pub async fn lock_inputs(
    engine: &Engine,
    frontend: &dyn Frontend,
    options: &Options,
    locking: Locking<'_>,
) -> Result<Inputs, Failure> {
    let mut finder = Finder { engine, frontend, locking, inputs: Inputs::default() };
    let mut covered = finder.target(options).await?;
    if options.target.is_some() {
        return Ok(finder.inputs);
    }
    for stage in frontend.stages().into_iter().rev() {
        if covered.contains(&stage) {
            continue;
        }
        let options = Options { target: Some(stage.clone()), ..options.clone() };
        match finder.target(&options).await {
            Ok(more) => covered.extend(more),
            Err(error) if matches!(error.kind(), Kind::Input | Kind::NotFound) => {
                engine.sink.warn(format!("the inputs of the stage {stage} are not locked: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(finder.inputs)
}

struct Finder<'a> {
    engine: &'a Engine,
    frontend: &'a dyn Frontend,
    locking: Locking<'a>,
    inputs: Inputs,
}

/// What a target takes from the web and from Git.
#[derive(Default)]
struct Remote<'a> {
    /// URLs, with the digests that they must have and the steps that say so.
    web: Vec<(&'a str, Option<&'a Digest>, Option<&'a Node>)>,
    git: Vec<(&'a GitSource, Option<&'a Node>)>,
}

impl Finder<'_> {
    /// Finds the inputs of one target. The names of the stages that it needs.
    async fn target(&mut self, options: &Options) -> Result<HashSet<String>, Failure> {
        // What is looked up is told of: that it is then read is not worth a line.
        let silent = Engine { sink: Sink::silent(), ..self.engine.clone() };
        let mut bases = Bases::new(&silent, self.frontend, options);
        let mut wanted = bases.first()?;
        while !wanted.is_empty() {
            if !self.images(&mut bases, wanted).await? {
                return Ok(HashSet::new());
            }
            wanted = bases.further()?;
        }
        let configs = bases.configs();
        let mut recipes = Vec::new();
        for platform in &options.platforms {
            let recipe = self.frontend.recipe(&options.request(platform), &configs)?;
            recipes.push((platform.clone(), recipe));
        }
        let graph = Graph::new(&recipes);
        let all = self.images(&mut bases, graph.bases.clone()).await?;
        let remote = Remote::of(&graph, options);
        self.web(&remote).await?;
        self.git(&remote).await?;
        if self.locking.fetch && all {
            self.fetch(&bases, &remote).await?;
        }
        Ok(recipes.into_iter().flat_map(|(_, recipe)| recipe.stages).map(|stage| stage.name).collect())
    }

    /// Locks images and finds their configs. False: some would have to be looked up.
    async fn images(&mut self, bases: &mut Bases<'_>, wanted: Vec<BaseImage>) -> Result<bool, Failure> {
        let mut unknown: Vec<(Input, &BaseImage)> = Vec::new();
        for image in &wanted {
            let ImageSource::Reference(reference) = &image.image else { continue };
            let input = Input::image(reference);
            if !self.knows(&input, |_| true) && unknown.iter().all(|(other, _)| *other != input) {
                unknown.push((input, image));
            }
        }
        if !self.locking.look_up && !unknown.is_empty() {
            self.inputs.missing.extend(unknown.into_iter().map(|(input, _)| input));
            return Ok(false);
        }
        let (looking, sink) = (&*bases, &self.engine.sink);
        let look_up = async |(_, image): &(Input, &BaseImage)| looking.look_up(image, sink).await;
        let found = try_join_all(unknown.iter().map(look_up)).await?;
        for ((input, _), pin) in unknown.into_iter().zip(found) {
            self.inputs.lock.put(input, Pin::Image(pin), self.locking.file);
        }
        bases.pins = Some(self.pins());
        bases.resolve(wanted).await?;
        Ok(true)
    }

    async fn web(&mut self, remote: &Remote<'_>) -> Result<(), Failure> {
        let mut unknown = Vec::new();
        for (url, checksum, node) in &remote.web {
            let agrees = |pin: &Pin| matches!(pin, Pin::Web(pin) if is(&pin.digest, *checksum));
            let input = Input::web(url);
            if !self.knows(&input, agrees) && self.looks_up(&input) {
                unknown.push((input, *url, *checksum, *node));
            }
        }
        let engine = self.engine;
        let look_up = async |(_, url, checksum, node): &(Input, &str, Option<&Digest>, Option<&Node>)| {
            let file = engine.registry.fetch_file(url, None, &engine.store).await;
            let file = file.map_err(|error| at(error.into(), *node))?;
            match checksum {
                Some(expected) if !is(&file.digest, Some(expected)) => {
                    let (expected, found) = (Box::new(**expected), Box::new(file.digest));
                    Err(at(StepError::ArchiveDigest { what: public_text(url), expected, found }, *node))
                }
                _ => Ok::<_, Failure>(WebPin { digest: file.digest, modified: file.modified }),
            }
        };
        let found = try_join_all(unknown.iter().map(look_up)).await?;
        for ((input, ..), pin) in unknown.into_iter().zip(found) {
            self.inputs.lock.put(input, Pin::Web(pin), self.locking.file);
        }
        Ok(())
    }

    async fn git(&mut self, remote: &Remote<'_>) -> Result<(), Failure> {
        for (source, node) in &remote.git {
            let checksum = source.checksum.as_deref().unwrap_or_default();
            let agrees = |pin: &Pin| matches!(pin, Pin::Git(commit) if commit.starts_with(checksum));
            let input = Input::git(&source.remote, source.reference.as_deref());
            if self.knows(&input, agrees) || !self.looks_up(&input) {
                continue;
            }
            let task = self.engine.sink.start(Task::Resolve { reference: input.to_string() }, None);
            let (engine, source) = (self.engine.clone(), (*source).clone());
            let look_up = move || remote::look_up(&engine.store, &source, engine.registry.certificates());
            let commit = blocking(look_up).await?.map_err(|error| at(error.into(), *node))?;
            task.finish(Outcome::Done, None);
            self.inputs.lock.put(input, Pin::Git(commit), self.locking.file);
        }
        Ok(())
    }

    /// Brings into the store what a build of this target reads.
    async fn fetch(&self, bases: &Bases<'_>, remote: &Remote<'_>) -> Result<(), Failure> {
        let (engine, pins) = (self.engine, self.pins());
        let layers = async |base: &Arc<Base>| {
            let layers = base.layers();
            let fetch = |layer| fetch_layer(&engine.store, &engine.registry, base, layer);
            try_join_all(layers.iter().map(fetch)).await.map_err(StepError::from)
        };
        try_join_all(bases.iter().map(layers)).await?;
        let file = async |(url, checksum, node): &(&str, Option<&Digest>, Option<&Node>)| {
            let file = web_file(engine, Some(&pins), url, *checksum).await;
            file.map(drop).map_err(|error| at(error, *node))
        };
        try_join_all(remote.web.iter().map(file)).await?;
        for (source, node) in &remote.git {
            let task = engine.sink.start(Task::Fetch { from: source.shown(), digest: None }, None);
            let (engine, pins, source) = (engine.clone(), Arc::clone(&pins), (*source).clone());
            let commit = blocking(move || commit_of(&engine, Some(&pins), &source)).await?;
            commit.map_err(|error| at(error, *node))?;
            task.finish(Outcome::Done, None);
        }
        Ok(())
    }

    /// Whether it is known what a name means, by what is kept of it.
    fn knows(&mut self, input: &Input, agrees: impl Fn(&Pin) -> bool) -> bool {
        if let Some(known) = self.inputs.lock.pin(input) {
            return agrees(known);
        }
        let Some(pin) = self.locking.kept.pin(input).filter(|pin| agrees(pin)) else { return false };
        self.inputs.lock.put(input.clone(), pin.clone(), self.locking.file);
        true
    }

    /// Whether a name may be looked up; if not, it is told as missing.
    fn looks_up(&mut self, input: &Input) -> bool {
        if !self.locking.look_up {
            self.inputs.missing.insert(input.clone());
        }
        self.locking.look_up
    }

    fn pins(&self) -> Arc<Pins> {
        Arc::new(Pins::new(self.inputs.lock.clone(), crate::lock::NAME, true, Sink::silent()))
    }
}

impl<'a> Remote<'a> {
    fn of(graph: &'a Graph, options: &'a Options) -> Self {
        let mut remote = Self::default();
        for node in &graph.nodes {
            for origin in &node.origins {
                match origin {
                    Origin::Url(source) => {
                        remote.add_web(&source.url, source.checksum.as_ref(), Some(node));
                    }
                    Origin::Git(source) => remote.add_git(source, Some(node)),
                    Origin::Context(_) | Origin::Tree(_) => {}
                }
            }
            if let StepKind::Unpack(Unpack { archive: Archive::Url(url), digest, .. }) = &node.kind {
                remote.add_web(url, digest.as_ref(), Some(node));
            }
        }
        for name in used_contexts(graph) {
            match options.contexts.get(name) {
                Some(ContextSource::Url(url)) => remote.add_web(url, None, None),
                Some(ContextSource::Git(source)) => remote.add_git(source, None),
                _ => {}
            }
        }
        remote
    }

    fn add_web(&mut self, url: &'a str, checksum: Option<&'a Digest>, node: Option<&'a Node>) {
        if self.web.iter().all(|(other, known, _)| (*other, *known) != (url, checksum)) {
            self.web.push((url, checksum, node));
        }
    }

    fn add_git(&mut self, source: &'a GitSource, node: Option<&'a Node>) {
        if self.git.iter().all(|(other, _)| *other != source) {
            self.git.push((source, node));
        }
    }
}

/// Whether a file can have the digest that is expected: one of another algorithm is compared when it is used.
fn is(found: &Digest, expected: Option<&Digest>) -> bool {
    expected.is_none_or(|expected| expected.algorithm() != found.algorithm() || expected == found)
}

fn at(error: StepError, node: Option<&Node>) -> Failure {
    match node {
        Some(node) => error.at(node),
        None => error.into(),
    }
}
