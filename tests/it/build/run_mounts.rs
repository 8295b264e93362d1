//! What is mounted for commands.

use std::{fs, os::unix::net::UnixListener};

use super::TestContext;

#[test]
fn files_of_the_context_stages_and_images_are_mounted() {
    let ctx = TestContext::new();
    ctx.with_busybox()
        .write("src/a", "of the context")
        .write("src/ignored", "x")
        .write(".dockerignore", "src/ignored\nbase\n");
    let text = "FROM bb AS one
RUN mkdir /out && echo of the stage > /out/b
FROM bb
RUN --mount=type=bind,source=src,target=/ctx \\
    --mount=type=bind,from=one,source=/out,target=/one,rw \\
    --mount=type=bind,source=src/a,target=/file \\
    cat /ctx/a /file /one/b && ls /ctx && touch /one/new && ! touch /ctx/new
";
    let (image, told) = ctx.builds(text, &[]);
    assert!(
        told.contains("of the context") && told.contains("of the stage") && !told.contains(" ignored"),
        "{told}"
    );
    assert!(image.layers.last().unwrap().is_empty(), "{:?}", image.paths());
    // Their content counts, and nothing else of the context.
    ctx.write("other", "x");
    assert!(ctx.builds(text, &[]).1.matches(" CACHED").count() >= 1);
    ctx.write("src/a", "changed");
    assert!(ctx.builds(text, &[]).1.contains("changed"));
}

#[test]
fn of_a_stage_only_what_is_mounted_counts() {
    let ctx = TestContext::new();
    let text = |made: &str| {
        format!(
            "FROM bb AS one\nRUN mkdir /out && echo same > /out/b && {made}\nFROM bb\n\
             RUN --mount=type=bind,from=one,source=/out,target=/one cat /one/b\n\
             RUN --mount=type=bind,from=one,source=/out/b,target=/file cat /file\n"
        )
    };
    ctx.with_busybox().builds(&text("echo 1 > /log"), &[]);
    let (_, told) = ctx.builds(&text("echo 2 > /log"), &[]);
    assert_eq!(told.matches(" CACHED").count(), 2, "{told}");
    let (_, told) = ctx.builds(&text("echo new > /out/b"), &[]);
    assert!(told.matches(" new\n").count() == 2 && !told.contains(" CACHED"), "{told}");
}

#[test]
fn caches_outlive_builds_and_are_not_in_the_image() {
    let ctx = TestContext::new();
    let text = |command: &str| {
        format!("FROM bb\nRUN --mount=type=cache,target=/cache,id=c,uid=1000,mode=0750 {command}\n")
    };
    let (image, told) = ctx.with_busybox().builds(&text("stat -c %u-%a /cache; echo kept > /cache/x"), &[]);
    assert!(told.contains(" 1000-750\n"), "{told}");
    assert!(image.layers.last().unwrap().is_empty());
    assert!(ctx.builds(&text("cat /cache/x"), &[]).1.contains(" kept\n"));
    let seeded = "FROM bb AS seed\nRUN mkdir -p /s/d && echo seeded > /s/d/f\nFROM bb\n\
                  RUN --mount=type=cache,target=/c,from=seed,source=/s cat /c/d/f && echo more > /c/g\n\
                  RUN --mount=type=cache,target=/c,from=seed,source=/s,sharing=private cat /c/g\n";
    let (_, told) = ctx.builds(seeded, &[]);
    assert!(told.contains(" seeded\n") && told.contains(" more\n"), "{told}");
}

#[test]
fn a_locked_cache_is_used_by_one_step_at_a_time() {
    let ctx = TestContext::new();
    let one = "mkdir /c/one && sleep 0.3 && busybox rmdir /c/one";
    let mut text = String::new();
    for stage in ["a", "b", "c"] {
        text += &format!(
            "FROM bb AS {stage}\nRUN --mount=type=cache,target=/c,sharing=locked {one} && touch /{stage}\n"
        );
    }
    text += "FROM bb\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /x\n";
    let text = text.replace("touch /c\n", "touch /tmp/c\n").replace("--from=c /c /x", "--from=c /tmp/c /x");
    let (_, told) = ctx.with_busybox().builds(&text, &["-j", "3"]);
    assert!(told.contains("waiting for the cache /c"), "{told}");
}

