//! Amazon ECR: moto's API beside a real registry, or one that misbehaves.

use std::{collections::BTreeMap, fs};

use imgbuild::{
    error::{Explain, Kind},
    event::Outcome,
    registry::{Ecr, HostSettings, Settings},
};

use super::*;
use crate::support::{
    cli::TestContext,
    real_registry::{Options, Registry},
    registry::{Auth, Bearer, Fake, Fault, Rule},
    s3::{ECR_USER as USER, S3},
};
use crate::tools::{run, told, tool};

/// The account that moto takes everybody for.
const ACCOUNT: &str = "123456789012";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn private() -> Ecr {
    Ecr::Private {
        account: Some(ACCOUNT.to_owned()),
        region: "eu-west-1".to_owned(),
        fips: false,
        dual_stack: false,
    }
}

/// A client to which the host is a registry of ECR.
fn bench(host: &str, ecr: Ecr, variables: BTreeMap<String, String>, change: fn(&mut Settings)) -> Bench {
    Bench::with(|settings| {
        settings.credentials = Credentials::from_environment(variables);
        settings.hosts.insert(host.to_owned(), HostSettings { ecr: Some(ecr), ..HostSettings::default() });
        change(settings);
    })
}

#[tokio::test]
async fn passwords_come_from_aws() {
    let server = S3::start();
    let registry = Registry::start(Options { user: Some(USER), ..Options::default() });
    let bench = bench(&registry.host(), private(), server.variables(), |_| {});
    let to = repository(&registry.host(), "team/app");
    let blob = bench.blob(b"{}");
    assert_eq!(bench.client.push_blob(&to, &blob, &[]).await.unwrap(), Outcome::Done);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob.descriptor.digest, "size": 2},
        "layers": [],
    });
    let manifest = manifest.to_string();
    bench.client.push_manifest(&to.tagged("1"), MANIFEST, manifest.into()).await.unwrap();
    assert_eq!(bench.client.tags(&to).await.unwrap(), ["1"]);
    assert_eq!(bench.warnings(), [""; 0]);
}

