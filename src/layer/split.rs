//! Parting a layer into several by directory, so that a changed file makes a small layer new and not a large one.
//!
//! Which part an entry goes to depends on the hash of a path and on nothing else: neither on its neighbours nor on an
//! order, so that what is added or removed moves nothing. Whose path that is depends on weights: a directory that is
//! light goes to one part as a whole (a package that is replaced makes one part new, not all of them), of a heavy one
//! each directory in it is looked at by itself. Weights are coarse and the border is a share of the whole, rounded to a
//! power of two: only where a directory's weight passes it, are the directories in it spread or gathered, and these
//! alone. A file's weight changes when its size passes a power of two; other changes of its content move nothing at all.
//!
//! Borders at sizes along the sorted paths would give parts of one size, but each of them would move with every file in
//! front of it. Borders where a path's hash says so stay, but part a package anywhere.
//!
//! What a container sees is the same as with one layer. Each part has the directories that lead to what is in it, as the
//! layer has them; names of one file stay together; and what is taken away from the layers below goes to the first
//! part, so that it takes nothing away from the others.

use super::{Entry, Kind};
use crate::oci::Digest;

/// The largest number of parts. Containers cannot have many more layers in all.
pub const MOST_PARTS: u8 = 64;

/// How many directories, about, fall to each part: enough that parts are of similar size.
const SHARE: u64 = 8;

/// No directory lighter than this is parted: some hundred files, or 16 MiB.
const LIGHTEST: u64 = 256;

/// The bytes that weigh as much as a file itself does.
const WEIGHT: u64 = 64 << 10;

/// One part of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which part it is: the same one after a small change.
    pub number: usize,
    /// Its entries, in their order.
    pub entries: Vec<&'a Entry>,
}

/// Parts the entries of a layer, which are sorted and have an entry for each directory on their way, into at most `most`
/// layers (at least one, at the most [`MOST_PARTS`]), lowest first. No part is empty, but the only one of no entries.
pub fn split(entries: &[Entry], most: u8) -> Vec<Part<'_>> {
    let most = most.clamp(1, MOST_PARTS);
    let weights = Weights::new(entries);
    let border = (weights.all().next_power_of_two() / 2 / (SHARE * u64::from(most))).max(LIGHTEST);
    if most == 1 || weights.all() <= border {
        return vec![Part { number: 0, entries: entries.iter().collect() }];
    }
    let mut parts = assign(entries, &weights, border, most);
    keep_links_together(entries, &mut parts);
    let members = members(entries, &parts);
    let part = |number: usize| {
        let within = entries.iter().zip(&members).filter(|(_, members)| *members & 1 << number != 0);
        Part { number, entries: within.map(|(entry, _)| entry).collect() }
    };
    (0..usize::from(most)).map(part).filter(|part| !part.entries.is_empty()).collect()
}

/// The weights of all entries in front of each.
struct Weights(Vec<u64>);

impl Weights {
    fn new(entries: &[Entry]) -> Self {
        let mut sum = 0;
        let mut sums = vec![0];
        for entry in entries {
            sum += 1 + match &entry.kind {
                Kind::File(content) => (content.size().max(1).next_power_of_two() / WEIGHT).min(1 << 40),
                _ => 0,
            };
            sums.push(sum);
        }
        Self(sums)
    }

    fn all(&self) -> u64 {
        self.0[self.0.len() - 1]
    }

    fn of(&self, from: usize, to: usize) -> u64 {
        self.0[to] - self.0[from]
    }
}

/// The part of each entry.
fn assign(entries: &[Entry], weights: &Weights, border: u64, most: u8) -> Vec<u8> {
    let mut parts = vec![0; entries.len()];
    let mut at = 0;
    while at < entries.len() {
        let path = &entries[at].path;
        // Directories stand in front of what they hold.
        let end = match entries[at].kind {
            Kind::Directory => at + entries[at..].partition_point(|entry| entry.path.starts_with(path)),
            _ => at + 1,
        };
        let directory = entries[at].kind == Kind::Directory;
        let light = weights.of(at, end) <= border;
        let (named, next) = match (directory, light) {
            (true, true) => (Some(path.clone()), end),
            // Itself it goes wherever something in it goes.
            (true, false) => (Some(path.clone()), at + 1),
            // Light files of a heavy directory are together.
            (false, true) => (path.parent(), end),
            (false, false) => (Some(path.clone()), end),
        };
        let part = part_of(named.as_ref().map_or(b"", |path| path.as_bytes()), most);
        parts[at..next].fill(part);
        at = next;
    }
    for (entry, part) in entries.iter().zip(&mut parts) {
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) {
            *part = 0;
        }
    }
    parts
}

fn part_of(path: &[u8], most: u8) -> u8 {
    let digest = Digest::of(path);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    // Less than `most`, which fits.
    (u64::from_be_bytes(first) % u64::from(most)) as u8
}

/// Puts hard links where their targets are.
fn keep_links_together(entries: &[Entry], parts: &mut [u8]) {
    for at in 0..entries.len() {
        if let Kind::Hardlink(target) = &entries[at].kind
            && let Ok(target) = entries.binary_search_by(|entry| entry.path.cmp(target))
        {
            parts[at] = parts[target];
        }
    }
}

/// The parts that each entry is in, as bits: a directory in all those that something in it goes to, anything else in one.
fn members(entries: &[Entry], parts: &[u8]) -> Vec<u64> {
    let mut members = vec![0_u64; entries.len()];
    // The directories around the current entry.
    let mut around: Vec<usize> = Vec::new();
    let leave = |members: &mut [u64], around: &mut Vec<usize>| {
        let Some(directory) = around.pop() else { return };
        if members[directory] == 0 {
            members[directory] = 1 << parts[directory];
        }
        if let Some(parent) = around.last() {
            members[*parent] |= members[directory];
        }
    };
    for (at, entry) in entries.iter().enumerate() {
        while around.last().is_some_and(|directory| !entry.path.starts_with(&entries[*directory].path)) {
            leave(&mut members, &mut around);
        }
        if entry.kind == Kind::Directory {
            around.push(at);
            continue;
        }
        members[at] = 1 << parts[at];
        if let Some(parent) = around.last() {
            members[*parent] |= members[at];
        }
    }
    while !around.is_empty() {
        leave(&mut members, &mut around);
    }
    members
}

#[cfg(test)]
mod tests;
