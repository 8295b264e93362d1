//! Changes of an image's config.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::oci::{Config, Healthcheck};

/// One change of an image's config. Lists and sets are replaced, maps and sets of ports and volumes are added to, as
/// the Dockerfile instructions of these names do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Says who made the image. The only change that is not in the execution parameters: [`ConfigChange::apply`] leaves
    /// it to whoever has the whole document.
    Author(String),
    /// Sets the user.
    User(String),
    /// Sets an environment variable: name, value.
    Env(String, String),
    /// Sets the entrypoint; `None` takes it away. The base's command goes with it, as in Docker.
    Entrypoint(Option<Vec<String>>),
    /// Sets the command; `None` takes it away.
    Cmd(Option<Vec<String>>),
    /// Sets the shell of shell-form commands.
    Shell(Vec<String>),
    /// Sets the working directory: absolute.
    WorkingDir(String),
    /// Adds ports: `80/tcp`.
    Expose(BTreeSet<String>),
    /// Adds mount points.
    Volumes(BTreeSet<String>),
    /// Adds labels.
    Labels(BTreeMap<String, String>),
    /// Sets the stop signal.
    StopSignal(String),
    /// Sets the seconds between the stop signal and SIGKILL.
    StopTimeout(i64),
    /// Sets the health check; `None` takes the base's away.
    Healthcheck(Option<Healthcheck>),
    /// Adds an instruction for images built on this one.
    OnBuild(String),
}

/// Changes of one config, one after the other: each costs the same, however many variables there are.
#[derive(Debug)]
pub struct ConfigChanges<'a> {
    config: &'a mut Config,
    /// Where in the environment each variable is.
    variables: HashMap<String, usize>,
}

impl<'a> ConfigChanges<'a> {
    /// Begins to change this config.
    pub fn of(config: &'a mut Config) -> Self {
        let mut variables = HashMap::new();
        for (at, pair) in config.env.iter().enumerate() {
            let name = pair.split('=').next().unwrap_or_default();
            // Of two that a config has of one name, the first is the one that is set anew.
            variables.entry(name.to_owned()).or_insert(at);
        }
        Self { config, variables }
    }

    /// Carries out the next change.
    pub fn apply(&mut self, change: &ConfigChange) {
        let ConfigChange::Env(name, value) = change else { return change.apply(self.config) };
        let (env, pair) = (&mut self.config.env, format!("{name}={value}"));
        match self.variables.get(name) {
            Some(at) => env[*at] = pair,
            None => {
                self.variables.insert(name.clone(), env.len());
                env.push(pair);
            }
        }
    }
}

impl ConfigChange {
    /// Carries out the change.
    pub fn apply(&self, config: &mut Config) {
        match self.clone() {
            Self::Author(_) => {}
            Self::User(user) => config.user = Some(user),
            Self::Env(name, value) => config.set_env(&name, &value),
            Self::Entrypoint(entrypoint) => {
                config.entrypoint = entrypoint;
                config.cmd = None;
            }
            Self::Cmd(cmd) => config.cmd = cmd,
            Self::Shell(shell) => config.shell = Some(shell),
            Self::WorkingDir(path) => config.working_dir = Some(path),
            Self::Expose(ports) => config.exposed_ports.extend(ports),
            Self::Volumes(volumes) => config.volumes.extend(volumes),
            Self::Labels(labels) => config.labels.extend(labels),
            Self::StopSignal(signal) => config.stop_signal = Some(signal),
            Self::StopTimeout(seconds) => config.stop_timeout = Some(seconds),
            // Docker's way to say that a base's check is not wanted (moby `HealthConfig`).
            Self::Healthcheck(None) => {
                config.healthcheck =
                    Some(Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Healthcheck::default() });
            }
            Self::Healthcheck(healthcheck) => config.healthcheck = healthcheck,
            Self::OnBuild(instruction) => config.on_build.push(instruction),
        }
    }
}
