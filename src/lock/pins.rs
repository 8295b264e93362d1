//! A lock in a build.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use super::{ImagePin, Input, Lock, LockError, Pin, WebPin};
use crate::{
    event::Sink,
    oci::{Digest, Platform, Reference},
};

/// A lock as a build uses it: what a name means is what it says. A name that it does not have is told of once, or is an
/// error.
#[derive(Debug)]
pub struct Pins {
    lock: Lock,
    shown: String,
    strict: bool,
    sink: Sink,
    told: Mutex<BTreeSet<Input>>,
}

impl Pins {
    /// A lock, which messages call `shown`. If it is `strict`, a name that it does not have is an error.
    pub fn new(lock: Lock, shown: impl Into<String>, strict: bool, sink: Sink) -> Self {
        Self { lock, shown: shown.into(), strict, sink, told: Mutex::default() }
    }

    /// What an image is; `None`: it is not locked, and has to be looked up.
    ///
    /// # Errors
    /// It is not locked, and must be.
    pub fn image(&self, reference: &Reference) -> Result<Option<&ImagePin>, LockError> {
        match self.pin(Input::image(reference))? {
            Some((_, Pin::Image(pin))) => Ok(Some(pin)),
            _ => Ok(None),
        }
    }

    /// Checks that what a locked image's index names for a platform is what the lock says.
    ///
    /// # Errors
    /// It is another one.
    pub fn check_manifest(
        &self,
        reference: &Reference,
        pin: &ImagePin,
        platform: &Platform,
        found: &Digest,
    ) -> Result<(), LockError> {
        // Where there are none, the index did not say what its manifests are for.
        if pin.platforms.is_empty() || pin.platforms.values().any(|known| known == found) {
            return Ok(());
        }
        Err(LockError::Manifest {
            what: Input::image(reference).to_string(),
            lock: self.shown.clone(),
            platform: platform.to_string(),
            found: found.to_string(),
        })
    }

    /// What a file on the web is, of which the file to build may say the digest itself; `None`: it is not locked.
    ///
    /// # Errors
    /// It is not locked, and must be, or the lock says something else than the file.
    pub fn web(&self, url: &str, checksum: Option<&Digest>) -> Result<Option<WebPin>, LockError> {
        let Some((input, Pin::Web(pin))) = self.pin(Input::web(url))? else { return Ok(None) };
        match checksum {
            Some(expected) if !agrees(pin, expected) => {
                Err(self.disagrees(&input, expected.to_string(), pin.digest.to_string()))
            }
            _ => Ok(Some(*pin)),
        }
    }

    /// The error for a file on the web that is not what is locked.
    pub fn changed(&self, url: &str, pin: &WebPin, found: &Digest) -> LockError {
        LockError::Changed {
            what: Input::web(url).to_string(),
            lock: self.shown.clone(),
            locked: pin.digest.to_string(),
            found: found.to_string(),
        }
    }

    /// What a commit is, of which the file to build may say the first digits itself; `None`: it is not locked.
    ///
    /// # Errors
    /// It is not locked, and must be, or the lock says something else than the file.
    pub fn commit(
        &self,
        remote: &str,
        reference: Option<&str>,
        checksum: Option<&str>,
    ) -> Result<Option<&str>, LockError> {
        let Some((input, Pin::Git(commit))) = self.pin(Input::git(remote, reference))? else {
            return Ok(None);
        };
        match checksum {
            Some(expected) if !commit.starts_with(expected) => {
                Err(self.disagrees(&input, expected.to_owned(), commit.clone()))
            }
            _ => Ok(Some(commit)),
        }
    }

    fn pin(&self, input: Input) -> Result<Option<(Input, &Pin)>, LockError> {
        if let Some(pin) = self.lock.pin(&input) {
            return Ok(Some((input, pin)));
        }
        if self.strict {
            return Err(LockError::Missing { lock: self.shown.clone(), what: input.to_string() });
        }
        // What says itself what it is means the same tomorrow.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !input.is_exact() && told.insert(input.clone()) {
            self.sink.warn(format!(
                "{} does not have {input}, which is looked up now and may mean something else the next time; \
                 `imgbuild lock` adds it",
                self.shown
            ));
        }
        Ok(None)
    }

    fn disagrees(&self, input: &Input, expected: String, locked: String) -> LockError {
        LockError::Disagrees { what: input.to_string(), lock: self.shown.clone(), locked, expected }
    }
}

/// Whether a file that is locked can have this digest: one of another algorithm is compared with the file itself.
fn agrees(pin: &WebPin, expected: &Digest) -> bool {
    pin.digest.algorithm() != expected.algorithm() || pin.digest == *expected
}
