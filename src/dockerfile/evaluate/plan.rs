//! Which stages the target needs, and what each starts from.

use std::{borrow::Cow, collections::HashMap};

use super::{Evaluator, variables::Scope};
use crate::{
    dockerfile::{
        parse_trigger,
        syntax::{self, Instruction, Statement, Word},
    },
    error::Kind,
    oci::{Platform, Reference},
    recipe::{BaseConfigs, BaseImage, ContextSource, ImageSource},
    source::{Diagnostic, SourceFile, suggest::closest},
};

/// What files or a stage come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) enum Base {
    /// Nothing.
    Scratch,
    /// A stage, by its place in the file.
    Stage(usize),
    /// A build context that is no image.
    Context(String),
    /// An image.
    Image(ImageSource),
}

/// An instruction to carry out, and the text it is from: the Dockerfile's, or that of a base's trigger.
#[derive(Debug, Clone)]
pub(in crate::dockerfile) struct Line<'a> {
    pub(in crate::dockerfile) file: SourceFile,
    pub(in crate::dockerfile) statement: Cow<'a, Statement<Instruction>>,
    pub(in crate::dockerfile) trigger: bool,
}

/// A stage.
#[derive(Debug)]
pub(in crate::dockerfile) struct Planned<'a> {
    /// Its place in the file.
    pub(in crate::dockerfile) index: usize,
    /// Its name, or its number as a name.
    pub(in crate::dockerfile) name: String,
    /// What its `FROM` names, variables replaced.
    pub(super) image: String,
    pub(in crate::dockerfile) base: Base,
    pub(in crate::dockerfile) platform: Platform,
    /// What is done in it, triggers first.
    pub(in crate::dockerfile) lines: Vec<Line<'a>>,
    /// Whether a context of the stage's name stands in for it.
    pub(super) replaced: bool,
    needed: bool,
}

/// All stages, and which of them are needed.
#[derive(Debug)]
pub(in crate::dockerfile) struct Plan<'a> {
    pub(super) evaluator: Evaluator<'a>,
    stages: Vec<Planned<'a>>,
    target: usize,
    /// The last stage of each name, in lower case.
    names: HashMap<String, usize>,
}

impl<'a> Plan<'a> {
    pub(in crate::dockerfile) fn new(
        evaluator: Evaluator<'a>,
        globals: &Scope,
        configs: &BaseConfigs,
    ) -> Result<Self, Diagnostic> {
        let mut plan = Self { evaluator, stages: Vec::new(), target: 0, names: HashMap::new() };
        for (index, stage) in evaluator.file.stages.iter().enumerate() {
            let planned = plan.place(index, stage, globals)?;
            plan.stages.push(planned);
            // Only now: `FROM base AS base` starts from the image or the earlier stage of that name.
            if let Some(name) = &stage.from.node.name {
                plan.names.insert(name.text.to_lowercase(), index);
            }
        }
        plan.target = plan.find_target()?;
        plan.need(configs)?;
        Ok(plan)
    }

