//! Shared caches: what one machine writes and another finds.

mod actions;
mod bucket;
mod directory;
mod export;
mod mounts;
mod program;
mod registry;
mod signed;
mod steps;
mod why;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use imgbuild::{
    cache::{Cache, CacheOptions, Entry, Exported, Mode, Part, Place, Tar, Target},
    event::{Event, Outcome, Sink, Task},
    layer::Layer,
    oci::{Descriptor, Digest},
    registry::{Client, Credentials, Patience, Settings},
    store::Store,
};
use tempfile::TempDir;

use crate::support::cli::TestContext;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Long enough for any test, and never waited for.
const BUDGET: Duration = Duration::from_secs(120);

/// A machine with a store of its own, that knows nothing of the others.
struct Machine {
    store: Store,
    client: Client,
    sink: Sink,
    events: Arc<Mutex<Vec<Event>>>,
    _folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self::with(Credentials::none())
    }

    fn with(credentials: Credentials) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = events.clone();
        let sink = Sink::new(move |event| kept.lock().unwrap().push(event));
        let mut settings = Settings::new(credentials, sink.clone());
        settings.patience = Patience {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
            budget: Duration::from_secs(20),
            attempts: 3,
            ..Patience::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { store, client: Client::new(settings).unwrap(), sink, events, _folder: folder }
    }

    fn cache(&self, options: CacheOptions) -> Cache {
        Cache::new(options, self.store.clone(), &self.client, self.sink.clone())
    }

    fn from(&self, place: &Place) -> Cache {
        self.cache(CacheOptions { from: vec![place.clone()], ..CacheOptions::default() })
    }

    fn to(&self, place: &Place) -> Cache {
        self.cache(CacheOptions { to: vec![target(place)], ..CacheOptions::default() })
    }

    /// An entry whose layer is in the store, and too large to be sent at once; and its bytes.
    fn large_entry(&self) -> (Entry, Vec<u8>) {
        let blob: Vec<u8> = (0..40u32 << 18).flat_map(|number| number.to_le_bytes()).collect();
        let digest = self.store.put_blob(&blob).unwrap();
        let mut entry = self.entry("large");
        let layer = entry.layer.as_mut().unwrap();
        (layer.descriptor, layer.size) =
            (Descriptor::new(GZIP, digest, blob.len() as u64), blob.len() as u64);
        entry.tar = Some(Tar { diff_id: layer.diff_id, size: layer.size });
        (entry, blob)
    }

    /// An entry whose layer is in the store.
    fn entry(&self, name: &str) -> Entry {
        let blob = format!("the blob of {name}").repeat(1000);
        let digest = self.store.put_blob(blob.as_bytes()).unwrap();
        let diff_id = Digest::of(format!("the tar of {name}").as_bytes());
        Entry {
            key: key(name),
            content: Digest::of(name.as_bytes()),
            tar: Some(Tar { diff_id, size: 10240 }),
            layer: Some(Layer {
                descriptor: Descriptor::new(GZIP, digest, blob.len() as u64),
                diff_id,
                size: 10240,
            }),
            parts: Vec::new(),
        }
    }

    /// Writes entries of these names to one cache, and expects that all is well.
    async fn write(&self, place: &Place, names: &[&str]) -> Exported {
        let cache = self.to(place);
        for name in names {
            cache.put(self.entry(name), Part::Between);
        }
        let mut exported = cache.finish(BUDGET).await.unwrap();
        assert_eq!(self.warnings(), [""; 0]);
        exported.remove(0)
    }

    fn warnings(&self) -> Vec<String> {
        self.all(|event| match event {
            Event::Warning { message, .. } => Some(message.clone()),
            _ => None,
        })
    }

    /// How blobs that were pushed got where they were to be.
    fn pushes(&self) -> Vec<Outcome> {
        let pushes = self.all(|event| match event {
            Event::Started { id, task: Task::Push { .. }, .. } => Some(*id),
            _ => None,
        });
        self.all(|event| match event {
            Event::Finished { id, outcome, .. } if pushes.contains(id) => Some(*outcome),
            _ => None,
        })
    }

    fn all<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.events.lock().unwrap().iter().filter_map(pick).collect()
    }
}

