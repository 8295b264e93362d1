//! What can be told of commands before anything is done.

use super::{super::StepError, options::CommandOptions};
use crate::{
    error::Failure,
    graph::{Graph, Node},
    recipe::{self, Mount, Network, Security, StepKind},
};

/// Refuses commands that ask for what the build does not give: a build that cannot end well should end at once.
pub(in super::super) fn check(graph: &Graph, options: &CommandOptions) -> Result<(), Failure> {
    for node in &graph.nodes {
        if let StepKind::Run(command) = &node.kind {
            one(node, command, options).map_err(|error| error.at(node))?;
        }
    }
    Ok(())
}

fn one(node: &Node, command: &recipe::Run, options: &CommandOptions) -> Result<(), StepError> {
    if command.security == Security::Insecure && !options.allowed.insecure {
        return Err(StepError::NotAllowed {
            what: "runs without the sandbox's limits",
            entitlement: "security.insecure",
        });
    }
    let cut_off = options.network == Network::None;
    if command.network == Network::Host && cut_off && !options.allowed.host_network {
        return Err(StepError::NotAllowed {
            what: "asks for the host's network",
            entitlement: "network.host",
        });
    }
    if node.runs_on.os.to_string() != "linux" {
        return Err(StepError::ForeignSystem { platform: node.runs_on.to_string() });
    }
    for mount in &command.mounts {
        match mount {
            Mount::Secret(secret) if secret.required && !options.secrets.contains_key(&secret.id) => {
                let known = options.secrets.keys().cloned().collect();
                return Err(StepError::NoSecret { id: secret.id.clone(), known });
            }
            Mount::Ssh(ssh) if ssh.required && !options.agents.contains_key(&ssh.id) => {
                return Err(StepError::NoAgent { id: ssh.id.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}
