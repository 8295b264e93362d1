//! Rendezvous: parts of an image that several machines make, and that meet in the registry.
//!
//! Each job pushes its part by digest, records it under a tag of its own, `imgbuild-set-HASH-PART`, and looks which parts
//! are recorded. Whoever sees all of them writes the index and moves the tags. Nothing but the registry is needed, and of
//! it no more than that a tag that was written is read: no lists, no locks.
//!
//! A record is an index that lists the part's manifests: every registry that takes the final index takes it (ECR too), no
//! blob has to be sent for it, and registries that clear away what has no tag keep the part.
//!
//! Several jobs may see at once that all is there. They agree by the *one-bit algorithm* (Lamport, "The mutual exclusion
//! problem" II, 1986), for which registers suffice that one writes and all read: a job that wants to finish says so in its
//! record; it steps back for one whose part is declared earlier, and waits for those declared later. Who has finished
//! leaves a marker, `imgbuild-set-HASH`, after which nobody does anything. A job that died while it wanted to finish is
//! waited for no longer than [`Meeting::lease`]; should it live after all, both write the same: the index follows from the
//! records, and all else from that of the first part.
//!
//! | file | what it holds |
//! |---|---|
//! | `record` | what a job says of its part, and the marker |
//! | `place` | reading and writing that |
//! | `finish` | the index and the tags |

mod finish;
mod place;
mod record;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub use record::suffix;

use self::{
    place::Place,
    record::{Plan, Record},
};
use super::{Goal, Published, Publisher, ReleaseError};
use crate::{
    error::Failure,
    oci::{Descriptor, Digest},
    output::{Contents, Pusher},
};

/// A set of parts, as one of those who make it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What its jobs have in common, and no others.
    pub id: String,
    /// The names of all parts, in the order of the index.
    pub parts: Vec<String>,
    /// Which one is the own.
    pub own: usize,
    /// How long the others are waited for.
    pub wait: Duration,
}

/// A part that was made, and what is to become of the whole.
#[derive(Debug)]
pub struct Meeting<'a> {
    /// Who moves the tags.
    pub publisher: &'a Publisher,
    /// The set.
    pub set: &'a Set,
    /// What the part consists of.
    pub contents: &'a Contents,
    /// The part's manifests, each with its platform.
    pub images: Vec<Descriptor>,
    /// The tags of the whole; the first repository is where the parts meet.
    pub goals: &'a [Goal],
    /// Annotations of the index.
    pub annotations: &'a BTreeMap<String, String>,
    /// How long one is waited for that says it finishes.
    pub lease: Duration,
}

/// How long one is waited for that says it finishes, if nothing else is said.
pub const LEASE: Duration = Duration::from_secs(60);

/// How a meeting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// Other parts have not come yet: whoever comes last finishes.
    Waiting {
        /// Their names.
        missing: Vec<String>,
    },
    /// The set is complete.
    Complete {
        /// The digest of the index.
        index: Digest,
        /// What became of the tags, if it was this job that moved them.
        published: Option<Published>,
    },
}

/// The waits between two looks.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LATER_LOOKS: Duration = Duration::from_secs(2);

/// What a look at all records shows.
enum Sight {
    /// The marker is there.
    Done(Digest),
    /// Some parts are not.
    Missing(Vec<String>),
    /// All are there.
    Complete(Vec<Record>),
}

