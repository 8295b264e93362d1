//! Reading, with everything that goes wrong on the way.

use std::io::{Read as _, Write as _};

use imgbuild::{
    error::{Explain, Kind},
    registry::{HostSettings, Proxy},
};

use super::*;
use crate::support::registry::{Fake, Fault, Rule};

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn resolving_costs_a_ping_and_a_head() {
    let fake = Fake::start().await;
    let digest = fake.put_manifest("a/b", "1", TYPE, "{}");
    let bench = Bench::new();
    let from = repository(&fake.host(), "a/b");
    let found = bench.client.resolve(&from.tagged("1")).await.unwrap().unwrap();
    assert_eq!((found.media_type.as_str(), found.digest, found.size), (TYPE, digest, 2));
    assert_eq!(bench.client.resolve(&from.tagged("2")).await.unwrap(), None);
    let methods: Vec<_> = fake.take_seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["GET", "HEAD", "HEAD"]);
}

#[tokio::test]
async fn resolving_without_head_or_digest() {
    for (no_digest, head) in [(true, None), (false, Some(405)), (false, Some(403))] {
        let fake = Fake::start().await;
        let digest = fake.put_manifest("a", "1", TYPE, "{}");
        fake.configure(|options| options.no_digest = no_digest);
        if let Some(status) = head {
            fake.inject(Rule::status("HEAD", "/manifests/", status));
        }
        let bench = Bench::new();
        let found = bench.client.resolve(&repository(&fake.host(), "a").tagged("1")).await.unwrap();
        assert_eq!(found.map(|found| found.digest), Some(digest));
    }
}

