//! The way of an image to its tags.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use futures_util::future::{join_all, try_join_all};
use semver::Version;

use super::{
    Decision, Goal, Journal, ReleaseError, Stage, Terms, flip,
    journal::{KeptTag, KeptTarget},
    survey::{Asked, Survey},
};
use crate::{
    error::Failure,
    event::{Outcome, Sink, Task},
    oci::{Descriptor, Reference, Repository},
    output::{Contents, Pusher},
    registry::Client,
    store::Store,
    tags::{Movement, PlannedTag},
};

/// Publishes images.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The store, which has the documents.
    pub store: Store,
    /// The registries.
    pub registry: Client,
    /// Where events go.
    pub sink: Sink,
    /// Where journals are kept.
    pub releases: PathBuf,
    /// What the user allows.
    pub terms: Terms,
}

/// What became of the tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The release's ID; `None` where there was nothing to do.
    pub id: Option<String>,
    /// Tags that point to the image now.
    pub moved: Vec<Reference>,
    /// Tags that pointed to it before.
    pub exist: Vec<Reference>,
    /// Tags that stay with a higher version.
    pub held_back: Vec<(Reference, Version)>,
}

/// A tag that is to be moved, and what it points to.
pub(super) type Step = (Reference, PlannedTag, Option<Descriptor>);

/// What is to be done, with what is known.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) steps: Vec<Step>,
    pub(super) exist: Vec<Reference>,
    pub(super) held_back: Vec<(Reference, Version)>,
    aloud: Vec<String>,
}

impl Publisher {
    /// Sends an image to all repositories, then lets the tags point to it. If anything fails before all of it is
    /// everywhere, no tag was changed.
    ///
    /// # Errors
    /// A tag means another image for ever ([`ReleaseError::Refused`]): then nothing was sent. Or the release could not be
    /// finished: then it can be resumed.
    pub async fn publish(
        &self,
        goals: &[Goal],
        contents: &Contents,
        pusher: &Pusher,
    ) -> Result<Published, Failure> {
        if goals.iter().all(|goal| goal.tags.is_empty()) {
            return Err(ReleaseError::NoName.into());
        }
        let survey = Survey::take(&self.registry, goals, Asked::Before).await?;
        let agenda = self.agenda(goals, &survey, &contents.root)?;
        if agenda.steps.is_empty() {
            pusher.send(contents, &BTreeSet::new()).await?;
            return Ok(self.ended(None, Vec::new(), agenda, &contents.root));
        }
        let targets = kept(&agenda.steps);
        let journal = Journal::begin(&self.store, &self.releases, &contents.root, targets)?;
        self.carry_out(goals, contents, pusher, journal).await
    }

