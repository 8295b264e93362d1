//! The calls that are answered instead of carried out.

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Chown,
    LChown,
    FChown,
    FChownAt,
    SetUid,
    SetGid,
    SetReUid,
    SetReGid,
    SetResUid,
    SetResGid,
    SetFsUid,
    SetFsGid,
    SetGroups,
    GetUid,
    GetGid,
    GetEUid,
    GetEGid,
    GetResUid,
    GetResGid,
    GetGroups,
    /// Of `prctl`, `PR_SET_KEEPCAPS`.
    KeepCapabilities,
}

/// By name; those on 32-bit architectures end in `32`, as the ones without it have ids of 16 bits: they are carried out.
pub(super) const CALLS: [(&str, Call); 21] = [
    ("chown", Call::Chown),
    ("lchown", Call::LChown),
    ("fchown", Call::FChown),
    ("fchownat", Call::FChownAt),
    ("setuid", Call::SetUid),
    ("setgid", Call::SetGid),
    ("setreuid", Call::SetReUid),
    ("setregid", Call::SetReGid),
    ("setresuid", Call::SetResUid),
    ("setresgid", Call::SetResGid),
    ("setfsuid", Call::SetFsUid),
    ("setfsgid", Call::SetFsGid),
    ("setgroups", Call::SetGroups),
    ("getuid", Call::GetUid),
    ("getgid", Call::GetGid),
    ("geteuid", Call::GetEUid),
    ("getegid", Call::GetEGid),
    ("getresuid", Call::GetResUid),
    ("getresgid", Call::GetResGid),
    ("getgroups", Call::GetGroups),
    ("prctl", Call::KeepCapabilities),
];

/// The names on 32-bit architectures, in the same order.
pub(super) const NARROW: [&str; 21] = [
    "chown32",
    "lchown32",
    "fchown32",
    "fchownat",
    "setuid32",
    "setgid32",
    "setreuid32",
    "setregid32",
    "setresuid32",
    "setresgid32",
    "setfsuid32",
    "setfsgid32",
    "setgroups32",
    "getuid32",
    "getgid32",
    "geteuid32",
    "getegid32",
    "getresuid32",
    "getresgid32",
    "getgroups32",
    "prctl",
];

/// All names.
pub(in crate::sandbox) fn names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|(name, _)| *name).chain(NARROW)
}
