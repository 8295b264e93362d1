//! What commands work with, made from settings.

use std::path::Path;

use crate::{
    error::Failure,
    event::Sink,
    layer::Pool,
    registry::{Client, Credentials},
    settings::{BuildSettings, RegistrySettings},
    solve::Engine,
    store::Store,
};

/// The engine of a build.
pub(super) fn engine(settings: &BuildSettings, sink: &Sink) -> Result<Engine, Failure> {
    Ok(Engine {
        store: open_store(&settings.home)?,
        registry: client(&settings.registry, sink)?,
        pool: Pool::new(settings.jobs)?,
        sink: sink.clone(),
    })
}

/// A client of registries, with the user's credentials.
pub(super) fn client(settings: &RegistrySettings, sink: &Sink) -> Result<Client, Failure> {
    let credentials = Credentials::from_environment(std::env::vars());
    Ok(Client::new(settings.client(credentials, sink.clone())?)?)
}

/// The local store.
pub(super) fn open_store(home: &Path) -> Result<Store, Failure> {
    Ok(Store::open(home)?)
}
