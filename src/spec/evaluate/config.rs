//! The image's config.

use std::collections::BTreeSet;

use super::{
    scope::{Expanded, Inside, Scope},
    stage::Said,
    values,
};
use crate::{
    oci::{Config, Healthcheck},
    recipe::ConfigChange,
    source::Diagnostic,
    spec::raw::{self, Command, Text},
};

/// The shell where neither the spec nor the base names one.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// The most ports that a range may stand for.
const MAX_PORTS: u32 = 65_536;

/// The changes that a stage's `config` makes, in the order in which they must be carried out.
pub(super) fn changes(
    inside: &Inside<'_>,
    raw: &raw::Config,
) -> Result<(Said, Vec<ConfigChange>), Diagnostic> {
    let mut changes = Changes { inside, config: inside.config.clone(), list: Vec::new(), words: Vec::new() };
    changes.environment(raw)?;
    changes.commands(raw)?;
    changes.rest(raw)?;
    let said = Said {
        words: format!("config {}", changes.words.join(" ")),
        span: inside.scope.first_line(&raw.span),
    };
    Ok((said, changes.list))
}

struct Changes<'a> {
    inside: &'a Inside<'a>,
    /// The config as it is after the changes so far.
    config: Config,
    list: Vec<ConfigChange>,
    /// The fields that are changed.
    words: Vec<&'static str>,
}

impl Changes<'_> {
    fn push(&mut self, word: &'static str, change: ConfigChange) {
        change.apply(&mut self.config);
        self.list.push(change);
        if self.words.last() != Some(&word) {
            self.words.push(word);
        }
    }

    /// The scope with the environment that `config` itself has set.
    fn now(&self) -> Inside<'_> {
        Inside { scope: self.inside.scope, config: &self.config }
    }

    fn environment(&mut self, raw: &raw::Config) -> Result<(), Diagnostic> {
        let inside = self.inside;
        if let Some(user) = inside.option(raw.user.as_ref())? {
            if user.text.is_empty() || user.text.contains(char::is_whitespace) {
                let message = format!("{:?} is not a user", user.text);
                return Err(inside
                    .scope
                    .error(&user.span, message, "")
                    .hint("write `app`, `1000` or `app:app`"));
            }
            self.push("user", ConfigChange::User(user.text));
        }
        for (name, value) in inside.env(raw.env.as_ref())? {
            self.push("env", ConfigChange::Env(name, value));
        }
        if let Some(workdir) = self.now().option(raw.workdir.as_ref())? {
            let path = values::join(self.config.working_dir.as_deref(), &workdir.text);
            self.push("workdir", ConfigChange::WorkingDir(path));
        }
        Ok(())
    }

    fn commands(&mut self, raw: &raw::Config) -> Result<(), Diagnostic> {
        let now = self.config.clone();
        let inside = &Inside { scope: self.inside.scope, config: &now };
        if let Some(shell) = inside.scope.pick_some(raw.shell.as_ref())? {
            if shell.is_empty() {
                return Err(inside
                    .scope
                    .error(&raw.span, "`shell` is empty", "")
                    .hint("write [/bin/sh, -c]"));
            }
            self.push("shell", ConfigChange::Shell(inside.strings(shell)?));
        }
        // The entrypoint comes first, since it takes the base's command away.
        if let Some(entrypoint) = inside.scope.pick_some(raw.entrypoint.as_ref())? {
            let argv = self.argv(entrypoint)?;
            self.push("entrypoint", ConfigChange::Entrypoint(argv));
        }
        if let Some(cmd) = inside.scope.pick_some(raw.cmd.as_ref())? {
            let argv = self.argv(cmd)?;
            self.push("cmd", ConfigChange::Cmd(argv));
        }
        if let Some(check) = inside.scope.pick_some(raw.healthcheck.as_ref())? {
            let check = match check {
                raw::Healthcheck::None => None,
                raw::Healthcheck::Some(times) => Some(healthcheck(inside, times)?),
            };
            self.push("healthcheck", ConfigChange::Healthcheck(check));
        }
        Ok(())
    }

    /// The words of a command; `None` for an empty list.
    fn argv(&self, command: &Command) -> Result<Option<Vec<String>>, Diagnostic> {
        match command {
            Command::Exec(words, _) if words.is_empty() => Ok(None),
            Command::Exec(words, _) => self.now().strings(words).map(Some),
            Command::Shell(line) => {
                let mut argv = shell_of(&self.config);
                argv.push(self.now().text(line)?.text);
                Ok(Some(argv))
            }
        }
    }

    fn rest(&mut self, raw: &raw::Config) -> Result<(), Diagnostic> {
        let now = self.config.clone();
        let inside = &Inside { scope: self.inside.scope, config: &now };
        let mut ports = BTreeSet::new();
        for port in inside.many(raw.expose.as_ref())? {
            ports.extend(parse_ports(&inside.scope, &port)?);
        }
        if !ports.is_empty() {
            self.push("expose", ConfigChange::Expose(ports));
        }
        let mut volumes = BTreeSet::new();
        for volume in inside.many(raw.volumes.as_ref())? {
            volumes.insert(values::absolute(&inside.scope, &volume, "a volume")?);
        }
        if !volumes.is_empty() {
            self.push("volumes", ConfigChange::Volumes(volumes));
        }
        let labels = inside.map(raw.labels.as_ref())?;
        if !labels.is_empty() {
            self.push("labels", ConfigChange::Labels(labels.into_iter().collect()));
        }
        if let Some(signal) = inside.option(raw.stop_signal.as_ref())? {
            check_signal(&inside.scope, &signal)?;
            self.push("stopSignal", ConfigChange::StopSignal(signal.text));
        }
        if let Some(timeout) = inside.option(raw.stop_timeout.as_ref())? {
            let seconds = values::duration(&inside.scope, &timeout)?.as_secs();
            self.push("stopTimeout", ConfigChange::StopTimeout(i64::try_from(seconds).unwrap_or(i64::MAX)));
        }
        // Instructions keep their `${…}`: they are for the images built on this one.
        let onbuild = inside.scope.pick_some(raw.onbuild.as_ref())?;
        for line in onbuild.iter().flat_map(|lines| &lines.0) {
            self.push("onbuild", ConfigChange::OnBuild(line.text.clone()));
        }
        Ok(())
    }
}

