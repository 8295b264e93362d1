//! Secrets of commands: where they must never be found again.

use std::{fs, path::Path};

use crate::support::cli::TestContext;

const VALUE: &str = "correct-horse-battery-staple";

/// The files below a directory that hold the secret's value.
fn holding(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            holding(&entry.path(), found);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            if bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[test]
fn values_are_nowhere_but_in_the_commands_that_ask() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let outside = ctx.home().join("secret");
    fs::write(&outside, VALUE).unwrap();
    let text = "FROM bb AS asks
RUN --mount=type=secret,id=k --mount=type=secret,id=k,env=TOKEN cat /run/secrets/k && echo && echo $TOKEN && busybox sleep 1
FROM bb AS other
RUN cat /run/secrets/* /proc/*/environ /proc/*/cmdline 2>/dev/null > /seen; env >> /seen; echo looked
FROM bb
COPY --from=asks /etc/passwd /a
COPY --from=other /seen /b
";
    let secret = format!("id=k,src={}", outside.display());
    let (image, told) = ctx.builds(text, &["--secret", &secret]);
    assert!(!told.contains(VALUE) && told.contains("***"), "{told}");
    drop(image);
    let logs = ctx.transcript(&["logs"]);
    assert!(!logs.contains(VALUE) && logs.contains("***") && logs.contains("looked"), "{logs}");
    let mut found = Vec::new();
    for dir in [ctx.store(), ctx.out()] {
        holding(&dir, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
    // Another value is no reason to run again.
    fs::write(&outside, VALUE.replace('o', "0")).unwrap();
    let (_, told) = ctx.builds(text, &["--secret", &secret]);
    assert!(told.matches(" CACHED").count() >= 2, "{told}");
}

/// Where the target is a link, the secret is where it leads to while the command runs, and never outside.
#[test]
fn targets_that_are_links_lead_nowhere_else() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    fs::write(ctx.home().join("secret"), VALUE).unwrap();
    let outside = ctx.home().join("outside");
    fs::create_dir(&outside).unwrap();
    let text = format!(
        "FROM bb
RUN mkdir -p /run && ln -s /etc /run/secrets && ln -s {0} /out && ln -s ../../../../../../..{0} /up
RUN --mount=type=secret,id=k --mount=type=secret,id=k,target=/out/k --mount=type=secret,id=k,target=/up/l cat /run/secrets/k
RUN ls /etc /run /run/secrets/; test ! -s /etc/k && test ! -s {0}/k && test ! -s {0}/l && echo clean
",
        outside.display()
    );
    let secret = format!("id=k,src={}", ctx.home().join("secret").display());
    let (done, told) = ctx.dockerfile(&text, &["--secret", &secret]);
    assert!(done && told.contains("clean") && !told.contains(VALUE), "{told}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let mut found = Vec::new();
    for dir in [ctx.store(), ctx.out()] {
        holding(&dir, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}
