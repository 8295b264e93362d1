//! What the name of a source comes to in the recipe.

use super::{
    plan::Base,
    stage::{Current, StageBuilder},
};
use crate::{
    dockerfile::syntax::Word,
    error::Kind,
    recipe::{self, CopySource},
    source::Diagnostic,
};

impl StageBuilder<'_> {
    /// A source in words.
    pub(super) fn origin_words(&self, name: &str, source: &CopySource) -> String {
        match source {
            CopySource::Stage(_) if self.plan.is_stage(name) => format!("the stage `{name}`"),
            _ => name.to_owned(),
        }
    }

    /// What `--from=name` or `from=name` means.
    pub(super) fn origin(
        &mut self,
        at: Current<'_>,
        name: &str,
        word: &Word,
    ) -> Result<CopySource, Diagnostic> {
        match self.plan.source(self.stage.index, &at.line.file, name, word)? {
            Base::Context(name) => Ok(CopySource::Context(name)),
            Base::Stage(index) => {
                self.positions.get(&index).map(|position| CopySource::Stage(*position)).ok_or_else(|| {
                    Diagnostic::new(format!("the stage {name:?} was not planned")).kind(Kind::Internal)
                })
            }
            Base::Scratch => Ok(self.helper(recipe::Stage {
                name: "scratch".to_owned(),
                base: recipe::Base::Scratch,
                platform: self.stage.platform.clone(),
                steps: Vec::new(),
            })),
            Base::Image(image) => {
                let platform = &self.evaluator.request.platform;
                if self.stage.platform == *platform {
                    return Ok(CopySource::Image(image));
                }
                // An image that is copied from is the target's, whatever this stage runs on.
                Ok(self.helper(recipe::Stage {
                    name: image.to_string(),
                    base: recipe::Base::Image(image),
                    platform: platform.clone(),
                    steps: Vec::new(),
                }))
            }
        }
    }
}
