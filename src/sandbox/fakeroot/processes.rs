//! Which process has which ids. A process that is seen for the first time has its parent's.

use std::{collections::HashMap, fs, path::PathBuf};

use super::ids::Ids;

/// The ids of processes, by their number and the time they began: numbers are used again.
#[derive(Debug)]
pub(super) struct Processes {
    known: HashMap<u32, (Life, Ids)>,
    initial: Ids,
    own: u32,
}

/// Which process it is, and which program it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    /// In ticks since the host began.
    began: u64,
    /// Where its stack begins: at random in each program. A fork keeps it.
    stack: u64,
}

/// From so many on, ended processes are forgotten.
const MANY: usize = 4096;

/// The longest line of ancestors.
const ANCESTORS: usize = 256;

impl Life {
    fn of(process: u32) -> Option<Self> {
        let text = fs::read(proc(process, "stat")).ok()?;
        // The second field is a name that may hold anything, in parentheses; these are the 22nd and the 28th.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let text = String::from_utf8_lossy(&text[end + 1..]);
        let mut fields = text.split_whitespace().map(|field| field.parse().ok());
        Some(Self { began: fields.nth(19)??, stack: fields.nth(5)?? })
    }
}

impl Processes {
    /// `initial` are the ids of processes whose ancestors are unknown.
    pub(super) fn new(initial: Ids) -> Self {
        Self { known: HashMap::new(), initial, own: std::process::id() }
    }

    /// The ids of the process that a thread belongs to; `None` if it has ended.
    pub(super) fn of_thread(&mut self, thread: u32) -> Option<(u32, Ids)> {
        let process = status(thread)?.0;
        let ids = self.of(process);
        Some((process, ids))
    }

    /// Remembers the ids of a process.
    pub(super) fn set(&mut self, process: u32, ids: Ids) {
        let Some(life) = Life::of(process) else { return };
        if self.known.len() >= MANY {
            let lives =
                |process, then: Life| Life::of(process).is_some_and(|now: Life| now.began == then.began);
            self.known.retain(|process, (then, _)| lives(*process, *then));
        }
        self.known.insert(process, (life, ids));
    }

    fn of(&mut self, process: u32) -> Ids {
        let mut line = Vec::new();
        let mut at = process;
        let (mut life, mut ids) = loop {
            if at <= 1 || at == self.own || line.len() > ANCESTORS {
                break (None, self.initial.clone());
            }
            let now = Life::of(at);
            match (now, self.known.get(&at)) {
                (Some(now), Some((then, ids))) if now.began == then.began => {
                    line.push((at, Some(now)));
                    break (Some(*then), ids.clone());
                }
                _ => line.push((at, now)),
            }
            let Some((_, parent)) = status(at) else { break (None, self.initial.clone()) };
            at = parent;
        };
        // From the oldest down. A later change of an ancestor is none of theirs.
        for (process, now) in line.into_iter().rev() {
            let Some(now) = now else { continue };
            if life.is_some_and(|life| life.stack != now.stack) {
                ids.executed();
            }
            life = Some(now);
            self.known.insert(process, (now, ids.clone()));
        }
        ids
    }
}

fn proc(process: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/{file}"))
}

/// Of a thread, its process and that one's parent.
fn status(thread: u32) -> Option<(u32, u32)> {
    let text = fs::read(proc(thread, "status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some((field("Tgid:")?, field("PPid:")?))
}
