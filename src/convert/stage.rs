//! A stage, instruction by instruction.

use super::{
    config::ConfigFields,
    file::Shared,
    template::{Scope, Template},
    yaml::{Field, Item, Yaml},
};
use crate::dockerfile::{
    syntax::{Instruction, Pairs, Statement, Word},
    word,
};

/// What a stage leaves to those that start from it.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    pub(super) scope: Scope,
    pub(super) user: Option<Template>,
    pub(super) shell: Option<Vec<String>>,
    pub(super) has_triggers: bool,
    /// Whether it is for the platform that is built for.
    pub(super) is_targets: bool,
}

/// A stage of the spec as it is written.
#[derive(Debug)]
pub(super) struct StageWriter<'a, 'f> {
    pub(super) shared: &'a mut Shared<'f>,
    pub(super) index: usize,
    pub(super) end: End,
    /// What the stage of the spec starts from, and its platform.
    from: Vec<Field>,
    workdir: Option<Template>,
    layers: Vec<Item>,
    pub(super) config: ConfigFields,
    /// Who runs commands at the beginning of this stage of the spec, and with which shell.
    first_user: Option<Template>,
    pub(super) first_shell: Option<Vec<String>>,
    /// The stages of the spec that are done, each with its name.
    done: Vec<(String, Vec<Field>)>,
    /// Comments that wait for something to stand above.
    pub(super) comments: Vec<String>,
}

/// A part of an instruction that a spec cannot say: why.
pub(super) type Failed = String;

impl<'a, 'f> StageWriter<'a, 'f> {
    pub(super) fn new(shared: &'a mut Shared<'f>, index: usize, from: Vec<Field>, start: End) -> Self {
        let (first_user, first_shell) = (start.user.clone(), start.shell.clone());
        Self {
            shared,
            index,
            end: End { has_triggers: false, ..start },
            from,
            workdir: None,
            layers: Vec::new(),
            config: ConfigFields::default(),
            first_user,
            first_shell,
            done: Vec::new(),
            comments: Vec::new(),
        }
    }

    /// Writes an instruction, or a comment in its place.
    pub(super) fn instruction(&mut self, statement: &Statement<Instruction>) {
        self.comments = std::mem::take(&mut self.comments);
        self.comments.extend(comments(&statement.comments));
        if let Err(why) = self.write(statement) {
            self.missing(statement, &why);
        }
    }

    fn write(&mut self, statement: &Statement<Instruction>) -> Result<(), Failed> {
        match &statement.node {
            Instruction::Arg(arg) => {
                let comments = std::mem::take(&mut self.comments);
                let escape = self.shared.escape();
                self.shared.args.declare_in_stage(arg, &comments, &mut self.end.scope, escape)
            }
            Instruction::Env(pairs) => self.env(pairs),
            Instruction::Workdir(path) => self.change_directory(path),
            Instruction::User(user) => {
                let user = self.word(user)?;
                self.note_config();
                self.end.user = Some(user);
                Ok(())
            }
            Instruction::Run(run) => self.run(run),
            Instruction::Copy(copy) => self.copy(copy),
            Instruction::Add(add) => self.add(add),
            Instruction::Maintainer(_) => {
                Err("a spec's images have no author; a label can say it".to_owned())
            }
            node => self.configure(node),
        }
    }

    fn env(&mut self, pairs: &Pairs) -> Result<(), Failed> {
        let mut fields: Vec<(String, Template)> = Vec::new();
        for pair in &pairs.pairs {
            let name = self.word(&pair.name)?;
            if !name.literal {
                return Err("the names of variables are fixed in a spec".to_owned());
            }
            let name = plain(&pair.name, self)?;
            let value = self.word(&pair.value)?;
            fields.retain(|(other, _)| *other != name);
            fields.push((name, value));
        }
        let map = fields.iter().map(|(name, value)| field(name, Yaml::text(&value.text))).collect();
        self.step(vec![field("env", Yaml::Flow(map))]);
        for (name, value) in fields {
            self.end.scope.set(&name, value);
        }
        Ok(())
    }

    fn change_directory(&mut self, path: &Word) -> Result<(), Failed> {
        let path = self.word(path)?;
        match self.end.user.clone().filter(|user| Some(user) != self.first_user.as_ref()) {
            Some(user) if path.text != "/" => {
                let mut fields = vec![field("mkdir", Yaml::text(&path.text))];
                if !matches!(user.text.as_str(), "root" | "0" | "0:0" | "root:root") {
                    fields.push(field("owner", Yaml::text(&user.text)));
                }
                self.step(fields);
            }
            _ if self.layers.is_empty() && self.workdir.is_none() && self.comments.is_empty() => {
                self.workdir = Some(path);
                return Ok(());
            }
            _ => {}
        }
        self.step(vec![field("workdir", Yaml::text(&path.text))]);
        Ok(())
    }

    /// A word as a text of the spec.
    pub(super) fn word(&self, word: &Word) -> Result<Template, Failed> {
        let parts = word::parts(&word.text, self.shared.escape()).map_err(|error| error.message)?;
        self.end.scope.write(&parts)
    }

