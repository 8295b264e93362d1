//! Writing, with everything that goes wrong on the way.

use imgbuild::{
    error::{Explain, Kind},
    event::Outcome,
};

use super::*;
use crate::support::registry::{Fake, Fault, Mounts, Rule};

const SIZE: usize = 3 << 20;

/// Pushes a blob and checks that it got there whole.
async fn pushes(bench: &Bench, fake: &Fake, size: usize) -> Outcome {
    let bytes = noise(size, 7);
    let blob = bench.blob(&bytes);
    let to = repository(&fake.host(), "a/b");
    let outcome = bench.client.push_blob(&to, &blob, &[]).await.unwrap();
    assert_eq!(fake.blob("a/b", &blob.descriptor.digest).unwrap(), bytes);
    outcome
}

#[tokio::test]
async fn one_put_for_a_blob() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    assert_eq!(pushes(&bench, &fake, SIZE).await, Outcome::Done);
    let seen = fake.take_seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["GET", "HEAD", "POST", "PUT"]);
    assert_eq!(seen[3].header("content-length"), Some("3145728"));
    assert!(seen[3].path.contains("_state=a%2Bb&digest=sha256%3A"), "{}", seen[3].path);
    // What is known to be there costs nothing.
    assert_eq!(pushes(&bench, &fake, SIZE).await, Outcome::Exists);
    assert_eq!(fake.take_seen().len(), 0);
    // What is there costs a HEAD.
    assert_eq!(pushes(&Bench::new(), &fake, SIZE).await, Outcome::Exists);
    assert_eq!(fake.take_seen().len(), 2);
}

#[tokio::test]
async fn an_empty_blob() {
    let fake = Fake::start().await;
    assert_eq!(pushes(&Bench::new(), &fake, 0).await, Outcome::Done);
}

#[tokio::test]
async fn declined_mounts_go_on_as_uploads() {
    let fake = Fake::start().await;
    fake.configure(|options| options.mounts = Mounts::Declined);
    let bench = Bench::new();
    let blob = bench.blob(b"content");
    let (to, from) = (repository(&fake.host(), "a"), repository(&fake.host(), "base"));
    let elsewhere = repository("other.example", "base");
    let outcome = bench.client.push_blob(&to, &blob, &[elsewhere, from]).await.unwrap();
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(fake.count("POST", "/uploads/"), 1, "the declined mount's upload is used");
}

#[tokio::test]
async fn mounts() {
    for (mounts, expected) in [
        (Mounts::Done, Outcome::Mounted),
        (Mounts::Refused(404), Outcome::Done),
        (Mounts::Refused(500), Outcome::Done),
    ] {
        let fake = Fake::start().await;
        fake.configure(|options| options.mounts = mounts);
        fake.put_blob("base", &b"content"[..]);
        let bench = Bench::new();
        let blob = bench.blob(b"content");
        let (to, from) = (repository(&fake.host(), "a"), repository(&fake.host(), "base"));
        assert_eq!(bench.client.push_blob(&to, &blob, &[from]).await.unwrap(), expected);
        assert!(fake.blob("a", &blob.descriptor.digest).is_some());
    }
}

#[tokio::test]
async fn without_a_location_it_is_an_error() {
    let fake = Fake::start().await;
    fake.configure(|options| options.no_location = true);
    let bench = Bench::new();
    let blob = bench.blob(b"content");
    let error = bench.client.push_blob(&repository(&fake.host(), "a"), &blob, &[]).await.unwrap_err();
    assert!(error.to_string().contains("no Location"), "{error}");
}

#[tokio::test]
async fn a_location_may_be_on_another_host() {
    let fake = Fake::start().await;
    // Another name of the same server.
    let root = fake.root().replace("127.0.0.1", "localhost");
    fake.configure(|options| options.upload_root = Some(root));
    assert_eq!(pushes(&Bench::new(), &fake, SIZE).await, Outcome::Done);
}

#[tokio::test]
async fn bodies_that_are_too_large_go_in_chunks() {
    let fake = Fake::start().await;
    fake.configure(|options| options.max_body = Some(1 << 20));
    let bench = Bench::with(|settings| settings.chunk = 1 << 20);
    pushes(&bench, &fake, SIZE + 5).await;
    assert_eq!(fake.count("PATCH", "/uploads/"), 4);
    // It is learnt: the next blob is not sent whole first.
    fake.take_seen();
    let blob = bench.blob(&noise(SIZE, 8));
    bench.client.push_blob(&repository(&fake.host(), "a/b"), &blob, &[]).await.unwrap();
    assert_eq!((fake.count("PUT", "/uploads/"), fake.count("PATCH", "/uploads/")), (1, 3));
}

#[tokio::test]
async fn chunks_that_are_too_large_are_made_smaller() {
    let fake = Fake::start().await;
    fake.configure(|options| {
        options.max_body = Some(9 << 20);
        options.max_patch = Some(4 << 20);
    });
    let bench = Bench::with(|settings| settings.chunk = 8 << 20);
    pushes(&bench, &fake, 10 << 20).await;
    assert_eq!(fake.count("PATCH", "/uploads/"), 4, "one too large, then 4 + 4 + 2 MiB");
}

#[tokio::test]
async fn chunks_are_as_large_as_the_registry_wants() {
    let fake = Fake::start().await;
    fake.configure(|options| {
        options.max_body = Some(2 << 20);
        options.min_chunk = Some(2 << 20);
    });
    let bench = Bench::with(|settings| settings.chunk = 1 << 20);
    pushes(&bench, &fake, 5 << 20).await;
    assert_eq!(fake.count("PATCH", "/uploads/"), 3);
}