/// The shell of shell lines.
pub(super) fn shell_of(config: &Config) -> Vec<String> {
    config.shell.clone().unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
}

fn healthcheck(inside: &Inside<'_>, raw: &raw::HealthcheckTimes) -> Result<Healthcheck, Diagnostic> {
    let test = match &raw.cmd {
        None => None,
        Some(Command::Shell(line)) => Some(vec!["CMD-SHELL".to_owned(), inside.text(line)?.text]),
        Some(Command::Exec(words, span)) => {
            if words.is_empty() {
                return Err(inside
                    .scope
                    .error(span, "a health check must run something", "empty")
                    .hint("`healthcheck: none` takes the base's check away"));
            }
            let mut test = vec!["CMD".to_owned()];
            test.extend(inside.strings(words)?);
            Some(test)
        }
    };
    let nanos = |text: &Option<Text>| -> Result<i64, Diagnostic> {
        let Some(text) = text else { return Ok(0) };
        let text = inside.text(text)?;
        let nanos = values::duration(&inside.scope, &text)?.as_nanos();
        // Docker refuses what is shorter than a millisecond (moby `container.HealthConfig`).
        if nanos < 1_000_000 {
            return Err(inside.scope.error(
                &text.span,
                "a health check's times are 1ms or longer",
                "too short",
            ));
        }
        Ok(i64::try_from(nanos).unwrap_or(i64::MAX))
    };
    let retries = match &raw.retries {
        Some(text) => i64::from(values::number::<u32>(&inside.scope, &inside.text(text)?)?),
        None => 0,
    };
    Ok(Healthcheck {
        test,
        interval: nanos(&raw.interval)?,
        timeout: nanos(&raw.timeout)?,
        start_period: nanos(&raw.start_period)?,
        start_interval: nanos(&raw.start_interval)?,
        retries,
    })
}

/// `8000`, `53/udp`, `8000-8010/tcp`.
fn parse_ports(scope: &Scope<'_>, text: &Expanded) -> Result<Vec<String>, Diagnostic> {
    let wrong = || {
        scope.error(&text.span, format!("{:?} is not a port", text.text), "not a port").hint(
            "write a number from 1 to 65535, a range, or either with a protocol: 8000, 8000-8010, 53/udp",
        )
    };
    let (numbers, protocol) = text.text.split_once('/').unwrap_or((&text.text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let port = |text: &str| -> Option<u32> {
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        number.filter(|port| (1..MAX_PORTS).contains(port))
    };
    match port(first).zip(port(last)) {
        Some((first, last)) if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(wrong()),
    }
}

fn check_signal(scope: &Scope<'_>, text: &Expanded) -> Result<(), Diagnostic> {
    let name = text.text.as_str();
    let number = name.parse().is_ok_and(|number: u8| (1..=64).contains(&number));
    let named = name.strip_prefix("SIG").is_some_and(|rest| {
        !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-'))
    });
    if number || named {
        return Ok(());
    }
    let upper = name.to_ascii_uppercase();
    let likely = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    Err(scope.error(&text.span, format!("{name:?} is not a signal"), "not a signal").hint(
        if name.bytes().all(|b| b.is_ascii_alphabetic()) && !name.is_empty() {
            format!("did you mean `{likely}`?")
        } else {
            "write a name such as `SIGTERM`, or a number from 1 to 64".to_owned()
        },
    ))
}
