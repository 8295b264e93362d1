//! Commands that mean harm, through the program: each is kept in its place, is told of in words that help, and leaves a
//! store that the next build works with.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    process::Command,
};

use crate::{
    support::cli::TestContext,
    tools::{run, tool},
};

/// Builds a Dockerfile that hurts, then one that does not.
#[track_caller]
fn hurt(ctx: &TestContext, text: &str, arguments: &[&str]) -> (bool, String) {
    let (done, told) = ctx.dockerfile(text, arguments);
    assert!(!told.contains("panicked"), "{told}");
    let null = fs::metadata("/dev/null").unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&null), 0o20_666, "the host's /dev/null after {text}");
    assert!(ctx.dockerfile("FROM bb\nRUN echo fine > /fine\n", &[]).0, "the build after {text}");
    (done, told)
}

#[track_caller]
fn fails(text: &str, arguments: &[&str], essentials: &[&str]) {
    let ctx = TestContext::new();
    let (done, told) = hurt(ctx.with_busybox(), text, arguments);
    assert!(!done, "{text} was built: {told}");
    for essential in essentials {
        assert!(told.contains(essential), "{text}: {essential:?} is missing in\n{told}");
    }
}

#[track_caller]
fn works(text: &str, arguments: &[&str], essentials: &[&str]) {
    let ctx = TestContext::new();
    let (done, told) = hurt(ctx.with_busybox(), text, arguments);
    assert!(done, "{text}: {told}");
    for essential in essentials {
        assert!(told.contains(essential), "{text}: {essential:?} is missing in\n{told}");
    }
}

#[test]
fn processes_without_end_stop_at_the_limit() {
    let text = "FROM bb\nUSER 54322\nRUN i=0; while test $i -lt 500; do sleep 600 & i=$((i + 1)); done\n";
    fails(
        text,
        &["--ulimit", "nproc=48:48"],
        &["can't fork: Resource temporarily unavailable", "exit status 2"],
    );
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let stray = "(trap '' TERM HUP; while :; do sleep 600; done) &";
    works(&format!("FROM bb\nRUN busybox setsid sleep 600 & {stray} echo started\n"), &[], &["started"]);
}

#[test]
fn closed_streams_and_signals_do_no_harm() {
    works("FROM bb\nRUN exec >&- 2>&- <&-; touch /f\n", &[], &[]);
    works("FROM bb\nRUN kill -9 1; kill -TERM 1; echo still alive\n", &[], &["still alive"]);
    fails("FROM bb\nRUN kill -9 $$\n", &[], &["RUN kill -9 $$ failed: ended by SIGKILL"]);
    fails("FROM bb\nRUN kill -9 -1; exit 3\n", &[], &["RUN kill -9 -1; exit 3 failed"]);
}

#[test]
fn a_line_without_end_comes_in_pieces() {
    let ctx = TestContext::new();
    let text = "FROM bb\nRUN busybox head -c 33554432 /dev/zero | busybox tr '\\0' x; exit 4\n";
    let (done, told) = hurt(ctx.with_busybox(), text, &[]);
    assert!(!done && told.contains("exit status 4"));
    assert!(told.lines().all(|line| line.len() <= 128 << 10), "a line was kept in memory as a whole");
}

#[test]
fn nothing_but_the_root_can_be_removed() {
    let ctx = TestContext::new();
    ctx.with_busybox().write("precious", "as it was");
    let text = "FROM bb\nRUN --mount=type=bind,target=/context,ro rm -rf / --no-preserve-root 2>/dev/null; echo gone\n";
    let (done, told) = hurt(&ctx, text, &[]);
    assert!(done && told.contains("gone"), "{told}");
    assert_eq!(fs::read_to_string(ctx.project().join("precious")).unwrap(), "as it was");
    // All is gone for the commands after it.
    let (done, told) = ctx.dockerfile("FROM bb\nRUN rm -rf /bin 2>/dev/null\nRUN echo never\n", &[]);
    assert!(!done && told.contains("/bin/sh") && told.contains("exit status 127"), "{told}");
}

#[test]
fn programs_that_are_links_out_stay_inside() {
    let (bash, inside) = ("/proc/1/root/bin/bash", "../../../../../../../../bin/bash");
    for target in [bash, inside] {
        let text = format!("FROM bb\nRUN rm /bin/sh; ln -s {target} /bin/sh\nRUN echo never\n");
        fails(&text, &[], &["/bin/sh", "hint:"]);
    }
}

