//! The nodes of the graph.

use crate::{
    oci::Platform,
    recipe::{GitSource, StepKind, UrlSource},
    source::Location,
};

/// A node, by its place in [`super::Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// A base image for one platform, by its place in [`super::Graph::bases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseId(pub usize);

/// A root file system: a base image's layers and those of nodes on top, lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tree {
    /// The image it starts from; `None` is scratch.
    pub base: Option<BaseId>,
    /// The nodes on top of it.
    pub nodes: Vec<NodeId>,
}

/// Where a node's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A directory on this machine: the name of a build context.
    Context(String),
    /// The root file system of a stage or an image.
    Tree(Tree),
    /// A file on the web.
    Url(UrlSource),
    /// A commit of a Git repository.
    Git(GitSource),
}

/// One layer to make.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is done. Its copy sources are place holders: [`Node::origins`] has them.
    pub kind: StepKind,
    /// What each copy source of the step means, in the order in which they stand in it.
    pub origins: Vec<Origin>,
    /// The root file system that the step sees. Without its base where the step does not look that far down.
    pub below: Tree,
    /// What its stage runs on. Only commands depend on it.
    pub runs_on: Platform,
    /// The platforms that it serves.
    pub platforms: Vec<Platform>,
    /// The stage's name.
    pub stage: String,
    /// The step's number in its stage, from 1, and how many there are.
    pub number: (usize, usize),
    /// The step in a few words.
    pub name: String,
    /// Where it is written.
    pub location: Option<Location>,
    /// Whether its layer is part of an image that the build makes.
    pub shipped: bool,
}
