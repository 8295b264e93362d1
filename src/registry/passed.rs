//! Places to pull from that did not have it.

use super::{Client, RegistryError, client::Endpoint};

/// What the places said that were asked in vain: mirrors, and the registry itself at last.
#[derive(Debug, Default)]
pub(super) struct Passed(Vec<(String, RegistryError)>);

impl Passed {
    /// Goes on to the next place: a mirror that fails, for whatever reason, is passed over.
    pub(super) fn over(&mut self, client: &Client, at: &Endpoint, error: RegistryError) {
        let mut name = at.host.name.clone();
        if at.mirror {
            name = format!("mirror {name}");
            if !matches!(error, RegistryError::NotFound { .. }) {
                client.warn_once(format!("passing over the {name}: {error}"));
            }
        }
        self.0.push((name, error));
    }

    /// The error of having been to all of them. Where the registry itself says that it is not there, or there is no
    /// mirror, that is all there is to say.
    pub(super) fn into_error(mut self, action: &str) -> RegistryError {
        let absent = matches!(self.0.last(), Some((_, RegistryError::NotFound { .. })));
        if !absent && self.0.len() > 1 {
            return RegistryError::Everywhere { action: action.to_owned(), said: self.0 };
        }
        match self.0.pop() {
            Some((_, error)) => error,
            // Does not happen: the registry itself is always among the places.
            None => RegistryError::Settings("there is no place to pull from".into()),
        }
    }
}
