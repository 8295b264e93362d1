//! `RUN`: its text stays to the letter.

use super::{
    stage::{Failed, StageWriter, field},
    yaml::{Field, Yaml},
};
use crate::{
    dockerfile::syntax::{CommandLine, Mount, MountFlag, MountKind, Network, Run, Security, Word},
    recipe::Sharing,
    source::Diagnostic,
};

/// Linux takes no longer argument; what is longer, a Dockerfile's step is given as a file.
const LONGEST_ARGUMENT: usize = (128 << 10) - 1;

/// The mounts of a step, by the fields of a spec.
#[derive(Debug, Default)]
struct Mounts {
    cache: Vec<Yaml>,
    bind: Vec<Yaml>,
    tmpfs: Vec<Yaml>,
    secrets: Vec<Yaml>,
    ssh: Vec<Yaml>,
}

impl StageWriter<'_, '_> {
    pub(super) fn run(&mut self, run: &Run) -> Result<(), Failed> {
        if run.security == Some(Security::Insecure) {
            return Err("a spec's commands have no --security=insecure".to_owned());
        }
        if !run.devices.is_empty() {
            return Err("steps have no devices of the host".to_owned());
        }
        let mut shell = true;
        let (command, text) = match &run.command {
            CommandLine::Exec(words) => {
                shell = false;
                let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
                (Yaml::texts(words.iter().copied()), words.join(" "))
            }
            CommandLine::Shell(line) => (Yaml::text(line.text()), line.text()),
            CommandLine::Script(heredoc) => {
                let text = heredoc.text().into_owned();
                if text.starts_with("#!") {
                    return Err("a spec's commands are given to the shell, not to the program after `#!`; \
                                a `write` step can make a file of them"
                        .to_owned());
                }
                (Yaml::text(&text), text)
            }
        };
        if text.len() > LONGEST_ARGUMENT {
            return Err("the command is longer than an argument may be".to_owned());
        }
        if let Some(name) = self.end.scope.unseen(&text).first() {
            return Err(format!(
                "{name} is not declared in this stage, and a spec's commands have all arguments"
            ));
        }
        let mut mounts = Mounts::default();
        for flag in &run.mounts {
            self.mount(flag, &mut mounts)?;
        }
        self.as_user()?;
        let mut fields = vec![field("run", command)];
        if shell && self.end.shell != self.first_shell {
            fields.extend(self.end.shell.clone().map(|shell| field("shell", Yaml::texts(shell))));
        }
        fields.extend(mounts.fields());
        match run.network {
            None | Some(Network::Default) => {}
            Some(Network::None) => fields.push(field("network", Yaml::text("none"))),
            Some(Network::Host) => fields.push(field("network", Yaml::text("host"))),
        }
        self.step(fields);
        Ok(())
    }

    fn mount(&mut self, flag: &MountFlag, mounts: &mut Mounts) -> Result<(), Failed> {
        let file = self.shared.dockerfile.file.clone();
        let mount = {
            let writer = &*self;
            let mut expand = |word: &Word| writer.word(word).map(|text| text.text).map_err(Diagnostic::new);
            flag.resolve(&file, &mut expand).map_err(|error| error.to_string())?
        };
        let odd = mount.mode.is_some() || mount.uid.is_some() || mount.gid.is_some();
        if odd {
            return Err("a spec's mounts have no mode, uid and gid".to_owned());
        }
        match mount.kind {
            MountKind::Cache => mounts.cache.push(cache(&mount)?),
            MountKind::Bind => {
                let bind = self.bind(flag, &mount)?;
                mounts.bind.push(bind);
            }
            MountKind::Tmpfs => {
                let path = target(&mount);
                mounts.tmpfs.push(match mount.size {
                    None => Yaml::text(path),
                    Some(size) => Yaml::Flow(vec![
                        field("path", Yaml::text(path)),
                        field("size", Yaml::Word(size.to_string())),
                    ]),
                });
            }
            MountKind::Secret => mounts.secrets.push(secret(&mount)),
            MountKind::Ssh => {
                if mount.target.is_some() {
                    return Err("a spec's agents are where BuildKit has them, without a target".to_owned());
                }
                if !mount.required {
                    return Err("a spec's step needs the agent that it names; write required=true".to_owned());
                }
                mounts.ssh.push(Yaml::text(mount.id.as_deref().unwrap_or("default")));
            }
        }
        Ok(())
    }

