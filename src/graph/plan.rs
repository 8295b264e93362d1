//! From recipes to the graph.

use std::collections::BTreeMap;

use super::{BaseId, Node, NodeId, Origin, Tree};
use crate::{
    layer::EntryPath,
    oci::Platform,
    recipe::{
        Archive, Base, BaseImage, ConfigChange, CopySource, Destination, Mount, Owner, OwnerName, Recipe,
        Rules, Step, StepKind,
    },
};

/// Everything that is to be made for the images of all platforms.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The images that stages start from or copy from.
    pub bases: Vec<BaseImage>,
    /// The layers to make. A node needs earlier ones only.
    pub nodes: Vec<Node>,
    /// The images to put together, in the order of the platforms asked for.
    pub images: Vec<ImagePlan>,
}

/// How one image is put together.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// What it runs on.
    pub platform: Platform,
    /// The image that its lowest stage starts from.
    pub base: Option<BaseId>,
    /// The steps on top of it, of all stages in its line, lowest first.
    pub steps: Vec<PlannedStep>,
    /// Annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of the index.
    pub index_annotations: BTreeMap<String, String>,
}

/// A step as an image has it: a layer, or a change of the config.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// The layer, if the step makes one.
    pub node: Option<NodeId>,
    /// What it changes in the config.
    pub changes: Vec<ConfigChange>,
    /// The step as the history tells it.
    pub created_by: String,
}

/// What a stage has come to while the graph is made.
#[derive(Clone, Default)]
struct Line {
    tree: Tree,
    steps: Vec<PlannedStep>,
}

impl Line {
    /// What a stage that starts from this one begins with. Triggers are for that stage, not for those that come after
    /// it.
    fn inherited(&self) -> Self {
        let mut line = self.clone();
        for step in &mut line.steps {
            step.changes.retain(|change| !matches!(change, ConfigChange::OnBuild(_)));
        }
        line
    }
}

impl Graph {
    /// The graph of these recipes, one for each platform.
    pub fn new(recipes: &[(Platform, Recipe)]) -> Self {
        let mut graph = Self::default();
        for (platform, recipe) in recipes {
            graph.add(platform, recipe);
        }
        graph
    }

    fn add(&mut self, platform: &Platform, recipe: &Recipe) {
        let mut lines: Vec<Line> = Vec::new();
        for stage in &recipe.stages {
            let mut line = match &stage.base {
                Base::Scratch => Line::default(),
                Base::Stage(earlier) => lines[*earlier].inherited(),
                Base::Image(image) => {
                    let base =
                        self.base(BaseImage { image: image.clone(), platform: stage.platform.clone() });
                    Line { tree: Tree { base: Some(base), nodes: Vec::new() }, steps: Vec::new() }
                }
            };
            let of = stage.steps.iter().filter(|step| makes_layer(step)).count();
            let mut number = 0;
            for step in &stage.steps {
                number += usize::from(makes_layer(step));
                let planned = match &step.kind {
                    StepKind::Config(changes) => PlannedStep {
                        node: None,
                        changes: changes.clone(),
                        created_by: step.created_by.clone(),
                    },
                    kind => {
                        let (neutral, sources) = split_sources(kind);
                        let origin = |source| self.origin(source, &lines, &stage.platform);
                        let node = Node {
                            kind: neutral,
                            origins: sources.iter().map(origin).collect(),
                            below: below(kind, &line.tree),
                            runs_on: stage.platform.clone(),
                            platforms: vec![platform.clone()],
                            stage: stage.name.clone(),
                            number: (number, of),
                            name: step.name.clone(),
                            location: step.location.clone(),
                            shipped: false,
                        };
                        let id = self.node(node);
                        line.tree.nodes.push(id);
                        PlannedStep {
                            node: Some(id),
                            changes: Vec::new(),
                            created_by: step.created_by.clone(),
                        }
                    }
                };
                line.steps.push(planned);
            }
            lines.push(line);
        }
        let Line { tree, steps } = lines.pop().unwrap_or_default();
        for node in &tree.nodes {
            self.nodes[node.0].shipped = true;
        }
        self.images.push(ImagePlan {
            platform: platform.clone(),
            base: tree.base,
            steps,
            annotations: recipe.annotations.clone(),
            index_annotations: recipe.index_annotations.clone(),
        });
    }

