//! Commands that want out, and commands that want everything.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

use imgbuild::sandbox::{Execution, Exit, Mode, RunMount, User};

use super::ground::{Ground, NOBODY, Outcome};

/// The rungs that have namespaces.
const RUNGS: [Mode; 3] = [Mode::Root, Mode::UserNamespace, Mode::SingleId];

async fn on(mode: Mode) -> Ground {
    match mode {
        Mode::SingleId => Ground::of_user(NOBODY, Some(mode)).await.unwrap(),
        _ => Ground::new(Some(mode)).await,
    }
}

/// A ground whose commands may use the host's programs, read-only.
async fn with_programs(mode: Mode) -> Ground {
    let ground = on(mode).await;
    for directory in ["lib", "lib64"] {
        let target = fs::canonicalize(format!("/{directory}")).unwrap();
        std::os::unix::fs::symlink(target, ground.base.join(directory)).unwrap();
    }
    ground
}

fn perl(ground: &Ground, script: &str) -> Execution {
    let mut step = ground.command(&["/usr/bin/perl", "-e", script]);
    step.mounts.push(RunMount::Bind { target: "/usr".into(), source: "/usr".into(), read_only: true });
    step
}

fn assert_fine(outcome: &Outcome) {
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}{}", outcome.out, outcome.err);
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn dangerous_calls_are_refused() {
    // What each would do with these arguments is nothing, should it be let through.
    let calls = [
        ("ptrace of init", "101, 16, 1, 0, 0"),
        ("pivot_root", "155, 0, 0"),
        ("acct", "163, 0"),
        ("mount", "165, 0, 0, 0, 0, 0"),
        ("umount2", "166, 0, 0"),
        ("swapon", "167, 0, 0"),
        ("reboot", "169, 0, 0, 0, 0"),
        ("sethostname", "170, 0, 0"),
        ("iopl", "172, 0"),
        ("init_module", "175, 0, 0, 0"),
        ("delete_module", "176, 0, 0"),
        ("kexec_load", "246, 0, 0, 0, 0"),
        ("add_key", "248, 0, 0, 0, 0, 0"),
        ("keyctl", "250, 0, -3, 0, 0, 0"),
        ("unshare", "272, 0"),
        ("perf_event_open", "298, 0, 0, 0, 0, 0"),
        ("open_by_handle_at", "304, -1, 0, 0"),
        ("setns", "308, -1, 0"),
        ("finit_module", "313, -1, 0, 0"),
        ("bpf", "321, 0, 0, 0"),
        ("userfaultfd", "323, 0"),
        ("io_uring_setup", "425, 0, 0"),
        ("open_tree", "428, -1, 0, 0"),
        ("fsopen", "430, 0, 0"),
        ("pidfd_getfd", "438, -1, 0, 0"),
    ];
    let mut script = "$| = 1;".to_owned();
    for (name, arguments) in calls {
        script += &format!("printf qq({name}: %d\\n), syscall({arguments}) < 0 ? $! : 0;");
    }
    let expected: String = calls.iter().map(|(name, _)| format!("{name}: {}\n", libc::EPERM)).collect();
    for mode in RUNGS {
        let ground = with_programs(mode).await;
        let outcome = ground.run(&perl(&ground, &script)).await;
        assert_fine(&outcome);
        assert_eq!(outcome.out, expected, "{mode}");
    }
}

