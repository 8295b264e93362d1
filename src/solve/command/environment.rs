//! The environment of a command.

use std::collections::{HashMap, hash_map::Entry};

use super::{account::Account, certificates, options::CommandOptions};
use crate::recipe;

/// Where commands are looked for if the image does not say (BuildKit's default for Linux).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the step says, with what tools need to work at all, and to reach the network as this machine does. What the
/// step says goes before everything else.
pub(super) fn environment(
    command: &recipe::Run,
    account: &Account,
    options: &CommandOptions,
    source_date_epoch: Option<i64>,
    agent: Option<&str>,
) -> Vec<(String, String)> {
    // There may be thousands.
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut env: Vec<(String, String)> = Vec::with_capacity(command.env.len());
    for (name, value) in command.env.iter() {
        match places.entry(name.as_str()) {
            Entry::Occupied(at) => value.clone_into(&mut env[*at.get()].1),
            Entry::Vacant(at) => {
                at.insert(env.len());
                env.push((name.clone(), value.clone()));
            }
        }
    }
    let mut default = |name: &str, value: &str| {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOME", &account.home);
    if let Some(seconds) = source_date_epoch {
        default("SOURCE_DATE_EPOCH", &seconds.to_string());
    }
    if let Some(agent) = agent {
        default("SSH_AUTH_SOCK", agent);
    }
    for (name, value) in &options.proxies {
        default(name, value);
    }
    if options.certificates.is_some() {
        for name in certificates::VARIABLES {
            default(name, certificates::BUNDLE);
        }
    }
    env
}

/// Sets a variable, in place of an earlier one of its name.
pub(super) fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => value.clone_into(known),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}