#[test]
fn devices_are_made_and_not_to_be_used() {
    let text = "FROM bb
RUN busybox mknod /disk b 8 0; busybox mknod /mem c 1 1; (cat /disk || cat /mem) 2>&1; chmod -R 000 /dev 2>/dev/null
RUN busybox chmod 666 /dev/null; echo written > /dev/null && echo and read
";
    works(text, &["--sandbox", "root"], &["can't open '/mem': Permission denied", "and read"]);
}

/// There the host's devices are seen, and root may be the host's root.
#[test]
fn the_hosts_devices_keep_their_modes() {
    // Changes nothing, should it be let through.
    let text = "FROM bb\nRUN busybox chmod 666 /dev/null; echo written > /dev/null && busybox head -c 0 /dev/zero && echo and read\n";
    works(text, &["--sandbox", "userns"], &["/dev/null: Read-only file system", "and read"]);
}

#[test]
fn the_sandbox_is_not_to_be_left() {
    let tries = [
        ("mount -t tmpfs none /tmp", "mount: permission denied"),
        ("umount /proc", "can't unmount /proc: Operation not permitted"),
        ("chroot /proc/1/root /bin/true", "can't change root directory to '/proc/1/root': Permission denied"),
        ("ls /proc/1/root/", "/proc/1/root/: Permission denied"),
        ("unshare -m true", "unshare(0x20000): Operation not permitted"),
        ("hostname evil", "sethostname: Operation not permitted"),
        ("sysctl -w kernel.hostname=evil", "Read-only file system"),
    ];
    for (command, answer) in tries {
        fails(&format!("FROM bb\nRUN busybox {command}\n"), &[], &[answer, "failed: exit status 1"]);
    }
}

/// A base that has perl: what busybox cannot try.
fn with_perl(ctx: &TestContext) -> String {
    let libraries = run(Command::new("ldd").arg("/usr/bin/perl"));
    let mut text = "FROM bb\n".to_owned();
    let found = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for file in found.chain(["/usr/bin/perl"]) {
        let name = file.rsplit('/').next().unwrap();
        ctx.write(name, fs::read(file).unwrap());
        text += &format!("COPY --chmod=755 {name} {file}\n");
    }
    text
}

#[cfg(target_arch = "x86_64")]
#[test]
fn neither_other_processes_nor_keys_nor_sockets_of_the_host_are_within_reach() {
    let ctx = TestContext::new();
    let base = with_perl(ctx.with_busybox());
    let (name, path) = (format!("imgbuild-program-{}", std::process::id()), ctx.project().join("socket"));
    let _listeners = (
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
        UnixListener::bind(&path).unwrap(),
    );
    let script = format!(
        r#"$| = 1; sub say {{ printf "%s %d\n", @_ }}
say("ptrace", syscall(101, 16, 1, 0, 0) < 0 ? $! : 0);
say("keyctl", syscall(250, 0, -3, 0, 0, 0) < 0 ? $! : 0);
my ($kind, $name, $value) = qw(user a b);
say("add_key", syscall(248, $kind, $name, $value, 1, -4) < 0 ? $! : 0);
say("perf", syscall(298, 0, 0, 0, 0, 0) < 0 ? $! : 0);
socket(S, 1, 1, 0); say("abstract", connect(S, pack("Sa*", 1, "\0{name}")) ? 0 : $!);
socket(S, 1, 1, 0); say("path", connect(S, pack("Sa*", 1, "{}")) ? 0 : $!);
socket(S, 1, 1, 0); say("bind", bind(S, pack("Sa*", 1, "/left")) ? 0 : $!);
my ($file, $attribute, $big) = ("/f", "user.big", "x" x 65536); open(F, ">", $file);
say("small", syscall(188, $file, $attribute, $big, 2000, 0)); say("big", syscall(188, $file, $attribute, $big, 65536, 0) < 0 ? 1 : 0);
"#,
        path.display()
    );
    ctx.write("try.pl", script);
    let (done, told) = hurt(&ctx, &format!("{base}COPY try.pl /try.pl\nRUN /usr/bin/perl /try.pl\n"), &[]);
    assert!(done, "{told}");
    for answer in ["ptrace 1", "keyctl 1", "add_key 1", "perf 1", "path 2", "bind 0", "small 0"] {
        assert!(told.lines().any(|line| line.ends_with(&format!(" {answer}"))), "{answer}: {told}");
    }
    assert!(told.contains("left out the socket /left: a layer cannot hold it"), "{told}");
    // Linux before 6.12 has nothing against it.
    let refused = usize::from(linux() >= (6, 12));
    assert!(told.contains(&format!("abstract {refused}")), "{told}");
}

