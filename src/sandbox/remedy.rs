//! The exact settings that would let a rung be used.

use std::fs;

use rustix::{io::Errno, process::getuid};

use super::{Mode, fault::Fault, userns};

/// What to do so that a rung can be used.
pub(super) fn remedies(mode: Mode, fault: Option<&Fault>) -> Vec<String> {
    let Some(fault) = fault else { return Vec::new() };
    match mode {
        Mode::Root | Mode::Chroot => Vec::new(),
        Mode::UserNamespace => [missing_ranges(), missing_programs(), blocked(fault)].concat(),
        Mode::SingleId => blocked(fault),
    }
}

fn missing_ranges() -> Vec<String> {
    let uid = getuid().as_raw();
    let name = userns::user_name(uid);
    let listed = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .any(|line| line.split(':').next().is_some_and(|owner| owner == name || owner == uid.to_string()))
    };
    if uid == 0 || (listed("/etc/subuid") && listed("/etc/subgid")) {
        return Vec::new();
    }
    vec![format!(
        "give the user ranges of ids: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
    )]
}

fn missing_programs() -> Vec<String> {
    if getuid().is_root() || userns::find("newuidmap").is_some() {
        return Vec::new();
    }
    vec!["install newuidmap and newgidmap: apt-get install uidmap (Debian, Ubuntu), dnf install shadow-utils (Fedora)".to_owned()]
}

/// What keeps user namespaces from being made.
fn blocked(fault: &Fault) -> Vec<String> {
    let value =
        |key: &str| fs::read_to_string(format!("/proc/sys/{key}")).map(|text| text.trim().to_owned()).ok();
    let mut found = Vec::new();
    if value("user/max_user_namespaces").as_deref() == Some("0") {
        found.push("allow user namespaces: sudo sysctl -w user.max_user_namespaces=15000".to_owned());
    }
    if value("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        found.push("allow user namespaces: sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned());
    }
    if value("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        found.push(
            "AppArmor keeps programs without a profile from using user namespaces: sudo sysctl -w \
             kernel.apparmor_restrict_unprivileged_userns=0, or give imgbuild a profile with `userns,`"
                .to_owned(),
        );
    }
    let denied = fault.errno().map(Errno::from_raw_os_error);
    if found.is_empty() && matches!(denied, Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS)) {
        found.push(
            "in a container: run imgbuild as root, or allow user namespaces: --security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined (Docker), seccompProfile: {type: Unconfined} (Kubernetes)"
                .to_owned(),
        );
    }
    if found.is_empty() && denied == Some(Errno::NOSPC) {
        found.push("too many user namespaces are in use: raise user.max_user_namespaces".to_owned());
    }
    found
}