    /// The stages that the target needs, each behind those it needs; the last one is the target.
    pub(in crate::dockerfile) fn needed(&self) -> impl Iterator<Item = &Planned<'a>> {
        self.stages.iter().filter(|stage| stage.needed)
    }

    /// The images that stages start from.
    pub(in crate::dockerfile) fn bases(&self) -> Vec<BaseImage> {
        let mut bases = Vec::new();
        for stage in self.needed() {
            if let Base::Image(image) = &stage.base {
                let base = BaseImage { image: image.clone(), platform: stage.platform.clone() };
                if !bases.contains(&base) {
                    bases.push(base);
                }
            }
        }
        bases
    }

    /// The platform of a stage.
    pub(in crate::dockerfile) fn platform(&self, index: usize) -> &Platform {
        &self.stages[index].platform
    }

    fn place(
        &self,
        index: usize,
        stage: &'a syntax::Stage,
        globals: &Scope,
    ) -> Result<Planned<'a>, Diagnostic> {
        let from = &stage.from.node;
        let file = &self.evaluator.file.file;
        let name = from.name.as_ref().map(|name| name.text.to_lowercase());
        let image = self.evaluator.expand(&from.image, globals)?;
        if image.is_empty() {
            return Err(self.without_value(&from.image, globals, "the base image of this stage is empty"));
        }
        let wanted = match &from.platform {
            Some(word) => Some(self.read_platform(word, globals)?),
            None => None,
        };
        let mut platform = wanted.unwrap_or_else(|| self.evaluator.request.platform.clone());
        let mut lines = Vec::new();
        let context = name.as_deref().and_then(|name| self.context(name));
        let replaced = context.is_some();
        let base = match context {
            Some(context) => context,
            None => {
                lines.extend(stage.instructions.iter().map(|statement| Line {
                    file: file.clone(),
                    statement: Cow::Borrowed(statement),
                    trigger: false,
                }));
                self.base(&image, &from.image).map_err(|error| match self.missing(&from.image, globals) {
                    missing if missing.is_empty() => error,
                    // `FROM image:$TAG`, where the tag is empty.
                    _ => self.without_value(&from.image, globals, &format!("{image:?} is no image")),
                })?
            }
        };
        match &base {
            Base::Stage(earlier) => platform = self.platform(*earlier).clone(),
            Base::Scratch => platform = self.evaluator.request.platform.clone(),
            Base::Context(_) | Base::Image(_) => {}
        }
        let name = name.unwrap_or_else(|| format!("stage-{index}"));
        Ok(Planned { index, name, image, base, platform, lines, replaced, needed: false })
    }

    fn read_platform(&self, word: &Word, globals: &Scope) -> Result<Platform, Diagnostic> {
        let file = &self.evaluator.file.file;
        let text = self.evaluator.expand(word, globals)?;
        text.parse().map_err(|error| {
            let diagnostic = match text.is_empty() {
                true => Diagnostic::new(format!("the platform is empty: {} has no value", word.text)),
                false => Diagnostic::new(format!("{error}")),
            };
            diagnostic
                .at(file.at(word.span.clone()), "")
                .hint("write a platform such as linux/arm64, or $BUILDPLATFORM or $TARGETPLATFORM")
        })
    }

    /// What the name behind `FROM` means: an earlier stage, a named context or an image.
    fn base(&self, name: &str, word: &Word) -> Result<Base, Diagnostic> {
        if let Some(index) = self.names.get(&name.to_lowercase()) {
            return Ok(Base::Stage(*index));
        }
        if name == "scratch" {
            return Ok(Base::Scratch);
        }
        match self.context(name) {
            Some(context) => Ok(context),
            None => self.image(&self.evaluator.file.file, name, word),
        }
    }

    /// What the name behind `--from` or `from=` means in a stage. Any stage has a name here, but only earlier ones can
    /// be used.
    pub(in crate::dockerfile) fn source(
        &self,
        stage: usize,
        file: &SourceFile,
        name: &str,
        word: &Word,
    ) -> Result<Base, Diagnostic> {
        let wrong =
            |message: String, label: &str| Diagnostic::new(message).at(file.at(word.span.clone()), label);
        let number = name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
        let found = match (self.by_name(name), name.parse::<usize>()) {
            (Some(index), _) => Some(index),
            (None, Ok(index)) if index < self.evaluator.file.stages.len() => Some(index),
            (None, _) if number => {
                let last = self.evaluator.file.stages.len() - 1;
                return Err(wrong(format!("there is no stage {name}"), "no such stage")
                    .hint(format!("stages are numbered from 0 to {last}")));
            }
            _ => None,
        };
        match found {
            Some(index) if index < stage => Ok(Base::Stage(index)),
            Some(index) if index == stage => {
                Err(wrong(format!("stage {name:?} copies from itself"), "this very stage")
                    .hint("what is there already needs no copying; `RUN mv` or `RUN cp` can move it")
                    .hint(format!("for an image of that name write {name}:latest")))
            }
            Some(_) => Err(wrong(
                format!("stage {name:?} is used before it is there"),
                "a stage can use earlier ones only",
            )
            .hint("move the stage up, before this one")),
            None if name == "scratch" => Ok(Base::Scratch),
            None => match self.context(name) {
                Some(context) => Ok(context),
                None => self.image(file, name, word),
            },
        }
    }

    /// Whether this is the name, or the number, of a stage.
    pub(super) fn is_stage(&self, name: &str) -> bool {
        let number = name.parse::<usize>().is_ok_and(|index| index < self.stages.len());
        number || self.by_name(name).is_some()
    }

    /// The stage of this name: the last one, where several have it.
    fn by_name(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_lowercase()).copied()
    }

    /// The build context of this name. Names are those of images: `python:3.11` is `docker.io/library/python:3.11`.
    fn context(&self, name: &str) -> Option<Base> {
        if matches!(name, "" | "scratch" | "context") {
            return None;
        }
        let wanted = normal(name);
        let mut contexts = self.evaluator.request.contexts.iter().filter(|(known, _)| !known.is_empty());
        let (known, source) = contexts.find(|(known, _)| normal(known) == wanted)?;
        Some(match source {
            ContextSource::Image(image) => Base::Image(image.clone()),
            _ => Base::Context(known.clone()),
        })
    }

    fn image(&self, file: &SourceFile, name: &str, word: &Word) -> Result<Base, Diagnostic> {
        let reference: Result<Reference, _> = name.parse();
        reference.map(|reference| Base::Image(ImageSource::Reference(reference))).map_err(|error| {
            let diagnostic = Diagnostic::new(error.to_string()).at(file.at(word.span.clone()), "");
            let lower = name.to_lowercase();
            match self.near_stage(name) {
                Some(near) => diagnostic.hint(format!("did you mean the stage `{near}`?")),
                None if lower != name && lower.parse::<Reference>().is_ok() => {
                    diagnostic.hint(format!("did you mean `{lower}`?"))
                }
                None => diagnostic.hint("write a stage, a named context, an image or scratch"),
            }
        })
    }

    fn near_stage(&self, name: &str) -> Option<&'a str> {
        closest(name, self.stage_names())
    }

    fn stage_names(&self) -> impl Iterator<Item = &'a str> {
        let file: &'a syntax::Dockerfile = self.evaluator.file;
        file.stages.iter().filter_map(|stage| stage.from.node.name.as_ref().map(|name| name.text.as_str()))
    }

    fn find_target(&self) -> Result<usize, Diagnostic> {
        let Some(wanted) = &self.evaluator.request.target else {
            return Ok(self.stages.len().saturating_sub(1));
        };
        if let Some(index) = self.by_name(wanted) {
            return Ok(index);
        }
        let number = wanted.strip_prefix("stage-").unwrap_or(wanted).parse::<usize>();
        if let Some(index) = number.ok().filter(|index| *index < self.stages.len()) {
            return Ok(index);
        }
        let name = self.evaluator.file.file.name();
        let diagnostic = Diagnostic::new(format!("{name} has no stage {wanted:?}")).kind(Kind::NotFound);
        let known: Vec<&str> = self.stage_names().collect();
        Err(match closest(wanted, known.iter().copied()) {
            Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => {
                diagnostic.hint("no stage has a name; write its number, counted from 0, or name it with AS")
            }
            None => diagnostic.hint(format!("stages: {}", known.join(", "))),
        })
    }

    /// Marks the stages that the target needs. A stage needs earlier ones only, so one pass from the target down finds
    /// them all.
    fn need(&mut self, configs: &BaseConfigs) -> Result<(), Diagnostic> {
        let Some(target) = self.stages.get_mut(self.target) else { return Ok(()) };
        target.needed = true;
        for index in (0..=self.target).rev() {
            if !self.stages[index].needed {
                continue;
            }
            self.add_triggers(index, configs)?;
            let mut wanted = Vec::new();
            if let Base::Stage(earlier) = self.stages[index].base {
                wanted.push(earlier);
            }
            for line in &self.stages[index].lines {
                for (name, word) in sources(&line.statement.node) {
                    if let Base::Stage(earlier) = self.source(index, &line.file, name, word)? {
                        wanted.push(earlier);
                    }
                }
            }
            for earlier in wanted {
                self.stages[earlier].needed = true;
            }
        }
        Ok(())
    }

    /// Puts the triggers of a stage's base before its own instructions.
    fn add_triggers(&mut self, index: usize, configs: &BaseConfigs) -> Result<(), Diagnostic> {
        let stage = &self.stages[index];
        let mut triggers: Vec<Line<'a>> = Vec::new();
        match &stage.base {
            Base::Stage(earlier) => {
                for line in &self.stages[*earlier].lines {
                    let Instruction::Onbuild(_) = line.statement.node else { continue };
                    triggers.push(trigger_of(line)?);
                }
            }
            Base::Image(image) if !stage.replaced => {
                let base = BaseImage { image: image.clone(), platform: stage.platform.clone() };
                let texts = configs.get(&base).map_or(&[][..], |config| &config.config.on_build);
                for text in texts {
                    let text = SourceFile::new(format!("ONBUILD of {image}"), text.as_str());
                    let statement = parse_trigger(&text).map_err(|errors| first(&errors, image))?;
                    triggers.push(Line { file: text, statement: Cow::Owned(statement), trigger: true });
                }
            }
            _ => {}
        }
        let stage = &mut self.stages[index];
        triggers.append(&mut stage.lines);
        stage.lines = triggers;
        Ok(())
    }
}

