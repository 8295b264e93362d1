//! Repositories that are not there yet.

use super::{Client, RegistryError, Result, client::Endpoint, retry::Backoff};

/// What was done so far for a push whose repository is not there.
#[derive(Debug, Default)]
pub(super) struct Providing(Option<Backoff>);

impl Client {
    /// After a push was refused: makes the repository, if that is what is missing, if it was asked for, and if the
    /// registry has an API for it. The push is then to be tried again; otherwise the error comes back.
    pub(super) async fn provide(
        &self,
        at: &Endpoint,
        error: RegistryError,
        providing: &mut Providing,
    ) -> Result<()> {
        let (Some(ecr), RegistryError::NotFound { .. }) = (&at.host.ecr, &error) else { return Err(error) };
        let name = format!("{}/{}", at.host.name, at.path);
        if !self.inner.settings.create_repositories {
            return Err(RegistryError::NoRepository { error: Box::new(error), repository: name });
        }
        if let Some(backoff) = &mut providing.0 {
            // It was made, and the registry has not heard of it yet.
            let Some(wait) = backoff.next(None) else { return Err(error) };
            self.pause(None, error.to_string(), wait).await;
            return Ok(());
        }
        // Layers that are pushed beside each other all find that it is not there.
        let _flight = self.inner.creating.join(name.clone()).await;
        if self.create_repository(ecr, &name, &at.path).await? {
            self.sink.note(format!("created the repository {name}"));
        }
        providing.0 = Some(Backoff::new(self.patience));
        Ok(())
    }
}
