//! Who gets in, and who gets to see credentials.

use imgbuild::{
    error::{Explain, Kind},
    event::Outcome,
};

use super::*;
use crate::support::registry::{Auth, Bearer, Fake, Fault, Mounts, Rule};

async fn bearer(bearer: Bearer) -> Fake {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Bearer(bearer));
    fake
}

const USER: Option<(&str, &str)> = Some(("me", "secret"));

async fn pushes(bench: &Bench, fake: &Fake) {
    let blob = bench.blob(&noise(3 << 20, 1));
    let to = repository(&fake.host(), "a/b");
    assert_eq!(bench.client.push_blob(&to, &blob, &[]).await.unwrap(), Outcome::Done);
    assert_eq!(fake.blob("a/b", &blob.descriptor.digest).unwrap().len(), 3 << 20);
}

#[tokio::test]
async fn basic() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("me", "secret"));
    pushes(&Bench::as_user(&fake.host(), "me", "secret"), &fake).await;
    // The ping comes before it is known that credentials are wanted.
    let seen = fake.take_seen();
    assert!(seen.iter().skip(1).all(|seen| seen.header("authorization").is_some()), "{seen:?}");
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_denied_with_hints() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("me", "secret"));
    let reference = repository(&fake.host(), "a").tagged("1");
    let error = Bench::new().client.resolve(&reference).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(
        error.hints()[0].starts_with(&format!("run `imgbuild login {}`", fake.host())),
        "{:?}",
        error.hints()
    );

    let bench = Bench::as_user(&fake.host(), "me", "hunter2");
    let error = bench.client.resolve(&reference).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    let words = format!("{error} {error:?} {:?}", error.hints());
    assert!(words.contains("_USERNAME") && !words.contains("hunter2"), "{words}");
}

#[tokio::test]
async fn bearer_with_scopes() {
    let fake = bearer(Bearer { user: USER, ..Bearer::default() }).await;
    pushes(&Bench::as_user(&fake.host(), "me", "secret"), &fake).await;
    assert_eq!(fake.count("GET", "/token"), 1, "one token serves the whole push");
}

#[tokio::test]
async fn bearer_for_anybody() {
    let fake = bearer(Bearer::default()).await;
    pushes(&Bench::new(), &fake).await;
}

#[tokio::test]
async fn challenges_come_from_the_ping_or_from_the_refusal() {
    for options in [
        Bearer { challenge_only_on_ping: true, uses: Some(1), ..Bearer::default() },
        Bearer { open_ping: true, ..Bearer::default() },
    ] {
        let fake = bearer(options).await;
        pushes(&Bench::new(), &fake).await;
    }
}

#[tokio::test]
async fn tokens_that_expire_within_an_upload_are_renewed() {
    // Good for two requests: HEAD and POST; the PUT meets a 401.
    let fake = bearer(Bearer { user: USER, uses: Some(2), ..Bearer::default() }).await;
    pushes(&Bench::as_user(&fake.host(), "me", "secret"), &fake).await;
    // One more where the refused body's connection breaks before the refusal is read, and the upload begins anew.
    let tokens = fake.count("GET", "/token");
    assert!((2..=3).contains(&tokens), "{tokens} tokens");
}

#[tokio::test]
async fn many_requests_share_one_token() {
    let fake = bearer(Bearer { expires_in: Some(300), ..Bearer::default() }).await;
    let bench = Bench::new();
    let to = repository(&fake.host(), "a");
    fake.put_manifest("a", "1", "text/plain", "x");
    let reference = to.tagged("1");
    let resolve = || bench.client.resolve(&reference);
    let (a, b, c, d) = tokio::join!(resolve(), resolve(), resolve(), resolve());
    assert!([a, b, c, d].into_iter().all(|found| found.unwrap().is_some()));
    assert_eq!(fake.count("GET", "/token"), 1);
    assert_eq!(fake.count("GET", "/v2/"), 1);
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    let fake = bearer(Bearer { identity: Some("id"), ..Bearer::default() }).await;
    pushes(&Bench::as_user(&fake.host(), "<token>", "id"), &fake).await;
    assert_eq!((fake.count("POST", "/token"), fake.count("GET", "/token")), (1, 0));
}

#[tokio::test]
async fn token_servers_without_the_post_are_asked_by_get() {
    for status in [400, 401, 404, 405] {
        let user = Some(("<token>", "id"));
        let fake = bearer(Bearer { user, post_status: Some(status), ..Bearer::default() }).await;
        pushes(&Bench::as_user(&fake.host(), "<token>", "id"), &fake).await;
        assert_eq!((fake.count("POST", "/token"), fake.count("GET", "/token")), (1, 1), "{status}");
    }
}

#[tokio::test]
async fn token_servers_are_retried() {
    let fake = bearer(Bearer::default()).await;
    fake.inject(Rule::status("GET", "/token", 503).times(2));
    pushes(&Bench::new(), &fake).await;
}

