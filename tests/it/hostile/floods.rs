//! Lines without end: what is kept of them, in memory and on the disk.

use std::{
    fs,
    io::{Read, Write},
    process::{ExitStatus, Stdio},
};

use crate::support::cli::TestContext;

/// How a build ended, the end of what it told, and the most memory that the program had, in MiB.
fn watched(ctx: &TestContext, arguments: &[&str]) -> (ExitStatus, String, u64) {
    let mut child = ctx.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = child.stderr.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut piece, mut tail, mut most) = (vec![0; 256 << 10], Vec::new(), 0);
    loop {
        // The mark only rises. It is gone when the program is.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = mark.map_or(most, |kib| kib.parse().unwrap());
        match err.read(&mut piece).unwrap() {
            0 => break,
            count => tail.extend_from_slice(&piece[..count]),
        }
        // More than the last lines that an error repeats.
        tail.drain(..tail.len().saturating_sub(16 << 10));
    }
    (child.wait().unwrap(), String::from_utf8_lossy(&tail).into_owned(), most >> 10)
}

#[test]
fn a_line_without_end_takes_little_memory_and_a_log_that_ends() {
    let ctx = TestContext::new();
    ctx.with_busybox().write(
        "Dockerfile",
        "FROM bb\nRUN busybox head -c 71303168 /dev/zero | busybox tr '\\0' x; echo; echo the end; exit 4\n",
    );
    let (status, tail, most) = watched(&ctx, &["build", "--progress", "plain", "-f", "Dockerfile"]);
    assert!(status.code() == Some(1) && tail.contains("exit status 4"), "{status} {tail}");
    assert!(most > 0 && most < 200, "{most} MiB");

    let logs = fs::read_dir(ctx.store().join("v1/logs")).unwrap().flatten();
    let largest = logs.map(|log| log.metadata().unwrap().len()).max().unwrap();
    assert!(largest <= (64 << 20) + 4096, "a log of {largest} bytes");
    let logged = ctx.run(&["logs"]);
    let notice = "[the rest is not kept: a log has 64 MiB at most]";
    let end = String::from_utf8_lossy(&logged.stdout[logged.stdout.len().saturating_sub(400)..]).into_owned();
    assert!(logged.status.success() && end.contains(notice), "{end}");
}

#[test]
fn a_dockerfile_of_one_line_of_a_hundred_megabytes_is_not_even_read() {
    let ctx = TestContext::new();
    // In pieces: a child is as large as this process until it runs the program.
    ctx.write("Dockerfile", "FROM bb\nRUN echo ");
    let mut file = fs::OpenOptions::new().append(true).open(ctx.project().join("Dockerfile")).unwrap();
    for _ in 0..100 {
        file.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    let (status, tail, most) = watched(&ctx, &["build", "-f", "Dockerfile"]);
    assert_eq!(status.code(), Some(2), "{tail}");
    let hint = "hint: put large texts into files of the build context, and copy them";
    assert!(tail.contains("Dockerfile is larger than 16 MiB") && tail.contains(hint), "{tail}");
    assert!(most < 100, "{most} MiB");
}