/// The kernel's version.
fn linux() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn names_that_layers_cannot_hold_are_refused() {
    let why = "in a layer, names that begin with `.wh.` say that something is removed";
    fails("FROM bb\nRUN touch /.wh.x\n", &[], &["failed to write .wh.x into the layer", why]);
    fails("FROM bb\nRUN mkdir /d; touch /d/.wh..wh..opq\n", &[], &["d/.wh..wh..opq", why]);
}

#[test]
fn odd_names_modes_and_kinds_are_kept() {
    let text = r#"FROM bb
RUN mkdir /odd && cd /odd && touch "$(printf 'new\nline')" "$(printf 'bad\377\376')" "$(printf 'escape\033[31m')"
RUN mkdir -p /shut/in && touch /shut/in/file && busybox mkfifo /odd/pipe && busybox chmod 000 /shut/in/file /shut/in /shut
"#;
    let ctx = TestContext::new();
    let (image, _) = ctx.with_busybox().builds(text, &[]);
    let paths: Vec<Vec<u8>> = image
        .layers
        .iter()
        .rev()
        .take(2)
        .flat_map(|layer| layer.iter().map(|member| member.path.clone()))
        .collect();
    for expected in
        [&b"odd/new\nline"[..], b"odd/bad\xff\xfe", b"odd/escape\x1b[31m", b"odd/pipe", b"shut/in/file"]
    {
        assert!(paths.iter().any(|path| path == expected), "{}", String::from_utf8_lossy(expected));
    }
}

#[test]
fn sequences_for_the_terminal_are_not_passed_on() {
    let text = "FROM bb\nRUN busybox printf 'red \\033[31m bell \\007 title \\033]0;x\\007\\n'; exit 1\n";
    let ctx = TestContext::new();
    let (done, told) = hurt(ctx.with_busybox(), text, &[]);
    assert!(!done && told.contains("red"), "{told}");
    assert!(!told.contains('\x1b') && !told.contains('\x07'), "{told:?}");
}

#[test]
fn directories_too_deep_for_a_path_are_an_error() {
    let text = "FROM bb
RUN chain() { mkdir /$1 && cd /$1 && i=0; while test $i -lt 1900; do mkdir d && cd d || exit 9; i=$((i + 1)); done; cd /; }
RUN chain() { mkdir /$1 && cd /$1 && i=0; while test $i -lt 1900; do mkdir d && cd d || exit 9; i=$((i + 1)); done; }; \\
    chain a && chain b && cd / && mv /b /a/$(i=0; while test $i -lt 1900; do echo -n d/; i=$((i + 1)); done)
";
    fails(
        text,
        &[],
        &["error: cannot read /a/d/d/d/", "the path is too long", "paths have at most 4095 bytes"],
    );
}

#[test]
fn holes_are_told_of() {
    works(
        "FROM bb\nRUN busybox truncate -s 300M /sparse\n",
        &[],
        &["/sparse takes 314 MB in the layer though most of it is holes"],
    );
}

/// A small file system of a test's own.
pub(super) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(super) fn new(at: &'a Path, size: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at));
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = tool("umount", "mount").arg("--lazy").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_of_and_leaves_nothing_half_written() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts a file system");
    let ctx = TestContext::new();
    let store = ctx.store();
    let _disk = SmallDisk::new(&store, "24m");
    ctx.with_busybox();
    let hint = "free some space, or set IMGBUILD_HOME";

    // The command sees it, and says so itself.
    let text = "FROM bb\nRUN busybox dd if=/dev/zero of=/big bs=64k count=1000 || exit 5\n";
    let (done, told) = hurt(&ctx, text, &[]);
    assert!(!done && told.contains("No space left on device"), "{told}");
    assert!(told.contains("failed: exit status 5") && told.contains("hint: the disk is full"), "{told}");

    // The command does not see it: there is room for the file, but not for the layer too.
    let text = "FROM bb\nRUN busybox head -c 12000000 /dev/urandom > /big\n";
    let (done, told) = hurt(&ctx, text, &[]);
    assert!(!done && told.contains("No space left on device") && told.contains(hint), "{told}");
    assert_eq!(
        fs::read_dir(store.join("v1/tmp")).unwrap().flatten().filter(|e| e.file_name() != "gate").count(),
        0
    );
}
