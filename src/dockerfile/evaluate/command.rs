//! Command lines: `CMD`, `ENTRYPOINT`, `SHELL`, `HEALTHCHECK`.

use std::time::Duration;

use super::stage::{Current, StageBuilder};
use crate::{
    dockerfile::syntax::{self, CommandLine, Word},
    oci::{Config, Healthcheck},
    recipe::ConfigChange,
    source::Diagnostic,
};

/// The shell where neither Dockerfile nor base names one.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl StageBuilder<'_> {
    pub(super) fn cmd(&mut self, at: Current<'_>, command: &CommandLine) -> Result<(), Diagnostic> {
        let argv = self.argv(command);
        self.cmd_set = true;
        let said = format!("CMD {}", listed(argv.as_deref()));
        self.config(at, said, vec![ConfigChange::Cmd(argv)]);
        Ok(())
    }

    /// The base's command goes, since it was meant for the base's entrypoint; one that this stage has set stays.
    pub(super) fn entrypoint(&mut self, at: Current<'_>, command: &CommandLine) -> Result<(), Diagnostic> {
        let argv = self.argv(command);
        let said = format!("ENTRYPOINT {}", listed(argv.as_deref()));
        let mut changes = vec![ConfigChange::Entrypoint(argv)];
        if self.cmd_set {
            changes.push(ConfigChange::Cmd(self.end.config.cmd.clone()));
        }
        self.config(at, said, changes);
        Ok(())
    }

    pub(super) fn shell(&mut self, at: Current<'_>, words: &[Word]) -> Result<(), Diagnostic> {
        let argv = texts(words);
        let said = format!("SHELL [{}]", argv.join(" "));
        self.config(at, said, vec![ConfigChange::Shell(argv)]);
        Ok(())
    }

    pub(super) fn healthcheck(
        &mut self,
        at: Current<'_>,
        check: &syntax::Healthcheck,
    ) -> Result<(), Diagnostic> {
        let check = match check {
            syntax::Healthcheck::None => None,
            syntax::Healthcheck::Command { command, timing } => Some(Healthcheck {
                test: Some(match command {
                    CommandLine::Exec(words) => {
                        std::iter::once("CMD".to_owned()).chain(texts(words)).collect()
                    }
                    CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line.text()],
                    CommandLine::Script(heredoc) => {
                        vec!["CMD-SHELL".to_owned(), heredoc.text().into_owned()]
                    }
                }),
                interval: nanos(timing.interval),
                timeout: nanos(timing.timeout),
                start_period: nanos(timing.start_period),
                start_interval: nanos(timing.start_interval),
                retries: timing.retries.map_or(0, i64::from),
            }),
        };
        let said = at.line.statement.text.clone();
        self.config(at, said, vec![ConfigChange::Healthcheck(check)]);
        Ok(())
    }

    /// The words of a command, shell included; `None` where there are none.
    fn argv(&self, command: &CommandLine) -> Option<Vec<String>> {
        let line = match command {
            CommandLine::Exec(words) => return Some(texts(words)).filter(|words| !words.is_empty()),
            CommandLine::Shell(line) => line.text(),
            CommandLine::Script(heredoc) => heredoc.text().into_owned(),
        };
        let mut argv = shell_of(&self.end.config);
        argv.push(line);
        Some(argv)
    }
}

/// The shell of shell lines.
pub(super) fn shell_of(config: &Config) -> Vec<String> {
    match &config.shell {
        Some(shell) if !shell.is_empty() => shell.clone(),
        _ => DEFAULT_SHELL.map(str::to_owned).to_vec(),
    }
}

pub(super) fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}

/// A list as histories show it: `["a" "b"]`.
fn listed(words: Option<&[String]>) -> String {
    let quoted: Vec<String> = words.unwrap_or_default().iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn nanos(time: Option<Duration>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}
