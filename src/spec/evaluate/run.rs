//! Commands that run in the image.

use std::sync::Arc;

use super::{
    config::shell_of,
    stage::{Said, StageBuilder},
    values,
};
use crate::{
    recipe::{
        BindMount, CacheMount, FileMode, Mount, Network, Run, SecretMount, Security, Sharing, SshMount,
        StepKind, TmpfsMount,
    },
    source::Diagnostic,
    spec::{
        node::shorten,
        raw::{self, Choice, Command, OneOrMany, Or, Text},
    },
};

impl StageBuilder<'_> {
    pub(super) fn run(&self, step: &raw::RunStep) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        // `${…}` in a command is the shell's.
        let (argv, shown, span) = match inside.scope.pick(&step.run)? {
            Command::Exec(words, span) if words.is_empty() => {
                return Err(inside.scope.error(span, "`run` names no command", "empty"));
            }
            Command::Exec(words, _) if step.shell.is_some() => {
                return Err(inside
                    .scope
                    .error(&words[0].span, "a list of words is run as it is, without `shell`", "")
                    .hint("write the command as one line, or remove `shell`"));
            }
            Command::Exec(words, span) => {
                let argv: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
                let shown = argv.join(" ");
                (argv, shown, span.clone())
            }
            Command::Shell(line) => {
                let mut argv = match &step.shell {
                    Some(shell) => inside.strings(shell)?,
                    None => shell_of(&self.end.config),
                };
                argv.push(line.text.clone());
                (argv, line.text.clone(), line.span.clone())
            }
        };
        let timeout = inside.option(step.timeout.as_ref())?;
        let run = Run {
            env: Arc::new(self.run_env(&argv)),
            argv,
            workdir: self.end.config.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            user: self.end.config.user.clone().unwrap_or_default(),
            user_from: self.end.user_from.clone(),
            mounts: self.mounts(step)?,
            security: Security::Sandbox,
            network: match step.network {
                None | Some(raw::Network::Default) => Network::Default,
                Some(raw::Network::None) => Network::None,
                Some(raw::Network::Host) => Network::Host,
            },
            timeout: timeout.map(|text| values::duration(&inside.scope, &text)).transpose()?,
            rules: self.scope().rules,
        };
        let span = inside.scope.first_line(&span);
        Ok((Said { words: format!("run {}", shorten(&shown)), span }, StepKind::Run(Box::new(run))))
    }

    /// The image's environment, and the arguments as variables, which give way to it. Declared ones are all there; those
    /// that every build has only where the command names them, so that a command that does not care is the same for
    /// every platform.
    fn run_env(&self, argv: &[String]) -> Vec<(String, String)> {
        let args = self.scope().args;
        let mentioned = |name: &str| argv.iter().any(|word| word.contains(name));
        let declared = args.declared.iter().map(|(name, value)| (name.as_str(), value));
        let predefined = args.predefined.iter().map(|(name, value)| (*name, value));
        predefined
            .filter(|(name, _)| mentioned(name))
            .chain(declared)
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .chain(self.end.config.env.iter().map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (name.to_owned(), value.to_owned())
            }))
            .collect()
    }

    fn mounts(&self, step: &raw::RunStep) -> Result<Vec<Mount>, Diagnostic> {
        let mut mounts = Vec::new();
        for cache in many(step.cache.as_ref()) {
            let (path, id, sharing) = match cache {
                Or::Short(path) => (path, None, None),
                Or::Long(cache) => (&cache.path, cache.id.as_ref(), cache.sharing),
            };
            mounts.push(Mount::Cache(CacheMount {
                target: self.target(path)?,
                id: self.some(id)?,
                sharing: match sharing {
                    None | Some(raw::Sharing::Shared) => Sharing::Shared,
                    Some(raw::Sharing::Private) => Sharing::Private,
                    Some(raw::Sharing::Locked) => Sharing::Locked,
                },
                from: None,
                from_words: None,
                read_only: false,
                mode: None,
                uid: 0,
                gid: 0,
            }));
        }
        for bind in many(step.bind.as_ref()) {
            let origin = bind.from.clone().map(Choice::One);
            let from = self.from(origin.as_ref())?;
            let source = match &bind.source {
                Some(source) => self.source(&self.inside().text(source)?, &from)?,
                None => ".".to_owned(),
            };
            mounts.push(Mount::Bind(BindMount {
                target: self.target(&bind.to)?,
                from_words: self.origin_words(origin.as_ref(), &from)?,
                from,
                source,
                writable: false,
            }));
        }
        for tmpfs in many(step.tmpfs.as_ref()) {
            let (path, size) = match tmpfs {
                Or::Short(path) => (path, None),
                Or::Long(tmpfs) => (&tmpfs.path, tmpfs.size.as_ref()),
            };
            let size = match size {
                Some(size) => Some(values::size(&self.scope(), &self.inside().text(size)?)?),
                None => None,
            };
            mounts.push(Mount::Tmpfs(TmpfsMount { target: self.target(path)?, size }));
        }
        for secret in many(step.secrets.as_ref()) {
            mounts.push(self.secret(secret)?);
        }
        mounts.extend(self.agents(step.ssh.as_ref())?);
        Ok(mounts)
    }

    fn secret(&self, secret: &Or<Text, raw::Secret>) -> Result<Mount, Diagnostic> {
        let (id, to, env, required) = match secret {
            Or::Short(id) => (id, None, None, true),
            Or::Long(secret) => {
                (&secret.id, secret.to.as_ref(), secret.env.as_ref(), secret.required.unwrap_or(true))
            }
        };
        let env = self.some(env)?;
        let name = self.inside().text(id)?;
        if name.text.is_empty() || name.text.contains(['/', '\0']) || name.text.starts_with('.') {
            let message = format!("{:?} is not the name of a secret", name.text);
            return Err(self
                .scope()
                .error(&name.span, message, "")
                .hint("write the ID given with --secret id=ID"));
        }
        let file = match to {
            Some(to) => Some(self.target(to)?),
            None if env.is_some() => None,
            None => Some(format!("/run/secrets/{}", name.text)),
        };
        Ok(Mount::Secret(SecretMount { id: name.text, file, env, required, mode: None, uid: 0, gid: 0 }))
    }

    fn agents(&self, ssh: Option<&raw::Ssh>) -> Result<Vec<Mount>, Diagnostic> {
        let ids = match ssh {
            None | Some(raw::Ssh::Flag(false)) => Vec::new(),
            Some(raw::Ssh::Flag(true)) => vec!["default".to_owned()],
            Some(raw::Ssh::Ids(ids)) => self.inside().strings(&ids.0)?,
        };
        // BuildKit's place for agents' sockets, which tools and documents name.
        let mount = |(number, id)| {
            Mount::Ssh(SshMount {
                id,
                target: format!("/run/buildkit/ssh_agent.{number}"),
                required: true,
                // A spec does not say for whom it is: for whoever the step runs as.
                mode: Some(FileMode(0o666)),
                uid: 0,
                gid: 0,
            })
        };
        Ok(ids.into_iter().enumerate().map(mount).collect())
    }

    /// Where something is mounted.
    fn target(&self, text: &Text) -> Result<String, Diagnostic> {
        Ok(self.absolute(&self.inside().text(text)?))
    }

    fn some(&self, text: Option<&Text>) -> Result<Option<String>, Diagnostic> {
        text.map(|text| self.inside().text(text).map(|text| text.text)).transpose()
    }
}

fn many<T>(list: Option<&OneOrMany<T>>) -> &[T] {
    list.map(|list| list.0.as_slice()).unwrap_or_default()
}
