//! Which stages the target needs, in which order, and what each starts from.

use crate::{
    oci::{Platform, Reference},
    recipe::{BaseImage, ContextSource, CopySource, ImageSource, Mention, Request, Rules},
    source::Diagnostic,
    spec::{
        args::Args,
        decode::parse_platform,
        raw::{self, Choice, Stage, Step, Text},
        suggest,
    },
};

use super::scope::Scope;

/// What files or a stage come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// Nothing.
    Scratch,
    /// A stage, by its place in the file.
    Stage(usize),
    /// A directory that is a build context.
    Context(String),
    /// An image.
    Image(ImageSource),
}

/// A stage that the target needs.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its place in the file.
    pub(super) index: usize,
    pub(super) base: From,
    pub(super) platform: Platform,
}

/// The stages that the target needs, each behind those it uses; the last one is the target.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) stages: Vec<Planned>,
}

/// What stages are looked up in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) stages: &'a [(Text, Stage)],
    pub(super) request: &'a Request,
    pub(super) scope: Scope<'a>,
}

impl Plan {
    pub(super) fn new(names: Names<'_>, target: Option<&Text>) -> Result<Self, Diagnostic> {
        let target = names.target(target)?;
        let mut planner = Planner { names, open: Vec::new(), done: Vec::new() };
        planner.visit(target)?;
        Ok(Self { stages: planner.done })
    }

    /// The place in the recipe of a stage of the file.
    pub(super) fn position(&self, index: usize) -> Option<usize> {
        self.stages.iter().position(|stage| stage.index == index)
    }

    /// The images that stages start from.
    pub(super) fn bases(&self) -> Vec<BaseImage> {
        let mut bases: Vec<BaseImage> = Vec::new();
        for stage in &self.stages {
            if let From::Image(image) = &stage.base {
                let base = BaseImage { image: image.clone(), platform: stage.platform.clone() };
                if !bases.contains(&base) {
                    bases.push(base);
                }
            }
        }
        bases
    }

