//! Releases killed at any point: no tag without its image, and each can be finished.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::scene::{BOTH, Scene, is_complete, tags};
use crate::{
    support::real_registry::{Options, Registry},
    tools::{Random, run, run_json},
};

const ROUNDS: usize = 30;

const TAGS: [&str; 4] = ["1.0", "1", "edge", "latest"];

fn kill(child: &mut Child) -> bool {
    let running = child.try_wait().unwrap().is_none();
    // SIGKILL, to this child alone.
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_releases_are_finished() {
    let seed = std::env::var("IMGBUILD_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    let registries = [Registry::start(Options::default()), Registry::start(Options::default())];
    let hosts = registries.each_ref().map(Registry::host);
    let scene = Scene::new();
    let names: Vec<String> =
        hosts.iter().flat_map(|host| TAGS.map(|tag| format!("{host}/me/app:{tag}"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = Instant::now();
    run(&mut scene.build("home", BOTH, &names, &[]));
    let whole = start.elapsed();

    let journals = scene.path("home").join("store/releases");
    let (mut killed, mut resumed, mut half) = (0, 0, 0);
    for round in 0..ROUNDS {
        let at = format!("seed {seed}, round {round}");
        scene.change(&at);
        let known = fs::read_dir(&journals).unwrap().count();
        let mut child = scene
            .build("home", BOTH, &names, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if round % 3 == 0 {
            thread::sleep(whole.mul_f64(random.fraction()));
        } else {
            // Sending and moving tags are the shorter half: most are killed in it.
            while child.try_wait().unwrap().is_none() && fs::read_dir(&journals).unwrap().count() == known {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(60).mul_f64(random.fraction()));
        }
        killed += usize::from(kill(&mut child));

        let mut seen = std::collections::BTreeSet::new();
        for host in &hosts {
            for (tag, digest) in tags(host).await {
                is_complete(host, &digest)
                    .await
                    .unwrap_or_else(|error| panic!("{at}: {host} {tag}: {error}"));
                seen.insert(digest);
            }
        }
        half += usize::from(seen.len() > 1);
        let status = run_json(&mut scene.program("home", &["release", "status", "--json"]));
        let open = status.as_array().unwrap().iter().filter(|kept| kept["stage"] == "begun").count();
        assert!(open <= 1, "{at}: {status}");
        let image = match open {
            0 => run(&mut scene.build("home", BOTH, &names, &[])),
            _ => {
                resumed += 1;
                run(&mut scene.program("home", &["release", "resume", "--quiet"]))
            }
        };
        for host in &hosts {
            let found = tags(host).await;
            assert_eq!(found.len(), TAGS.len(), "{at}");
            for (tag, digest) in found {
                assert_eq!(digest.to_string(), image.trim(), "{at}: {tag}");
                is_complete(host, &digest).await.unwrap();
            }
        }
    }
    let status: Value = run_json(&mut scene.program("home", &["release", "status", "--json"]));
    assert!(status.as_array().unwrap().iter().all(|kept| kept["stage"] == "done"), "{status}");
    assert!(
        killed > ROUNDS / 2 && resumed > ROUNDS / 5,
        "{killed} killed, {resumed} resumed, {half} halfway"
    );
}
