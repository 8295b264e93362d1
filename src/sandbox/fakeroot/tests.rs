//! Programs under the filter, on the host's own files: what they are told and what is kept. Each runs from a thread that
//! has the filter, while the test answers.

use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    thread::{CapabilitySet, capabilities, set_no_new_privs},
};
use tempfile::TempDir;

use super::Notifier;
use crate::sandbox::{
    User,
    seccomp::Profile,
    tree::{self, BareOwners, Flavour, Marks, Owners},
};

/// What came of a script.
struct Outcome {
    text: String,
    bare: BareOwners,
}

fn run(user: User, directory: &Path, script: &str) -> Outcome {
    let (give, take) = mpsc::channel::<OwnedFd>();
    thread::scope(|scope| {
        let command = scope.spawn(move || {
            if !capabilities(None).unwrap().effective.contains(CapabilitySet::SYS_ADMIN) {
                set_no_new_privs(true).unwrap();
            }
            let filter = Profile::commands().with_fake_root(super::calls()).compile();
            give.send(filter.install_with_listener().unwrap()).unwrap();
            let output =
                Command::new("/bin/sh").args(["-c", script]).current_dir(directory).output().unwrap();
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap().trim().to_owned()
        });
        let mut notifier = Notifier::new(take.recv().unwrap(), &user);
        while serve(&mut notifier) {}
        Outcome { text: command.join().unwrap(), bare: notifier.into_owners() }
    })
}

fn serve(notifier: &mut Notifier) -> bool {
    let fd = notifier.fd();
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut polled, None).unwrap();
    let events = polled[0].revents();
    if events.contains(PollFlags::IN) {
        notifier.handle().unwrap();
    }
    !events.contains(PollFlags::HUP)
}

