//! What becomes of tags: which are moved, which stay, in which order, and when nothing is.

use imgbuild::{
    error::Kind,
    release::{Goal, Terms},
};

use super::scene::{Bench, client, release, repository, tags};
use crate::support::registry::{Fake, Fault, Keeps, Rule};

/// The tags that were set, in their order.
fn set(fake: &Fake) -> Vec<String> {
    let puts = fake.take_seen().into_iter().filter(|seen| seen.method == "PUT");
    let targets = puts.filter_map(|seen| seen.path.split_once("/manifests/").map(|(_, to)| to.to_owned()));
    targets.filter(|to| !to.contains(':')).collect()
}

#[tokio::test]
async fn a_release_of_an_old_line_leaves_the_others_alone() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let bench = Bench::new(Terms::default());
    let goals = |version: &str| [release(&one.host(), version), release(&two.host(), version)];
    let mut digests = Vec::new();
    for version in ["1.3.8", "1.4.2", "1.3.9"] {
        let image = bench.image(version);
        let published = bench.publisher.publish(&goals(version), &image, &bench.pusher()).await.unwrap();
        let held: Vec<_> = published.held_back.iter().map(|(name, by)| format!("{name} {by}")).collect();
        match version {
            "1.3.9" => {
                assert_eq!(published.moved.len(), 4);
                let at = |fake: &Fake, tag: &str| format!("{}/me/app:{tag} 1.4.2", fake.host());
                let all = [at(&one, "1"), at(&one, "latest"), at(&two, "1"), at(&two, "latest")];
                assert_eq!(held, all);
            }
            _ => assert_eq!((published.moved.len(), held.len()), (8, 0)),
        }
        digests.push(image.root.digest);
        let order = set(&one);
        match version {
            "1.3.9" => assert_eq!(order, ["1.3.9", "1.3"]),
            "1.4.2" => assert_eq!(order, ["1.4.2", "1.4", "1", "latest"], "the most specific first"),
            _ => assert_eq!(order.len(), 4),
        }
    }
    for fake in [&one, &two] {
        let found = tags(&fake.host()).await;
        let expected = [
            ("1", digests[1]),
            ("1.3", digests[2]),
            ("1.3.8", digests[0]),
            ("1.3.9", digests[2]),
            ("1.4", digests[1]),
            ("1.4.2", digests[1]),
            ("latest", digests[1]),
        ];
        assert_eq!(found, expected.map(|(tag, digest)| (tag.to_owned(), digest)).into());
    }
    // Said aloud, it goes back.
    let back = imgbuild::release::Publisher {
        terms: Terms { allow_downgrade: true, ..Terms::default() },
        ..bench.publisher.clone()
    };
    back.publish(&goals("1.3.9"), &bench.image("1.3.9"), &bench.pusher()).await.unwrap();
    assert_eq!(tags(&two.host()).await["latest"], digests[2]);
}

#[tokio::test]
async fn full_versions_are_for_ever() {
    let fake = Fake::start().await;
    let bench = Bench::new(Terms::default());
    let goals = [release(&fake.host(), "1.0.0")];
    let (image, other) = (bench.image("a"), bench.image("b"));
    bench.publisher.publish(&goals, &image, &bench.pusher()).await.unwrap();
    fake.take_seen();
    // The same once more: nothing is sent.
    let again = bench.publisher.publish(&goals, &image, &bench.pusher()).await.unwrap();
    assert_eq!((again.id, again.exist.len()), (None, 4));
    assert_eq!(fake.count("PUT", ""), 0);

    let error = bench.publisher.publish(&goals, &other, &bench.pusher()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("me/app:1.0.0 is another image"), "{error}");
    assert_eq!(fake.count("PUT", "") + fake.count("POST", ""), 0, "nothing is sent");

    let forced = Bench::new(Terms { force: true, ..Terms::default() });
    let other = forced.image("b");
    forced.publisher.publish(&goals, &other, &forced.pusher()).await.unwrap();
    assert_eq!(tags(&fake.host()).await["1.0.0"], other.root.digest);
}

#[tokio::test]
async fn several_tags_go_by_one_request_where_they_can() {
    let fake = Fake::start().await;
    fake.configure(|options| options.many_tags = true);
    let bench = Bench::new(Terms::default());
    let goals = [release(&fake.host(), "2.0.0")];
    bench.publisher.publish(&goals, &bench.image("a"), &bench.pusher()).await.unwrap();
    assert_eq!(fake.count("PUT", "?tag=2.0&tag=2&tag=latest"), 1);
    // The version came first, so that others see it before they ask which is the highest.
    assert_eq!(set(&fake), ["2.0.0"]);
    assert_eq!(tags(&fake.host()).await.len(), 4);
}

#[tokio::test]
async fn nothing_moves_before_all_is_everywhere() {
    let (good, bad) = (Fake::start().await, Fake::start().await);
    bad.inject(Rule::status("PUT", "/manifests/sha256", 403));
    let bench = Bench::new(Terms::default());
    let goals = [release(&good.host(), "1.0.0"), release(&bad.host(), "1.0.0")];
    let image = bench.image("a");
    let error = bench.publisher.publish(&goals, &image, &bench.pusher()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.hints().iter().any(|hint| hint.contains("release resume")), "{:?}", error.hints());
    assert_eq!(set(&good), [""; 0]);

    // Later it can be finished.
    let (kept, published) = bench.publisher.resume(None).await.unwrap().unwrap();
    assert_eq!((kept.digest(), published.moved.len()), (image.root.digest, 8));
    assert_eq!(tags(&bad.host()).await["latest"], image.root.digest);
    assert!(bench.publisher.resume(None).await.unwrap().is_none(), "there is no other");
}

