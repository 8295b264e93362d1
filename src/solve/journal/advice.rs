//! What would make a step a hit.

use super::{StepRecord, explain::Pair};
use crate::event::{Change, ParentChange, Reason, Value};

/// Most helpful first; nothing where there is nothing to do: a change was made to have an effect.
pub(super) fn advice(pair: &Pair<'_>, at: usize, reasons: &[Reason]) -> Vec<String> {
    let step = &pair.new.steps[at];
    let Some(reason) = reasons.first() else { return Vec::new() };
    let hint = match reason {
        Reason::NoCache => "build without --no-cache and --no-cache-filter".to_owned(),
        Reason::Base { name, new: Some(new), .. } => match name.contains('@') {
            true => return Vec::new(),
            false => format!("pin the base, so that it changes when you say so: {name}@{new}"),
        },
        Reason::Argument { name, .. } if step.command => {
            format!("where this step does not need {name}, declare `ARG {name}` behind it: each step behind an ARG sees it")
        }
        Reason::Part { name, .. } if name == "SOURCE_DATE_EPOCH" => {
            "set SOURCE_DATE_EPOCH to the time of the last commit, and not to that of the build".to_owned()
        }
        Reason::Part { name, .. } if name.starts_with("variable ") => {
            format!("where this step does not need the {name}, set it behind it")
        }
        Reason::Moved { .. } | Reason::Parent { change: ParentChange::Order, .. } => {
            "each step stands on those before it: put what seldom changes first, and leave it there".to_owned()
        }
        Reason::Parent { .. } => return below(pair, at).into_iter().collect(),
        Reason::Files { first, .. } if !step.origins.iter().all(|origin| origin.context.is_some()) => {
            match &first.change {
                Change::Content { .. } if step.origins.iter().any(|origin| !origin.steps.is_empty()) => {
                    "the stage that it is from gave other bytes: `imgbuild why` tells of its steps; programs that \
                     write times or random names into files do so each time"
                        .to_owned()
                }
                _ => return Vec::new(),
            }
        }
        Reason::Files { first, .. } => match &first.change {
            Change::Mode { .. } => match step.command {
                true => format!("set the mode of {} back: chmod counts", first.path),
                false => "give the modes in the step (--chmod), so that those on disk do not count".to_owned(),
            },
            _ if is_broad(step) => {
                format!("where the image does not need {}, name it in .dockerignore", first.path)
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![hint]
}

/// Whether it takes in more than files that it names.
fn is_broad(step: &StepRecord) -> bool {
    let sources = step.part("sources").map(|part| &part.value);
    match sources {
        Some(Value::Text(sources)) => {
            sources.split(' ').any(|source| matches!(source, "." | "./" | "/") || source.contains('*'))
        }
        _ => step.command,
    }
}

/// What to do about the lowest step below that is not what it was.
fn below(pair: &Pair<'_>, at: usize) -> Option<String> {
    let step = &pair.new.steps[at];
    let other = |below: &&usize| {
        let now = &pair.new.steps[**below];
        let before = pair.alignment.before[**below].map(|before| &pair.old.steps[before]);
        before.is_none_or(|before| before.content.is_none() || before.content != now.content)
    };
    let root = &pair.new.steps[*step.below.iter().find(other)?];
    let StepRecord { number, name, .. } = root;
    let from_context = root.origins.iter().any(|origin| origin.context.is_some());
    Some(match root.command {
        false if from_context => format!(
            "copy just what this step reads before it, and the rest with step {number} (`{name}`) behind it"
        ),
        _ if root.stage == step.stage => {
            format!("where this step does not need what step {number} (`{name}`) does, put it before that")
        }
        _ => return None,
    })
}