fn owner(path: impl AsRef<Path>) -> Option<String> {
    let mut value = [0; 32];
    let size = rustix::fs::lgetxattr(path.as_ref(), "user.imgbuild.owner", &mut value[..]).ok()?;
    Some(String::from_utf8(value[..size].to_vec()).unwrap())
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn root() -> User {
    User::default()
}

#[test]
fn owners_are_kept_with_the_files() {
    let cases = [
        ("touch f && chown 1:2 f", "f", "1:2"),
        ("touch f && chown 5 f && chgrp 6 f", "f", "5:6"),
        ("mkdir -p d/e && touch d/e/f && chown -R 7:8 d", "d/e/f", "7:8"),
        ("touch f && install -o 3 -g 4 -m 644 f g", "g", "3:4"),
        ("touch f && ln -s f l && chown 1:2 l", "f", "1:2"),
        ("mkdir -p a/b && touch a/f && cd a/b && chown 1:2 ../f", "a/f", "1:2"),
        ("touch f && ln -s \"$PWD/f\" l && chown 9:9 l", "f", "9:9"),
        ("touch f && chown 1:2 \"$PWD/f\"", "f", "1:2"),
        ("touch f && perl -e 'open F, \"f\"; chown 3, 4, *F'", "f", "3:4"),
        ("touch f && chown 1:2 f && cp -a --preserve=xattr f g", "g", "1:2"),
        ("touch f && chown 1:2 f && chown 0:0 f", "f", "0:0"),
        ("touch f && chown 4294967294:65534 f", "f", "4294967294:65534"),
    ];
    for (script, file, expected) in cases {
        let dir = directory();
        let outcome = run(root(), dir.path(), script);
        assert_eq!(owner(dir.path().join(file)).as_deref(), Some(expected), "{script}: {}", outcome.text);
        assert_eq!(outcome.text, "", "{script}");
    }
}

#[test]
fn owners_of_what_has_no_attributes_are_handed_over() {
    let dir = directory();
    let outcome = run(root(), dir.path(), "ln -s nowhere l && mkfifo p && chown -h 1:2 l && chown 3:4 p");
    assert_eq!(outcome.text, "");
    let flavour = Flavour { marks: Marks::User, owners: Owners::Recorded };
    let located = tree::locate(&outcome.bare, dir.path(), &[], flavour).unwrap();
    let found: Vec<_> = located.iter().map(|(path, owner)| (path.to_string(), *owner)).collect();
    assert_eq!(found, [("l".to_owned(), (1, 2)), ("p".to_owned(), (3, 4))]);
}

#[test]
fn set_user_id_goes_with_the_owner() {
    let dir = directory();
    let outcome = run(root(), dir.path(), "touch f && chmod 6755 f && chown 1:2 f");
    assert_eq!(outcome.text, "");
    assert_eq!(dir.path().join("f").metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn programs_are_told_what_they_set() {
    let user = User { uid: 1000, gid: 1001, groups: vec![1001, 27] };
    let perl = |code: &str| format!("perl -MPOSIX -e '{code}'");
    let cases = [
        (root(), "id -u; id -g; id -G".to_owned(), "0\n0\n0"),
        (user.clone(), "id -u; id -g; id -G".to_owned(), "1000\n1001\n1001 27"),
        (user.clone(), perl("print setuid(0) ? 1 : 0, $!+0"), "01"),
        (root(), "setpriv --reuid 33 --regid 34 --clear-groups id -u".to_owned(), "33"),
        (
            root(),
            "setpriv --reuid 33 --regid 34 --groups 35,36 sh -c 'id -G; sh -c \"id -u\"'".to_owned(),
            "34 35 36\n33",
        ),
        // What apt does: groups, then effective ids, then all, then a look whether it can come back.
        (
            root(),
            perl("$) = \"65534 65534\"; $> = 42; print \"$> $< $)\"; $> = 0; print \" $>\""),
            "42 0 65534 65534 0",
        ),
        (
            root(),
            perl("setgid(5); setuid(6); print getuid(), geteuid(), getgid(); $> = 0; print geteuid()"),
            "6656",
        ),
    ];
    for (user, script, expected) in cases {
        let dir = directory();
        assert_eq!(run(user, dir.path(), &script).text, expected, "{script}");
    }
}

#[test]
fn others_than_root_give_nothing_away() {
    let dir = directory();
    let user = User { uid: 1000, gid: 1000, groups: vec![27] };
    let script =
        "touch f; chown 0 f 2>/dev/null || echo no; chgrp 5 f 2>/dev/null || echo no; chgrp 27 f && echo yes";
    assert_eq!(run(user, dir.path(), script).text, "no\nno\nyes");
    assert_eq!(owner(dir.path().join("f")).as_deref(), Some("1000:27"));
}

#[test]
fn errors_are_those_of_the_kernel() {
    let dir = directory();
    let script = "perl -e '
        chown(1, 2, \"none\") or print $!+0, \" \";
        chown(1, 2, \"\") or print $!+0, \" \";
        open F, \">f\"; chown(1, 2, \"f/g\") or print $!+0, \" \";
        symlink \"l\", \"l\"; chown(1, 2, \"l\") or print $!+0, \" \";
        print syscall(93, 99, 1, 2), \" \", $!+0 if $^O eq \"linux\" && `uname -m` =~ /x86_64/;'";
    let expected = if cfg!(target_arch = "x86_64") { "2 2 20 40 -1 9" } else { "2 2 20 40" };
    assert_eq!(run(root(), dir.path(), script).text, expected);
}

#[test]
fn devices_seem_to_be_made() {
    let dir = directory();
    assert_eq!(run(root(), dir.path(), "mknod d c 1 3 && mknod b b 8 0 && echo made").text, "made");
    assert!(!dir.path().join("d").exists());
}

#[test]
fn the_descriptor_goes_over_a_socket() {
    let (a, b) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    super::send(a.as_fd(), file.as_fd()).unwrap();
    drop(a);
    assert!(super::receive(b.as_fd()).unwrap().is_some());
    assert!(super::receive(b.as_fd()).unwrap().is_none());
}
