//! `RUN`.

use std::sync::Arc;

use super::{
    command::{shell_of, texts},
    plan::Base,
    stage::{Current, HISTORY_LENGTH, StageBuilder, join},
};
use crate::{
    dockerfile::syntax::{self, CommandLine, Heredoc, MountFlag, MountKind, Word},
    recipe::{
        BindMount, CacheMount, CopySource, FileMode, Mount, Network, Rules, Run, SecretMount, Security,
        SshMount, StepKind, TmpfsMount,
    },
    source::Diagnostic,
};

/// Where scripts with a `#!` are mounted, as in BuildKit.
const SCRIPTS: &str = "/dev/pipes";
/// Linux takes no longer argument (`MAX_ARG_STRLEN`, with its NUL).
const LONGEST_ARGUMENT: usize = (128 << 10) - 1;

impl StageBuilder<'_> {
    pub(super) fn run(&mut self, at: Current<'_>, run: &syntax::Run) -> Result<(), Diagnostic> {
        if let Some(device) = run.devices.first() {
            return Err(Diagnostic::new("RUN --device is not supported")
                .at(at.line.file.at(device.span.clone()), "")
                .hint("steps have no devices of the host; remove the flag where the step can do without"));
        }
        let mut mounts = Vec::new();
        let argv = match &run.command {
            CommandLine::Exec(words) => texts(words),
            CommandLine::Shell(line) => self.shell_line(at, line.text(), &mut mounts)?,
            CommandLine::Script(heredoc) => self.script(at, heredoc, &mut mounts)?,
        };
        if argv.first().is_none_or(String::is_empty) {
            return Err(self.wrong(at, "RUN names no command"));
        }
        self.mounts(at, &run.mounts, &mut mounts)?;
        let said = self.said(&argv);
        // What the values of arguments add to the history.
        self.spend(at, said.len().min(HISTORY_LENGTH).saturating_sub(at.line.statement.text.len()))?;
        let run = Run {
            argv,
            env: Arc::clone(self.end.scope.pairs()),
            workdir: self.workdir_now().to_owned(),
            user: self.end.config.user.clone().unwrap_or_default(),
            user_from: self.end.user_from.clone(),
            mounts,
            network: match run.network {
                None | Some(syntax::Network::Default) => Network::Default,
                Some(syntax::Network::None) => Network::None,
                Some(syntax::Network::Host) => Network::Host,
            },
            security: match run.security {
                None | Some(syntax::Security::Sandbox) => Security::Sandbox,
                Some(syntax::Security::Insecure) => Security::Insecure,
            },
            timeout: None,
            rules: Rules::Docker,
        };
        self.push(at, said, StepKind::Run(Box::new(run)));
        Ok(())
    }

    /// The step as the history tells it: the arguments that it can see, and the command.
    fn said(&self, argv: &[String]) -> String {
        let args = self.end.args.pairs();
        let mut said = String::from("RUN ");
        if !args.is_empty() {
            said.push_str(&format!("|{} ", args.len()));
            for (name, _) in args.iter() {
                said.push_str(&format!("{name}={} ", self.end.scope.get(name).unwrap_or_default()));
            }
        }
        said.push_str(&argv.join(" "));
        said.push_str(" # imgbuild");
        said
    }

    /// A line for the shell; one that is too long for an argument is given as a file.
    fn shell_line(
        &mut self,
        at: Current<'_>,
        line: String,
        mounts: &mut Vec<Mount>,
    ) -> Result<Vec<String>, Diagnostic> {
        let mut argv = shell_of(&self.end.config);
        if line.len() <= LONGEST_ARGUMENT || argv.pop_if(|last| last == "-c").is_none() {
            argv.push(line);
            return Ok(argv);
        }
        argv.push(self.file(at, "script", line, mounts)?);
        Ok(argv)
    }

    /// A heredoc alone: a program of its own where it begins with `#!`, else lines for the shell.
    fn script(
        &mut self,
        at: Current<'_>,
        heredoc: &Heredoc,
        mounts: &mut Vec<Mount>,
    ) -> Result<Vec<String>, Diagnostic> {
        let text = heredoc.text().into_owned();
        match text.starts_with("#!") {
            true => Ok(vec![self.file(at, &heredoc.name, text, mounts)?]),
            false => self.shell_line(at, text, mounts),
        }
    }

    fn file(
        &mut self,
        at: Current<'_>,
        name: &str,
        text: String,
        mounts: &mut Vec<Mount>,
    ) -> Result<String, Diagnostic> {
        let from = self.inline(at, name, text, FileMode(0o755))?;
        mounts.push(Mount::Bind(BindMount {
            target: SCRIPTS.to_owned(),
            from,
            from_words: None,
            source: String::new(),
            writable: false,
        }));
        Ok(format!("{SCRIPTS}/{name}"))
    }

    fn mounts(
        &mut self,
        at: Current<'_>,
        flags: &[MountFlag],
        mounts: &mut Vec<Mount>,
    ) -> Result<(), Diagnostic> {
        let mut agents = 0;
        for flag in flags {
            let mount = {
                let builder = &*self;
                flag.resolve(&at.line.file, &mut |word: &Word| builder.expand(at, word))?
            };
            let place = || at.line.file.at(flag.span.clone());
            let target = mount.target.as_ref().filter(|target| !target.is_empty());
            let absolute = target.map(|target| join(self.workdir_now(), target));
            let mounted = match mount.kind {
                MountKind::Secret => self.secret(&mount, absolute),
                MountKind::Ssh => {
                    agents += 1;
                    ssh(&mount, absolute, agents - 1)
                }
                MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => {
                    let target = absolute.unwrap_or_else(|| self.workdir_now().to_owned());
                    if target == "/" {
                        return Err(Diagnostic::new("a mount cannot take the place of the root directory")
                            .at(place(), "the target is /")
                            .hint("write target=PATH"));
                    }
                    self.directory(at, flag, mount, target)?
                }
            };
            mounts.push(mounted);
        }
        Ok(())
    }

    fn directory(
        &mut self,
        at: Current<'_>,
        flag: &MountFlag,
        mount: syntax::Mount,
        target: String,
    ) -> Result<Mount, Diagnostic> {
        if mount.kind == MountKind::Tmpfs {
            return Ok(Mount::Tmpfs(TmpfsMount { target, size: mount.size }));
        }
        let source = join("/", mount.source.as_deref().unwrap_or_default());
        let source = source.trim_start_matches('/').to_owned();
        let from = match mount.from.as_deref().filter(|from| !from.is_empty()) {
            Some(name) => {
                let option =
                    flag.options.iter().rev().find(|option| option.key.text.eq_ignore_ascii_case("from"));
                let word = option.map(|option| option.value.as_ref().unwrap_or(&option.key));
                let Some(word) = word else { return Err(self.wrong(at, "a mount's `from` is not written")) };
                // A cache that begins with nothing is what it is without `from`.
                let empty = mount.kind == MountKind::Cache
                    && self.plan.source(self.stage.index, &at.line.file, name, word)? == Base::Scratch;
                let from = if empty { None } else { Some(self.origin(at, name, word)?) };
                from.map(|from| (self.origin_words(name, &from), from))
            }
            None => None,
        };
        let (from_words, from) = from.unzip();
        Ok(match mount.kind {
            MountKind::Cache => Mount::Cache(CacheMount {
                id: mount.id.filter(|id| !id.is_empty()),
                target,
                sharing: mount.sharing.unwrap_or_default(),
                from: from.map(|from| (from, source)),
                from_words,
                read_only: mount.read_only,
                mode: mount.mode.map(FileMode),
                uid: mount.uid.unwrap_or(0),
                gid: mount.gid.unwrap_or(0),
            }),
            _ => Mount::Bind(BindMount {
                target,
                from: from.unwrap_or_else(|| CopySource::Context(String::new())),
                from_words,
                source,
                writable: !mount.read_only,
            }),
        })
    }

    /// A secret is a file unless it is a variable; both if both are asked for.
    fn secret(&self, mount: &syntax::Mount, target: Option<String>) -> Mount {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let named = mount.id.clone().or_else(|| mount.source.clone()).filter(|id| !id.is_empty());
        let id = named.unwrap_or_else(|| last(target.as_deref().unwrap_or_default()));
        let file = match (&target, &mount.env) {
            (Some(target), _) => Some(target.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", last(&id))),
        };
        Mount::Secret(SecretMount {
            id,
            file,
            env: mount.env.clone(),
            required: mount.required,
            mode: mount.mode.map(FileMode),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        })
    }
}

fn ssh(mount: &syntax::Mount, target: Option<String>, number: usize) -> Mount {
    Mount::Ssh(SshMount {
        id: mount.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| "default".to_owned()),
        target: target.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{number}")),
        required: mount.required,
        mode: mount.mode.map(FileMode),
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
    })
}
