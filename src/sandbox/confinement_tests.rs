//! Threads have filters, capabilities and domains of their own: each case confines a thread, and what it starts.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::Command,
    thread,
};

use rustix::{
    io::Errno,
    thread::{CapabilitySet, capabilities},
};

use super::{Confinement, keyring};
use crate::sandbox::{Mode, capabilities::COMMANDS, landlock};

/// Runs it as a confined command would be; not at all for users, who may not confine.
fn confined<T: Send>(confinement: Confinement, body: impl FnOnce() -> T + Send) -> Option<T> {
    let may = capabilities(None).unwrap().effective.contains(CapabilitySet::SYS_ADMIN);
    assert!(
        may || !rustix::process::geteuid().is_root(),
        "root may not confine here: nothing would be tested"
    );
    let run = || {
        assert!(confinement.apply().unwrap().is_none());
        body()
    };
    may.then(|| thread::scope(|scope| scope.spawn(run).join().unwrap()))
}

fn shell(script: &str) -> String {
    let output = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap().trim().to_owned()
}

#[test]
fn commands_have_fourteen_capabilities_and_others_none() {
    let confinement = Confinement::new(Mode::Root, false, false);
    let status = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2 | tr '\\n' ' '";
    let Some(Some((root, user))) = confined(confinement, || {
        let held = capabilities(None).unwrap();
        assert!(held.inheritable.is_empty());
        assert!(COMMANDS.contains(held.permitted) && COMMANDS.contains(held.effective));
        // With one id there is nobody else to be.
        if shell("awk '{ n += $3 } END { print n }' /proc/self/uid_map") == "1" {
            return None;
        }
        let as_user = format!("setpriv --reuid 65534 --regid 65534 --clear-groups sh -c \"{status}\"");
        Some((shell(status), shell(&as_user)))
    }) else {
        return;
    };
    assert_eq!(root, "0000000000000000 00000000a80425fb 00000000a80425fb 00000000a80425fb 0000000000000000");
    assert_eq!(user, "0000000000000000 0000000000000000 0000000000000000 00000000a80425fb 0000000000000000");
}

#[test]
fn the_kernel_takes_the_filter() {
    let seven = confined(Confinement::new(Mode::Root, false, false), || {
        assert!(shell("unshare -u true; mount -t tmpfs none /mnt").contains("not permitted"));
        assert_eq!(rustix::system::sethostname(b"x"), Err(Errno::PERM));
        assert_eq!(
            rustix::mount::unmount("/nowhere", rustix::mount::UnmountFlags::empty()),
            Err(Errno::PERM)
        );
        assert_eq!(shell("echo $((1 + 1))"), "2");
        thread::spawn(|| 7).join().unwrap()
    });
    assert!(seven.is_none_or(|seven| seven == 7));
}

#[test]
fn privileged_commands_keep_all() {
    let Some(held) = confined(Confinement::new(Mode::Root, true, false), || capabilities(None).unwrap())
    else {
        return;
    };
    assert!(held.effective.contains(CapabilitySet::SYS_ADMIN));
}

#[test]
fn without_network_there_are_unix_sockets_only() {
    let Some((internet, local)) = confined(Confinement::new(Mode::Chroot, false, true), || {
        let internet = std::net::UdpSocket::bind("127.0.0.1:0").map(drop);
        (internet.unwrap_err().raw_os_error(), UnixStream::pair().is_ok())
    }) else {
        return;
    };
    assert_eq!((internet, local), (Some(libc::ENETUNREACH), true));
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let name =
        |who: &str| SocketAddr::from_abstract_name(format!("imgbuild-{}-{who}", std::process::id())).unwrap();
    let _host = UnixListener::bind_addr(&name("host")).unwrap();
    let Some((host, own)) = confined(Confinement::new(Mode::Root, false, false), || {
        let _own = UnixListener::bind_addr(&name("own")).unwrap();
        (UnixStream::connect_addr(&name("host")).map(drop), UnixStream::connect_addr(&name("own")).map(drop))
    }) else {
        return;
    };
    own.unwrap();
    if landlock::is_available() {
        assert_eq!(host.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}

#[test]
fn keys_of_the_host_are_out_of_reach() {
    let answer = confined(Confinement::new(Mode::Root, false, false), keyring::join_new_session);
    assert!(answer.is_none_or(|answer| answer.unwrap_err().raw_os_error() == Some(libc::EPERM)));
}