#[test]
fn two_builds_share_one_store() {
    let ctx = TestContext::new();
    ctx.with_busybox().write("Dockerfile", "FROM bb\nRUN echo 1 > /1\nRUN --mount=type=cache,target=/c,sharing=locked mkdir /c/one && sleep 0.2 && busybox rmdir /c/one && cat /1 > /2\nRUN cat /2\n");
    let build = |name: &str| {
        let output = format!("type=oci,dest={}", ctx.out().with_file_name(name).display());
        let mut command =
            ctx.command(&["build", "--no-cache", "--progress", "plain", "-f", "Dockerfile", "-o", &output]);
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let builds = [build("a"), build("b"), build("c")];
    for done in builds.map(|build| build.wait_with_output().unwrap()) {
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let temporary =
        fs::read_dir(ctx.store().join("v1/tmp")).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(temporary.collect::<Vec<_>>(), ["gate"]);
    let (_, told) = ctx.builds(&fs::read_to_string(ctx.project().join("Dockerfile")).unwrap(), &[]);
    assert_eq!(told.matches(" CACHED").count(), 3, "{told}");
}

#[test]
fn not_even_a_privileged_step_sees_the_environment_of_the_build() {
    let ctx = TestContext::new();
    let text = "FROM bb\nRUN --security=insecure cat /proc/*/environ | busybox tr '\\0' '\\n' | busybox grep -c ^HOSTS_OWN= || echo none\n";
    ctx.with_busybox();
    ctx.write("Dockerfile", text);
    let output = format!("type=oci,dest={}", ctx.out().display());
    let arguments = ["build", "--progress", "plain", "-f", "Dockerfile", "-o", &output];
    let arguments = [&arguments[..], &["--allow", "security.insecure"]].concat();
    let done = ctx.command(&arguments).env("HOSTS_OWN", "secret").output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains(" none\n"), "{told}");
}

#[test]
fn secrets_are_seen_by_their_step_alone() {
    let ctx = TestContext::new();
    ctx.with_busybox().write("token", "very-secret-value");
    let text = "FROM bb
RUN --mount=type=secret,id=tok,required=true,mode=0440,uid=7 \\
    --mount=type=secret,id=tok,env=TOK \\
    cat /run/secrets/tok && echo \"[$TOK]\" && stat -c %u-%a /run/secrets/tok && test very-secret = ${TOK%-value}
RUN test ! -e /run/secrets/tok && test -z \"$TOK\"
";
    let (image, told) = ctx.builds(text, &["--secret", "id=tok,src=token"]);
    assert!(told.contains(" ***[***]\n") && told.contains(" 7-440\n"), "{told}");
    assert!(!told.contains("very-secret-value"), "{told}");
    assert!(image.layers.iter().rev().take(2).all(Vec::is_empty), "{:?}", image.paths());
    assert!(
        found(&ctx.store(), b"very-secret-value").is_empty(),
        "{:?}",
        found(&ctx.store(), b"very-secret-value")
    );
    // Another value is no other step.
    ctx.write("token", "another-value\n");
    assert_eq!(ctx.builds(text, &["--secret", "id=tok,src=token"]).1.matches(" CACHED").count(), 2);
    let (done, told) = ctx.dockerfile(text, &["--secret", "id=took,src=token"]);
    assert!(!done && told.contains("--secret id=tok,src=FILE") && told.contains("took"), "{told}");
    assert!(!told.contains("#2"), "something was begun: {told}");
}

/// The files below a folder that hold these bytes.
fn found(folder: &std::path::Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(found(&path, bytes));
        } else if kind.is_file() && fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes) {
            all.push(path);
        }
    }
    all
}

