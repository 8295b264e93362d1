//! What the registries say of the tags.

use std::collections::BTreeMap;

use futures_util::future::{join_all, try_join_all};

use super::{Decision, Goal, Refused, Terms, decide};
use crate::{
    error::{Explain, Kind},
    oci::{Descriptor, Digest, Reference, Repository},
    registry::{Client, RegistryError},
    tags::{Movement, PlannedTag},
};

/// What the tags of goals mean at one time, and which others there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    current: BTreeMap<Reference, Option<Descriptor>>,
    tags: BTreeMap<Repository, Vec<String>>,
}

impl Survey {
    /// Asks for all tags at once, and once for the list of each repository with a tag that depends on others.
    pub(super) async fn take(registry: &Client, goals: &[Goal]) -> Result<Self, RegistryError> {
        let names: Vec<Reference> = goals.iter().flat_map(Goal::names).collect();
        let current = try_join_all(names.iter().map(|name| registry.published(name)));
        let moving = |goal: &&Goal| goal.tags.iter().any(|tag| matches!(tag.movement, Movement::Line(_)));
        let lists =
            goals.iter().filter(moving).map(async |goal| (goal, registry.tags(&goal.repository).await));
        let lists = async { Ok(join_all(lists).await) };
        let (current, lists) = tokio::try_join!(current, lists)?;
        let current: BTreeMap<_, _> = names.into_iter().zip(current).collect();
        let mut tags = BTreeMap::new();
        for (goal, listed) in lists {
            let exists = goal.names().any(|name| current[&name].is_some());
            let listed = match listed {
                // Some registries refuse to tell of repositories that do not exist.
                Err(error) if error.kind() == Kind::NotFound || error.kind() == Kind::Denied && !exists => {
                    Vec::new()
                }
                other => other?,
            };
            tags.insert(goal.repository.clone(), listed);
        }
        Ok(Self { current, tags })
    }

    /// What a tag points to.
    pub(super) fn current(&self, name: &Reference) -> Option<&Descriptor> {
        self.current.get(name)?.as_ref()
    }

    /// What is done with each tag of a goal.
    pub(super) fn decide<'a>(
        &self,
        goal: &'a Goal,
        wanted: &Digest,
        terms: &Terms,
    ) -> Vec<(&'a PlannedTag, Decision)> {
        let others = self.tags.get(&goal.repository).map_or(&[][..], Vec::as_slice);
        let decided = goal.tags.iter().map(|tag| {
            let current = self.current(&goal.repository.tagged(&tag.tag)).map(|found| &found.digest);
            (tag, decide(tag, current, wanted, others, terms))
        });
        decided.collect()
    }

    /// The tags that mean another image for ever.
    pub(super) fn refused(&self, goals: &[Goal], wanted: &Digest, terms: &Terms) -> Vec<Refused> {
        let refused = goals.iter().flat_map(|goal| {
            let decided = self.decide(goal, wanted, terms).into_iter();
            decided.filter_map(|(tag, decision)| match decision {
                Decision::Refused { is } => Some(Refused { reference: goal.repository.tagged(&tag.tag), is }),
                _ => None,
            })
        });
        refused.collect()
    }
}
