//! The index of a set whose parts are all there, and its tags.

use std::collections::BTreeSet;

use super::{
    Meeting, Met,
    place::Place,
    record::{Marker, Record},
};
use crate::{
    error::Failure,
    image::{BlobOrigin, remember_origin},
    oci::{Descriptor, Index, Repository, media_type},
    output::{Contents, Pusher},
    release::{Published, ReleaseError, gather},
};

impl Meeting<'_> {
    /// Writes the index and moves the tags.
    pub(super) async fn finish(
        &self,
        place: &Place,
        own: &Record,
        records: Vec<Record>,
        pusher: &Pusher,
    ) -> Result<Met, Failure> {
        let ended = self.publish(place, &records, pusher).await;
        let (index, published) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Whoever waits need not wait for the end of the lease.
                let _ = place.put(self.set.own, &Record { claims: false, ..own.clone() }).await;
                return Err(error);
            }
        };
        let images = index.manifests.clone();
        let digest = crate::oci::Digest::of(&index.to_bytes());
        place.mark(&Marker { index: digest, images }).await?;
        for part in 0..records.len() {
            place.forget(part).await;
        }
        place.clear().await;
        Ok(Met::Complete { index: digest, published: Some(published) })
    }

    async fn publish(
        &self,
        place: &Place,
        records: &[Record],
        pusher: &Pusher,
    ) -> Result<(Index, Published), Failure> {
        let publisher = self.publisher;
        let store = &publisher.store;
        // A set has at least one part.
        let plan = &records[0].plan;
        if *plan != records[self.set.own].plan {
            publisher.sink.warn(format!(
                "the set {} has the tags and annotations of its first part, {}, which are others than this job's",
                self.set.id, self.set.parts[0]
            ));
        }
        let goals = plan.goals().map_err(|error| ReleaseError::Record {
            reference: Box::new(place.repository().tagged("latest")),
            problem: error.to_string(),
        })?;
        let mut index = Index::new(Vec::new());
        for image in records.iter().flat_map(|record| &record.images) {
            if index.manifests.iter().all(|known| known.digest != image.digest) {
                index.manifests.push(image.clone());
            }
        }
        index.annotations.clone_from(&plan.annotations);
        let whole = self.whole(place, &index).await?;
        let lacking = self.lacking(&goals, place.repository(), &whole).await?;
        pusher.send(&whole, &lacking).await?;
        // All of it is everywhere by now but for the index; a release that is resumed looks again. Manifests are not
        // written once more, not even the same: distribution empties a file for that, and refuses records that others
        // write meanwhile and that list them.
        let lean = Contents { blobs: Vec::new(), manifests: Vec::new(), ..whole };
        for blob in lean.origins.keys().filter(|digest| store.blob_size(digest).is_none()) {
            remember_origin(store, blob, place.repository())?;
        }
        let published = publisher.publish(&goals, &lean, pusher).await?;
        Ok((index, published))
    }

    /// Everything that the index leads to. Its blobs are where the parts meet.
    async fn whole(&self, place: &Place, index: &Index) -> Result<Contents, Failure> {
        let publisher = self.publisher;
        let origin = BlobOrigin::Registry(place.repository().clone());
        let mut origins = std::collections::BTreeMap::new();
        for image in &index.manifests {
            let part = gather(&publisher.store, &publisher.registry, &origin, image).await?;
            origins.extend(part.origins);
        }
        origins.extend(self.contents.origins.clone());
        let bytes = index.to_bytes();
        publisher.store.put_blob(&bytes)?;
        let contents = Contents::read(&publisher.store, &Descriptor::of(media_type::INDEX, &bytes))?;
        Ok(Contents { origins, ..contents })
    }

    /// The repositories that do not have all parts: jobs that name other repositories, or one that was made anew.
    async fn lacking(
        &self,
        goals: &[crate::release::Goal],
        met: &Repository,
        whole: &Contents,
    ) -> Result<BTreeSet<Repository>, Failure> {
        let mut lacking = BTreeSet::new();
        for goal in goals.iter().filter(|goal| goal.repository != *met) {
            let names = whole.manifests.iter().map(|manifest| goal.repository.at(manifest.digest));
            let there = names.map(async |name| self.publisher.registry.published(&name).await);
            let there = futures_util::future::try_join_all(there).await?;
            if there.iter().any(Option::is_none) {
                lacking.insert(goal.repository.clone());
            }
        }
        Ok(lacking)
    }
}
