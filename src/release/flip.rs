//! Moving the tags of one repository.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::Journal;
use crate::{
    error::Failure,
    event::{Outcome, Sink, Task},
    oci::{Digest, Repository},
    registry::Client,
};

/// What the tags are pointed to.
#[derive(Debug, Clone)]
pub(super) struct Image<'a> {
    pub(super) media_type: &'a str,
    pub(super) bytes: Bytes,
}

/// Points the tags to the image, which the repository has, in this order; by one request where the registry can do that.
/// Each is taken down in the journal when it is done.
pub(super) async fn flip(
    registry: &Client,
    sink: &Sink,
    repository: &Repository,
    tags: Vec<&str>,
    image: &Image<'_>,
    journal: &Mutex<Journal>,
) -> Result<(), Failure> {
    let taken_down = |tags: &[&str]| {
        let names: Vec<_> = tags.iter().map(|tag| repository.tagged(*tag)).collect();
        journal.lock().unwrap_or_else(PoisonError::into_inner).moved(&names)
    };
    let mut left = tags;
    // A repository that once did not set them all does not know such requests.
    while left.len() > 1 {
        let quiet = registry.with(Sink::silent(), registry.patience());
        let set = quiet.set_tags(repository, image.media_type, image.bytes.clone(), &left).await?;
        if set.is_empty() {
            break;
        }
        let (done, rest): (Vec<&str>, Vec<&str>) =
            left.iter().partition(|tag| set.iter().any(|set| set == *tag));
        for tag in &done {
            let task = sink.start(Task::Publish { reference: repository.tagged(*tag).to_string() }, None);
            task.finish(Outcome::Done, Some((Digest::of(&image.bytes), image.bytes.len() as u64)));
        }
        taken_down(&done)?;
        left = rest;
    }
    for tag in left {
        registry.push_manifest(&repository.tagged(tag), image.media_type, image.bytes.clone()).await?;
        taken_down(&[tag])?;
    }
    Ok(())
}