    /// Sends and moves what the journal says.
    pub(super) async fn carry_out(
        &self,
        goals: &[Goal],
        contents: &Contents,
        pusher: &Pusher,
        journal: Journal,
    ) -> Result<Published, Failure> {
        let id = journal.kept().id.clone();
        let journal = Mutex::new(journal);
        let ended = self.send_and_flip(goals, contents, pusher, &journal).await;
        let journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok((moved, agenda)) => {
                journal.end(Stage::Done)?;
                Ok(self.ended(Some(id), moved, agenda, &contents.root))
            }
            Err(cause) if cause.kind() == crate::error::Kind::Conflict && !journal.has_moved() => {
                // Decided anew, and against it: there is nothing to go on with.
                journal.forget();
                Err(cause)
            }
            Err(cause) => Err(ReleaseError::Unfinished { id, cause }.into()),
        }
    }

    async fn send_and_flip(
        &self,
        goals: &[Goal],
        contents: &Contents,
        pusher: &Pusher,
        journal: &Mutex<Journal>,
    ) -> Result<(Vec<Reference>, Agenda), Failure> {
        let repositories: BTreeSet<Repository> = {
            let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            let goals = journal.kept().goals();
            let goals = goals.map_err(|error| ReleaseError::Journal {
                path: self.releases.clone(),
                problem: error.to_string(),
            })?;
            goals.into_iter().map(|goal| goal.repository).collect()
        };
        pusher.send(contents, &repositories).await?;
        // What was decided on was seen before the image was sent: that may have taken long.
        let (survey, ()) = tokio::try_join!(self.survey(goals), self.verify(&repositories, contents),)?;
        let mut agenda = self.agenda(goals, &survey, &contents.root)?;
        let late = |step: &Step| !repositories.contains(&step.0.repository);
        let new: BTreeSet<Repository> =
            agenda.steps.iter().filter(|step| late(step)).map(|step| step.0.repository.clone()).collect();
        if !new.is_empty() {
            pusher.send(contents, &new).await?;
            self.verify(&new, contents).await?;
        }
        journal.lock().unwrap_or_else(PoisonError::into_inner).revise(&agenda.steps)?;
        agenda.aloud.drain(..).for_each(|said| self.sink.warn(said));
        // Versions first. Whoever asks after that which is the highest sees this one, also where two releases are under way:
        // one of them sees the other.
        let steps = std::mem::take(&mut agenda.steps);
        let (lines, others): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|step| matches!(step.1.movement, Movement::Line(_)));
        let mut moved = self.flip_all(&others, contents, pusher, journal).await?;
        if !lines.is_empty() {
            let again = self.agenda(goals, &self.survey(goals).await?, &contents.root)?;
            let steps = again.steps.into_iter().filter(|step| matches!(step.1.movement, Movement::Line(_)));
            let steps: Vec<Step> = steps.collect();
            journal.lock().unwrap_or_else(PoisonError::into_inner).revise(&steps)?;
            agenda.held_back = again.held_back;
            moved.extend(self.flip_all(&steps, contents, pusher, journal).await?);
        }
        Ok((moved, agenda))
    }

    /// What the tags are once the image is everywhere.
    async fn survey(&self, goals: &[Goal]) -> Result<Survey, Failure> {
        let asked = if self.terms.force { Asked::Before } else { Asked::Sent };
        Ok(Survey::take(&self.registry, goals, asked).await?)
    }

    /// Flips each repository's tags, side by side. A failure in one leaves the others to end what they began.
    async fn flip_all(
        &self,
        steps: &[Step],
        contents: &Contents,
        pusher: &Pusher,
        journal: &Mutex<Journal>,
    ) -> Result<Vec<Reference>, Failure> {
        let document = pusher.document(&contents.root.digest)?;
        let image = flip::Image { media_type: &contents.root.media_type, bytes: document };
        let repositories: BTreeSet<&Repository> = steps.iter().map(|step| &step.0.repository).collect();
        let flips = repositories.into_iter().map(|repository| {
            let names = steps.iter().map(|step| &step.0).filter(|name| name.repository == *repository);
            let tags: Vec<&str> = names.filter_map(|name| name.tag.as_deref()).collect();
            flip::flip(&self.registry, &self.sink, repository, tags, &image, journal)
        });
        let mut failed = None;
        for ended in join_all(flips).await {
            if let Err(error) = ended {
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(steps.iter().map(|step| step.0.clone()).collect()),
        }
    }

    /// Makes sure that the repositories have every document of the image.
    async fn verify(&self, repositories: &BTreeSet<Repository>, contents: &Contents) -> Result<(), Failure> {
        let names = repositories
            .iter()
            .flat_map(|repository| contents.documents().map(|document| repository.at(document.digest)));
        let checks = names.map(async |name| match self.registry.published(&name).await? {
            Some(_) => Ok(()),
            None => Err(Failure::from(ReleaseError::Incomplete { reference: Box::new(name) })),
        });
        try_join_all(checks).await?;
        Ok(())
    }

    /// What is to be done.
    pub(super) fn agenda(
        &self,
        goals: &[Goal],
        survey: &Survey,
        image: &Descriptor,
    ) -> Result<Agenda, ReleaseError> {
        let refused = survey.refused(goals, &image.digest, &self.terms);
        if !refused.is_empty() {
            return Err(ReleaseError::Refused(refused));
        }
        let mut agenda = Agenda::default();
        for goal in goals {
            for (tag, decision) in survey.decide(goal, &image.digest, &self.terms) {
                let name = goal.repository.tagged(&tag.tag);
                match decision {
                    Decision::Exists => agenda.exist.push(name),
                    Decision::Move { aloud } => {
                        let at = name.repository.familiar();
                        agenda.aloud.extend(aloud.map(|said| format!("{at}: {said}")));
                        let current = survey.current(&name).cloned();
                        agenda.steps.push((name, tag.clone(), current));
                    }
                    Decision::HeldBack { by } => agenda.held_back.push((name, by)),
                    // Told above.
                    Decision::Refused { .. } => {}
                }
            }
        }
        Ok(agenda)
    }

    /// Tells what there was no work for.
    fn ended(
        &self,
        id: Option<String>,
        moved: Vec<Reference>,
        agenda: Agenda,
        image: &Descriptor,
    ) -> Published {
        let Agenda { exist, held_back, .. } = agenda;
        for name in exist.iter().filter(|name| !moved.contains(name)) {
            let task = self.sink.start(Task::Publish { reference: name.to_string() }, None);
            task.finish(Outcome::Exists, Some((image.digest, image.size)));
        }
        for (name, by) in &held_back {
            let said = format!("{} stays where it is: {by} is higher", name.familiar());
            self.sink.note(format!("{said} (--allow-downgrade moves it all the same)"));
        }
        Published { id, moved, exist, held_back }
    }
}

/// The steps as the journal has them.
fn kept(steps: &[Step]) -> Vec<KeptTarget> {
    let mut targets: Vec<KeptTarget> = Vec::new();
    for (name, planned, current) in steps {
        let repository = name.repository.to_string();
        let tag = KeptTag::new(planned, current.as_ref());
        match targets.iter_mut().find(|target| target.repository == repository) {
            Some(target) => target.tags.push(tag),
            None => targets.push(KeptTarget { repository, tags: vec![tag] }),
        }
    }
    targets
}