#[tokio::test]
async fn what_is_set_up_for_the_registry_goes_before_aws() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("me", "secret"));
    let mut variables = BTreeMap::from([("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let name: String = fake.host().chars().map(|c| if c.is_ascii_digit() { c } else { '_' }).collect();
    variables.insert(format!("IMGBUILD_REGISTRY_{name}_USERNAME"), "me".into());
    variables.insert(format!("IMGBUILD_REGISTRY_{name}_PASSWORD"), "secret".into());
    let bench = bench(&fake.host(), private(), variables, |_| {});
    let blob = bench.blob(b"x");
    bench.client.push_blob(&repository(&fake.host(), "a"), &blob, &[]).await.unwrap();
}

#[tokio::test]
async fn a_password_that_is_refused_is_asked_for_again() {
    let api = Fake::start().await;
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("AWS", "new"));
    // base64 of AWS:old and AWS:new.
    for token in ["QVdTOm9sZA==", "QVdTOm5ldw=="] {
        let answer = format!(
            r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":4000000000.5}}]}}"#
        );
        api.inject(Rule::new("POST", "/", Fault::Answer(200, vec![], answer.leak())));
    }
    let mut variables = BTreeMap::from([("AWS_ENDPOINT_URL_ECR".to_owned(), api.root())]);
    variables.insert("AWS_ACCESS_KEY_ID".into(), "AKIA".into());
    variables.insert("AWS_SECRET_ACCESS_KEY".into(), "hunter2".into());
    let bench = bench(&fake.host(), private(), variables, |_| {});
    for content in [b"a", b"b", b"c"] {
        let blob = bench.blob(content);
        bench.client.push_blob(&repository(&fake.host(), "a"), &blob, &[]).await.unwrap();
    }
    assert_eq!(api.count("POST", "/"), 2);
    let asked = &api.take_seen()[0];
    assert_eq!(
        asked.header("x-amz-target"),
        Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
    );
    let signed = asked.header("authorization").unwrap();
    assert!(
        signed
            .contains("/eu-west-1/ecr/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target")
    );
}

#[tokio::test]
async fn repositories_are_made_where_that_is_asked_for() {
    const UNKNOWN: &str = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'team/app' does not exist"}]}"#;
    let server = S3::start();
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic(USER.0, USER.1));
    let to = repository(&fake.host(), "team/app");
    let unknown = |times| {
        fake.inject(Rule::new("POST", "/blobs/uploads/", Fault::Answer(404, vec![], UNKNOWN)).times(times));
    };

    unknown(1);
    let bench = bench(&fake.host(), private(), server.variables(), |_| {});
    let error = bench.client.push_blob(&to, &bench.blob(b"x"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.hints()[0].contains("--create-repository"), "{:?}", error.hints());
    assert_eq!(server.ecr("DescribeRepositories", "{}")["repositories"], serde_json::json!([]));

    // Twice: the registry does not hear of it at once.
    unknown(2);
    let bench = self::bench(&fake.host(), private(), server.variables(), |settings| {
        settings.create_repositories = true;
    });
    let blobs = [bench.blob(b"x"), bench.blob(b"y")];
    for blob in &blobs {
        bench.client.push_blob(&to, blob, &[]).await.unwrap();
    }
    let made = server.ecr("DescribeRepositories", "{}");
    let names: Vec<_> =
        made["repositories"].as_array().unwrap().iter().map(|r| &r["repositoryName"]).collect();
    assert_eq!(names, ["team/app"]);

    // A manifest alone, and a repository that somebody else has made meanwhile.
    fake.inject(Rule::new("PUT", "/manifests/", Fault::Answer(404, vec![], UNKNOWN)));
    bench.client.push_manifest(&to.tagged("1"), MANIFEST, "{}".into()).await.unwrap();
    assert!(fake.manifest("team/app", "1").is_some());
}

#[tokio::test]
async fn without_keys_the_error_tells_where_they_were_looked_for() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Basic("AWS", "x"));
    let off = ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    let bench = bench(&fake.host(), private(), BTreeMap::from([off]), |_| {});
    let error =
        bench.client.push_blob(&repository(&fake.host(), "a"), &bench.blob(b"x"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.to_string().contains("~/.aws/credentials"), "{error}");
    assert!(error.hints()[0].contains("AWS_PROFILE"), "{:?}", error.hints());
}

