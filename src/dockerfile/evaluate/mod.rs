//! A Dockerfile as written → the recipe for one platform.
//!
//! [`plan`] says which stages the target needs and what each starts from; [`stage`] carries out the instructions of one
//! of them on what the stage below has left. Both go by places in the file: a stage needs earlier ones only, so nothing
//! here recurses, however long a file is.

mod command;
mod config;
mod files;
mod mention;
mod origin;
pub(super) mod plan;
mod run;
mod stage;
#[cfg(test)]
mod tests;
pub(super) mod variables;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
};

use self::{
    plan::{Base, Plan},
    stage::{End, StageBuilder},
    variables::{Scope, automatic, given, globals, room},
};
use super::syntax;
use crate::{
    error::Kind,
    recipe::{self, BaseConfigs, BaseImage, Mention, Recipe, Request},
    source::Diagnostic,
};

/// What evaluation works with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub(super) file: &'a syntax::Dockerfile,
    pub(super) request: &'a Request,
    /// How much variables may still cost, in all of the file.
    pub(super) room: &'a Cell<usize>,
}

/// The values that `FROM` can use, and that stages can take over.
pub(super) fn global_scope(evaluator: &Evaluator<'_>) -> Result<Scope, Diagnostic> {
    let named = evaluator.request.target.clone().or_else(|| {
        let last = evaluator.file.stages.last()?;
        last.from.node.name.as_ref().map(|name| name.text.to_lowercase())
    });
    let scope = automatic(evaluator.request, named.as_deref());
    globals(evaluator, &evaluator.file.args, scope, &given(evaluator.request))
}

/// The images that the stages needed by the target start from, as far as the configs tell which these are.
pub(super) fn bases(
    file: &syntax::Dockerfile,
    request: &Request,
    configs: &BaseConfigs,
) -> Result<Vec<BaseImage>, Diagnostic> {
    let room = room();
    let evaluator = Evaluator { file, request, room: &room };
    Ok(Plan::new(evaluator, &global_scope(&evaluator)?, configs)?.bases())
}

/// Where the file names this image.
pub(super) fn mention(
    file: &syntax::Dockerfile,
    request: &Request,
    configs: &BaseConfigs,
    image: &BaseImage,
) -> Result<Option<Mention>, Diagnostic> {
    let room = room();
    let evaluator = Evaluator { file, request, room: &room };
    let globals = global_scope(&evaluator)?;
    Ok(Plan::new(evaluator, &globals, configs)?.mention(image))
}

/// The recipe.
pub(super) fn recipe(
    file: &syntax::Dockerfile,
    request: &Request,
    configs: &BaseConfigs,
) -> Result<Recipe, Diagnostic> {
    let room = room();
    let evaluator = Evaluator { file, request, room: &room };
    let globals = global_scope(&evaluator)?;
    let plan = Plan::new(evaluator, &globals, configs)?;
    let mut stages: Vec<recipe::Stage> = Vec::new();
    // The place in the recipe of each stage of the file, and what it has left behind.
    let mut positions: HashMap<usize, usize> = HashMap::new();
    let mut ends: HashMap<usize, End> = HashMap::new();
    for planned in plan.needed() {
        let (base, start) = match &planned.base {
            Base::Scratch | Base::Context(_) => (recipe::Base::Scratch, End::default()),
            Base::Stage(index) => {
                let (position, end) = positions.get(index).zip(ends.get(index)).ok_or_else(|| {
                    Diagnostic::new("a stage was planned behind its user").kind(Kind::Internal)
                })?;
                (recipe::Base::Stage(*position), end.inherited())
            }
            Base::Image(image) => {
                let wanted = BaseImage { image: image.clone(), platform: planned.platform.clone() };
                let config = configs.get(&wanted).ok_or_else(|| {
                    Diagnostic::new(format!("the config of {image} for {} was not given", planned.platform))
                        .kind(Kind::Internal)
                })?;
                (recipe::Base::Image(image.clone()), End::of_image(&config.config))
            }
        };
        let mut builder =
            StageBuilder::new(evaluator, &globals, &plan, planned, start, (&positions, stages.len()));
        builder.stage()?;
        let (mut before, steps, end) = builder.finish();
        stages.append(&mut before);
        positions.insert(planned.index, stages.len());
        ends.insert(planned.index, end);
        stages.push(recipe::Stage {
            name: planned.name.clone(),
            base,
            platform: planned.platform.clone(),
            steps,
        });
    }
    Ok(Recipe { stages, annotations: BTreeMap::new(), index_annotations: BTreeMap::new() })
}
