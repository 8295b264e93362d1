//! What `imgbuild why` tells after a change, and what progress tells of it.

use std::{fs, os::unix::fs::PermissionsExt, time::SystemTime};

use super::TestContext;

const TEXT: &str = "FROM bb
ARG VERSION=1
COPY requirements.txt /app/
RUN cat /app/requirements.txt > /installed && touch -t 202001010000 /installed
COPY src /app/src
RUN --mount=type=secret,id=token cat /app/src/* > /built && echo $VERSION >> /built
";

impl TestContext {
    /// A project with two files in `src`, and a first build of it.
    #[track_caller]
    fn explained_project(&self, text: &str) -> &Self {
        self.with_busybox();
        self.write("src/a.py", "1").write("src/b.py", "1").write("requirements.txt", "flask");
        self.builds(text, &[]);
        self
    }

    /// What is told of the last build, without its ids, sizes and times.
    #[track_caller]
    fn why(&self, arguments: &[&str]) -> String {
        let done = self.run(&[&["why"], arguments].concat());
        assert!(done.status.success(), "{}", self.describe(&done));
        let text = self.filter(&String::from_utf8_lossy(&done.stdout));
        let line = |line: &str| {
            let (head, size) = line.split_once(", a layer of ").unwrap_or((line, ""));
            match () {
                () if line.starts_with("build ") || line.starts_with("against ") => None,
                () if line.contains("steps were hits") => line.split(';').next().map(str::to_owned),
                () if line.trim_start().starts_with("cost: ") && size.is_empty() => {
                    Some("  cost: [TIME]".to_owned())
                }
                () if line.trim_start().starts_with("cost: ") => {
                    Some("  cost: [TIME] and a layer".to_owned())
                }
                () => Some(head.to_owned()),
            }
        };
        text.lines().filter_map(line).map(|line| line + "\n").collect()
    }

    /// The lines of progress that tell why.
    #[track_caller]
    fn misses(&self, text: &str, arguments: &[&str]) -> Vec<String> {
        let (_, told) = self.builds(text, arguments);
        let misses = told.lines().filter_map(|line| Some(line.split_once(" MISS ")?.1.to_owned()));
        misses.collect()
    }
}

#[test]
fn a_changed_file() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT).write("src/a.py", "2").write("src/b.py", "2").write("src/c.py", "2");
    assert_eq!(ctx.misses(TEXT, &[]), ["changed: src/a.py and 2 more", "step 3 changed"]);
    insta::assert_snapshot!(ctx.why(&[]));
    insta::assert_snapshot!("a_changed_file_in_full", ctx.why(&["COPY src"]));
}

#[test]
fn a_changed_mode() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT);
    fs::set_permissions(ctx.project().join("src/a.py"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ctx.misses(TEXT, &[]), ["mode: src/a.py", "step 3 changed"]);
    insta::assert_snapshot!(ctx.why(&["3"]));
}

#[test]
fn a_changed_build_argument() {
    let ctx = TestContext::new();
    let told = ctx.explained_project(TEXT).misses(TEXT, &["--build-arg", "VERSION=2"]);
    assert_eq!(told, ["argument VERSION", "argument VERSION"]);
    insta::assert_snapshot!(ctx.why(&[]));
    // Also where it decides what is copied, and where the file says another default.
    let text = |file: &str| format!("FROM bb\nARG FILE={file}\nCOPY src/$FILE /file\n");
    ctx.builds(&text("a.py"), &[]);
    ctx.write("src/b.py", "other");
    ctx.builds(&text("a.py"), &["--build-arg", "FILE=b.py"]);
    insta::assert_snapshot!("an_argument_in_a_path", ctx.why(&["1"]));
    ctx.builds(TEXT, &[]);
    let told = ctx.misses(&TEXT.replace("VERSION=1", "VERSION=3"), &[]);
    assert_eq!(told, ["argument VERSION", "argument VERSION"]);
}

#[test]
fn a_changed_base() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT);
    let spec = fs::read_to_string(ctx.project().join("base/imgbuild.yaml")).unwrap();
    ctx.write(
        "base/imgbuild.yaml",
        spec.replace("config:", "  - {write: {path: /etc/new, text: new}}\nconfig:"),
    );
    assert!(ctx.run(&["build", "-t", "bb", "base"]).status.success());
    assert_eq!(ctx.misses(TEXT, &[]), ["base bb", "base bb"]);
    insta::assert_snapshot!(ctx.why(&[]));
}

#[test]
fn what_does_not_count_is_no_miss() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT);
    let hits = |arguments: &[&str]| {
        assert_eq!(ctx.misses(TEXT, arguments), [""; 0], "{arguments:?}");
        let told = ctx.why(&[]);
        assert!(told.ends_with("\n4 of 4 steps were hits\n") && !told.contains("miss"), "{told}");
    };
    // A secret, given and then another one.
    ctx.write("one", "secret of one").write("two", "secret of two");
    hits(&["--secret", "id=token,src=one"]);
    hits(&["--secret", "id=token,src=two"]);
    // A file that was touched.
    let file = fs::File::options().append(true).open(ctx.project().join("src/a.py")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    hits(&[]);
    // A proxy.
    hits(&["--build-arg", "HTTP_PROXY=http://127.0.0.1:9"]);
}

#[test]
fn secrets_are_not_in_records() {
    let ctx = TestContext::new();
    let text = "FROM bb\nARG API_TOKEN\nARG PLACE\nARG OTHER\nRUN : $API_TOKEN > /x\n";
    let arguments = |token: &str| {
        [
            format!("API_TOKEN={token}"),
            format!("PLACE=https://me:{token}@example.com/"),
            format!("OTHER=say {token}"),
        ]
    };
    ctx.with_busybox().write("file", "hunter2\n").write("file2", "hunter3\n");
    for (token, file) in [("hunter2", "id=t,src=file"), ("hunter3", "id=t,src=file2")] {
        let [token, place, other] = &arguments(token);
        let flags = ["--secret", file, "--build-arg", token, "--build-arg", place, "--build-arg", other];
        ctx.builds(text, &flags);
    }
    insta::assert_snapshot!(ctx.why(&["1"]));
    let kept: String = fs::read_dir(ctx.store().join("v1/logs/builds"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(kept.contains("API_TOKEN") && !kept.contains("hunter"), "{kept}");
}

#[test]
fn steps_in_another_order() {
    let ctx = TestContext::new();
    let text = |steps: [&str; 3]| format!("FROM bb\n{}\n", steps.join("\n"));
    let [a, b, c] = ["RUN echo a > /a", "RUN echo b > /b", "COPY src/a.py /c"];
    ctx.explained_project(&text([a, b, c]));
    assert_eq!(ctx.misses(&text([b, a, c]), &[]), ["was step 2", "step 1 moved"]);
    insta::assert_snapshot!(ctx.why(&[]));
}

#[test]
fn a_step_that_is_new_and_one_that_is_gone() {
    let ctx = TestContext::new();
    let [a, b] = ["RUN echo a > /a", "RUN echo b > /b"];
    ctx.explained_project(&format!("FROM bb\n{a}\n{b}\n"));
    let inserted = format!("FROM bb\n{a}\nRUN echo new > /new\n{b}\n");
    assert_eq!(ctx.misses(&inserted, &[]), ["new step", "step 2 is new"]);
    insta::assert_snapshot!(ctx.why(&[]));
    ctx.builds(&format!("FROM bb\n{b}\n"), &[]);
    insta::assert_snapshot!("a_step_that_is_gone", ctx.why(&[]));
    ctx.builds(&format!("FROM bb\n{}\n", b.replace("echo b", "echo bb")), &[]);
    insta::assert_snapshot!("a_step_that_says_something_else", ctx.why(&["1"]));
}

#[test]
fn an_edited_ignore_file() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT).write(".dockerignore", "src/b.py\n");
    assert_eq!(ctx.misses(TEXT, &[]), ["removed: src/b.py", "step 3 changed"]);
    insta::assert_snapshot!(ctx.why(&["3"]));
    // One that leaves out what no step copies.
    ctx.write(".dockerignore", "src/b.py\nother\n");
    assert_eq!(ctx.misses(TEXT, &[]), [""; 0]);
}

#[test]
fn a_stage_that_ran_again_with_the_same_result() {
    let ctx = TestContext::new();
    let text = "FROM bb AS build\nCOPY src /src\nRUN : > /out && busybox touch -t 202001010000 /out\n\
                FROM bb\nCOPY --from=build /out /out\nRUN cat /out > /done\n";
    ctx.explained_project(text).write("src/a.py", "2");
    assert_eq!(ctx.misses(text, &[]), ["step 1 changed"]);
    insta::assert_snapshot!(ctx.why(&[]));
    // And with another one.
    let text = text.replace(": > /out", "echo 1 > /out");
    ctx.builds(&text, &[]);
    insta::assert_snapshot!("a_stage_that_gave_another_result", ctx.why(&[]));
}

#[test]
fn options_of_a_copy_and_files_that_are_mounted() {
    let ctx = TestContext::new();
    let text = "FROM bb\nCOPY src /app\nRUN --mount=target=/src,source=src cat /src/* > /x\n";
    ctx.explained_project(text);
    ctx.builds(&text.replace("COPY src /app", "COPY --chown=1 --chmod=600 src /other"), &[]);
    insta::assert_snapshot!(ctx.why(&["1"]));
    ctx.builds(text, &[]);
    ctx.write("src/a.py", "2");
    assert_eq!(ctx.misses(text, &[]), ["changed: src/a.py", "step 1 changed"]);
    insta::assert_snapshot!("files_that_are_mounted", ctx.why(&["2"]));
}

#[test]
fn a_build_can_insist_on_hits() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT);
    ctx.builds(TEXT, &["--fail-on-miss", "4", "--fail-on-miss", "COPY src"]);
    ctx.write("src/a.py", "2");
    ctx.builds(TEXT, &["--fail-on-miss", "RUN cat /app/requirements.txt"]);
    ctx.write("src/a.py", "3");
    for step in ["3", "COPY src"] {
        let done = ctx.run(&["build", "-f", "Dockerfile", "--fail-on-miss", step]);
        let told = ctx.describe(&done);
        assert!(told.starts_with("status: 1\n") && told.contains("src/a.py changed: sha256"), "{told}");
    }
    let done = ctx.run(&["build", "-f", "Dockerfile", "--fail-on-miss", "9"]);
    assert!(ctx.describe(&done).starts_with("status: 2\n"), "{}", ctx.describe(&done));
}

#[test]
fn records_can_be_taken_elsewhere() {
    let [here, there] = [TestContext::new(), TestContext::new()];
    for ctx in [&here, &there] {
        ctx.with_busybox().write("src/a.py", "1").write("src/b.py", "1").write("requirements.txt", "flask");
    }
    there.write("src/b.py", "2");
    let id = |ctx: &TestContext| {
        let listed = ctx.run(&["why", "--list"]);
        String::from_utf8_lossy(&listed.stdout)[..8].to_owned()
    };
    here.builds(TEXT, &[]);
    there.builds(TEXT, &[]);
    let exported = there.run(&["why", "--export", &id(&there)]);
    here.write("ci.json", &exported.stdout);
    insta::assert_snapshot!(here.why(&["--from", "ci.json"]));
    let json = here.run(&["why", "--from", "ci.json", "--to", &id(&here), "--json", "3"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let step = &json["steps"][0];
    assert_eq!((&step["verdict"], &step["files"][0]["path"]), (&"miss".into(), &"src/b.py".into()), "{json}");
    assert_eq!(json["against"], id(&there));
    for wrong in [&["why", "--from", "none"][..], &["why", "no such step"]] {
        assert!(!here.run(wrong).status.success());
    }
}

#[test]
fn other_reasons() {
    let ctx = TestContext::new();
    ctx.explained_project(TEXT);
    assert!(ctx.why(&[]).contains("no earlier build"), "{}", ctx.why(&[]));
    assert_eq!(ctx.misses(TEXT, &["--no-cache"]), ["--no-cache"; 4]);
    for bucket in ["layers-1", "runs-1"] {
        fs::remove_dir_all(ctx.store().join("v1/records").join(bucket)).unwrap();
    }
    assert_eq!(ctx.misses(TEXT, &[]), ["not in the cache"; 4]);
    // A build that failed, and the one that comes after it.
    let failing = TEXT.replace("echo $VERSION", "nothing");
    assert!(!ctx.dockerfile(&failing, &[]).0);
    assert!(ctx.why(&["4"]).contains("it failed"), "{}", ctx.why(&["4"]));
    ctx.builds(&failing.replace("nothing", "echo fine"), &[]);
    insta::assert_snapshot!(ctx.why(&["4"]));
}
