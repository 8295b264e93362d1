//! Finishing a release that was begun.

use super::{
    Goal, Journal, Kept, Published, Publisher, ReleaseError, Stage, gather,
    journal::is_running,
    releases,
    survey::{Asked, Survey},
};
use crate::{
    error::Failure,
    image::BlobOrigin,
    oci::{Descriptor, Reference},
    output::{Contents, Pusher},
    tags::{Movement, PlannedTag},
};

impl Publisher {
    /// Finishes the release of this ID, else the last one that was not finished; `None`: there is none. What is missing
    /// in the registries is sent from the store. Tags that others have moved since stay where they are, unless forced:
    /// they are told as a note.
    ///
    /// # Errors
    /// It was rolled back, or another process is at it; and those of [`Publisher::publish`].
    pub async fn resume(&self, id: Option<&str>) -> Result<Option<(Kept, Published)>, Failure> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => match releases(&self.releases)?.into_iter().find(|kept| self.is_left(kept)) {
                Some(kept) => kept.id,
                None => return Ok(None),
            },
        };
        let mut journal = Journal::open(&self.store, &self.releases, &id)?;
        match journal.kept().stage {
            Stage::Begun => {}
            Stage::Done => return Ok(Some((journal.kept().clone(), Published::default()))),
            Stage::Superseded if self.terms.force => {}
            Stage::Superseded => return Err(ReleaseError::Superseded { id }.into()),
            Stage::RolledBack => return Err(ReleaseError::RolledBack { id }.into()),
        }
        let goals = self.goals(journal.kept())?;
        let survey = Survey::take(&self.registry, &goals, Asked::Before).await?;
        let goals = self.open_goals(&mut journal, &goals, &survey)?;
        let kept = journal.kept().clone();
        if goals.is_empty() {
            journal.end(Stage::Done)?;
            return Ok(Some((kept, Published { id: Some(id), ..Published::default() })));
        }
        let contents = self.contents(&kept, &goals).await?;
        let names: Vec<Reference> = goals.iter().flat_map(Goal::names).collect();
        let pusher = Pusher::new(self.store.clone(), self.registry.clone(), &names);
        let published = self.carry_out(&goals, &contents, &pusher, journal).await?;
        Ok(Some((kept, published)))
    }

    fn is_left(&self, kept: &Kept) -> bool {
        kept.stage == Stage::Begun && !is_running(&self.releases, &kept.id)
    }

    pub(super) fn goals(&self, kept: &Kept) -> Result<Vec<Goal>, ReleaseError> {
        kept.goals().map_err(|error| ReleaseError::Journal {
            path: self.releases.join(&kept.id),
            problem: error.to_string(),
        })
    }

    /// What is left to do. Tags that point to the image were moved, whether that was taken down or not.
    fn open_goals(
        &self,
        journal: &mut Journal,
        goals: &[Goal],
        survey: &Survey,
    ) -> Result<Vec<Goal>, Failure> {
        let image = journal.kept().image.clone();
        let (mut moved, mut open) = (Vec::new(), Vec::new());
        for (goal, target) in goals.iter().zip(journal.kept().targets.clone()) {
            let mut tags: Vec<PlannedTag> = Vec::new();
            for (planned, kept) in goal.tags.iter().zip(&target.tags) {
                let name = goal.repository.tagged(&planned.tag);
                let current = survey.current(&name);
                if same(current, Some(&image)) {
                    moved.push(name);
                } else if !self.terms.force
                    && self.is_others(planned, current, kept.before.as_ref(), kept.moved)
                {
                    self.sink.warn(format!(
                        "{} stays where it is: it was moved since (--force moves it back)",
                        name.familiar()
                    ));
                } else {
                    tags.push(planned.clone());
                }
            }
            if !tags.is_empty() {
                open.push(Goal { repository: goal.repository.clone(), tags });
            }
        }
        journal.moved(&moved)?;
        Ok(open)
    }

    /// Whether somebody else has moved the tag, and no rule says whose it is.
    fn is_others(
        &self,
        planned: &PlannedTag,
        current: Option<&Descriptor>,
        before: Option<&Descriptor>,
        moved: bool,
    ) -> bool {
        moved || (planned.movement == Movement::Free && !same(current, before))
    }

    /// What the image consists of: from the store, or what a registry has of it by now.
    async fn contents(&self, kept: &Kept, goals: &[Goal]) -> Result<Contents, Failure> {
        let lost = match Contents::read(&self.store, &kept.image) {
            Ok(contents) => return Ok(contents),
            Err(error) => error,
        };
        for goal in goals {
            let origin = BlobOrigin::Registry(goal.repository.clone());
            if let Ok(contents) = gather(&self.store, &self.registry, &origin, &kept.image).await {
                return Ok(contents);
            }
        }
        Err(lost)
    }
}

pub(super) fn same(one: Option<&Descriptor>, other: Option<&Descriptor>) -> bool {
    one.map(|one| one.digest) == other.map(|other| other.digest)
}
