//! The steps of one stage.

use std::ops::Range;

use super::{
    plan::{Names, Plan, applies},
    scope::{Expanded, Inside, Scope},
};
use crate::{
    layer::EntryPath,
    oci::Config,
    recipe::{ConfigChange, Mkdir, Rules, Step, StepKind},
    source::{Diagnostic, Location},
    spec::raw::{self, Text},
};

/// The search path where a base has none and Dockerfiles' rules hold, as in BuildKit.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage leaves to those that start from it.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// Its config.
    pub(super) config: Config,
    /// Where the spec says who runs commands.
    pub(super) user_from: Option<Location>,
}

/// Collects the steps of a stage, and its config as it changes.
#[derive(Debug)]
pub(super) struct StageBuilder<'a> {
    pub(super) names: Names<'a>,
    pub(super) plan: &'a Plan,
    pub(super) end: End,
    steps: Vec<Step>,
    annotations: Vec<(String, String)>,
}

/// What a step is called, if the user did not say, and where it is written.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) words: String,
    pub(super) span: Range<usize>,
}

impl<'a> StageBuilder<'a> {
    pub(super) fn new(names: Names<'a>, plan: &'a Plan, start: End) -> Self {
        Self { names, plan, end: start, steps: Vec::new(), annotations: Vec::new() }
    }

    pub(super) fn finish(self) -> (Vec<Step>, Vec<(String, String)>, End) {
        (self.steps, self.annotations, self.end)
    }

    /// Evaluates a whole stage.
    pub(super) fn stage(&mut self, stage: &raw::Stage) -> Result<(), Diagnostic> {
        if self.scope().rules == Rules::Docker && self.end.config.env("PATH").is_none() {
            let changes = vec![ConfigChange::Env("PATH".to_owned(), DEFAULT_PATH.to_owned())];
            let said = Said { words: "env PATH".to_owned(), span: self.scope().first_line(&stage.span) };
            self.change(None, said, changes)?;
        }
        if let Some(workdir) = &stage.workdir {
            let step = raw::WorkdirStep {
                workdir: workdir.clone(),
                name: None,
                only: None,
                span: self.scope().pick(workdir)?.span.clone(),
            };
            self.step(&raw::Step::Workdir(Box::new(step)))?;
        }
        for step in stage.layers.iter().flatten() {
            if applies(step, &self.scope())? {
                self.step(step)?;
            }
        }
        if let Some(config) = &stage.config {
            let (said, changes) = super::config::changes(&self.inside(), config)?;
            if !changes.is_empty() {
                self.change(None, said, changes)?;
            }
            if let Some(user) = self.scope().pick_some(config.user.as_ref())? {
                self.end.user_from = Some(self.scope().at(&user.span));
            }
            self.annotations = self.inside().map(config.annotations.as_ref())?;
        }
        Ok(())
    }

    fn step(&mut self, step: &raw::Step) -> Result<(), Diagnostic> {
        let name = step.name();
        let (said, kind) = match step {
            raw::Step::Copy(step) => self.copy(step)?,
            raw::Step::Write(step) => self.write(&step.write)?,
            raw::Step::User(step) => super::accounts::user(&self.inside(), step)?,
            raw::Step::Group(step) => super::accounts::group(&self.inside(), step)?,
            raw::Step::Mkdir(step) => self.mkdir(step)?,
            raw::Step::Symlink(step) => self.symlink(&step.symlink)?,
            raw::Step::Remove(step) => self.remove(step)?,
            raw::Step::Unpack(step) => self.unpack(step)?,
            raw::Step::Run(step) => self.run(step)?,
            raw::Step::Env(step) => {
                let pairs = self.inside().env(Some(&step.env))?;
                let changes: Vec<ConfigChange> =
                    pairs.into_iter().map(|(name, value)| ConfigChange::Env(name, value)).collect();
                let names: Vec<&str> = changes.iter().filter_map(env_name).collect();
                let said = Said { words: format!("env {}", names.join(" ")), span: step.span.clone() };
                return self.change(name, said, changes);
            }
            raw::Step::Workdir(step) => {
                let text = self.inside().choice(&step.workdir)?;
                let path = self.absolute(&text);
                if self.scope().rules == Rules::Docker {
                    self.make_workdir(name, &path, &text)?;
                }
                let said = Said { words: format!("workdir {path}"), span: text.span };
                return self.change(name, said, vec![ConfigChange::WorkingDir(path)]);
            }
        };
        self.push(name, said, kind)
    }

    /// As Dockerfile's WORKDIR does it: the directory is made where it is missing, for the user of here.
    fn make_workdir(
        &mut self,
        name: Option<&Text>,
        path: &str,
        written: &Expanded,
    ) -> Result<(), Diagnostic> {
        let Some(entry) = EntryPath::new(path) else { return Ok(()) };
        let owner = match self.end.config.user.as_deref() {
            None | Some("" | "root" | "0" | "0:0" | "root:root") => None,
            Some(user) => Some(super::values::parse_owner(user).ok_or_else(|| {
                let message = format!("the directory {path} cannot be made for the user {user:?}");
                self.scope().error(&written.span, message, "")
            })?),
        };
        let owner_from = self.end.user_from.clone();
        let mkdir = Mkdir { path: entry, owner, owner_from, mode: None, rules: Rules::Docker };
        let said = Said { words: format!("mkdir {path}"), span: written.span.clone() };
        self.push(name, said, StepKind::Mkdir(mkdir))
    }

    fn change(
        &mut self,
        name: Option<&Text>,
        said: Said,
        changes: Vec<ConfigChange>,
    ) -> Result<(), Diagnostic> {
        for change in &changes {
            change.apply(&mut self.end.config);
        }
        self.push(name, said, StepKind::Config(changes))
    }

    fn push(&mut self, name: Option<&Text>, said: Said, kind: StepKind) -> Result<(), Diagnostic> {
        let name = match name {
            Some(name) => self.inside().text(name)?.text,
            None => said.words.replace(" -> ", " to "),
        };
        self.steps.push(Step {
            name,
            created_by: format!("{} # imgbuild", said.words),
            location: Some(self.scope().file.at(said.span)),
            kind,
        });
        Ok(())
    }

    pub(super) fn scope(&self) -> Scope<'a> {
        self.names.scope
    }

    /// The scope with the environment as it is now.
    pub(super) fn inside(&self) -> Inside<'_> {
        Inside { scope: self.names.scope, config: &self.end.config }
    }

    /// A path of the image, absolute and without `.` and `..`.
    pub(super) fn absolute(&self, text: &Expanded) -> String {
        super::values::join(self.end.config.working_dir.as_deref(), &text.text)
    }
}

fn env_name(change: &ConfigChange) -> Option<&str> {
    match change {
        ConfigChange::Env(name, _) => Some(name),
        _ => None,
    }
}