    /// Adds a step with the comments that wait.
    pub(super) fn step(&mut self, fields: Vec<Field>) {
        let comments = std::mem::take(&mut self.comments);
        self.layers.push(Item { comments, value: Some(Yaml::Map(fields)) });
    }

    /// Leaves the comments that wait above the config.
    pub(super) fn note_config(&mut self) {
        self.config.comments.append(&mut self.comments);
    }

    /// Tells that something is missing, where it is missing too.
    fn missing(&mut self, statement: &Statement<Instruction>, why: &str) {
        let text = first_line(&statement.text);
        self.comments.push(format!("not converted: {text}"));
        self.shared.tell(&statement.span, why);
        let comments = std::mem::take(&mut self.comments);
        self.layers.push(Item { comments, value: None });
    }

    /// Ends the stage of the spec here where the user is another than at its beginning: steps are run by the user of
    /// the config that they start with.
    pub(super) fn as_user(&mut self) -> Result<(), Failed> {
        if self.end.user == self.first_user {
            return Ok(());
        }
        let name = self.shared.names.part(self.index);
        let mut config = ConfigFields::default();
        let user = self.end.user.clone();
        if let Some(user) = &user {
            self.end.scope.kept(user)?;
            config.user = Some(user.text.clone());
        }
        if self.end.shell != self.first_shell {
            config.shell.clone_from(&self.end.shell);
        }
        let layers = std::mem::take(&mut self.layers);
        let fields = self.stage_fields(layers, config.fields());
        self.done.push((name.clone(), fields));
        self.from = vec![field("from", Yaml::text(name))];
        self.first_user = user;
        self.first_shell.clone_from(&self.end.shell);
        Ok(())
    }

    fn stage_fields(&mut self, mut layers: Vec<Item>, mut config: Vec<Field>) -> Vec<Field> {
        let mut fields = std::mem::take(&mut self.from);
        // A list of nothing but comments is no list.
        if layers.iter().all(|item| item.value.is_none())
            && let Some(above) = config.first_mut().or(fields.first_mut())
        {
            let comments: Vec<String> = layers.drain(..).flat_map(|item| item.comments).collect();
            above.comments.splice(..0, comments);
        }
        fields.extend(self.workdir.take().map(|path| field("workdir", Yaml::text(path.text))));
        if !layers.is_empty() {
            fields.push(field("layers", Yaml::Block(layers)));
        }
        if !config.is_empty() {
            fields.push(field("config", Yaml::Map(config)));
        }
        fields
    }

    /// The stages of the spec, and what the last one leaves.
    pub(super) fn finish(mut self) -> (Vec<(String, Vec<Field>)>, End) {
        let mut config = std::mem::take(&mut self.config);
        if self.end.user != self.first_user
            && let Some(user) = &self.end.user
        {
            if let Err(why) = self.end.scope.kept(user) {
                let span = self.shared.stage_span(self.index);
                self.shared.tell(&span, &why);
            }
            config.user = Some(user.text.clone());
        }
        if self.end.shell != self.first_shell {
            config.shell.clone_from(&self.end.shell);
        }
        let mut layers = std::mem::take(&mut self.layers);
        if self.end.user.as_ref().is_none_or(|user| user.literal) {
            config.take_env(&mut layers);
        }
        if !self.comments.is_empty() {
            let comments = std::mem::take(&mut self.comments);
            layers.push(Item { comments, value: None });
        }
        for (span, template) in std::mem::take(&mut config.used) {
            if let Err(why) = self.end.scope.kept(&template) {
                self.shared.tell(&span, &why);
            }
        }
        let config = config.fields_with_shell(self.end.shell.as_deref());
        let fields = self.stage_fields(layers, config);
        self.done.push((self.shared.names.name(self.index).to_owned(), fields));
        (self.done, self.end)
    }
}

/// The text of a word that has no variables.
pub(super) fn plain(word: &Word, writer: &StageWriter<'_, '_>) -> Result<String, Failed> {
    let parts = word::parts(&word.text, writer.shared.escape()).map_err(|error| error.message)?;
    match parts.as_slice() {
        [] => Ok(String::new()),
        [word::Part::Text(text)] => Ok(text.clone()),
        _ => Err("this cannot hold variables in a spec".to_owned()),
    }
}

pub(super) fn field(key: &str, value: Yaml) -> Field {
    Field { comments: Vec::new(), key: key.to_owned(), value }
}

/// Comments as they are carried over: without what is for the Dockerfile's readers alone.
pub(super) fn comments(words: &[Word]) -> Vec<String> {
    let directive = |text: &str| {
        let text = text.replace(' ', "").to_ascii_lowercase();
        ["syntax=", "escape=", "check="].iter().any(|start| text.starts_with(start))
    };
    words.iter().map(|word| word.text.clone()).filter(|text| !directive(text)).collect()
}

/// The first line of an instruction, shortened.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
