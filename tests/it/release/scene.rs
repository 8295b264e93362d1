//! What these tests share: a small image, the program, and what registries have.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use imgbuild::{
    event::Sink,
    oci::{Digest, Index, Manifest, Repository, media_type},
    output::{Contents, Pusher},
    registry::{Client, Credentials, Patience, Settings},
    release::{Goal, Publisher, Terms},
    store::Store,
    tags::{Line, Movement, PlannedTag},
};
use tempfile::TempDir;

use crate::tools::imgbuild;

/// A folder with a Dockerfile that copies one file.
pub(super) struct Scene {
    folder: TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("context")).unwrap();
        fs::write(folder.path().join("context/Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
        let scene = Self { folder };
        scene.change("first");
        scene
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the image another one.
    pub(super) fn change(&self, text: &str) {
        fs::write(self.path("context/file"), text).unwrap();
    }

    /// The program with the store of this name.
    pub(super) fn program(&self, home: &str, arguments: &[&str]) -> Command {
        let mut command = imgbuild(&self.path(home));
        command.args(arguments).current_dir(self.path("context"));
        command
    }

    /// The build for a platform or two, pushed under these names.
    pub(super) fn build(&self, home: &str, platforms: &str, names: &[&str], more: &[&str]) -> Command {
        let mut command = self.program(home, &["build", "--quiet", "--push", "--platform", platforms]);
        names.iter().for_each(|name| {
            command.args(["-t", name]);
        });
        command.args(more);
        command
    }
}

pub(super) const BOTH: &str = "linux/amd64,linux/arm64";

/// A client that gives up soon.
pub(super) fn client() -> Client {
    let mut settings = Settings::new(Credentials::none(), Sink::silent());
    settings.patience = Patience {
        first: std::time::Duration::from_millis(1),
        longest: std::time::Duration::from_millis(5),
        attempts: 5,
        ..Patience::default()
    };
    Client::new(settings).unwrap()
}

pub(super) fn repository(host: &str) -> Repository {
    format!("{host}/me/app").parse().unwrap()
}

/// The tags of a repository and what they point to.
pub(super) async fn tags(host: &str) -> BTreeMap<String, Digest> {
    let (client, of) = (client(), repository(host));
    let mut tags = BTreeMap::new();
    for tag in client.tags(&of).await.unwrap_or_default() {
        if let Some(found) = client.published(&of.tagged(&tag)).await.unwrap() {
            tags.insert(tag, found.digest);
        }
    }
    tags
}

/// Whether the registry has everything that a tag leads to.
pub(super) async fn is_complete(host: &str, digest: &Digest) -> Result<(), String> {
    // A new one each time: what it has seen it does not ask for again.
    let (client, of) = (client(), repository(host));
    let mut pending = vec![*digest];
    while let Some(digest) = pending.pop() {
        let found = client.manifest(&of.at(digest)).await.map_err(|error| error.to_string())?;
        if media_type::is_index(&found.descriptor.media_type) {
            let index = Index::parse(&found.bytes).map_err(|error| error.to_string())?;
            pending.extend(index.manifests.iter().map(|child| child.digest));
            continue;
        }
        let manifest = Manifest::parse(&found.bytes).map_err(|error| error.to_string())?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if !client.has_blob(&of, blob).await.map_err(|error| error.to_string())? {
                return Err(format!("{} is missing", blob.digest));
            }
        }
    }
    Ok(())
}

/// An image of the store that has nothing but a config.
pub(super) struct Bench {
    pub(super) publisher: Publisher,
    pub(super) client: Client,
    _folder: TempDir,
}

impl Bench {
    pub(super) fn new(terms: Terms) -> Self {
        let folder = TempDir::new().unwrap();
        let (store, client) = (Store::open(folder.path()).unwrap(), client());
        let publisher = Publisher {
            store,
            registry: client.clone(),
            sink: Sink::silent(),
            releases: folder.path().join("releases"),
            terms,
        };
        Self { publisher, client, _folder: folder }
    }

    /// An image that this text makes another one.
    pub(super) fn image(&self, text: &str) -> Contents {
        let store = &self.publisher.store;
        let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"x\":{text:?}}}");
        let digest = store.put_blob(config.as_bytes()).unwrap();
        let config = imgbuild::oci::Descriptor::new(media_type::CONFIG, digest, config.len() as u64);
        let manifest = Manifest::new(config, Vec::new()).to_bytes();
        store.put_blob(&manifest).unwrap();
        let root = imgbuild::oci::Descriptor::of(media_type::MANIFEST, &manifest);
        Contents::read(store, &root).unwrap()
    }

    pub(super) fn pusher(&self) -> Pusher {
        Pusher::new(self.publisher.store.clone(), self.client.clone(), &[])
    }
}

/// The goal of a release of this version: `1.4.2`, `1.4`, `1`, `latest`.
pub(super) fn release(host: &str, version: &str) -> Goal {
    let version: semver::Version = version.parse().unwrap();
    let planned = |tag: String, movement| PlannedTag { tag, movement };
    let line = |shared: &[u64]| Movement::Line(Line::new(version.clone(), "", shared.to_vec()));
    let tags = vec![
        planned("latest".into(), line(&[])),
        planned(format!("{}", version.major), line(&[version.major])),
        planned(format!("{}.{}", version.major, version.minor), line(&[version.major, version.minor])),
        planned(version.to_string(), Movement::Fixed),
    ];
    Goal::new(repository(host), tags)
}
