//! What the image as a whole is like.

use std::ops::Range;

use super::{Checker, rule};
use crate::dockerfile::syntax::{CommandLine, Healthcheck, Instruction, MountFlag, Run};

impl Checker<'_> {
    /// The rules for the image that comes out.
    pub(super) fn image(&mut self) {
        let shipped = self.shipped();
        let Some(first) = shipped.first() else { return };
        let config = self.stages[*first].config;
        // A base that says it has no root may be believed.
        let rootless = self.stages[*first]
            .image
            .as_ref()
            .is_some_and(|image| image.contains("nonroot") || image.contains("rootless"));
        let mut user: Option<String> = config.and_then(|config| config.user.clone());
        let mut port: Option<Range<usize>> = None;
        let mut checked = config.is_some_and(|config| config.healthcheck.is_some());
        let mut place: Option<Range<usize>> = None;
        let mut runs: Vec<(&Run, Range<usize>)> = Vec::new();
        let mut quiet_pip = config.is_some_and(|config| config.env("PIP_NO_CACHE_DIR").is_some());
        for index in &shipped {
            for statement in self.instructions(*index) {
                match &statement.node {
                    Instruction::User(name) => {
                        user = Some(name.text.clone());
                        place = Some(statement.span.clone());
                    }
                    Instruction::Expose(_) => port = Some(statement.span.clone()),
                    Instruction::Healthcheck(check) => {
                        checked = !matches!(check, Healthcheck::None) || checked
                    }
                    Instruction::Env(pairs) => {
                        quiet_pip |= pairs.pairs.iter().any(|pair| pair.name.text == "PIP_NO_CACHE_DIR");
                    }
                    Instruction::Run(run) => runs.push((run, statement.span.clone())),
                    _ => {}
                }
            }
        }
        let from = &self.file.stages[self.target].from.span;
        let root = user
            .as_deref()
            .is_none_or(|user| matches!(user.trim_matches('"').split(':').next(), Some("" | "root" | "0")));
        if root && !rootless {
            let message = "the image runs as root";
            let hint = "make a user for the program, and end the stage with USER";
            self.find(rule::NON_ROOT_USER, &place.unwrap_or_else(|| from.clone()), message, hint);
        }
        if let Some(port) = port.filter(|_| !checked) {
            let message = "the image serves a port and has no HEALTHCHECK";
            let hint = "write HEALTHCHECK CMD with something that fails when the program does not answer";
            self.find(rule::HEALTHCHECK_MISSING, &port, message, hint);
        }
        for (run, span) in runs {
            for (message, hint) in left_behind(run, quiet_pip) {
                self.find(rule::PACKAGE_CACHE_CLEANED, &span, message, hint);
            }
        }
    }
}

/// What a command leaves in the image that nobody needs there.
fn left_behind(run: &Run, quiet_pip: bool) -> Vec<(&'static str, &'static str)> {
    let line = match &run.command {
        CommandLine::Exec(words) => words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
        CommandLine::Shell(line) => line.text(),
        CommandLine::Script(heredoc) => heredoc.body.clone(),
    };
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let has = |text: &str| line.contains(text);
    let mounted = |path: &str| run.mounts.iter().any(|mount| has_target(mount, path));
    let mut found = Vec::new();
    let apt = (has("apt-get ") || has("apt ")) && has(" install");
    if apt && !has("/var/lib/apt/lists") && !mounted("/var/lib/apt") {
        found.push((
            "apt's package lists stay in the image",
            "end the same RUN with `&& rm -rf /var/lib/apt/lists/*`, or mount a cache at /var/lib/apt",
        ));
    }
    let apk = has("apk add") || has("apk --") && has(" add ");
    if apk
        && !has("--no-cache")
        && !has("/var/cache/apk")
        && !mounted("/var/cache/apk")
        && !mounted("/etc/apk")
    {
        found.push(("apk's package index stays in the image", "write `apk add --no-cache`"));
    }
    let pip = has("pip install") || has("pip3 install");
    if pip && !quiet_pip && !has("--no-cache-dir") && !has("PIP_NO_CACHE_DIR") && !mounted(".cache") {
        found.push((
            "pip's downloads stay in the image",
            "write `pip install --no-cache-dir`, or mount a cache at /root/.cache/pip",
        ));
    }
    let dnf = ["dnf", "yum", "microdnf", "zypper"].iter().any(|name| has(&format!("{name} ")));
    if dnf && has(" install") && !has("clean") && !mounted("/var/cache") {
        found.push(("the package manager's cache stays in the image", "end the same RUN with `clean all`"));
    }
    found
}

/// Whether a mount covers a path: then nothing that is written there stays.
fn has_target(mount: &MountFlag, path: &str) -> bool {
    let targets = mount
        .options
        .iter()
        .filter(|option| matches!(option.key.text.to_lowercase().as_str(), "target" | "dst" | "destination"));
    targets.filter_map(|option| option.value.as_ref()).any(|value| value.text.contains(path))
}