#[tokio::test]
async fn manifests_are_verified() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    let from = repository(&fake.host(), "a");
    let body = r#"{"mediaType": "application/vnd.oci.image.index.v1+json"}"#;
    let digest = fake.put_manifest("a", "1", "text/plain; charset=utf-8", body);
    let got = bench.client.manifest(&from.at(digest)).await.unwrap();
    assert_eq!(got.bytes, body);
    assert_eq!(got.descriptor.media_type, "application/vnd.oci.image.index.v1+json");

    let headers = vec![("docker-content-digest", digest.to_string())];
    fake.inject(Rule::new("GET", "/manifests/", Fault::Answer(200, headers, "else")).times(2));
    for reference in [from.at(digest), from.tagged("1")] {
        let error = bench.client.manifest(&reference).await.unwrap_err();
        assert!(error.to_string().contains("digest should be"), "{error}");
    }
    let error = bench.client.manifest(&from.tagged("none")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn tags_are_paged_and_filtered() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    let from = repository(&fake.host(), "a");
    assert_eq!(bench.client.tags(&from).await.unwrap(), Vec::<String>::new());
    for tag in ["1", "2", "3", "4", "5"] {
        fake.put_manifest("a", tag, TYPE, tag);
    }
    fake.configure(|options| options.page = Some(2));
    assert_eq!(bench.client.tags(&from).await.unwrap(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn bodies_that_break_off_are_taken_up() {
    for no_ranges in [false, true] {
        let fake = Fake::start().await;
        fake.configure(|options| options.no_ranges = no_ranges);
        let bytes = noise(2 << 20, 2);
        let digest = fake.put_blob("a", bytes.clone());
        fake.inject(Rule::new("GET", "/blobs/", Fault::BreakOff(700_000)).times(2));
        let bench = Bench::new();
        let from = repository(&fake.host(), "a");
        let blob = descriptor(digest, bytes.len());
        bench.client.fetch_blob(&from, &blob, &bench.store).await.unwrap();
        assert_eq!(bench.store.read_blob(&digest).unwrap().unwrap(), bytes);
        let ranges = fake.take_seen().iter().filter(|seen| seen.header("range").is_some()).count();
        assert!(ranges >= 1);
        assert!(!bench.retries().is_empty());
    }
}

#[tokio::test]
async fn two_fetches_of_one_blob_are_one() {
    let fake = Fake::start().await;
    let digest = fake.put_blob("a", &b"content"[..]);
    let bench = Bench::new();
    let (from, blob) = (repository(&fake.host(), "a"), descriptor(digest, 7));
    let fetch = || bench.client.fetch_blob(&from, &blob, &bench.store);
    let (a, b) = tokio::join!(fetch(), fetch());
    a.unwrap();
    b.unwrap();
    assert_eq!(fake.count("GET", "/blobs/"), 1);
}

#[tokio::test]
async fn wrong_bytes_are_an_error() {
    let fake = Fake::start().await;
    fake.configure(|options| options.corrupt = true);
    let digest = fake.put_blob("a", &b"content"[..]);
    let bench = Bench::new();
    let (from, blob) = (repository(&fake.host(), "a"), descriptor(digest, 7));
    let error = bench.client.fetch_blob(&from, &blob, &bench.store).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.to_string().contains("digest"), "{error}");
    assert!(!bench.store.has_blob(&blob));
    let short = descriptor(digest, 3);
    let error = bench.client.fetch_blob(&from, &short, &bench.store).await.unwrap_err();
    assert!(error.to_string().contains("more than the 3 bytes"), "{error}");
}

#[tokio::test]
async fn foreign_layers_come_from_their_urls() {
    let (fake, web) = (Fake::start().await, Fake::start().await);
    let digest = web.put_blob("files", &b"content"[..]);
    let bench = Bench::new();
    let mut blob = descriptor(digest, 7);
    blob.urls = vec![format!("{}/v2/files/blobs/{digest}", web.root())];
    let from = repository(&fake.host(), "a");
    bench.client.fetch_blob(&from, &blob, &bench.store).await.unwrap();
    assert!(bench.store.has_blob(&blob));
}

#[tokio::test]
async fn rate_limits_are_waited_for_if_short() {
    let fake = Fake::start().await;
    fake.put_manifest("a", "1", TYPE, "{}");
    let bench = Bench::new();
    let reference = repository(&fake.host(), "a").tagged("1");
    let limit = |seconds: &str| {
        Rule::new("HEAD", "/manifests/", Fault::Answer(429, vec![("retry-after", seconds.to_owned())], ""))
    };
    fake.inject(limit("1"));
    assert!(bench.client.resolve(&reference).await.unwrap().is_some());
    assert_eq!(bench.retries(), [("429 Too Many Requests".to_owned(), Duration::from_secs(1))]);

    fake.inject(limit("3600"));
    fake.inject(Rule::new(
        "GET",
        "/manifests/",
        Fault::Answer(429, vec![("retry-after", "3600".to_owned())], ""),
    ));
    let error = bench.client.resolve(&reference).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RateLimited);
    assert_eq!(error.hints()[0], "the registry asks to wait 3600 s");
}

#[tokio::test]
async fn bursts_of_failures_pass_and_lasting_ones_end() {
    let fake = Fake::start().await;
    fake.put_manifest("a", "1", TYPE, "{}");
    let bench = Bench::new();
    let reference = repository(&fake.host(), "a").tagged("1");
    for status in [502, 503, 499, 522] {
        fake.inject(Rule::status("GET", "/manifests/", status));
    }
    assert!(bench.client.manifest(&reference).await.is_ok());
    assert_eq!(bench.retries().len(), 4);
    fake.inject(Rule::status("GET", "/manifests/", 500).times(1000));
    let error = bench.client.manifest(&reference).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
}

#[tokio::test]
async fn warnings_are_told_once() {
    let fake = Fake::start().await;
    fake.put_manifest("a", "1", TYPE, "{}");
    fake.configure(|options| options.warning = Some("299 - \"this is going away\""));
    let bench = Bench::new();
    let reference = repository(&fake.host(), "a").tagged("1");
    for _ in 0..2 {
        bench.client.resolve(&reference).await.unwrap();
    }
    assert_eq!(bench.warnings(), [format!("{} says: this is going away", fake.host())]);
}

#[tokio::test]
async fn mirrors_are_asked_first_and_passed_over() {
    let (origin, broken, mirror) = (Fake::start().await, Fake::start().await, Fake::start().await);
    let bytes = &b"content"[..];
    let digest = mirror.put_blob("proxy/a", bytes);
    origin.put_manifest("a", "1", TYPE, "{}");
    broken.inject(Rule::status("GET", "/v2/proxy", 500).times(1000));
    broken.inject(Rule::status("HEAD", "/v2/proxy", 500).times(1000));
    let mirrors = vec![format!("{}/proxy", broken.host()), format!("http://{}/proxy/", mirror.host())];
    let host = origin.host();
    let bench = Bench::with(|settings| {
        settings.hosts.insert(host, HostSettings { mirrors, ..HostSettings::default() });
    });
    let from = repository(&origin.host(), "a");
    bench.client.fetch_blob(&from, &descriptor(digest, 7), &bench.store).await.unwrap();
    assert_eq!(origin.count("GET", "/blobs/"), 0);
    assert!(bench.warnings()[0].contains("passing over the mirror"), "{:?}", bench.warnings());
    // Not on the mirror: the registry itself has it.
    assert!(bench.client.resolve(&from.tagged("1")).await.unwrap().is_some());
    // Nobody has it.
    assert_eq!(bench.client.resolve(&from.tagged("2")).await.unwrap(), None);
}

#[tokio::test]
async fn where_nobody_listens_nobody_is_waited_for_long() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::with(|settings| settings.patience.attempts = 50);
    let from = repository(&format!("127.0.0.1:{port}"), "a");
    let error = bench.client.resolve(&from.tagged("1")).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(bench.retries().len(), 3, "{:?}", bench.retries());
}

/// It restarts: it answers, is away, and will be back.
#[tokio::test]
async fn a_registry_that_answered_before_is_waited_for_as_always() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        let mut count = 0;
        while count < 3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut start = [0; 3];
            // The same port is asked in TLS first.
            if stream.read_exact(&mut start).is_ok() && &start == b"GET" {
                let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
                count += 1;
            }
        }
    });
    let bench = Bench::with(|settings| settings.patience.attempts = 9);
    let from = repository(&format!("127.0.0.1:{port}"), "a");
    let error = bench.client.resolve(&from.tagged("1")).await.unwrap_err();
    answers.join().unwrap();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(bench.retries().len(), 8, "{:?}", bench.retries());
}

