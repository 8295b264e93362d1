//! Files on the web and commits, as a lock knows them.

use super::{Engine, StepError};
use crate::{
    lock::Pins,
    oci::Digest,
    recipe::GitSource,
    registry::WebFile,
    remote::{Checkout, checkout},
};

/// A file on the web. If it is locked, it is taken from the store where that has it, without asking its server, and has
/// the time that is locked. That its digest is `checksum` is for the caller to tell.
pub(super) async fn web_file(
    engine: &Engine,
    pins: Option<&Pins>,
    url: &str,
    checksum: Option<&Digest>,
) -> Result<WebFile, StepError> {
    let pin = match pins {
        Some(pins) => pins.web(url, checksum)?.map(|pin| (pins, pin)),
        None => None,
    };
    let Some((pins, pin)) = pin else {
        return Ok(engine.registry.fetch_file(url, checksum, &engine.store).await?);
    };
    let file = engine.registry.fetch_file(url, Some(&pin.digest), &engine.store).await?;
    if file.digest != pin.digest {
        return Err(pins.changed(url, &pin, &file.digest).into());
    }
    Ok(WebFile { modified: pin.modified, ..file })
}

/// A commit. If it is locked, the remote is not asked what its name means. Blocks.
pub(super) fn commit_of(
    engine: &Engine,
    pins: Option<&Pins>,
    source: &GitSource,
) -> Result<Checkout, StepError> {
    let certificates = engine.registry.certificates();
    let (reference, checksum) = (source.reference.as_deref(), source.checksum.as_deref());
    let pin = match pins {
        Some(pins) => pins.commit(&source.remote, reference, checksum)?,
        None => None,
    };
    let locked = pin.map(|commit| GitSource { reference: Some(commit.to_owned()), ..source.clone() });
    Ok(checkout(&engine.store, locked.as_ref().unwrap_or(source), certificates)?)
}
