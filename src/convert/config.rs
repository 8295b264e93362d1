//! What containers of the image run: config, which a spec says at the end of a stage.

use std::{ops::Range, time::Duration};

use super::{
    stage::{Failed, StageWriter, field, plain},
    template::{Scope, Template},
    yaml::{Field, Item, Yaml},
};
use crate::dockerfile::syntax::{CommandLine, Healthcheck, Instruction, Pairs, Timing, Word};

/// The shell where nobody names one.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A stage's config as far as it is known.
#[derive(Debug, Default)]
pub(super) struct ConfigFields {
    /// The lines of comment above it.
    pub(super) comments: Vec<String>,
    pub(super) user: Option<String>,
    env: Vec<Field>,
    pub(super) shell: Option<Vec<String>>,
    entrypoint: Option<Command>,
    cmd: Option<Command>,
    expose: Vec<Yaml>,
    volumes: Vec<Yaml>,
    stop_signal: Option<String>,
    healthcheck: Option<Yaml>,
    labels: Vec<Field>,
    onbuild: Vec<Yaml>,
    /// The texts with variables, which must not change any more.
    pub(super) used: Vec<(Range<usize>, Template)>,
}

/// A command of the image.
#[derive(Debug, Clone)]
enum Command {
    /// Its words.
    Words(Vec<String>),
    /// A line, and the shell that was the stage's when it was written.
    Line(String, Option<Vec<String>>),
}

impl ConfigFields {
    /// Takes over what the last steps set, where no step follows that needs it.
    pub(super) fn take_env(&mut self, layers: &mut Vec<Item>) {
        let start = layers.iter().rposition(|item| env_of(item).is_none()).map_or(0, |last| last + 1);
        let mut fields: Vec<Field> = Vec::new();
        for item in &layers[start..] {
            let mut first = true;
            for field in env_of(item).unwrap_or_default() {
                // All values of a map are those from before it, and a key stands in it once.
                if fields.iter().any(|other| other.key == field.key || uses(field, &other.key)) {
                    return;
                }
                let comments = if first { item.comments.clone() } else { Vec::new() };
                first = false;
                fields.push(Field { comments, ..field.clone() });
            }
        }
        layers.truncate(start);
        self.env = fields;
    }

    pub(super) fn fields(self) -> Vec<Field> {
        self.fields_with_shell(None)
    }

    /// The fields in their order. A line is written as such where its shell is the one of the end.
    pub(super) fn fields_with_shell(self, shell: Option<&[String]>) -> Vec<Field> {
        let mut fields = Vec::new();
        let mut add = |key: &str, value: Option<Yaml>| fields.extend(value.map(|value| field(key, value)));
        let some = |values: Vec<Yaml>| (!values.is_empty()).then(|| Yaml::one_or_many(values));
        let map = |values: Vec<Field>| (!values.is_empty()).then_some(Yaml::Flow(values));
        let command = |command: Option<Command>| {
            Some(match command? {
                Command::Words(words) => Yaml::texts(words),
                Command::Line(line, at) if at.as_deref() == shell => Yaml::text(line),
                Command::Line(line, at) => {
                    let mut words = at.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec());
                    words.push(line);
                    Yaml::texts(words)
                }
            })
        };
        add("user", self.user.map(Yaml::Text));
        add("env", map(self.env));
        add("shell", self.shell.map(Yaml::texts));
        add("entrypoint", command(self.entrypoint));
        add("cmd", command(self.cmd));
        add("expose", some(self.expose));
        add("volumes", some(self.volumes));
        add("stopSignal", self.stop_signal.map(Yaml::Text));
        add("healthcheck", self.healthcheck);
        add("labels", map(self.labels));
        add("onbuild", some(self.onbuild));
        if let Some(first) = fields.first_mut() {
            first.comments = self.comments;
        }
        fields
    }
}

/// Whether a value may have a variable of this name in it.
fn uses(field: &Field, name: &str) -> bool {
    matches!(&field.value, Yaml::Text(text) if text.contains(&format!("${{{name}")))
}

fn env_of(item: &Item) -> Option<&[Field]> {
    match item.value.as_ref()? {
        Yaml::Map(fields) => match fields.as_slice() {
            [Field { key, value: Yaml::Flow(pairs), .. }] if key == "env" => Some(pairs),
            _ => None,
        },
        _ => None,
    }
}

impl StageWriter<'_, '_> {
    /// An instruction that changes the config alone.
    pub(super) fn configure(&mut self, node: &Instruction) -> Result<(), Failed> {
        match node {
            Instruction::Cmd(command) => self.config.cmd = Some(self.command(command)),
            Instruction::Entrypoint(command) => self.config.entrypoint = Some(self.command(command)),
            Instruction::Expose(ports) => self.expose(ports)?,
            Instruction::Volume(paths) => self.volumes(paths)?,
            Instruction::Label(pairs) => self.labels(pairs)?,
            Instruction::Shell(words) => {
                self.end.shell = Some(words.iter().map(|word| literal(&word.text)).collect());
            }
            Instruction::Stopsignal(signal) => self.stopsignal(signal)?,
            Instruction::Healthcheck(Healthcheck::None) => self.config.healthcheck = Some(Yaml::text("none")),
            Instruction::Healthcheck(Healthcheck::Command { command, timing }) => {
                self.config.healthcheck = Some(healthcheck(command, timing));
            }
            Instruction::Onbuild(onbuild) => {
                self.config.onbuild.push(Yaml::text(&onbuild.text));
                self.end.has_triggers = true;
            }
            _ => return Err("a spec has no such instruction".to_owned()),
        }
        self.note_config();
        Ok(())
    }