#[tokio::test]
async fn nothing_of_init_or_the_host_is_to_be_seen() {
    for mode in RUNGS {
        let ground = on(mode).await;
        let marker = ground.path().display();
        let script = format!(
            "test ! -e {marker}
             ls /proc/1/root/ 2>/dev/null && echo root; cat /proc/1/environ 2>/dev/null && echo environment
             readlink /proc/1/fd/* 2>/dev/null && echo descriptors; test -e /proc/1/root{marker} && echo marker
             test -S /run/docker.sock && echo socket
             echo still here"
        );
        assert_eq!(ground.sh(&script).await, "still here\n", "{mode}");
    }
}

#[tokio::test]
async fn init_cannot_be_killed() {
    for mode in RUNGS {
        let ground = on(mode).await;
        let outcome = ground
            .run(&ground.shell("kill -9 1 2>/dev/null; kill -TERM 1 2>/dev/null; echo alive; exit 3"))
            .await;
        assert_eq!((outcome.out.as_str(), outcome.ran.exit), ("alive\n", Exit::Code(3)), "{mode}");
    }
}

#[tokio::test]
async fn the_kernel_cannot_be_steered() {
    // `h` only prints a help text to the kernel's log.
    let script = "for f in sysrq-trigger sys/kernel/hostname sys/vm/drop_caches irq/default_smp_affinity; do
            (echo h > /proc/$f) 2>/dev/null && echo wrote $f
        done
        (echo 1 > /sys/kernel/uevent_helper) 2>/dev/null && echo wrote uevent_helper
        head -c 1 /proc/kcore 2>/dev/null | wc -c";
    for mode in RUNGS {
        let ground = on(mode).await;
        assert_eq!(ground.sh(script).await, "0\n", "{mode}");
    }
}

#[tokio::test]
async fn devices_are_not_to_be_read() {
    // The first disk of SCSI and of virtual machines, the memory.
    let script = "for d in 'b 8 0' 'b 254 0' 'b 253 0' 'c 1 1'; do
            mknod /tmp/d $d 2>/dev/null && head -c 1 /tmp/d 2>/dev/null && echo read $d
            rm -f /tmp/d
        done; echo done";
    for mode in RUNGS {
        let ground = on(mode).await;
        assert_eq!(ground.sh(script).await, "done\n", "{mode}");
    }
}

#[tokio::test]
async fn a_root_in_the_root_leads_nowhere() {
    for mode in RUNGS {
        let ground = with_programs(mode).await;
        let marker = ground.path().display();
        let script = format!(
            "mkdir 'd'; chroot 'd' or die; chdir '..' for 1..64; chroot '.' or die;
             print -e '{marker}' ? 'out' : 'in', -e '/bin/busybox' ? '' : ' nowhere'"
        );
        let outcome = ground.run(&perl(&ground, &script)).await;
        assert_fine(&outcome);
        assert_eq!(outcome.out, "in", "{mode}");
    }
}

#[tokio::test]
async fn abstract_sockets_of_the_host_are_out_of_reach() {
    let name = format!("imgbuild-hostile-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    // Before Linux 6.12 nothing can be done about it.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next(), numbers.next()) < (Some(6), Some(12)) {
        return;
    }
    let script = format!(
        "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die;
         print connect(S, pack_sockaddr_un(\"\\0{name}\")) ? 0 : $!+0"
    );
    for mode in RUNGS {
        let ground = with_programs(mode).await;
        let outcome = ground.run(&perl(&ground, &script)).await;
        assert_fine(&outcome);
        assert_eq!(outcome.out, libc::EPERM.to_string(), "{mode}");
    }
}

#[tokio::test]
async fn processes_multiply_up_to_the_limit_and_end_with_the_step() {
    const UID: u32 = 54_321;
    let ground = Ground::new(None).await;
    let mut step = ground.shell("i=0; while [ $i -lt 200 ]; do setsid sleep 600 & i=$((i + 1)); done");
    step.user = User { uid: UID, gid: UID, groups: vec![] };
    step.limits.ulimits.push(("nproc".into(), Some(32), Some(32)));
    let outcome = ground.run(&step).await;
    assert_ne!(outcome.ran.exit, Exit::Code(0));
    assert!(outcome.err.contains("fork"), "{}", outcome.err);
    let owned = |entry: fs::DirEntry| {
        use std::os::unix::fs::MetadataExt;
        entry.metadata().is_ok_and(|found| found.uid() == UID)
    };
    assert!(!fs::read_dir("/proc").unwrap().flatten().any(owned), "a process is left");
}

#[tokio::test]
async fn a_full_disk_is_the_commands_problem() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("dd if=/dev/zero of=/full/f bs=64k count=64; echo ended with $?");
    step.mounts.push(RunMount::Tmpfs { target: "/full".into(), size: Some(1 << 20) });
    let outcome = ground.run(&step).await;
    assert_fine(&outcome);
    assert_eq!(outcome.out, "ended with 1\n");
    assert!(outcome.err.contains("No space left on device"), "{}", outcome.err);
    assert_eq!(outcome.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn closed_outputs_do_no_harm() {
    let ground = Ground::new(None).await;
    let outcome = ground.run(&ground.shell("exec >&- 2>&- <&-; touch /f; sh -c 'touch /g'")).await;
    assert_fine(&outcome);
    assert_eq!(outcome.paths(), ["f", "g"]);
}

#[tokio::test]
async fn a_line_without_end_flows_through() {
    const SIZE: u64 = 1 << 30;
    let ground = Ground::new(None).await;
    let step = ground.shell(&format!("head -c {SIZE} /dev/zero"));
    let (mut received, mut largest) = (0, 0);
    let count = |_, bytes: &[u8]| {
        received += bytes.len() as u64;
        largest = largest.max(bytes.len());
    };
    let ran = ground.sandbox.run(&step, count).await.unwrap();
    assert_eq!((ran.exit, received), (Exit::Code(0), SIZE));
    assert!(largest <= 1 << 20, "{largest} bytes at once");
}
