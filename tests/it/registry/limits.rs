//! What registries limit, and what CI gives for them.

use imgbuild::error::{Explain, Kind};

use super::*;
use crate::support::registry::{Auth, Bearer, Fake, Fault, Rule};

fn limited(remaining: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ratelimit-limit", "100;w=21600".to_owned()),
        ("ratelimit-remaining", format!("{remaining};w=21600")),
    ]
}

impl Bench {
    fn notes(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let note = |event: &Event| match event {
            Event::Note { message } => Some(message.clone()),
            _ => None,
        };
        events.iter().filter_map(note).collect()
    }
}

#[tokio::test]
async fn it_is_told_once_that_few_requests_are_left() {
    let fake = Fake::start().await;
    let bench = Bench::new();
    let from = repository(&fake.host(), "a");
    for remaining in ["11", "10", "9"] {
        fake.inject(Rule::new("GET", "/tags/list", Fault::Answer(200, limited(remaining), "{\"tags\":[]}")));
        bench.client.tags(&from).await.unwrap();
    }
    let expected = format!("{}: 10 of 100 requests in 6 h are left (no credentials)", fake.host());
    assert_eq!(bench.notes(), [expected]);
}

#[tokio::test]
async fn a_limit_that_is_reached_is_waited_for_within_the_budget_and_then_told() {
    let fake = Fake::start().await;
    let from = repository(&fake.host(), "a");
    let refusal = |after: &str| {
        let mut headers = limited("0");
        headers.push(("retry-after", after.to_owned()));
        Rule::new("GET", "/tags/list", Fault::Answer(429, headers, "Too Many Requests (HAP429)."))
    };
    // More often than failures are put up with: it was asked for.
    let bench = Bench::with(|settings| settings.patience.attempts = 1);
    fake.inject(refusal("1").times(2));
    fake.inject(Rule::new("GET", "/tags/list", Fault::Answer(200, vec![], "{\"tags\":[\"1\"]}")));
    assert_eq!(bench.client.tags(&from).await.unwrap(), ["1"]);
    assert_eq!(bench.retries().len(), 2);

    fake.inject(refusal("3600"));
    let error = Bench::new().client.tags(&from).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RateLimited);
    let hints = error.hints().join("; ");
    for words in ["0 of 100 requests in 6 h are left", "wait 3600 s", "imgbuild login"] {
        assert!(hints.contains(words), "{words}: {hints}");
    }
}

/// The environment of a job of GitLab's, whose registry is this one.
fn job(host: &str, password: &str) -> Credentials {
    let pairs =
        [("GITLAB_CI", "true"), ("CI_REGISTRY", host), ("CI_JOB_TOKEN", password), ("HOME", "/nonexistent")];
    Credentials::from_environment(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

#[tokio::test]
async fn a_jobs_token_is_used_where_nothing_else_is_set_up() {
    let fake = Fake::start().await;
    let user = Some(("gitlab-ci-token", "secret"));
    fake.configure(|options| options.auth = Auth::Bearer(Bearer { user, ..Bearer::default() }));
    let bench = Bench::with(|settings| settings.credentials = job(&fake.host(), "secret"));
    for path in ["a", "b"] {
        bench.client.push_blob(&repository(&fake.host(), path), &bench.blob(b"x"), &[]).await.unwrap();
    }
    assert_eq!(bench.notes(), [format!("using CI_JOB_TOKEN for {}", fake.host())]);

    // Whatever is set up goes before it.
    let mut variables = vec![("IMGBUILD_REGISTRY_X_USERNAME".to_owned(), "me".to_owned())];
    let name: String = fake.host().chars().map(|c| if c.is_ascii_digit() { c } else { '_' }).collect();
    variables[0].0 = format!("IMGBUILD_REGISTRY_{name}_USERNAME");
    variables.push((format!("IMGBUILD_REGISTRY_{name}_PASSWORD"), "wrong".to_owned()));
    variables.push(("GITLAB_CI".to_owned(), "true".to_owned()));
    variables.push(("CI_REGISTRY".to_owned(), fake.host()));
    variables.push(("CI_JOB_TOKEN".to_owned(), "secret".to_owned()));
    let bench = Bench::with(|settings| settings.credentials = Credentials::from_environment(variables));
    let denied = bench.client.push_blob(&repository(&fake.host(), "c"), &bench.blob(b"x"), &[]).await;
    assert_eq!(denied.unwrap_err().kind(), Kind::Denied);
}

#[tokio::test]
async fn what_a_jobs_token_is_not_for_is_read_without() {
    let fake = Fake::start().await;
    let blob = fake.put_blob("public", &b"x"[..]);
    fake.configure(|options| options.auth = Auth::Bearer(Bearer::default()));
    let bench = Bench::with(|settings| settings.credentials = job(&fake.host(), "of-another-project"));
    let refusal = || Rule::new("GET", "/token", Fault::Answer(403, vec![], "denied"));
    fake.inject(refusal());
    let from = repository(&fake.host(), "public");
    assert!(bench.client.has_blob(&from, &descriptor(blob, 1)).await.unwrap());
    // Nobody writes without.
    fake.inject(refusal());
    let denied = bench.client.push_blob(&from, &bench.blob(b"y"), &[]).await.unwrap_err();
    assert_eq!(denied.kind(), Kind::Denied);
    assert!(denied.to_string().contains("CI_JOB_TOKEN"), "{denied}");
}
