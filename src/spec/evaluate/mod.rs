//! A spec as written → the recipe for one platform.

mod accounts;
mod config;
mod files;
mod plan;
mod run;
mod scope;
mod stage;
pub(super) mod values;

use std::collections::{BTreeMap, HashMap};

use self::{
    plan::{From, Names, Plan},
    scope::Inside,
    stage::StageBuilder,
};
use super::{
    args::Args,
    raw::{self, Stage, Text},
};
use crate::{
    error::Kind,
    oci::Config,
    recipe::{self, BaseConfigs, BaseImage, Mention, Recipe, Request},
    source::{Diagnostic, SourceFile},
};

/// A spec as written, in the pieces that evaluation wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) source: &'a SourceFile,
    pub(super) file: &'a raw::File,
    pub(super) stages: &'a [(Text, Stage)],
}

/// Expands a text that stands outside of all stages and platforms.
pub(super) fn expand(
    source: &SourceFile,
    args: &Args,
    request: &Request,
    text: &Text,
) -> Result<String, Diagnostic> {
    plan::scope(source, args, request, None).text(text)
}

/// The images that the stages needed by the target start from.
pub(super) fn bases(written: Written<'_>, request: &Request) -> Result<Vec<BaseImage>, Diagnostic> {
    let args = Args::new(written.file.args.as_ref(), request, written.source)?;
    let names = Names {
        stages: written.stages,
        request,
        scope: plan::scope(written.source, &args, request, written.file.rules),
    };
    Ok(Plan::new(names, written.file.target.as_ref())?.bases())
}

/// Where the spec names this image.
pub(super) fn mention(
    written: Written<'_>,
    request: &Request,
    image: &BaseImage,
) -> Result<Option<Mention>, Diagnostic> {
    let args = Args::new(written.file.args.as_ref(), request, written.source)?;
    let names = Names {
        stages: written.stages,
        request,
        scope: plan::scope(written.source, &args, request, written.file.rules),
    };
    Plan::new(names, written.file.target.as_ref())?.mention(names, image)
}

/// The recipe.
pub(super) fn recipe(
    written: Written<'_>,
    request: &Request,
    configs: &BaseConfigs,
) -> Result<Recipe, Diagnostic> {
    let args = Args::new(written.file.args.as_ref(), request, written.source)?;
    let scope = plan::scope(written.source, &args, request, written.file.rules);
    let names = Names { stages: written.stages, request, scope };
    let plan = Plan::new(names, written.file.target.as_ref())?;

    let nothing = Config::default();
    let top = Inside { scope, config: &nothing };
    let mut annotations: BTreeMap<String, String> = BTreeMap::new();
    annotations.extend(top.map(written.file.annotations.as_ref())?);
    let index = written.file.index_annotations.clone().map(raw::Choice::One);
    let index_annotations = top.map(index.as_ref())?.into_iter().collect();

    let mut stages = Vec::new();
    // What each stage left behind, by its place in the file.
    let mut ends: HashMap<usize, stage::End> = HashMap::new();
    for planned in &plan.stages {
        let (name, raw) = &written.stages[planned.index];
        let (base, start) = match &planned.base {
            From::Scratch | From::Context(_) => {
                (recipe::Base::Scratch, stage::End { config: Config::default(), user_from: None })
            }
            From::Stage(index) => {
                let missing = || Diagnostic::new("a stage was planned behind its user").kind(Kind::Internal);
                let position = plan.position(*index).ok_or_else(missing)?;
                (recipe::Base::Stage(position), ends.get(index).cloned().ok_or_else(missing)?)
            }
            From::Image(image) => {
                let wanted = BaseImage { image: image.clone(), platform: planned.platform.clone() };
                let config = configs.get(&wanted).ok_or_else(|| {
                    Diagnostic::new(format!("the config of {image} for {} was not given", planned.platform))
                        .kind(Kind::Internal)
                })?;
                let end = stage::End { config: config.config.clone(), user_from: None };
                (recipe::Base::Image(image.clone()), end)
            }
        };
        let mut builder = StageBuilder::new(names, &plan, start);
        builder.stage(raw)?;
        let (steps, own_annotations, end) = builder.finish();
        ends.insert(planned.index, end);
        if planned.index == plan.stages.last().map_or(0, |last| last.index) {
            annotations.extend(own_annotations);
        }
        stages.push(recipe::Stage {
            name: name.text.clone(),
            base,
            platform: planned.platform.clone(),
            steps,
        });
    }
    Ok(Recipe { stages, annotations, index_annotations })
}