#[test]
fn an_agent_is_lent() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let socket = ctx.project().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut peer, _) = listener.accept().unwrap();
        let mut asked = [0; 5];
        peer.read_exact(&mut asked).unwrap();
        let _ = peer.write_all(b"sign\n");
        asked
    });
    let text = "FROM bb\nUSER app\nRUN --mount=type=ssh,required=true,uid=1000 echo hello | busybox nc local:$SSH_AUTH_SOCK\n";
    let (done, told) = ctx.dockerfile(text, &[]);
    assert!(!done && told.contains("--ssh default"), "{told}");
    let text = text.replace(
        "echo hello | busybox nc local:$SSH_AUTH_SOCK",
        "test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK",
    );
    let (_, told) = ctx.builds(&text, &["--ssh", "default=agent"]);
    assert!(told.contains(" /run/buildkit/ssh_agent.0\n"), "{told}");
    // busybox has nothing that speaks to a socket; the way to the agent is tried from here.
    use std::io::Write;
    std::os::unix::net::UnixStream::connect(&socket).unwrap().write_all(b"hello").unwrap();
    assert_eq!(&agent.join().unwrap(), b"hello");
}

#[test]
fn an_agent_is_for_whom_its_mount_says() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let socket = ctx.project().join("agent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let look = "stat -c 'is %u:%g-%a' $SSH_AUTH_SOCK";
    let text = |options: &str| format!("FROM bb\nRUN --mount=type=ssh{options} {look}\n");
    for rung in ["root", "userns", "chroot"] {
        let arguments = ["--ssh", "default=agent", "--sandbox", rung, "--no-cache"];
        for (options, expected) in [
            ("", " is 0:0-600\n"),
            (",mode=0640,uid=1000,gid=44", " is 1000:44-640\n"),
            (",target=/tmp/s,uid=7", " is 7:0-600\n"),
        ] {
            let (image, told) = ctx.builds(&text(options), &arguments);
            assert!(told.contains(expected), "{rung}, {options}: {told}");
            assert!(image.layers.last().unwrap().is_empty(), "{rung}: {:?}", image.paths());
        }
    }
    // Who may use it counts, unlike who is asked.
    let cached =
        |options: &str| ctx.builds(&text(options), &["--ssh", "default=agent"]).1.contains(" CACHED");
    assert!(cached(",uid=7,target=/tmp/s"));
    assert!(![",uid=8", ",gid=8", ",mode=0666"].into_iter().any(cached));
    // A spec does not say for whom.
    let spec = format!("from: bb\nlayers:\n  - user: app\n  - {{run: \"{look}\", ssh: true}}\n");
    ctx.write("imgbuild.yaml", spec);
    let done = ctx.run(&["build", "--progress", "plain", "--ssh", "default=agent"]);
    let told = ctx.describe(&done);
    assert!(done.status.success() && told.contains(" is 0:0-666\n"), "{told}");
}

#[test]
fn certificates_are_seen_and_not_left() {
    let ctx = TestContext::new();
    let certificate = rcgen::generate_simple_self_signed(vec!["own.example".into()]).unwrap().cert.pem();
    ctx.with_busybox().write("own.pem", format!("OWN CERTIFICATE\n{certificate}"));
    let text = "FROM bb
RUN mkdir -p /etc/ssl/certs && echo IMAGE > /etc/ssl/certs/ca-certificates.crt
RUN cat $SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt | busybox grep -c OWN && echo $PIP_CERT
RUN echo NEW > /tmp/new && mv -f /tmp/new /etc/ssl/certs/ca-certificates.crt
";
    let (image, told) = ctx.builds(text, &["--ca", "own.pem"]);
    assert!(told.contains(" 2\n") && told.contains(" /run/imgbuild/ca.pem\n"), "{told}");
    assert_eq!(image.member("etc/ssl/certs/ca-certificates.crt").content, b"NEW\n");
    for layer in &image.layers {
        assert!(
            layer.iter().all(|member| !member.content.windows(15).any(|part| part == b"OWN CERTIFICATE"))
        );
    }
    let (_, told) = ctx.builds("FROM bb\nRUN echo [$SSL_CERT_FILE]\n", &[]);
    assert!(told.contains(" []\n"), "{told}");
}