#[tokio::test]
async fn uploads_that_break_are_taken_up_where_they_broke() {
    let fake = Fake::start().await;
    fake.inject(Rule::new("PUT", "/uploads/", Fault::HangUp(1_500_000)));
    let bench = Bench::new();
    pushes(&bench, &fake, SIZE).await;
    let seen = fake.take_seen();
    let patch = seen.iter().find(|seen| seen.method == "PATCH").expect("the rest goes as a chunk");
    assert!(patch.header("content-range").unwrap().ends_with("-3145727"), "{patch:?}");
    assert_ne!(patch.header("content-length"), Some("3145728"));
}

#[tokio::test]
async fn chunks_that_break_are_taken_up_where_they_broke() {
    let fake = Fake::start().await;
    fake.configure(|options| options.max_body = Some(1 << 20));
    fake.inject(Rule::new("PATCH", "/uploads/", Fault::HangUp(300_000)));
    fake.inject(Rule::status("PATCH", "/uploads/", 502));
    let bench = Bench::with(|settings| settings.chunk = 1 << 20);
    pushes(&bench, &fake, SIZE).await;
    assert_eq!(fake.count("POST", "/uploads/"), 2, "one for the whole, one for the chunks");
}

#[tokio::test]
async fn lost_sessions_start_again() {
    for status in [404, 500, 503, 416, 400] {
        let fake = Fake::start().await;
        fake.inject(Rule::status("PUT", "/uploads/", status));
        fake.inject(Rule::status("GET", "/uploads/", 404));
        pushes(&Bench::new(), &fake, SIZE).await;
        assert_eq!(fake.count("POST", "/uploads/"), 2, "{status}");
    }
}

#[tokio::test]
async fn content_that_is_not_what_it_should_be_is_given_up_soon() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    let mut blob = bench.blob(b"content");
    blob.descriptor.digest = Digest::of(b"another");
    let to = repository(&fake.host(), "a");
    let error = bench.client.push_blob(&to, &blob, &[]).await.unwrap_err();
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    assert_eq!(fake.count("PUT", "/uploads/"), 2);
    blob.descriptor.size = 3;
    let error = bench.client.push_blob(&to, &blob, &[]).await.unwrap_err();
    assert!(error.to_string().contains("should have 3 bytes"), "{error}");
}

#[tokio::test]
async fn one_request_at_a_time_is_enough() {
    let fake = Fake::start().await;
    fake.configure(|options| {
        options.max_body = Some(9 << 20);
        options.max_patch = Some(4 << 20);
    });
    let bench = Bench::with(|settings| {
        settings.chunk = 8 << 20;
        settings.concurrency = 1;
    });
    pushes(&bench, &fake, 10 << 20).await;
}

#[tokio::test]
async fn beginnings_are_retried() {
    let fake = Fake::start().await;
    fake.inject(Rule::status("POST", "/uploads/", 503).times(2));
    fake.inject(Rule::new("POST", "/uploads/", Fault::HangUp(0)));
    pushes(&Bench::new(), &fake, SIZE).await;
}

#[tokio::test]
async fn lasting_failures_end_in_an_error() {
    let fake = Fake::start().await;
    fake.inject(Rule::new("PUT", "/uploads/", Fault::HangUp(10)).times(1000));
    fake.inject(Rule::new("PATCH", "/uploads/", Fault::HangUp(10)).times(1000));
    let bench = Bench::new();
    let blob = bench.blob(&noise(SIZE, 9));
    let error = bench.client.push_blob(&repository(&fake.host(), "a"), &blob, &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
}

#[tokio::test]
async fn manifests() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    let to = repository(&fake.host(), "a");
    let subject = Digest::of(b"subject");
    fake.configure(|options| options.subject = Some(subject.to_string()));
    let published = bench.client.push_manifest(&to.tagged("1"), "text/x", "{}".into()).await.unwrap();
    assert_eq!((published.digest, published.subject), (Digest::of(b"{}"), Some(subject)));
    assert_eq!(fake.manifest("a", "1").unwrap(), "{}");
    // By digest, on a registry that confirms nothing.
    fake.configure(|options| options.no_digest = true);
    bench.client.push_manifest(&to.at(published.digest), "text/x", "{}".into()).await.unwrap();
    let error =
        bench.client.push_manifest(&to.at(published.digest), "text/x", "[]".into()).await.unwrap_err();
    assert!(error.to_string().contains("digest should be"), "{error}");
    // Another digest than ours comes back.
    let headers = vec![("docker-content-digest", subject.to_string())];
    fake.inject(Rule::new("PUT", "/manifests/", Fault::Answer(201, headers, "")));
    assert!(bench.client.push_manifest(&to.tagged("1"), "text/x", "{}".into()).await.is_err());
}

#[tokio::test]
async fn immutable_tags_conflict_unless_they_mean_the_same() {
    let fake = Fake::start().await;
    fake.configure(|options| options.immutable = true);
    let bench = Bench::new();
    let to = repository(&fake.host(), "a").tagged("1");
    bench.client.push_manifest(&to, "text/x", "{}".into()).await.unwrap();
    bench.client.push_manifest(&to, "text/x", "{}".into()).await.unwrap();
    let error = bench.client.push_manifest(&to, "text/x", "[]".into()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
}