impl Meeting<'_> {
    /// Pushes the part by digest, records it, and finishes the set if all parts are there.
    ///
    /// # Errors
    /// The part is in the set already and is another image, or not all parts came in time; and those of
    /// [`Publisher::publish`].
    pub async fn meet(&self, pusher: &Pusher) -> Result<Met, Failure> {
        let Some(first) = self.goals.first() else { return Err(ReleaseError::NoName.into()) };
        let place = Place::new(&self.publisher.registry, &first.repository, self.set);
        let own = Record {
            images: self.images.clone(),
            plan: Plan::new(&self.set.parts, self.goals, self.annotations),
            claims: false,
        };
        if let Some(done) = place.marker().await? {
            self.agrees(&own, &done.images)?;
            return Ok(Met::Complete { index: done.index, published: None });
        }
        let before = place.record(self.set.own).await?;
        if let Some(before) = before.as_ref().filter(|_| !self.publisher.terms.force) {
            self.agrees(&own, &before.images)?;
        }
        let repositories = self.goals.iter().map(|goal| goal.repository.clone()).collect();
        pusher.send(self.contents, &repositories).await?;
        if before.as_ref() != Some(&own) {
            place.put(self.set.own, &own).await?;
        }
        self.await_others(&place, own, pusher).await
    }

    /// Looks until the set is complete, or the time is up.
    async fn await_others(&self, place: &Place, own: Record, pusher: &Pusher) -> Result<Met, Failure> {
        let begun = Instant::now();
        let mut pause = FIRST_LOOK;
        loop {
            let missing = match self.look(place, &own).await? {
                Sight::Done(index) => return self.done_by_others(place, index).await,
                Sight::Complete(_) => return self.contend(place, own, pusher).await,
                Sight::Missing(missing) => missing,
            };
            let left = self.set.wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return match self.set.wait.is_zero() {
                    true => Ok(Met::Waiting { missing }),
                    false => {
                        let (set, of) = (self.set.id.clone(), self.set.parts.len());
                        Err(ReleaseError::PartsMissing { set, missing, of }.into())
                    }
                };
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LATER_LOOKS);
        }
    }

    /// All parts are there: finishes, or waits for the one who does.
    async fn contend(&self, place: &Place, mut own: Record, pusher: &Pusher) -> Result<Met, Failure> {
        let mut patience = Patience { lease: self.lease, since: BTreeMap::new() };
        let (begun, mut pause) = (Instant::now(), FIRST_LOOK);
        loop {
            if !own.claims {
                own.claims = true;
                place.put(self.set.own, &own).await?;
            }
            let records = match self.look(place, &own).await? {
                Sight::Done(index) => return self.done_by_others(place, index).await,
                // A registry that is just writing a record may show none.
                Sight::Missing(missing) if begun.elapsed() > self.lease => {
                    return Ok(Met::Waiting { missing });
                }
                Sight::Missing(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER_LOOKS);
                    continue;
                }
                Sight::Complete(records) => records,
            };
            let claiming = |part: &usize| records[*part].claims && *part != self.set.own;
            let waits: Vec<usize> = (0..records.len()).filter(claiming).collect();
            let (earlier, later): (Vec<usize>, Vec<usize>) =
                waits.iter().filter(|part| patience.bears(**part)).partition(|part| **part < self.set.own);
            if earlier.is_empty() && later.is_empty() {
                return match place.marker().await? {
                    Some(done) => self.done_by_others(place, done.index).await,
                    None => self.finish(place, &own, records, pusher).await,
                };
            }
            if !earlier.is_empty() {
                own.claims = false;
                place.put(self.set.own, &own).await?;
                // Not before they are through: to claim again at once would keep those declared later waiting.
                while let Sight::Complete(records) = self.look(place, &own).await?
                    && earlier.iter().any(|part| records[*part].claims && patience.bears(*part))
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LATER_LOOKS);
                }
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATER_LOOKS);
        }
    }

    async fn look(&self, place: &Place, own: &Record) -> Result<Sight, Failure> {
        let (records, marker) = tokio::try_join!(place.records(), place.marker())?;
        let mut all = Vec::new();
        let mut missing = Vec::new();
        for (number, (name, record)) in self.set.parts.iter().zip(records).enumerate() {
            match record {
                // What a registry shows of the own one may be late.
                _ if number == self.set.own => all.push(own.clone()),
                Some(record) => {
                    self.is_of_this_set(name, &record)?;
                    all.push(record);
                }
                None => missing.push(name.clone()),
            }
        }
        // The marker comes before records go: where some are missing, it was to be seen by then.
        let marker = match (marker, missing.is_empty()) {
            (None, false) => place.marker().await?,
            (marker, _) => marker,
        };
        Ok(match marker {
            Some(done) => {
                self.agrees(own, &done.images)?;
                Sight::Done(done.index)
            }
            None if missing.is_empty() => Sight::Complete(all),
            None => Sight::Missing(missing),
        })
    }

    async fn done_by_others(&self, place: &Place, index: Digest) -> Result<Met, Failure> {
        // It may have been written after the others were cleared away.
        place.forget(self.set.own).await;
        Ok(Met::Complete { index, published: None })
    }

    /// Whether what is there is what was built.
    fn agrees(&self, own: &Record, there: &[Descriptor]) -> Result<(), ReleaseError> {
        let has = |image: &Descriptor| there.iter().any(|there| there.digest == image.digest);
        if own.images.iter().all(has) {
            return Ok(());
        }
        let listed = |images: &[Descriptor]| {
            images.iter().map(|image| image.digest.to_string()).collect::<Vec<_>>().join(", ")
        };
        let of_platform = |image: &&Descriptor| own.images.iter().any(|own| own.platform == image.platform);
        let there: Vec<Descriptor> = there.iter().filter(of_platform).cloned().collect();
        Err(ReleaseError::OtherPart {
            part: self.set.parts[self.set.own].clone(),
            set: self.set.id.clone(),
            there: if there.is_empty() { "something else".to_owned() } else { listed(&there) },
            found: listed(&own.images),
        })
    }

    fn is_of_this_set(&self, part: &str, record: &Record) -> Result<(), ReleaseError> {
        if record.plan.parts == self.set.parts {
            return Ok(());
        }
        Err(ReleaseError::OtherSet {
            set: self.set.id.clone(),
            part: part.to_owned(),
            own: self.set.parts.clone(),
            other: record.plan.parts.clone(),
        })
    }
}

/// Since when each of the others has wanted to finish, as far as this one has seen.
struct Patience {
    lease: Duration,
    since: BTreeMap<usize, Instant>,
}

impl Patience {
    /// Whether it is still waited for.
    fn bears(&mut self, part: usize) -> bool {
        self.since.entry(part).or_insert_with(Instant::now).elapsed() < self.lease
    }
}
