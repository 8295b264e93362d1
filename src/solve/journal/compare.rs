//! Two builds, step by step.

use serde::Serialize;

use super::{
    BuildRecord, KeptBuild, StepEnd, StepRecord,
    advice::advice,
    align::{Alignment, align},
    explain::{Difference, Pair},
    list::FileList,
    select::select,
};
use crate::{
    event::{FileChange, Reason},
    oci::Digest,
    store::Store,
};

/// What a build did with each step, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The id of the build.
    pub build: String,
    /// The id of the one that it is compared with, if there is one.
    pub against: Option<String>,
    /// The images that its stages start from or copy from, and that are not what they were.
    pub bases: Vec<BaseChange>,
    /// Its steps.
    pub steps: Vec<Explained>,
    /// What was a step in the other build alone, as `STAGE:NUMBER NAME`.
    pub gone: Vec<String>,
}

/// An image that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseChange {
    /// The name that the file has for it.
    pub name: String,
    /// What it was taken for.
    pub platform: String,
    /// The digest of the manifest before.
    pub old: Digest,
    /// The digest of the manifest now.
    pub new: Digest,
}

/// A step, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Its place among the build's steps.
    #[serde(skip)]
    pub at: usize,
    /// The stage.
    pub stage: String,
    /// The step's number in it, from 1.
    pub number: usize,
    /// How many steps the stage has.
    pub of: usize,
    /// The platform, where the build is for several and the step does not serve all of them.
    pub platform: Option<String>,
    /// The step as written.
    pub name: String,
    /// Where it is written.
    pub line: Option<String>,
    /// Whether the step failed.
    pub failed: bool,
    /// How long it took, in milliseconds, if it was carried out.
    pub milliseconds: Option<u64>,
    /// The size of its layer, compressed, if it has one.
    pub bytes: Option<u64>,
    /// Whether it was a hit, and why not.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Whether a step was a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Its result was known.
    Hit {
        /// A step, as `STAGE:NUMBER`, that it depends on, that was carried out again and gave the same result.
        although: Option<String>,
    },
    /// It was carried out.
    Miss {
        /// What differs; the first goes before the others.
        reasons: Vec<Reason>,
        /// All files that differ.
        files: Vec<FileChange>,
        /// What would make it a hit.
        hints: Vec<String>,
    },
    /// The build ended before it.
    NotReached,
}

/// Compares a build with another one, or tells of it alone; `asked` are the steps that are meant, see
/// `imgbuild why STEP`. `None` is all.
pub fn compare(
    store: &Store,
    build: &KeptBuild,
    against: Option<&KeptBuild>,
    asked: Option<&str>,
) -> Comparison {
    let new = &build.record;
    let nothing = BuildRecord::default();
    let old = against.map_or(&nothing, |against| &against.record);
    let alignment = align(&new.steps, &old.steps);
    let lists = |key: &Digest| -> Option<FileList> {
        let brought = [Some(build), against].into_iter().flatten().find_map(|build| build.list(key));
        brought.or_else(|| FileList::load(store, key))
    };
    let pair = Pair { new, old, alignment: &alignment, lists: &lists };
    let steps = match asked {
        Some(asked) => select(&new.steps, asked),
        None => (0..new.steps.len()).collect(),
    };
    let explain = |at| explained(&pair, at, against.is_some());
    let gone = alignment.gone.iter().filter_map(|at| old.steps.get(*at));
    Comparison {
        build: new.id.clone(),
        against: against.map(|against| against.record.id.clone()),
        bases: bases(new, old),
        steps: steps.into_iter().map(explain).collect(),
        gone: gone.map(|step| format!("{} {}", step.place(), step.name)).collect(),
    }
}

fn bases(new: &BuildRecord, old: &BuildRecord) -> Vec<BaseChange> {
    let change = |base: &super::BaseRecord| {
        let before =
            old.bases.iter().find(|known| known.name == base.name && known.platform == base.platform)?;
        (before.digest != base.digest).then(|| BaseChange {
            name: base.name.clone(),
            platform: base.platform.clone(),
            old: before.digest,
            new: base.digest,
        })
    };
    new.bases.iter().filter_map(change).collect()
}

fn explained(pair: &Pair<'_>, at: usize, compared: bool) -> Explained {
    let step = &pair.new.steps[at];
    let carried_out = matches!(step.end, StepEnd::Done | StepEnd::Failed);
    Explained {
        at,
        stage: step.stage.clone(),
        number: step.number,
        of: step.of,
        platform: (pair.new.platforms.len() > step.platforms.len()).then(|| step.platforms.join(",")),
        name: step.name.clone(),
        line: step.line.clone(),
        failed: step.end == StepEnd::Failed,
        milliseconds: step.milliseconds.filter(|_| carried_out),
        bytes: step.bytes,
        verdict: verdict(pair, at, compared),
    }
}

fn verdict(pair: &Pair<'_>, at: usize, compared: bool) -> Verdict {
    let step = &pair.new.steps[at];
    match step.end {
        StepEnd::NotReached => return Verdict::NotReached,
        StepEnd::Cached => return Verdict::Hit { although: although(pair, at) },
        StepEnd::Done if looked_up_each_time(pair, at) => return Verdict::Hit { although: None },
        StepEnd::Done | StepEnd::Failed => {}
    }
    if !compared {
        let reason = if step.no_cache { Reason::NoCache } else { Reason::FirstBuild };
        return Verdict::Miss { reasons: vec![reason], files: Vec::new(), hints: Vec::new() };
    }
    let Difference { reasons, files } = pair.difference(at);
    let hints = advice(pair, at, &reasons);
    Verdict::Miss { reasons, files, hints }
}

/// Whether it is a step of a stage that is only copied from, and says what it said: its files are read where they are,
/// in each build, and there is nothing to be cached.
fn looked_up_each_time(pair: &Pair<'_>, at: usize) -> bool {
    let step: &StepRecord = &pair.new.steps[at];
    let before = pair.alignment.before[at].and_then(|before| pair.old.steps[before].content);
    !step.command && !step.shipped && !step.no_cache && (step.content.is_none() || step.content == before)
}

/// A step that ran again and on which this one depends.
fn although(pair: &Pair<'_>, at: usize) -> Option<String> {
    let step = &pair.new.steps[at];
    let origins = step.origins.iter().flat_map(|origin| &origin.steps);
    let below = step.below.iter().filter(|_| step.command);
    let ran = |at: &&usize| {
        let step = &pair.new.steps[**at];
        step.end == StepEnd::Done && step.command
    };
    below.chain(origins).rfind(ran).map(|at| pair.new.steps[*at].place())
}

/// Why a step that is carried out now is not in the cache, as far as that is known; its lists may be at hand.
pub(super) fn reason(
    new: &BuildRecord,
    old: &BuildRecord,
    alignment: &Alignment,
    at: usize,
    lists: &dyn Fn(&Digest) -> Option<FileList>,
) -> Option<Reason> {
    Pair { new, old, alignment, lists }.difference(at).reasons.into_iter().next()
}
