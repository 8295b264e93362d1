//! The registry client.

mod authentication;
mod ecr;
mod limits;
mod pulling;
mod pushing;
mod real;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use imgbuild::{
    event::{Event, Sink},
    oci::{Descriptor, Digest, Repository},
    registry::{Blob, Client, Credentials, Patience, Settings},
    store::Store,
};
use tempfile::TempDir;

/// A client with a store of its own, and the events it emitted.
struct Bench {
    client: Client,
    store: Store,
    events: Arc<Mutex<Vec<Event>>>,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = events.clone();
        let sink = Sink::new(move |event| kept.lock().unwrap().push(event));
        let mut settings = Settings::new(Credentials::none(), sink);
        // Failures are many here and never worth a wait.
        settings.patience = Patience {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
            budget: Duration::from_secs(20),
            attempts: 5,
            ..Patience::default()
        };
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { client: Client::new(settings).unwrap(), store, events, _folder: folder }
    }

    fn as_user(host: &str, user: &str, password: &str) -> Self {
        let credentials = logged_in(host, user, password);
        Self::with(|settings| settings.credentials = credentials)
    }

    /// A blob of the store.
    fn blob(&self, bytes: &[u8]) -> Blob {
        let digest = self.store.put_blob(bytes).unwrap();
        let descriptor = Descriptor::new("application/octet-stream", digest, bytes.len() as u64);
        Blob { descriptor, path: self.store.blob_path(&digest) }
    }

    fn retries(&self) -> Vec<(String, Duration)> {
        let events = self.events.lock().unwrap();
        let retry = |event: &Event| match event {
            Event::Retry { reason, after, .. } => Some((reason.clone(), *after)),
            _ => None,
        };
        events.iter().filter_map(retry).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let warning = |event: &Event| match event {
            Event::Warning { message, .. } => Some(message.clone()),
            _ => None,
        };
        events.iter().filter_map(warning).collect()
    }
}

/// Credentials as the environment gives them.
fn logged_in(host: &str, user: &str, password: &str) -> Credentials {
    let name: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    Credentials::from_environment([
        (format!("IMGBUILD_REGISTRY_{name}_USERNAME"), user.to_owned()),
        (format!("IMGBUILD_REGISTRY_{name}_PASSWORD"), password.to_owned()),
    ])
}

fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

/// Bytes that no compression or coincidence makes look alike.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn descriptor(digest: Digest, size: usize) -> Descriptor {
    Descriptor::new("application/octet-stream", digest, size as u64)
}

/// Callers spawn what the client does: its futures must be `Send`.
#[test]
fn futures_can_be_spawned() {
    fn spawnable<T: Send>(_: impl FnOnce(&'static Client, &'static Store, &'static Repository) -> T) {}
    spawnable(|client, _, repository| {
        let reference: &'static _ = Box::leak(Box::new(repository.tagged("1")));
        let blob: &'static Blob =
            Box::leak(Box::new(Blob { descriptor: descriptor(Digest::of(b""), 0), path: PathBuf::new() }));
        (
            client.resolve(reference),
            client.manifest(reference),
            client.tags(repository),
            client.push_manifest(reference, "", Default::default()),
            client.push_blob(repository, blob, &[]),
            client.has_blob(repository, &blob.descriptor),
        )
    });
    spawnable(|client, store, repository| {
        let blob: &'static _ = Box::leak(Box::new(descriptor(Digest::of(b""), 0)));
        (
            client.fetch_blob(repository, blob, store),
            client.blob(repository, blob),
            client.download("", store),
        )
    });
}