#[tokio::test]
async fn the_public_registry_is_read_by_everybody() {
    let fake = Fake::start().await;
    fake.configure(|options| options.auth = Auth::Bearer(Bearer::default()));
    let blob = fake.put_blob("me/app", &b"x"[..]);
    for (name, variables) in [
        ("nothing is set up", BTreeMap::new()),
        ("a key that nobody takes", {
            let api = ("AWS_ENDPOINT_URL_ECR_PUBLIC".to_owned(), format!("{}/nowhere", fake.root()));
            let id = ("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned());
            BTreeMap::from([api, id, ("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())])
        }),
    ] {
        let bench = bench(&fake.host(), Ecr::Public, variables, |_| {});
        let from = repository(&fake.host(), "me/app");
        assert!(bench.client.has_blob(&from, &descriptor(blob, 1)).await.unwrap(), "{name}");
        assert!(bench.warnings().len() <= 1 && !format!("{:?}", bench.warnings()).contains("hunter2"));
    }
}

/// Every source of keys, down to a password for the registry.
#[tokio::test]
async fn keys_come_from_every_source() {
    let server = S3::start();
    let registry = Registry::start(Options { user: Some(USER), ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    fs::create_dir_all(home.join(".aws/sso/cache")).unwrap();
    fs::write(home.join("token"), "header.payload.signature\n").unwrap();
    let print = r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"hunter2"}"#;
    fs::write(home.join("key.json"), print).unwrap();
    let config = format!(
        "[profile keys]\naws_access_key_id = AKIA\naws_secret_access_key = hunter2\n\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/ci\nsource_profile = keys\n\
         [profile web]\nrole_arn = arn:aws:iam::123456789012:role/ci\nweb_identity_token_file = {token}\n\
         [profile process]\ncredential_process = cat {json}\n\
         [profile circle]\nrole_arn = r\nsource_profile = circle2\n[profile circle2]\nrole_arn = r\n\
         source_profile = circle\n\
         [profile broken]\ncredential_process = echo hunter2; exit 3\n\
         [profile sso]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-1\n",
        token = home.join("token").display(),
        json = home.join("key.json").display(),
    );
    fs::write(home.join(".aws/config"), config).unwrap();
    let token = home.join("token").display().to_string();
    let moto = server.url();
    type Source<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
    let sources: &[Source] = &[
        ("keys", &[("AWS_PROFILE", "keys")], None),
        ("a role", &[("AWS_PROFILE", "role")], None),
        ("a token in a profile", &[("AWS_PROFILE", "web")], None),
        ("a program", &[("AWS_PROFILE", "process")], None),
        (
            "a token, as GitHub's action sets it",
            &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci"),
                ("AWS_REGION", "eu-west-1"),
            ],
            None,
        ),
        ("the machine", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &moto)], None),
        (
            "a container",
            &[(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{moto}/latest/meta-data/iam/security-credentials/default-role"),
            )],
            None,
        ),
        ("no such profile", &[("AWS_PROFILE", "none")], Some("the profile none")),
        ("a circle", &[("AWS_PROFILE", "circle")], Some("circle")),
        ("a program that fails", &[("AWS_PROFILE", "broken")], Some("credential_process failed")),
        ("single sign-on without a session", &[("AWS_PROFILE", "sso")], Some("single sign-on")),
        ("half a key", &[("AWS_ACCESS_KEY_ID", "AKIA")], Some("AWS_SECRET_ACCESS_KEY is not set")),
        (
            "a container's token for elsewhere",
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/")],
            Some("neither https"),
        ),
    ];
    for (name, set, expected) in sources {
        let mut variables = BTreeMap::from([
            ("HOME".to_owned(), home.display().to_string()),
            ("AWS_ENDPOINT_URL".to_owned(), moto.clone()),
        ]);
        variables.extend(set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let bench = bench(&registry.host(), private(), variables, |_| {});
        let (to, blob) = (repository(&registry.host(), "a"), bench.blob(name.as_bytes()));
        match (bench.client.push_blob(&to, &blob, &[]).await, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{name}: {error}");
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{name}: {error:?}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

/// The program itself: one image, two platforms, to a registry of ECR and to one that is open.
#[test]
fn a_build_is_pushed_to_ecr_beside_others() {
    let (server, context) = (S3::start(), TestContext::new());
    let ecr = Registry::start(Options { user: Some(USER), ..Options::default() });
    let open = Registry::start(Options::default());
    let config = format!("[registry.'{}']\nkind = 'ecr'\nregion = 'eu-west-1'\n", ecr.host());
    context.write("imgbuild.toml", config).write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let names = [&ecr, &open].map(|registry| format!("{}/team/app:1.4.2", registry.host()));
    let mut build = context.command(&["--config", "imgbuild.toml", "build", "--push"]);
    build.args(["--platform", "linux/amd64,linux/arm64", "-t", &names[0], "-t", &names[1]]);
    let built = build.envs(server.variables()).output().unwrap();
    assert!(built.status.success(), "{}", told(&built));
    assert!(!told(&built).contains("auth-token") && !told(&built).contains("hunter2"), "{}", told(&built));
    let credentials = format!("{}:{}", USER.0, USER.1);
    let digest = |name: &str, credentials: &str| {
        let mut skopeo = tool("skopeo", "skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
        if !credentials.is_empty() {
            skopeo.args(["--creds", credentials]);
        }
        run(skopeo.args(["--override-os", "linux", &format!("docker://{name}")]))
    };
    assert_eq!(digest(&names[0], &credentials), digest(&names[1], ""));
}
