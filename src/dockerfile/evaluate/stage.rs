//! The instructions of one stage.

use std::collections::HashMap;

use super::{
    Evaluator,
    plan::{Base, Line, Plan, Planned},
    variables::{Scope, given},
};
use crate::{
    dockerfile::syntax::{Arg, Instruction, Word},
    layer::EntryPath,
    oci::Config,
    recipe::{self, ConfigChange, Copy, CopySource, Destination, Step, StepKind},
    source::{Diagnostic, Location, SourceFile},
};

/// The search path where neither image nor Dockerfile sets one (BuildKit's default for Linux).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of an instruction progress output is given, in characters.
const NAME_LENGTH: usize = 240;
/// How much of an instruction the history is given, in bytes: the config is one document that registries limit.
pub(super) const HISTORY_LENGTH: usize = 64 << 10;
/// The most bytes that environment, arguments and labels of a stage may have. Linux starts no command with more
/// environment (a quarter of the stack's usual 8 MiB), and a config of more than 4 MiB is not read by others.
const MOST_VARIABLES: usize = 2 << 20;

/// What a stage leaves to those that start from it.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// The config but for its environment, which is in the scope.
    pub(super) config: Config,
    /// Arguments and environment, as `RUN` and expansion see them.
    pub(super) scope: Scope,
    /// Where the file says who runs commands.
    pub(super) user_from: Option<Location>,
    /// The declared arguments, for the history of `RUN`; none has a value here.
    pub(super) args: Scope,
    /// The bytes of all labels that were set.
    pub(super) labels: usize,
}

impl End {
    /// What an image leaves to a stage that starts from it.
    pub(super) fn of_image(config: &Config) -> Self {
        let mut config = config.clone();
        config.on_build.clear();
        if let Some(workdir) = &config.working_dir {
            config.working_dir = Some(join("/", workdir)).filter(|_| !workdir.is_empty());
        }
        let mut scope = Scope::default();
        for pair in config.env.drain(..) {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            scope.set(name, value);
        }
        Self { config, scope, ..Self::default() }
    }

    /// What a stage leaves to another one: triggers are carried out, and not left again.
    pub(super) fn inherited(&self) -> Self {
        let mut end = self.clone();
        end.config.on_build.clear();
        end
    }
}

/// Collects the steps of a stage, and its config as it changes.
#[derive(Debug)]
pub(super) struct StageBuilder<'a> {
    pub(super) evaluator: Evaluator<'a>,
    pub(super) globals: &'a Scope,
    pub(super) plan: &'a Plan<'a>,
    pub(super) stage: &'a Planned<'a>,
    pub(super) end: End,
    /// Whether this stage has set the command: an entrypoint that comes later leaves it alone.
    pub(super) cmd_set: bool,
    /// Stages of the recipe that exist for this one alone.
    pub(super) helpers: Vec<recipe::Stage>,
    /// The places in the recipe of the file's stages so far.
    pub(super) positions: &'a HashMap<usize, usize>,
    /// The place in the recipe of the next stage.
    first_helper: usize,
    steps: Vec<Step>,
}

/// The instruction that is being carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current<'a> {
    pub(super) line: &'a Line<'a>,
}