    fn command(&self, command: &CommandLine) -> Command {
        match command {
            CommandLine::Exec(words) => {
                Command::Words(words.iter().map(|word| literal(&word.text)).collect())
            }
            CommandLine::Shell(line) => Command::Line(literal(&line.text()), self.end.shell.clone()),
            CommandLine::Script(heredoc) => Command::Line(literal(&heredoc.text()), self.end.shell.clone()),
        }
    }

    /// A text of the config.
    fn used(&mut self, word: &Word) -> Result<String, Failed> {
        let template = self.word(word)?;
        let text = template.text.clone();
        self.config.used.push((word.span.clone(), template));
        Ok(text)
    }

    fn expose(&mut self, ports: &[Word]) -> Result<(), Failed> {
        for port in ports {
            let text = self.used(port)?;
            let variable = text.contains("${");
            // `ip:host:port`: the last one counts.
            let text = match text.rsplit_once(':') {
                Some((_, last)) if !variable => last.to_owned(),
                _ => text,
            };
            for port in text.split_whitespace() {
                let port = port.strip_suffix("/tcp").unwrap_or(port);
                let number = port.bytes().all(|byte| byte.is_ascii_digit());
                let value = if number { Yaml::Word(port.to_owned()) } else { Yaml::text(port) };
                if !self.config.expose.contains(&value) {
                    self.config.expose.push(value);
                }
            }
        }
        Ok(())
    }

    fn volumes(&mut self, paths: &[Word]) -> Result<(), Failed> {
        let mut volumes = Vec::new();
        for path in paths {
            let text = self.used(path)?;
            let normal = text.len() > 1
                && text.starts_with('/')
                && text[1..].split('/').all(|part| !matches!(part, "" | "." | ".."));
            if !normal {
                return Err(format!("a spec's volumes are absolute paths, and {text:?} would be changed"));
            }
            volumes.push(Yaml::text(text));
        }
        volumes.retain(|volume| !self.config.volumes.contains(volume));
        self.config.volumes.append(&mut volumes);
        Ok(())
    }

    fn labels(&mut self, pairs: &Pairs) -> Result<(), Failed> {
        let mut comments = std::mem::take(&mut self.comments);
        for pair in &pairs.pairs {
            let name = plain(&pair.name, self)?;
            let value = Yaml::Text(self.used(&pair.value)?);
            self.config.labels.retain(|label| label.key != name);
            self.config.labels.push(Field { comments: std::mem::take(&mut comments), key: name, value });
        }
        Ok(())
    }

    fn stopsignal(&mut self, word: &Word) -> Result<(), Failed> {
        let signal = self.used(word)?;
        let is_number = signal.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number && !signal.starts_with("SIG") && !signal.contains("${") {
            return Err(format!("a spec's signals are written SIG…, and {signal:?} would be changed"));
        }
        self.config.stop_signal = Some(signal);
        Ok(())
    }
}

/// A text that a spec takes as it is.
pub(super) fn literal(text: &str) -> String {
    Scope::literal(text).text
}

fn healthcheck(command: &CommandLine, timing: &Timing) -> Yaml {
    let cmd = match command {
        CommandLine::Exec(words) => Yaml::texts(words.iter().map(|word| literal(&word.text))),
        CommandLine::Shell(line) => Yaml::text(literal(&line.text())),
        CommandLine::Script(heredoc) => Yaml::text(literal(&heredoc.text())),
    };
    let mut fields = vec![field("cmd", cmd)];
    let times = [
        ("interval", timing.interval),
        ("timeout", timing.timeout),
        ("startPeriod", timing.start_period),
        ("startInterval", timing.start_interval),
    ];
    for (key, time) in times {
        fields.extend(time.filter(|time| !time.is_zero()).map(|time| field(key, Yaml::text(duration(time)))));
    }
    let retries = timing.retries.filter(|retries| *retries > 0);
    fields.extend(retries.map(|retries| field("retries", Yaml::Word(retries.to_string()))));
    Yaml::Map(fields)
}

/// `1m30s`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let mut text = String::new();
    for (unit, count) in [("h", seconds / 3600), ("m", seconds / 60 % 60), ("s", seconds % 60)] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    let nanos = time.subsec_nanos();
    for (unit, count) in [("ms", nanos / 1_000_000), ("us", nanos / 1000 % 1000), ("ns", nanos % 1000)] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}