#[tokio::test]
async fn a_tag_that_moves_meanwhile_is_decided_on_anew() {
    let fake = Fake::start().await;
    let (bench, other) = (Bench::new(Terms::default()), Bench::new(Terms::default()));
    let goals = |version| [release(&fake.host(), version)];
    bench.publisher.publish(&goals("1.3.8"), &bench.image("old"), &bench.pusher()).await.unwrap();
    // Half a release: it breaks off where the manifest is sent.
    fake.inject(Rule::status("PUT", "/manifests/sha256", 403));
    let image = bench.image("1.3.9");
    bench.publisher.publish(&goals("1.3.9"), &image, &bench.pusher()).await.unwrap_err();
    let higher = other.image("1.4.0");
    other.publisher.publish(&goals("1.4.0"), &higher, &other.pusher()).await.unwrap();
    let (_, published) = bench.publisher.resume(None).await.unwrap().unwrap();
    assert_eq!((published.moved.len(), published.held_back.len()), (2, 2));
    let found = tags(&fake.host()).await;
    assert_eq!((found["1"], found["latest"]), (higher.root.digest, higher.root.digest));
    assert_eq!((found["1.3"], found["1.3.9"]), (image.root.digest, image.root.digest));
}

#[tokio::test]
async fn a_registry_that_lost_the_image_gets_no_tag() {
    let fake = Fake::start().await;
    let bench = Bench::new(Terms::default());
    let image = bench.image("a");
    // It takes the manifest and does not have it.
    fake.inject(Rule::new("PUT", "/manifests/sha256", Fault::Answer(201, vec![], "")));
    let goals = [release(&fake.host(), "1.0.0")];
    let error = bench.publisher.publish(&goals, &image, &bench.pusher()).await.unwrap_err();
    assert!(error.to_string().contains("is not there; no tag was moved"), "{error}");
    assert_eq!(set(&fake), [""; 0]);
}

#[tokio::test]
async fn releases_are_undone() {
    for keeps in [Keeps::Nothing, Keeps::Tags, Keeps::All] {
        let fake = Fake::start().await;
        fake.configure(|options| options.keeps = keeps);
        let bench = Bench::new(Terms::default());
        let first = bench.image("1.0.0");
        let publish = async |version: &str| {
            let goals = [release(&fake.host(), version)];
            bench.publisher.publish(&goals, &bench.image(version), &bench.pusher()).await.unwrap().id.unwrap()
        };
        let before = publish("1.0.0").await;
        let was = tags(&fake.host()).await;
        let id = publish("1.0.1").await;
        let undone = bench.publisher.rollback(None).await.unwrap();
        assert_eq!((&undone.id, undone.restored.len()), (&id, 3));
        let names = |names: &[imgbuild::oci::Reference]| names.len();
        match keeps {
            Keeps::All => assert_eq!((names(&undone.deleted), names(&undone.undeleted)), (0, 1)),
            _ => {
                assert_eq!((names(&undone.deleted), names(&undone.undeleted)), (1, 0));
                assert_eq!(tags(&fake.host()).await, was, "{keeps:?}");
            }
        }
        // Undone once more, there is nothing to do, and it cannot be finished.
        let again = bench.publisher.rollback(Some(&id)).await.unwrap();
        assert_eq!(again.restored.len() + again.moved_on.len(), 0);
        assert_eq!(bench.publisher.resume(Some(&id)).await.unwrap_err().kind(), Kind::Conflict);

        // Of an earlier one, what was moved since stays.
        publish("1.0.2").await;
        let undone = bench.publisher.rollback(Some(&before)).await.unwrap();
        assert_eq!(undone.moved_on.len(), 3, "{keeps:?}");
        let found = tags(&fake.host()).await;
        assert_ne!(found["latest"], first.root.digest);
        assert_eq!(found.contains_key("1.0.0"), keeps == Keeps::All);
    }
}

#[tokio::test]
async fn rolling_back_a_new_tag_leaves_the_others_of_its_image() {
    let fake = Fake::start().await;
    fake.configure(|options| options.keeps = Keeps::Tags);
    let bench = Bench::new(Terms::default());
    let image = bench.image("a");
    let goals = |tag: &str| Goal::of_names(&[repository(&fake.host()).tagged(tag)]);
    bench.publisher.publish(&goals("one"), &image, &bench.pusher()).await.unwrap();
    bench.publisher.publish(&goals("two"), &image, &bench.pusher()).await.unwrap();
    bench.publisher.rollback(None).await.unwrap();
    let found = tags(&fake.host()).await;
    assert_eq!(found, [("one".to_owned(), image.root.digest)].into());
    let whole = client().manifest(&repository(&fake.host()).tagged("one")).await.unwrap();
    assert_eq!(whole.descriptor.digest, image.root.digest);
}
