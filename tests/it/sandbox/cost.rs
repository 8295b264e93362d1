//! What a step costs beyond its command. Not a test: times are not asserted.
//!
//! `cargo test --release --test it sandbox::cost -- --ignored --nocapture`

use std::time::{Duration, Instant};

use imgbuild::sandbox::Mode;

use super::ground::Ground;

const STEPS: usize = 200;

#[tokio::test]
#[ignore = "measures"]
#[allow(clippy::print_stdout, reason = "that is what it is for")]
async fn of_a_step() {
    let start = Instant::now();
    for _ in 0..STEPS {
        std::process::Command::new("/bin/busybox").arg("true").status().unwrap();
    }
    println!("fork and exec: {:?}", start.elapsed() / STEPS as u32);
    for mode in [Mode::Root, Mode::UserNamespace, Mode::SingleId] {
        let start = Instant::now();
        let ground = Ground::new(Some(mode)).await;
        println!("{mode}: started with a base in {:?}", start.elapsed());
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..STEPS {
            let step = ground.command(&["/bin/true"]);
            let start = Instant::now();
            ground.run(&step).await;
            times.push(start.elapsed());
        }
        times.sort();
        println!("{mode}: median {:?}, least {:?}", times[STEPS / 2], times[0]);
    }
}