    /// Where the spec first names this image. (A name that is much like a stage's was refused before.)
    pub(super) fn mention(
        &self,
        names: Names<'_>,
        wanted: &BaseImage,
    ) -> Result<Option<Mention>, Diagnostic> {
        let scope = names.scope;
        let mention = |text: &Text| Ok(Some(Mention { location: scope.at(&text.span), similar_stage: None }));
        let is_wanted = |from: &From| matches!(from, From::Image(image) if *image == wanted.image);
        for stage in &self.stages {
            if is_wanted(&stage.base) && stage.platform == wanted.platform {
                return mention(scope.pick(&names.stages[stage.index].1.from)?);
            }
        }
        for stage in &self.stages {
            for step in names.stages[stage.index].1.layers.iter().flatten() {
                if !applies(step, &scope)? {
                    continue;
                }
                for source in sources(step) {
                    if is_wanted(&names.resolve(&source)?) {
                        return mention(scope.pick(&source)?);
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Names<'_> {
    fn list(&self) -> Vec<&str> {
        self.stages.iter().map(|(name, _)| name.text.as_str()).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|(other, _)| other.text == name)
    }

    fn target(&self, written: Option<&Text>) -> Result<usize, Diagnostic> {
        if let Some(wanted) = &self.request.target {
            return self.find(wanted).ok_or_else(|| {
                Diagnostic::new(format!("{} has no stage {wanted:?}", self.scope.file.name()))
                    .kind(crate::error::Kind::NotFound)
                    .hint(suggest::hint(wanted, &self.list(), "stages"))
            });
        }
        let Some(text) = written else { return Ok(self.stages.len().saturating_sub(1)) };
        let wanted = self.scope.text(text)?;
        self.find(&wanted).ok_or_else(|| {
            self.scope
                .error(&text.span, format!("there is no stage {wanted:?}"), "not a stage")
                .hint(suggest::hint(&wanted, &self.list(), "stages"))
        })
    }

    /// What a `from` means: a stage's name goes before a context's, a context's before an image's.
    pub(super) fn resolve(&self, from: &Choice<Text>) -> Result<From, Diagnostic> {
        self.resolve_text(self.scope.pick(from)?)
    }

    pub(super) fn resolve_text(&self, text: &Text) -> Result<From, Diagnostic> {
        let name = self.scope.text(text)?;
        let wrong = |message: String| self.scope.error(&text.span, message, "");
        if name == "scratch" {
            return Ok(From::Scratch);
        }
        if let Some(stage) = self.find(&name) {
            return Ok(From::Stage(stage));
        }
        match self.request.contexts.get(&name) {
            Some(ContextSource::Image(image)) => return Ok(From::Image(image.clone())),
            Some(_) if !name.is_empty() => return Ok(From::Context(name)),
            _ => {}
        }
        if name.contains("://") || name.ends_with(".git") {
            return Err(wrong(format!("{name:?} is neither a stage, nor a named context, nor an image"))
                .hint(
                    "`unpack` takes http and https URLs; give a directory with --build-context NAME=PATH",
                ));
        }
        if name.starts_with(['.', '/']) {
            return Err(wrong(format!(
                "{name:?} is a path; `from` takes a stage, a named context or an image"
            ))
            .hint(format!(
                "give the directory a name with --build-context NAME={name} and write that name"
            )));
        }
        if !name.contains(['/', ':', '@'])
            && let Some(near) = suggest::closest(&name, self.list())
        {
            return Err(self
                .scope
                .error(&text.span, format!("there is no stage {name:?}"), "not a stage")
                .hint(format!("did you mean `{near}`? (for an image of that name write `{name}:latest`)")));
        }
        let reference: Result<Reference, _> = name.parse();
        match reference {
            Ok(reference) => Ok(From::Image(ImageSource::Reference(reference))),
            Err(error) => {
                let lower = name.to_lowercase();
                let fits = lower != name && lower.parse::<Reference>().is_ok();
                Err(wrong(error.to_string()).hint(if fits {
                    format!("did you mean `{lower}`?")
                } else {
                    "`from` takes a stage, a named context, an image or scratch".to_owned()
                }))
            }
        }
    }
}

impl From {
    /// As the source of files.
    pub(super) fn copy_source(
        &self,
        plan: &Plan,
        text: &Text,
        scope: &Scope<'_>,
    ) -> Result<CopySource, Diagnostic> {
        match self {
            Self::Scratch => Err(scope
                .error(&text.span, "there is nothing to copy from scratch", "an empty image")
                .hint("name a stage, a named context or an image")),
            Self::Stage(index) => plan.position(*index).map(CopySource::Stage).ok_or_else(|| {
                scope
                    .error(&text.span, format!("the stage {:?} was not planned", text.text), "")
                    .kind(crate::error::Kind::Internal)
            }),
            Self::Context(name) => Ok(CopySource::Context(name.clone())),
            Self::Image(image) => Ok(CopySource::Image(image.clone())),
        }
    }
}

/// Whether a step is for this platform.
pub(super) fn applies(step: &Step, scope: &Scope<'_>) -> Result<bool, Diagnostic> {
    let Some(only) = step.only() else { return Ok(true) };
    let mut applies = false;
    for text in &only.0 {
        let platform = parse_platform(&scope.text(text)?, &text.span, scope.file)?;
        applies |= platform == *scope.platform;
    }
    Ok(applies)
}

/// The texts that name what a step takes files from.
fn sources(step: &Step) -> Vec<Choice<Text>> {
    match step {
        Step::Copy(step) => step.from.iter().cloned().collect(),
        Step::Unpack(step) => step.from.iter().cloned().collect(),
        Step::Run(step) => {
            let binds = step.bind.as_ref().map(|binds| binds.0.as_slice()).unwrap_or_default();
            binds.iter().filter_map(|bind| bind.from.clone()).map(Choice::One).collect()
        }
        _ => Vec::new(),
    }
}

struct Planner<'a> {
    names: Names<'a>,
    /// The stages that are being visited, from the target down.
    open: Vec<usize>,
    done: Vec<Planned>,
}

impl Planner<'_> {
    fn visit(&mut self, index: usize) -> Result<(), Diagnostic> {
        if self.done.iter().any(|stage| stage.index == index) {
            return Ok(());
        }
        self.open.push(index);
        let names = self.names;
        let scope = names.scope;
        let stage: &raw::Stage = &names.stages[index].1;
        let base = names.resolve(&stage.from)?;
        let from = scope.pick(&stage.from)?;
        if let From::Context(name) = &base {
            return Err(scope
                .error(
                    &from.span,
                    format!("the named context {name:?} is a directory; a stage starts from an image"),
                    "",
                )
                .hint("start from `scratch` and copy from the context"));
        }
        self.need(&base, from)?;
        for step in stage.layers.iter().flatten() {
            if !applies(step, &scope)? {
                continue;
            }
            for source in sources(step) {
                let found = names.resolve(&source)?;
                self.need(&found, scope.pick(&source)?)?;
            }
        }
        let platform = match (scope.pick_some(stage.platform.as_ref())?, &base) {
            (Some(text), _) => parse_platform(&scope.text(text)?, &text.span, scope.file)?,
            (None, From::Stage(parent)) => match self.done.iter().find(|stage| stage.index == *parent) {
                Some(parent) => parent.platform.clone(),
                None => scope.platform.clone(),
            },
            (None, _) => scope.platform.clone(),
        };
        self.open.pop();
        self.done.push(Planned { index, base, platform });
        Ok(())
    }

    fn need(&mut self, from: &From, text: &Text) -> Result<(), Diagnostic> {
        let From::Stage(index) = from else { return Ok(()) };
        if let Some(first) = self.open.iter().position(|open| open == index) {
            let name = |index: &usize| self.names.stages[*index].0.text.as_str();
            let ring: Vec<&str> = self.open[first..].iter().chain([index]).map(name).collect();
            return Err(self
                .names
                .scope
                .error(
                    &text.span,
                    format!("stages use each other: {}", ring.join(" → ")),
                    "the ring closes here",
                )
                .hint(match ring.as_slice() {
                    [name, _] => format!("for an image of that name write `{name}:latest`"),
                    _ => "move what they share into a stage of its own".to_owned(),
                }));
        }
        self.visit(*index)
    }
}

/// The arguments are all that a plan needs besides names.
pub(super) fn scope<'a>(
    file: &'a crate::source::SourceFile,
    args: &'a Args,
    request: &'a Request,
    rules: Option<raw::Rules>,
) -> Scope<'a> {
    let rules = match rules {
        None | Some(raw::Rules::Own) => Rules::Own,
        Some(raw::Rules::Docker) => Rules::Docker,
    };
    Scope { file, args, platform: &request.platform, rules }
}
