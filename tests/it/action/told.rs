//! What a build tells the job that it runs in.

use std::fs;

use super::Job;

fn without_times(text: &str) -> String {
    let text = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_end_matches([',', ' ', '\n']);
        let number = bare.strip_suffix('s').is_some_and(|n| n.parse::<f64>().is_ok());
        if number { word.replace(bare, "[TIME]") } else { word.to_owned() }
    });
    text.collect()
}

fn build(job: &Job, arguments: &[&str]) -> String {
    let output = job.command(env!("CARGO_BIN_EXE_imgbuild")).args(arguments).output().unwrap();
    job.describe(&output)
}

/// The lines that the runner reads as commands.
fn commands(transcript: &str) -> String {
    transcript.lines().filter(|line| line.starts_with("::")).map(|line| format!("{line}\n")).collect()
}

/// Sizes depend on the busybox of the machine.
fn without_sizes(text: &str) -> String {
    let cells = text.split_inclusive('|').map(|cell| {
        let bare = cell.trim_end_matches('|').trim();
        let number =
            bare.split_once(' ').is_some_and(|(n, unit)| n.parse::<f64>().is_ok() && unit.ends_with('B'));
        if number { cell.replace(bare, "[SIZE]") } else { cell.to_owned() }
    });
    cells.collect()
}

/// Lines and summary of the steps, in an order that does not depend on which was done first.
fn page(job: &Job) -> String {
    let text = job.context.filter(&without_sizes(&without_times(&job.summary())));
    let (mut steps, mut rest) = (Vec::new(), String::new());
    for line in text.lines() {
        if line.starts_with("| `[") {
            steps.push(line.to_owned());
        } else {
            if line.is_empty() {
                steps.sort();
                steps.drain(..).for_each(|step| rest.push_str(&format!("{step}\n")));
            }
            rest.push_str(&format!("{line}\n"));
        }
    }
    rest
}

#[test]
fn a_failing_command_is_told_on_its_line() {
    let job = Job::new();
    fs::copy("/bin/busybox", {
        fs::create_dir_all(job.context.project().join("sub/app")).unwrap();
        job.context.project().join("sub/app/busybox")
    })
    .unwrap();
    job.context.write(
        "sub/app/Dockerfile",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo one: 100% && \\\n    echo two; exit 3\n",
    );
    // A repository that was checked out to a directory of its own: paths are those in it.
    fs::create_dir(job.context.project().join("sub/.git")).unwrap();
    let told = build(&job, &["sub/app"]);
    let log = told.split_once("imgbuild logs ").unwrap().1.split_once('\n').unwrap().0;
    let told = commands(&told).replace(log, "[LOG]");
    insta::assert_snapshot!("failing_command", told);
    insta::assert_snapshot!("failing_command_page", page(&job).replace(log, "[LOG]"));
}

#[test]
fn each_error_is_told_on_its_line_or_the_job() {
    let job = Job::new();
    job.context
        .write("Dockerfile", "FROM scratch\nCOPY\nEXPOSE no\nWHAT is: this, then\n")
        .write("app.yaml", "from: scratch\nlayers:\n  - copy: nothing\n    too: /\n")
        .write("missing", "FROM scratch\nCOPY nowhere /\n");
    let mut all = String::new();
    for file in ["Dockerfile", "app.yaml", "missing", "none"] {
        all.push_str(&commands(&build(&job, &["build", "-f", file])));
    }
    all.push_str(&commands(&build(&job, &["build", "--platfrom", "linux/amd64"])));
    all.push_str(&commands(&build(&job, &["build", "--platform", "arm64"])));
    insta::assert_snapshot!(all);
}

#[test]
fn warnings_are_told_on_their_lines_and_the_page() {
    let job = Job::new();
    job.context
        .write("Dockerfile", "from scratch\nLABEL a b\nCOPY . /\n")
        .write(".dockerignore", "busybox\n");
    let first = build(&job, &["-t", "me/app:1", "--platform", "linux/amd64", "--build-arg", "NONE=1"]);
    insta::assert_snapshot!("warnings", commands(&first));
    insta::assert_snapshot!("warnings_page", page(&job));
    // Found by `check`, too, and nothing is written twice.
    let check = commands(&build(&job, &["check"]));
    assert!(commands(&first).lines().all(|line| check.contains(line)), "{check}");
    fs::write(job.at("summary"), "# Before\n").unwrap();
    build(&job, &["build", "-t", "me/app:1", "."]);
    assert!(job.summary().starts_with("# Before\n### Built `me/app:1`\n"), "{}", job.summary());
    assert!(job.summary().contains("1 of 1 steps from the cache"), "{}", job.summary());
}

#[test]
fn outside_of_actions_nothing_is_told_unasked() {
    let job = Job::new();
    job.context.write("Dockerfile", "from scratch\nCOPY nowhere /\n");
    let mut command = job.command(env!("CARGO_BIN_EXE_imgbuild"));
    let output = command.env_remove("GITHUB_ACTIONS").args(["--summary", "page.md"]).output().unwrap();
    assert_eq!(commands(&job.describe(&output)), "");
    assert_eq!(job.summary(), "");
    let page = fs::read_to_string(job.context.project().join("page.md")).unwrap();
    assert!(page.starts_with("### The build failed\n"), "{page}");
    // A page that cannot be written fails no build.
    job.context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let told = build(&job, &["--summary", "none/page.md"]);
    assert!(told.starts_with("status: 0\n"), "{told}");
    assert!(told.contains("warning: failed to write the summary to "), "{told}");
}

/// The log of a job is read by its runner: what a command writes is not to be taken for a command of the job.
#[test]
fn output_of_steps_gives_the_runner_no_commands() {
    let job = Job::new();
    fs::copy("/bin/busybox", job.context.project().join("busybox")).unwrap();
    job.context.write(
        "Dockerfile",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo '::error::no'; echo ' ::add-mask::a'; echo '##[error]no'; exit 1\n",
    );
    let told = build(&job, &[]);
    for line in told.lines() {
        // The one of the program itself has the rest in it, where it means nothing.
        let own = line.starts_with("::error file=Dockerfile,line=3,");
        assert!(own || !line.trim_start().starts_with("::") && !line.contains("##["), "{line}");
    }
}