/// The trigger that an `ONBUILD` line of a stage is for those that start from it.
fn trigger_of<'a>(line: &Line<'a>) -> Result<Line<'a>, Diagnostic> {
    let inner = |statement: &Statement<Instruction>| match &statement.node {
        Instruction::Onbuild(onbuild) => Some((*onbuild.instruction).clone()),
        _ => None,
    };
    let statement = match &line.statement {
        Cow::Borrowed(Statement { node: Instruction::Onbuild(onbuild), .. }) => {
            Cow::Borrowed(&*onbuild.instruction)
        }
        other => Cow::Owned(
            inner(other)
                .ok_or_else(|| Diagnostic::new("a trigger is no ONBUILD instruction").kind(Kind::Internal))?,
        ),
    };
    Ok(Line { file: line.file.clone(), statement, trigger: true })
}

fn first(errors: &crate::source::Diagnostics, image: &ImageSource) -> Diagnostic {
    let error = errors.iter().next().cloned();
    error
        .unwrap_or_else(|| Diagnostic::new("a trigger cannot be read"))
        .hint(format!("the instruction is an ONBUILD trigger of the base image {image}"))
}

/// The names of what an instruction takes files from.
pub(super) fn sources(instruction: &Instruction) -> Vec<(&str, &Word)> {
    match instruction {
        Instruction::Copy(copy) => copy.from.iter().map(|from| (from.text.as_str(), from)).collect(),
        Instruction::Run(run) => {
            let options = run.mounts.iter().flat_map(|mount| &mount.options);
            let froms = options.filter(|option| option.key.text.eq_ignore_ascii_case("from"));
            froms
                .filter_map(|option| option.value.as_ref())
                .map(|value| (value.text.as_str(), value))
                .filter(|(name, _)| !name.is_empty())
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The name of a context as it is compared: familiar, without `:latest` (docs of buildx, "--build-context").
fn normal(name: &str) -> String {
    let familiar = name.parse::<Reference>().map(|reference| reference.familiar());
    let familiar = familiar.unwrap_or_else(|_| name.to_owned());
    familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned()
}