#[tokio::test]
async fn mounts_ask_for_both_repositories_and_are_given_up_without_them() {
    let fake = bearer(Bearer { user: USER, ..Bearer::default() }).await;
    let bench = Bench::as_user(&fake.host(), "me", "secret");
    let blob = bench.blob(b"content");
    fake.put_blob("base", &b"content"[..]);
    let (to, from) = (repository(&fake.host(), "a"), repository(&fake.host(), "base"));
    let outcome = bench.client.push_blob(&to, &blob, std::slice::from_ref(&from)).await.unwrap();
    assert_eq!(outcome, Outcome::Mounted);

    let fake = bearer(Bearer { user: USER, refuses: Some("base"), ..Bearer::default() }).await;
    let bench = Bench::as_user(&fake.host(), "me", "secret");
    let blob = bench.blob(b"content");
    let (to, from) = (repository(&fake.host(), "a"), repository(&fake.host(), "base"));
    assert_eq!(bench.client.push_blob(&to, &blob, &[from]).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn mount_401_falls_back_to_an_upload() {
    let fake = bearer(Bearer { user: USER, ..Bearer::default() }).await;
    fake.configure(|options| options.mounts = Mounts::Refused(401));
    let bench = Bench::as_user(&fake.host(), "me", "secret");
    let blob = bench.blob(b"content");
    let (to, from) = (repository(&fake.host(), "a"), repository(&fake.host(), "base"));
    assert_eq!(bench.client.push_blob(&to, &blob, &[from]).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn other_hosts_see_no_credentials() {
    let (fake, storage) = (Fake::start().await, Fake::start().await);
    fake.configure(|options| {
        options.auth = Auth::Basic("me", "secret");
        options.blob_root = Some(storage.root());
    });
    let digest = fake.put_blob("a", &b"content"[..]);
    storage.put_blob("a", &b"content"[..]);
    let bench = Bench::as_user(&fake.host(), "me", "secret");
    let from = repository(&fake.host(), "a");
    bench.client.fetch_blob(&from, &descriptor(digest, 7), &bench.store).await.unwrap();
    let seen = storage.take_seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);

    // The same for an upload's Location.
    let target = Fake::start().await;
    let session = target.root();
    fake.configure(|options| options.upload_root = Some(session));
    let blob = bench.blob(b"other");
    let refused = bench.client.push_blob(&from, &blob, &[]).await;
    assert!(refused.is_err(), "the other host knows nothing of the upload");
    assert!(target.take_seen().iter().all(|seen| seen.header("authorization").is_none()));
}

/// A host that refuses everything and names itself as the token server.
async fn thief() -> Fake {
    let thief = Fake::start().await;
    let challenge = format!("Bearer realm=\"{}/token\",service=\"x\"", thief.root());
    for method in ["GET", "PUT", "POST", "PATCH", "HEAD"] {
        let headers = vec![("www-authenticate", challenge.clone())];
        thief.inject(Rule::new(method, "/v2/", Fault::Answer(401, headers, "")).times(50));
    }
    thief
}

fn got_nothing(thief: &Fake) {
    let seen = thief.take_seen();
    assert!(!seen.is_empty(), "it was asked");
    assert!(
        seen.iter().all(|seen| seen.header("authorization").is_none() && !seen.path.contains("/token")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn refusals_from_other_hosts_are_no_challenges() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("me", "secret"));
    let bench = Bench::as_user(&fake.host(), "me", "secret");
    let from = repository(&fake.host(), "a");

    // A descriptor's own URLs.
    let other = thief().await;
    let mut foreign = descriptor(Digest::of(b"foreign"), 7);
    foreign.urls = vec![format!("{}/v2/x", other.root())];
    assert!(bench.client.fetch_blob(&from, &foreign, &bench.store).await.is_err());
    got_nothing(&other);

    // The target of a redirect.
    let other = thief().await;
    fake.configure(|options| options.blob_root = Some(other.root()));
    let digest = fake.put_blob("a", &b"content"[..]);
    let error = bench.client.fetch_blob(&from, &descriptor(digest, 7), &bench.store).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    got_nothing(&other);

    // An upload's Location.
    let other = thief().await;
    fake.configure(|options| {
        options.blob_root = None;
        options.upload_root = Some(other.root());
    });
    assert!(bench.client.push_blob(&from, &bench.blob(b"other"), &[]).await.is_err());
    got_nothing(&other);

    // What they said has not stuck.
    fake.configure(|options| options.upload_root = None);
    assert_eq!(bench.client.push_blob(&from, &bench.blob(b"own"), &[]).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn registries_cannot_point_to_metadata_services() {
    let fake = Fake::start().await;
    fake.configure(|options| options.blob_root = Some("http://169.254.169.254".into()));
    let digest = fake.put_blob("a", &b"content"[..]);
    let bench = Bench::new();
    let from = repository(&fake.host(), "a");
    let error = bench.client.fetch_blob(&from, &descriptor(digest, 7), &bench.store).await.unwrap_err();
    assert!(error.to_string().contains("link-local"), "{error}");
}
