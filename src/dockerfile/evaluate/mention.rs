//! What errors about images tell of the file: where it names them, and which variables are to blame.

use super::{
    plan::{Base, Plan, sources},
    variables::Scope,
};
use crate::{
    dockerfile::{
        syntax::{Instruction, Word},
        word,
    },
    recipe::{BaseImage, Mention},
    source::{Diagnostic, suggest::closest},
};

/// A variable that has no value where `FROM` needs one.
pub(super) struct Missing {
    /// What is wrong with it, as a fragment.
    problem: String,
    /// What to do.
    remedy: String,
}

impl Plan<'_> {
    /// Where the file first names this image, in `FROM`, `--from` or `from=`.
    pub(super) fn mention(&self, wanted: &BaseImage) -> Option<Mention> {
        let file = &self.evaluator.file;
        for stage in self.needed() {
            let from = &file.stages[stage.index].from.node;
            if matches!(&stage.base, Base::Image(image) if *image == wanted.image)
                && stage.platform == wanted.platform
            {
                let word = from.name.as_ref().filter(|_| stage.replaced).unwrap_or(&from.image);
                let similar_stage =
                    if stage.replaced { None } else { self.similar(&stage.image, stage.index) };
                return Some(Mention { location: file.at(&word.span), similar_stage });
            }
        }
        for stage in self.needed() {
            for line in &stage.lines {
                for (name, word) in sources(&line.statement.node) {
                    let named = self.source(stage.index, &line.file, name, word);
                    if matches!(named, Ok(Base::Image(image)) if image == wanted.image) {
                        let location = line.file.at(word.span.clone());
                        return Some(Mention { location, similar_stage: self.similar(name, stage.index) });
                    }
                }
            }
        }
        None
    }

    /// The stage before this one that a name may be a misspelling of. Whoever writes a tag or a registry means an
    /// image.
    fn similar(&self, name: &str, before: usize) -> Option<String> {
        if name.contains(['/', ':', '@']) {
            return None;
        }
        let earlier = &self.evaluator.file.stages[..before];
        let names = earlier.iter().filter_map(|stage| Some(stage.from.node.name.as_ref()?.text.as_str()));
        closest(name, names).map(str::to_owned)
    }

    /// The error for a word of `FROM` that comes to nothing useful, with the variables that are to blame.
    pub(super) fn without_value(&self, word: &Word, globals: &Scope, what: &str) -> Diagnostic {
        let missing = self.missing(word, globals);
        let problems: Vec<&str> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        let message = match problems.is_empty() {
            true => what.to_owned(),
            false => format!("{what}: {}", problems.join(", and ")),
        };
        let error = Diagnostic::new(message).at(self.evaluator.file.at(&word.span), "");
        missing.into_iter().fold(error, |error, missing| error.hint(missing.remedy))
    }

    /// The variables of a word of `FROM` that have no value.
    pub(super) fn missing(&self, word: &Word, globals: &Scope) -> Vec<Missing> {
        let file = self.evaluator.file;
        let Ok(expanded) = word::expand(&word.text, globals, file.directives.escape) else {
            return Vec::new();
        };
        let declared = file.args.iter().flat_map(|statement| &statement.node.args);
        let declared: Vec<&str> = declared.map(|arg| arg.name.text.as_str()).collect();
        let empty = expanded.used.iter().filter(|name| globals.get(name) == Some(""));
        let empty = empty.map(|name| Missing {
            problem: format!("the variable {name} is empty"),
            remedy: format!("give it a value with --build-arg {name}=…, or where it is declared"),
        });
        let unset = expanded.unset.iter().map(|name| Missing {
            problem: format!("the variable {name} is not set"),
            remedy: match (declared.contains(&name.as_str()), closest(name, declared.iter().copied())) {
                (true, _) => format!("give it a value with --build-arg {name}=…, or a default: `ARG {name}=…`"),
                (false, Some(near)) => format!("did you mean `{near}`?"),
                (false, None) if self.is_declared_in_a_stage(name) => format!(
                    "FROM does not see what stages declare: declare it before the first FROM, too: `ARG {name}=…`"
                ),
                (false, None) => format!(
                    "declare it before the first FROM, `ARG {name}=…`; --build-arg {name}=… then sets it, too"
                ),
            },
        });
        unset.chain(empty).collect()
    }

    fn is_declared_in_a_stage(&self, name: &str) -> bool {
        let mut instructions = self.evaluator.file.stages.iter().flat_map(|stage| &stage.instructions);
        instructions.any(|statement| match &statement.node {
            Instruction::Arg(arg) => arg.args.iter().any(|arg| arg.name.text == name),
            Instruction::Env(pairs) => pairs.pairs.iter().any(|pair| pair.name.text == name),
            _ => false,
        })
    }
}
