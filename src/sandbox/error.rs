//! Why nothing could be run.

use std::io;

use super::{Mode, fault::Fault, probe::Examined};
use crate::error::{Explain, Kind};

/// Why a sandbox could not be had, or a step not be run. That a command failed is no error: see [`super::Exit`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The host allows no rung, or not the one that was asked for.
    #[error("{}", refusal(.tried))]
    Refused {
        /// The rungs that were tried, best first, with the reasons.
        tried: Vec<Examined>,
    },
    /// The worker could not be started.
    #[error("failed to start the sandbox: {0}")]
    Start(io::Error),
    /// The worker, or the process of a step, has ended.
    #[error("the sandbox ended unexpectedly: it was killed, or memory ran out")]
    Ended,
    /// The worker could not be talked to.
    #[error("failed to talk to the sandbox: {0}")]
    Talk(io::Error),
    /// A step could not be run.
    #[error(transparent)]
    Step(Fault),
}

fn refusal(tried: &[Examined]) -> String {
    let reasons = tried.iter().filter_map(|rung| {
        let fault = rung.fault.as_ref()?;
        Some(format!("{}: {fault}", rung.mode))
    });
    let reasons: Vec<_> = reasons.collect();
    match tried {
        [only] => {
            format!("RUN cannot use the sandbox mode {}", reasons.first().unwrap_or(&only.mode.to_string()))
        }
        _ => format!(
            "RUN needs a way to isolate commands, and this host has none. Tried {}",
            reasons.join("; ")
        ),
    }
}

impl Explain for SandboxError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused { .. } | Self::Ended => Kind::Host,
            Self::Start(error) | Self::Talk(error) => match Kind::of_io(error) {
                Kind::Build => Kind::Host,
                kind => kind,
            },
            Self::Step(fault) => fault.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused { tried } => {
                let mut hints: Vec<String> = Vec::new();
                for hint in tried.iter().flat_map(Examined::remedies) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                hints.push("builds without RUN need none of this".to_owned());
                hints
            }
            Self::Step(fault) => fault.hints().to_vec(),
            Self::Start(_) | Self::Ended | Self::Talk(_) => Vec::new(),
        }
    }
}

impl SandboxError {
    /// The mode that was asked for, if only one was tried.
    pub fn forced(&self) -> Option<Mode> {
        match self {
            Self::Refused { tried } if tried.len() == 1 => tried.first().map(|rung| rung.mode),
            _ => None,
        }
    }
}
