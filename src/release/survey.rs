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

/// What is known of the repositories that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing: they may not be there, which some registries tell as "denied".
    Before,
    /// They have the image: whoever may not see their tags cannot decide on those that depend on others.
    Sent,
}

/// What the tags of goals mean at one time, and which others there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    current: BTreeMap<Reference, Option<Descriptor>>,
    tags: BTreeMap<Repository, Vec<String>>,
}

impl Survey {
    /// Asks for all tags at once, and once for the list of each repository with a tag that depends on others.
    pub(super) async fn take(registry: &Client, goals: &[Goal], asked: Asked) -> Result<Self, RegistryError> {
        let tags = goals.iter().flat_map(|goal| goal.tags.iter().map(move |tag| (goal, tag)));
        let tags: Vec<_> =
            tags.map(|(goal, tag)| (goal.repository.tagged(&tag.tag), &tag.movement)).collect();
        let current = try_join_all(tags.iter().map(async |(name, movement)| match (asked, movement) {
            (Asked::Sent, Movement::Fixed | Movement::Line(_)) => registry.published_for_certain(name).await,
            _ => registry.published(name).await,
        }));
        let moving = |goal: &&Goal| goal.tags.iter().any(|tag| matches!(tag.movement, Movement::Line(_)));
        let lists =
            goals.iter().filter(moving).map(async |goal| (goal, registry.tags(&goal.repository).await));
        let lists = async { Ok(join_all(lists).await) };
        let (current, lists) = tokio::try_join!(current, lists)?;
        let names = tags.iter().map(|(name, _)| name.clone());
        let current: BTreeMap<_, _> = names.zip(current).collect();
        let mut tags = BTreeMap::new();
        for (goal, listed) in lists {
            let exists = goal.names().any(|name| current[&name].is_some());
            let listed = match listed {
                // Some registries refuse to tell of repositories that do not exist.
                Err(error) if error.kind() == Kind::NotFound => Vec::new(),
                Err(error) if error.kind() == Kind::Denied && !exists && asked == Asked::Before => Vec::new(),
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