    fn origin(&mut self, source: &CopySource, lines: &[Line], platform: &Platform) -> Origin {
        match source {
            CopySource::Context(name) => Origin::Context(name.clone()),
            CopySource::Stage(stage) => Origin::Tree(lines[*stage].tree.clone()),
            CopySource::Image(image) => {
                let base = self.base(BaseImage { image: image.clone(), platform: platform.clone() });
                Origin::Tree(Tree { base: Some(base), nodes: Vec::new() })
            }
            CopySource::Url(url) => Origin::Url(url.clone()),
            CopySource::Git(git) => Origin::Git(git.clone()),
        }
    }

    fn base(&mut self, base: BaseImage) -> BaseId {
        let at = self.bases.iter().position(|known| *known == base).unwrap_or_else(|| {
            self.bases.push(base);
            self.bases.len() - 1
        });
        BaseId(at)
    }

    /// The node that does this: one that is there already, if another platform or stage has the same step on the same
    /// ground, else a new one.
    fn node(&mut self, node: Node) -> NodeId {
        let same = |known: &Node| {
            known.stage == node.stage
                && known.name == node.name
                && known.below == node.below
                && known.origins == node.origins
                && known.kind == node.kind
                && (known.runs_on == node.runs_on || !matches!(node.kind, StepKind::Run(_)))
        };
        if let Some(at) = self.nodes.iter().position(same) {
            let known = &mut self.nodes[at];
            if !known.platforms.contains(&node.platforms[0]) {
                known.platforms.extend(node.platforms);
            }
            return NodeId(at);
        }
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}

fn makes_layer(step: &Step) -> bool {
    !matches!(step.kind, StepKind::Config(_))
}

/// The part of the root file system that a step looks at.
fn below(kind: &StepKind, tree: &Tree) -> Tree {
    let named = |owner: &Option<Owner>| {
        owner.as_ref().is_some_and(|owner| {
            matches!(owner.user, OwnerName::Name(_)) || matches!(owner.group, Some(OwnerName::Name(_)))
        })
    };
    let deep = match kind {
        StepKind::Copy(copy) => {
            let to = match &copy.to {
                Destination::Directory(path) => path.as_ref(),
                Destination::Path(path) => Some(path),
            };
            let shared = copy.rules == Rules::Own && is_shared_ground(to);
            !copy.independent || named(&copy.owner) || shared
        }
        StepKind::Write(write) => named(&write.owner) || is_shared_ground(Some(&write.path)),
        StepKind::Mkdir(mkdir) => {
            mkdir.rules == Rules::Docker || named(&mkdir.owner) || is_shared_ground(Some(&mkdir.path))
        }
        StepKind::Symlink(symlink) => named(&symlink.owner) || is_shared_ground(Some(&symlink.path)),
        StepKind::Unpack(unpack) => named(&unpack.owner) || is_shared_ground(unpack.to.as_ref()),
        StepKind::Remove(_) | StepKind::Account(_) | StepKind::Group(_) | StepKind::Run(_) => true,
        StepKind::Config(_) => false,
    };
    Tree { base: tree.base.filter(|_| deep), nodes: tree.nodes.clone() }
}

/// Whether bases commonly have links, or directories of other users, on the way to this place: then only the base
/// itself can tell what a layer must look like there. `/bin`, `/lib` and their like are links in most distributions,
/// `/var/run` is one in all, and homes belong to their users.
fn is_shared_ground(path: Option<&EntryPath>) -> bool {
    const SHARED: [&[u8]; 9] =
        [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"home", b"run", b"var"];
    // A tree that goes to the root may hold any of them.
    let Some(path) = path else { return true };
    path.as_bytes().split(|b| *b == b'/').next().is_some_and(|first| SHARED.contains(&first))
}

/// Takes the copy sources out of a step, in order, and leaves one and the same in their places: a stage's place in one
/// recipe means nothing in another.
fn split_sources(kind: &StepKind) -> (StepKind, Vec<CopySource>) {
    let mut kind = kind.clone();
    let places: Vec<&mut CopySource> = match &mut kind {
        StepKind::Copy(copy) => vec![&mut copy.from],
        StepKind::Unpack(unpack) => match &mut unpack.archive {
            Archive::File { from, .. } => vec![from],
            Archive::Url(_) => Vec::new(),
        },
        StepKind::Run(run) => run
            .mounts
            .iter_mut()
            .filter_map(|mount| match mount {
                Mount::Bind(bind) => Some(&mut bind.from),
                Mount::Cache(cache) => cache.from.as_mut().map(|(from, _)| from),
                Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let sources = places.into_iter().map(|place| std::mem::replace(place, CopySource::Stage(0))).collect();
    (kind, sources)
}

#[cfg(test)]
mod tests;
