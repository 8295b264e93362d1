//! Parts that several jobs build, and that meet in the registry.

use std::{
    collections::BTreeMap,
    process::{Child, Stdio},
    time::Duration,
};

use imgbuild::{
    error::Kind,
    event::Sink,
    oci::{Descriptor, Index, Platform, media_type},
    release::{
        Goal, Terms,
        rendezvous::{Meeting, Met, Set},
    },
};

use super::scene::{Bench, Scene, client, is_complete, release, repository, tags};
use crate::{
    support::{
        real_registry::{Options, Registry},
        registry::{Fake, Fault, Rule},
    },
    tools::told,
};

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"];

/// The test that is asked for runs it 50 times: `IMGBUILD_TEST_ROUNDS=50`.
fn rounds() -> usize {
    std::env::var("IMGBUILD_TEST_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_racing_jobs_make_one_index() {
    let registry = Registry::start(Options { log: true, ..Options::default() });
    let other = Registry::start(Options { log: true, ..Options::default() });
    let scene = Scene::new();
    let mut digests = std::collections::BTreeSet::new();
    for round in 0..rounds() {
        let tag = format!("round-{round}");
        let names = [&registry, &other].map(|at| format!("{}/me/app:{tag}", at.host()));
        let names = names.each_ref().map(String::as_str);
        let jobs: Vec<Child> = (0..4)
            .map(|job| {
                let set = format!("run {round}");
                let more = ["--set", &set, "--parts", &PLATFORMS.join(","), "--wait", "60s"];
                let mut command = scene.build(&format!("home-{job}"), PLATFORMS[job], &names, &more);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ended: Vec<_> = jobs.into_iter().map(|job| job.wait_with_output().unwrap()).collect();
        let all: String = ended.iter().map(|output| told(output) + "\n").collect();
        assert!(ended.iter().all(|output| output.status.success()), "round {round}: {all}");
        for at in [&registry, &other] {
            let found = tags(&at.host()).await;
            let digest = *found.get(&tag).unwrap_or_else(|| panic!("round {round}: {found:?}\n{all}"));
            is_complete(&at.host(), &digest).await.unwrap();
            digests.insert(digest);
            let target = format!("/v2/me/app/manifests/{tag}");
            assert_eq!(at.count("PUT", &target), 1, "round {round}: the tag is set once\n{all}");
        }
    }
    assert_eq!(digests.len(), 1, "one index, whoever writes it");
    let reference = repository(&registry.host()).at(*digests.first().unwrap());
    let found = client().manifest(&reference).await.unwrap();
    let index = Index::parse(&found.bytes).unwrap();
    let platforms: Vec<_> =
        index.manifests.iter().map(|one| one.platform.clone().unwrap().to_string()).collect();
    assert_eq!(platforms, PLATFORMS, "in the order that was declared");
    // Of what the jobs told each other, one tag is left for each set.
    let left = tags(&registry.host()).await.into_keys().filter(|tag| tag.starts_with("imgbuild-set-"));
    assert_eq!(left.count(), rounds());
}

/// A job of a set of two, within this process.
struct Job {
    bench: Bench,
    set: Set,
    annotations: BTreeMap<String, String>,
    lease: Duration,
}

impl Job {
    fn new(own: usize) -> Self {
        let parts = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
        let set = Set { id: "7".into(), parts, own, wait: Duration::ZERO };
        let (annotations, lease) = (BTreeMap::new(), Duration::from_secs(60));
        Self { bench: Bench::new(Terms::default()), set, annotations, lease }
    }

    async fn meet(&self, goals: &[Goal], text: &str) -> Result<Met, imgbuild::error::Failure> {
        let contents = self.bench.image(text);
        let platform: Platform = self.set.parts[self.set.own].parse().unwrap();
        let image = Descriptor { platform: Some(platform), ..contents.root.clone() };
        let meeting = Meeting {
            publisher: &self.bench.publisher,
            set: &self.set,
            contents: &contents,
            images: vec![image],
            goals,
            annotations: &self.annotations,
            lease: self.lease,
        };
        meeting.meet(&self.bench.pusher()).await
    }
}

fn waiting(met: &Met) -> Vec<&str> {
    match met {
        Met::Waiting { missing } => missing.iter().map(String::as_str).collect(),
        Met::Complete { .. } => panic!("{met:?}"),
    }
}

#[tokio::test]
async fn the_last_one_finishes_and_reruns_do_no_harm() {
    let fake = Fake::start().await;
    let goals = [release(&fake.host(), "1.0.0")];
    let (amd64, arm64) = (Job::new(0), Job::new(1));
    assert_eq!(waiting(&arm64.meet(&goals, "b").await.unwrap()), ["linux/amd64"]);
    // A rerun changes nothing; with another image it is told.
    assert_eq!(waiting(&arm64.meet(&goals, "b").await.unwrap()), ["linux/amd64"]);
    let error = arm64.meet(&goals, "c").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("the part linux/arm64 of the set 7 is sha256:"), "{error}");
    assert!(!tags(&fake.host()).await.contains_key("latest"));

    let Met::Complete { index, published: Some(published) } = amd64.meet(&goals, "a").await.unwrap() else {
        panic!("it was the last one");
    };
    assert_eq!(published.moved.len(), 4);
    assert_eq!(tags(&fake.host()).await["latest"], index);
    fake.take_seen();
    for (job, text) in [(&amd64, "a"), (&arm64, "b")] {
        assert_eq!(job.meet(&goals, text).await.unwrap(), Met::Complete { index, published: None });
    }
    assert_eq!(fake.count("PUT", ""), 0);
    assert_eq!(arm64.meet(&goals, "c").await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn parts_that_do_not_come_are_named() {
    let fake = Fake::start().await;
    let mut job = Job::new(1);
    job.set.wait = Duration::from_millis(120);
    let error = job.meet(&[release(&fake.host(), "1.0.0")], "b").await.unwrap_err();
    assert_eq!(error.to_string(), "the set 7 is not complete: 1 of 2 parts are missing: linux/amd64");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn jobs_that_disagree_are_told() {
    let fake = Fake::start().await;
    let goals = [release(&fake.host(), "1.0.0")];
    let (mut amd64, arm64) = (Job::new(0), Job::new(1));
    arm64.meet(&goals, "b").await.unwrap();
    amd64.set.parts.push("linux/s390x".into());
    let error = amd64.meet(&goals, "a").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("declare different parts"), "{error}");
}

#[tokio::test]
async fn the_first_part_says_what_becomes_of_the_whole() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let named =
        |names: &[&str]| Goal::of_names(&names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>());
    let (here, there) = (format!("{}/me/app", fake.host()), format!("{}/me/app", other.host()));
    let (mut amd64, mut arm64) = (Job::new(0), Job::new(1));
    amd64.annotations.insert("when".into(), "early".into());
    arm64.annotations.insert("when".into(), "late".into());
    // It names a repository that the other job has not pushed to.
    let goals = named(&[&format!("{here}:nightly-1"), &format!("{there}:nightly-1")]);
    amd64.meet(&goals, "a").await.unwrap();
    let warned = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = warned.clone();
    arm64.bench.publisher.sink = Sink::new(move |event| kept.lock().unwrap().push(format!("{event:?}")));
    let met = arm64.meet(&named(&[&format!("{here}:nightly-2")]), "b").await.unwrap();
    let Met::Complete { index, .. } = met else { panic!("{met:?}") };
    assert!(warned.lock().unwrap().iter().any(|said| said.contains("of its first part, linux/amd64")));
    for at in [&fake, &other] {
        assert_eq!(tags(&at.host()).await["nightly-1"], index);
        is_complete(&at.host(), &index).await.unwrap();
    }
    assert!(!tags(&fake.host()).await.contains_key("nightly-2"));
    let bytes = fake.manifest("me/app", "nightly-1").unwrap();
    assert_eq!(Index::parse(&bytes).unwrap().annotations["when"], "early");
}

#[tokio::test]
async fn who_dies_while_finishing_is_not_waited_for_for_ever() {
    let fake = Fake::start().await;
    let goals = [release(&fake.host(), "1.0.0")];
    let (amd64, mut arm64) = (Job::new(0), Job::new(1));
    arm64.meet(&goals, "b").await.unwrap();
    // The first part's job says that it finishes, and is never heard of again.
    fake.inject(Rule::new("PUT", "/manifests/1.0.0", Fault::HangUp(0)).times(100));
    let died = amd64.meet(&goals, "a").await;
    assert!(died.is_err());
    let record = tags(&fake.host()).await.into_keys().find(|tag| tag.ends_with("linux-amd64")).unwrap();
    let mut claim = Index::parse(&fake.manifest("me/app", &record).unwrap()).unwrap();
    claim.annotations.insert("dev.imgbuild.set.finishing".into(), "true".into());
    fake.put_manifest("me/app", &record, media_type::INDEX, claim.to_bytes());

    fake.forget_rules();
    arm64.lease = Duration::from_millis(150);
    let met = arm64.meet(&goals, "b").await.unwrap();
    let Met::Complete { index, published: Some(_) } = met else { panic!("{met:?}") };
    assert_eq!(tags(&fake.host()).await["latest"], index);
}