impl<'a> StageBuilder<'a> {
    pub(super) fn new(
        evaluator: Evaluator<'a>,
        globals: &'a Scope,
        plan: &'a Plan<'a>,
        stage: &'a Planned<'a>,
        start: End,
        (positions, first_helper): (&'a HashMap<usize, usize>, usize),
    ) -> Self {
        Self {
            evaluator,
            globals,
            plan,
            stage,
            end: start,
            cmd_set: false,
            helpers: Vec::new(),
            positions,
            first_helper,
            steps: Vec::new(),
        }
    }

    /// The stages that must come before this one, its steps, and what it leaves.
    pub(super) fn finish(self) -> (Vec<recipe::Stage>, Vec<Step>, End) {
        (self.helpers, self.steps, self.end)
    }

    /// Evaluates the whole stage.
    pub(super) fn stage(&mut self) -> Result<(), Diagnostic> {
        if let Base::Context(name) = &self.stage.base {
            self.push_context(name);
        }
        if self.end.scope.get("PATH").is_none() && self.stage.platform.os.to_string() != "windows" {
            self.change(vec![ConfigChange::Env("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
        }
        let stage: &'a Planned<'a> = self.stage;
        let from = &self.evaluator.file.stages[stage.index].from;
        self.evaluator.spend(self.end.labels, || self.evaluator.file.file.at(from.span.clone()))?;
        for line in &stage.lines {
            let at = Current { line };
            self.line(at)?;
            if self.end.scope.size() + self.end.labels > MOST_VARIABLES {
                let message =
                    format!("environment, arguments and labels have more than {} MiB", MOST_VARIABLES >> 20);
                return Err(self
                    .wrong(at, message)
                    .hint("Linux starts no command with more, and registries take no config of much more")
                    .hint("put what is large in a file"));
            }
        }
        Ok(())
    }

    /// Takes what variables cost from what the file has of it.
    pub(super) fn spend(&self, at: Current<'_>, work: usize) -> Result<(), Diagnostic> {
        self.evaluator.spend(work, || self.location(at))
    }

    fn line(&mut self, at: Current<'a>) -> Result<(), Diagnostic> {
        match &at.line.statement.node {
            Instruction::Add(add) => self.add(at, add),
            Instruction::Copy(copy) => self.copy(at, copy),
            Instruction::Run(run) => self.run(at, run),
            Instruction::Workdir(path) => self.workdir(at, path),
            Instruction::Arg(arg) => self.arg(at, arg),
            Instruction::Env(pairs) => self.env(at, pairs),
            Instruction::Label(pairs) => self.label(at, pairs),
            Instruction::Cmd(command) => self.cmd(at, command),
            Instruction::Entrypoint(command) => self.entrypoint(at, command),
            Instruction::Shell(words) => self.shell(at, words),
            Instruction::Expose(ports) => self.expose(at, ports),
            Instruction::Volume(paths) => self.volume(at, paths),
            Instruction::User(user) => self.user(at, user),
            Instruction::Stopsignal(signal) => self.stopsignal(at, signal),
            Instruction::Healthcheck(check) => self.healthcheck(at, check),
            Instruction::Maintainer(name) => {
                let changes = vec![ConfigChange::Author(name.text.clone())];
                self.config(at, format!("MAINTAINER {}", name.text), changes);
                Ok(())
            }
            Instruction::Onbuild(onbuild) => {
                self.config(at, String::new(), vec![ConfigChange::OnBuild(onbuild.text.clone())]);
                Ok(())
            }
        }
    }

    /// A given value goes before a default, a default before a value from before the first `FROM`. An argument without
    /// any is declared and not set.
    fn arg(&mut self, at: Current<'_>, arg: &Arg) -> Result<(), Diagnostic> {
        self.spend(at, self.end.scope.copied_by_a_change())?;
        let given = given(self.evaluator.request);
        let mut said = Vec::new();
        for arg in &arg.args {
            let name = self.expand(at, &arg.name)?;
            let value = match (given.get(&name), &arg.value) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(at, default)?),
                (None, None) => self.globals.get(&name).map(str::to_owned),
            };
            said.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            if let Some(value) = &value {
                self.spend(at, value.len())?;
                self.end.scope.set(&name, value);
            }
            self.end.args.set(&name, "");
        }
        self.config(at, format!("ARG {}", said.join(" ")), Vec::new());
        Ok(())
    }

    /// A word with the variables of here.
    pub(super) fn expand(&self, at: Current<'_>, word: &Word) -> Result<String, Diagnostic> {
        self.evaluator.expand_in(&at.line.file, word, &self.end.scope)
    }

    pub(super) fn expand_all(&self, at: Current<'_>, words: &[Word]) -> Result<Vec<String>, Diagnostic> {
        words.iter().map(|word| self.expand(at, word)).collect()
    }

    /// A path of the image, absolute and without `.` and `..`.
    pub(super) fn absolute(&self, path: &str) -> String {
        join(self.workdir_now(), path)
    }

    pub(super) fn workdir_now(&self) -> &str {
        self.end.config.working_dir.as_deref().unwrap_or("/")
    }

    /// Adds a step that makes a layer.
    pub(super) fn push(&mut self, at: Current<'_>, created_by: String, kind: StepKind) {
        let step = Step {
            name: self.name(at),
            created_by: shorten(created_by, HISTORY_LENGTH),
            location: Some(self.location(at)),
            kind,
        };
        self.steps.push(step);
    }

    /// Changes the config, as an instruction of the history (or none, if it is empty).
    pub(super) fn config(&mut self, at: Current<'_>, created_by: String, changes: Vec<ConfigChange>) {
        self.apply(&changes);
        self.push(at, created_by, StepKind::Config(changes));
    }

    fn apply(&mut self, changes: &[ConfigChange]) {
        for change in changes {
            match change {
                ConfigChange::Env(name, value) => self.end.scope.set(name, value),
                change => change.apply(&mut self.end.config),
            }
        }
    }

    /// Changes the config where no instruction says so.
    fn change(&mut self, changes: Vec<ConfigChange>) {
        self.apply(&changes);
        self.steps.push(Step {
            name: "FROM".to_owned(),
            created_by: String::new(),
            location: None,
            kind: StepKind::Config(changes),
        });
    }

    /// A stage that starts from a directory has all of it.
    fn push_context(&mut self, name: &str) {
        let from = CopySource::Context(name.to_owned());
        let copy = Copy::docker(from, vec![".".to_owned()], Destination::Directory(None));
        self.steps.push(Step {
            name: format!("FROM {name}"),
            created_by: format!("FROM {name}"),
            location: None,
            kind: StepKind::Copy(copy),
        });
    }

    /// A stage of the recipe that this one needs: its place.
    pub(super) fn helper(&mut self, stage: recipe::Stage) -> CopySource {
        let known = self.helpers.iter().position(|known| *known == stage);
        let at = known.unwrap_or_else(|| {
            self.helpers.push(stage);
            self.helpers.len() - 1
        });
        CopySource::Stage(self.first_helper + at)
    }

    /// The place of an instruction: of its first line, as errors show it.
    pub(super) fn location(&self, at: Current<'_>) -> Location {
        let file: &SourceFile = &at.line.file;
        let span = at.line.statement.span.clone();
        let text = file.text().get(span.clone()).unwrap_or_default();
        let end = text.find('\n').map_or(span.end, |line| span.start + line);
        file.at(span.start..end)
    }

    /// The instruction as progress output shows it.
    fn name(&self, at: Current<'_>) -> String {
        let statement = &at.line.statement;
        let keyword = &statement.keyword.text;
        let rest = statement.text.get(keyword.len()..).unwrap_or_default();
        let mut name = if at.line.trigger { "ONBUILD ".to_owned() } else { String::new() };
        name.push_str(&keyword.to_ascii_uppercase());
        // Enough for what is shown, of a line of any length.
        let start = match rest.char_indices().nth(4 * NAME_LENGTH) {
            Some((end, _)) => &rest[..end],
            None => rest,
        };
        for word in start.split_whitespace() {
            name.push(' ');
            name.push_str(word);
        }
        if name.chars().count() > NAME_LENGTH {
            name = name.chars().take(NAME_LENGTH - 1).collect();
            name.push('…');
        }
        name
    }
}

/// The text, or its beginning and a mark where it is longer.
fn shorten(mut text: String, length: usize) -> String {
    if text.len() > length {
        let end = (0..=length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A path of the image: absolute, without `.`, `..` and empty parts.
pub(super) fn join(workdir: &str, path: &str) -> String {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{workdir}/{path}"),
    };
    EntryPath::new(&whole).map_or_else(|| "/".to_owned(), |path| format!("/{path}"))
}
