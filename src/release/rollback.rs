//! Undoing a release: its tags mean what they meant before.

use futures_util::future::join_all;

use super::{
    Journal, Kept, KeptTag, KeptTarget, Publisher, ReleaseError, Stage, releases, remove::remove_tag,
    resume::same,
};
use crate::{
    error::{Explain, Failure},
    oci::{Digest, Reference, Repository},
};

/// What was undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The release's ID.
    pub id: String,
    /// Tags that point to what they pointed to before.
    pub restored: Vec<(Reference, Digest)>,
    /// Tags that were new and are gone.
    pub deleted: Vec<Reference>,
    /// Tags that were new and that the registry does not delete.
    pub undeleted: Vec<Reference>,
    /// Tags that were moved by others since, and stay.
    pub moved_on: Vec<Reference>,
}

impl Undone {
    fn add(&mut self, other: Self) {
        self.restored.extend(other.restored);
        self.deleted.extend(other.deleted);
        self.undeleted.extend(other.undeleted);
        self.moved_on.extend(other.moved_on);
    }
}

impl Publisher {
    /// Points every tag of a release to what it pointed to before; tags that were new are deleted, where the registry does
    /// that. Without an ID it is the last release that was not undone.
    ///
    /// What others have moved since stays, unless forced.
    pub async fn rollback(&self, id: Option<&str>) -> Result<Undone, Failure> {
        let last = |kept: &Kept| matches!(kept.stage, Stage::Begun | Stage::Done);
        let id = match id {
            Some(id) => id.to_owned(),
            None => match releases(&self.releases)?.into_iter().find(last) {
                Some(kept) => kept.id,
                None => {
                    let (id, folder) = ("to roll back".to_owned(), self.releases.clone());
                    return Err(ReleaseError::NoRelease { id, folder }.into());
                }
            },
        };
        let journal = Journal::open(&self.store, &self.releases, &id)?;
        let kept = journal.kept().clone();
        let undoing = self.goals(&kept)?.into_iter().zip(&kept.targets);
        let undoing = undoing.map(async |(goal, target)| {
            let mut undone = Undone::default();
            let ended = self.undo(&goal.repository, target, &kept, &mut undone).await;
            (undone, ended)
        });
        let (mut all, mut failed) = (Undone { id, ..Undone::default() }, None);
        for (undone, ended) in join_all(undoing).await {
            all.add(undone);
            if let Err(error) = ended {
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                journal.end(Stage::RolledBack)?;
                Ok(all)
            }
        }
    }

    /// Undoes what was done in one repository, the most general tag first.
    async fn undo(
        &self,
        repository: &Repository,
        target: &KeptTarget,
        kept: &Kept,
        undone: &mut Undone,
    ) -> Result<(), Failure> {
        for tag in target.tags.iter().rev() {
            let name = repository.tagged(&tag.tag);
            let current = self.registry.published(&name).await?;
            if same(current.as_ref(), tag.before.as_ref()) {
                continue;
            }
            if !same(current.as_ref(), Some(&kept.image)) && !self.terms.force {
                undone.moved_on.push(name);
                continue;
            }
            self.restore(name, tag, undone).await?;
        }
        Ok(())
    }

    async fn restore(&self, name: Reference, tag: &KeptTag, undone: &mut Undone) -> Result<(), Failure> {
        if let Some(before) = &tag.before {
            let found = self.registry.manifest(&name.repository.at(before.digest)).await?;
            self.registry.push_manifest(&name, &found.descriptor.media_type, found.bytes).await?;
            undone.restored.push((name, before.digest));
            return Ok(());
        }
        match remove_tag(&self.registry, &name).await {
            Ok(_) => undone.deleted.push(name),
            Err(error) if error.is_unsupported() => undone.undeleted.push(name),
            // Deleting may be a right of its own; that of pushing is enough for all else.
            Err(error) if error.kind() == crate::error::Kind::Denied => undone.undeleted.push(name),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