#[tokio::test]
async fn a_mirror_that_is_down_is_not_waited_for() {
    let origin = Fake::start().await;
    let digest = origin.put_blob("a", &b"content"[..]);
    let (host, down) = (origin.host(), format!("127.0.0.1:{}", crate::tools::free_port()));
    let mirrors = vec![down.clone()];
    let bench = Bench::with(|settings| {
        settings.hosts.insert(host, HostSettings { mirrors, ..HostSettings::default() });
    });
    let from = repository(&origin.host(), "a");
    bench.client.fetch_blob(&from, &descriptor(digest, 7), &bench.store).await.unwrap();
    // What nobody else can give is told with what the mirror said, also when it is not asked any more.
    for method in ["GET", "HEAD"] {
        origin.inject(Rule::status(method, "/v2/a/", 403).times(1000));
    }
    let told = bench.client.resolve(&from.tagged("1")).await.unwrap_err().to_string();
    assert!(told.contains(&format!("mirror {down}: ")) && told.contains("refused"), "{told}");
    assert_eq!(bench.retries(), []);
    assert_eq!(bench.warnings().len(), 1, "{:?}", bench.warnings());
}

#[tokio::test]
async fn where_nobody_has_it_each_place_is_quoted() {
    let (origin, mirror) = (Fake::start().await, Fake::start().await);
    for method in ["GET", "HEAD"] {
        origin.inject(Rule::status(method, "/v2/a/", 403).times(1000));
    }
    let (host, mirrors) = (origin.host(), vec![mirror.host()]);
    let bench = Bench::with(|settings| {
        settings.hosts.insert(host, HostSettings { mirrors, ..HostSettings::default() });
    });
    let from = repository(&origin.host(), "a");
    let reference = from.tagged("1");
    for error in [
        bench.client.resolve(&reference).await.unwrap_err(),
        bench.client.manifest(&reference).await.unwrap_err(),
        bench.client.fetch_blob(&from, &descriptor(Digest::of(b"x"), 1), &bench.store).await.unwrap_err(),
    ] {
        let told = error.to_string();
        let mirror = told.find(&format!("mirror {}: 127.0.0.1 answered 404", mirror.host()));
        let itself = told.find(&format!("; {}: 127.0.0.1 answered 403", origin.host()));
        assert!(mirror.is_some() && mirror < itself, "{told}");
        assert_eq!((error.kind(), told.matches("failed to").count()), (Kind::Denied, 1), "{told}");
        assert!(error.hints()[0].contains("imgbuild login"), "{:?}", error.hints());
    }
}

#[tokio::test]
async fn files_of_the_web() {
    let fake = Fake::start().await;
    let bytes = noise(1 << 20, 3);
    let digest = fake.put_blob("files", bytes.clone());
    let url = format!("{}/v2/files/blobs/{digest}?x=secret", fake.root());
    fake.inject(Rule::status("GET", "/blobs/", 503));
    fake.inject(Rule::new("GET", "/blobs/", Fault::BreakOff(1000)));
    let bench = Bench::new();
    let mut got = bench.client.download(&url, &bench.store).await.unwrap();
    assert_eq!((got.digest, got.size), (digest, bytes.len() as u64));
    assert_eq!(got.file.file().metadata().unwrap().len(), got.size);
    assert!(!got.url.contains("secret"));
    assert_eq!(bench.retries().len(), 2);

    let missing = format!("{}/v2/files/blobs/none", fake.root());
    let error = bench.client.download(&missing, &bench.store).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(bench.client.download("ftp://x/y", &bench.store).await.is_err());
}

#[tokio::test]
async fn a_proxy_is_used_for_other_hosts_alone() {
    let proxy = Fake::start().await;
    let digest = proxy.put_manifest("a", "1", TYPE, "{}");
    let bench = Bench::with(|settings| {
        let url = format!("http://user:secret@{}", proxy.host());
        settings.proxy = Some(Proxy { url, no_proxy: Some("reached.invalid".into()) });
        for host in ["behind.invalid", "reached.invalid"] {
            settings.hosts.insert(host.into(), HostSettings { insecure: true, ..HostSettings::default() });
        }
        assert!(!format!("{settings:?}").contains("secret"));
    });
    let found = bench.client.resolve(&repository("behind.invalid", "a").tagged("1")).await.unwrap();
    assert_eq!(found.map(|found| found.digest), Some(digest));
    // That name does not exist: without the proxy nobody answers.
    let error = bench.client.resolve(&repository("reached.invalid", "a").tagged("1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(!error.to_string().contains("secret"), "{error}");
    let direct = Fake::start().await;
    direct.put_manifest("b", "1", TYPE, "{}");
    proxy.take_seen();
    assert!(bench.client.resolve(&repository(&direct.host(), "b").tagged("1")).await.unwrap().is_some());
    assert!(proxy.take_seen().is_empty());
}