    fn bind(&mut self, flag: &MountFlag, mount: &Mount) -> Result<Yaml, Failed> {
        if !mount.read_only {
            return Err("what a spec's step binds is read-only".to_owned());
        }
        let mut fields = vec![field("to", Yaml::text(target(mount)))];
        let source = mount.source.as_deref().unwrap_or_default().trim_start_matches('/');
        if !matches!(source, "" | ".") {
            fields.push(field("source", Yaml::text(source)));
        }
        let option = flag.options.iter().rev().find(|option| option.key.text.eq_ignore_ascii_case("from"));
        if let Some(word) =
            option.and_then(|option| option.value.as_ref()).filter(|word| !word.text.is_empty())
        {
            let from = self.source(word)?;
            fields.push(field("from", Yaml::text(from)));
        }
        Ok(Yaml::Flow(fields))
    }
}

fn target(mount: &Mount) -> &str {
    mount.target.as_deref().filter(|target| !target.is_empty()).unwrap_or(".")
}

fn cache(mount: &Mount) -> Result<Yaml, Failed> {
    if mount.from.as_deref().is_some_and(|from| !from.is_empty()) {
        return Err("a spec's caches begin empty, without `from`".to_owned());
    }
    if mount.read_only {
        return Err("a spec's caches are writable".to_owned());
    }
    let path = Yaml::text(target(mount));
    let id = mount.id.as_deref().filter(|id| !id.is_empty());
    let sharing = match mount.sharing {
        None | Some(Sharing::Shared) => None,
        Some(Sharing::Private) => Some("private"),
        Some(Sharing::Locked) => Some("locked"),
    };
    if id.is_none() && sharing.is_none() {
        return Ok(path);
    }
    let mut fields = vec![field("path", path)];
    fields.extend(id.map(|id| field("id", Yaml::text(id))));
    fields.extend(sharing.map(|sharing| field("sharing", Yaml::text(sharing))));
    Ok(Yaml::Flow(fields))
}

fn secret(mount: &Mount) -> Yaml {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let named = mount.id.clone().or_else(|| mount.source.clone()).filter(|id| !id.is_empty());
    let target = mount.target.clone().filter(|target| !target.is_empty());
    let id = named.unwrap_or_else(|| last(target.as_deref().unwrap_or_default()));
    let target = match (target, &mount.env) {
        (Some(target), _) => Some(target),
        (None, None) if id.contains('/') => Some(format!("/run/secrets/{}", last(&id))),
        (None, _) => None,
    };
    let mut fields: Vec<Field> = vec![field("id", Yaml::text(id))];
    fields.extend(target.map(|target| field("to", Yaml::text(target))));
    fields.extend(mount.env.as_ref().map(|env| field("env", Yaml::text(env))));
    if !mount.required {
        fields.push(field("required", Yaml::Word("false".to_owned())));
    }
    match fields.as_mut_slice() {
        [id] => id.value.clone(),
        _ => Yaml::Flow(fields),
    }
}

impl Mounts {
    fn fields(self) -> Vec<Field> {
        let many = |key: &str, values: Vec<Yaml>| {
            (!values.is_empty()).then(|| field(key, Yaml::one_or_many(values)))
        };
        let is_default = self.ssh == [Yaml::text("default")];
        let ssh = match is_default {
            true => Some(field("ssh", Yaml::Word("true".to_owned()))),
            false => many("ssh", self.ssh),
        };
        [
            many("cache", self.cache),
            many("bind", self.bind),
            many("tmpfs", self.tmpfs),
            many("secrets", self.secrets),
            ssh,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