fn key(name: &str) -> Digest {
    Digest::of(format!("the key of {name}").as_bytes())
}

fn registry(host: &str, path: &str) -> Place {
    Place::Registry { repository: format!("{host}/{path}").parse().unwrap(), prefix: "cache".into() }
}

fn directory(path: &Path) -> Place {
    Place::Directory { path: path.to_owned() }
}

fn target(place: &Place) -> Target {
    Target { place: place.clone(), mode: Mode::Max, ignore_error: true }
}

/// What every kind of cache can do.
async fn round_trip(place: &Place) {
    // Two writers at once, which know nothing of each other and have one entry in common.
    let (one, two) = (Machine::new(), Machine::new());
    let written = tokio::join!(one.write(place, &["a", "b", "both"]), two.write(place, &["c", "both"]));
    assert_eq!(written.0.missing + written.1.missing, 0);
    assert!(written.0.written >= 2 && written.1.written >= 1, "{written:?}");

    // A third finds what both wrote, and nothing else, and fetches only what it wants.
    let reader = Machine::new();
    let cache = reader.from(place);
    for name in ["a", "b", "c", "both"] {
        let found = cache.get(&key(name)).await.unwrap();
        assert_eq!(found.entry, one.entry(name));
        assert_eq!(&found.place, place);
    }
    assert_eq!(cache.get(&key("none")).await, None);
    assert_eq!(reader.store.blobs().unwrap(), []);
    let layer = one.entry("c").layer.unwrap().descriptor;
    cache.fetch(&layer).await.unwrap();
    cache.fetch(&layer).await.unwrap();
    assert_eq!(reader.store.blobs().unwrap(), [layer.digest]);
    assert_eq!(reader.store.read_blob(&layer.digest).unwrap(), two.store.read_blob(&layer.digest).unwrap());
    assert_eq!(reader.warnings(), [""; 0]);

    // Written again, it is there.
    let again = Machine::new().write(place, &["a", "d"]).await;
    assert_eq!((again.written, again.present), (1, 1));

    // An entry without a layer.
    let bare = Entry { tar: None, layer: None, ..one.entry("bare") };
    let writer = one.to(place);
    writer.put(bare.clone(), Part::Between);
    assert_eq!(writer.finish(BUDGET).await.unwrap()[0].written, 1);
    assert_eq!(cache.get(&bare.key).await.unwrap().entry, bare);
}

const DOCKERFILE: &str = "FROM bb
COPY words /app/words
RUN cat /app/words > /counted && echo done >> /counted
FROM bb
COPY --from=0 /counted /counted
RUN cat /counted > /copy
";

/// Builds on one machine with `--cache-to`, and on another with `--cache-from`, where every step is then cached.
fn two_machines(flag: &str, variables: &[(&str, &str)]) {
    let build = |ctx: &TestContext, direction: &str| {
        ctx.with_busybox().write("words", "one two").write("Dockerfile", DOCKERFILE);
        let mut command = ctx.command(&["build", "--progress", "plain", "-t", "app", direction, flag, "."]);
        let done = command.envs(variables.iter().copied()).output().unwrap();
        assert!(done.status.success(), "{}", ctx.describe(&done));
        [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let [image, told] = build(&TestContext::new(), "--cache-to");
    assert!(!told.contains(" CACHED") && !told.contains("hunter2"), "{told}");
    let [again, told] = build(&TestContext::new(), "--cache-from");
    assert_eq!(told.matches(" CACHED").count(), 4, "{told}");
    assert!(!told.contains(" MISS ") && !told.contains("hunter2"), "{told}");
    assert_eq!(image, again, "the same image");
}

/// Callers spawn what the caches do.
#[test]
fn futures_can_be_spawned() {
    fn spawnable<T: Send>(_: impl FnOnce(&'static Cache, &'static Descriptor) -> T) {}
    spawnable(|cache, blob| (cache.get(&blob.digest), cache.fetch(blob), cache.finish(BUDGET)));
}
