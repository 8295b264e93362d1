//! What is kept of a build.

use serde::{Deserialize, Serialize};

use super::super::key::Part;
use crate::oci::Digest;

/// What a build was asked for, what its steps depended on, and how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildRecord {
    /// Eight hex digits.
    pub id: String,
    /// The file that said what to build, absolute; `None` is standard input.
    pub file: Option<String>,
    /// The stage that was asked for, if one was.
    pub target: Option<String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// The build contexts that were given.
    pub contexts: Vec<ContextRecord>,
    /// The build arguments that were given.
    pub arguments: Vec<Part>,
    /// The names of the arguments that the file declares.
    pub declared: Vec<String>,
    /// The images that stages started from or copied from.
    pub bases: Vec<BaseRecord>,
    /// When it began, in milliseconds since the epoch.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// Whether it ended well.
    pub well: bool,
    /// Its steps: those that make layers, each behind those that it stands on.
    pub steps: Vec<StepRecord>,
}

/// A build context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextRecord {
    /// Its name; `""` is the main one.
    pub name: String,
    /// Where it is: an absolute path, a URL or an image.
    pub root: String,
    /// The name of its ignore file, if it has one, and the digest of that.
    pub ignore: Option<(String, Digest)>,
}

/// An image that a build stood on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseRecord {
    /// The name that the file has for it.
    pub name: String,
    /// What it was taken for.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
}

/// What a build did with a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepRecord {
    /// The stage.
    pub stage: String,
    /// The step's number in it, from 1.
    pub number: usize,
    /// How many steps the stage has.
    pub of: usize,
    /// What its stage runs on.
    pub platform: String,
    /// The platforms that it serves.
    pub platforms: Vec<String>,
    /// The step in a few words, as written.
    pub name: String,
    /// Where it is written: `Dockerfile:4`.
    pub line: Option<String>,
    /// Whether it runs a command.
    pub command: bool,
    /// Whether its layer is part of an image.
    pub shipped: bool,
    /// What it says, and for a command all that it depends on.
    pub parts: Vec<Part>,
    /// How many layers it has at the most; 0 in records of before.
    pub layers: u8,
    /// The image below it, by its place in [`BuildRecord::bases`], where it looks that far down.
    pub base: Option<usize>,
    /// The steps below it, by their places in [`BuildRecord::steps`], lowest first.
    pub below: Vec<usize>,
    /// What it copies from or mounts.
    pub origins: Vec<OriginRecord>,
    /// A command's key, which its output is kept under.
    pub key: Option<Digest>,
    /// The digest of all that the layer holds, as far as anybody asked for it.
    pub content: Option<Digest>,
    /// How it ended.
    pub end: StepEnd,
    /// Whether the cache was not to be used.
    pub no_cache: bool,
    /// How long it took, in milliseconds.
    pub milliseconds: Option<u64>,
    /// The size of its layer, compressed, if it has one.
    pub bytes: Option<u64>,
}

/// Where files of a step come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OriginRecord {
    /// In words: ``the build context``, ``the stage `web` ``.
    pub from: String,
    /// The name of the build context, if it is one.
    pub context: Option<String>,
    /// The image, if it is one or stands on one, by its place in [`BuildRecord::bases`].
    pub base: Option<usize>,
    /// The steps of the stage, by their places in [`BuildRecord::steps`].
    pub steps: Vec<usize>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// The build ended before it.
    #[default]
    NotReached,
    /// It failed.
    Failed,
    /// It was carried out.
    Done,
    /// Its result was in the cache.
    Cached,
}

impl BuildRecord {
    /// The part of a build argument, if it was given.
    pub(super) fn argument(&self, name: &str) -> Option<&Part> {
        self.arguments.iter().find(|part| part.name == name)
    }
}

impl StepRecord {
    pub(super) fn part(&self, name: &str) -> Option<&Part> {
        // Of several variables with one name, the last counts.
        self.parts.iter().rfind(|part| part.name == name)
    }

    /// The step with its stage: `app:3`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.stage, self.number)
    }
}
