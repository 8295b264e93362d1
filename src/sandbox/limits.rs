//! What a command may use: resource limits of its processes.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use super::{Limits, fault::Fault};

/// Resource limits by the names that container tools give them.
const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Sets the limits of this process, as far as that is allowed; [`check`] has said how far that is.
///
/// Without a control group, the limits of a step as a whole become those that come closest to it.
pub(super) fn apply(limits: &Limits, cgroup: bool) {
    if let (Some(memory), false) = (limits.memory, cgroup) {
        let each = Rlimit { current: Some(memory), maximum: Some(memory) };
        let _ = setrlimit(Resource::Data, each);
    }
    if let (Some(cpus), false) = (limits.cpus, cgroup) {
        keep_to_cores(usize::try_from(cpus.div_ceil(1000)).unwrap_or(usize::MAX).max(1));
    }
    for (resource, wanted, _) in resources(limits) {
        let _ = setrlimit(resource, wanted).or_else(|_| setrlimit(resource, clamped(resource, wanted)));
    }
}

/// What to tell the user of limits that cannot be set as they are.
pub(super) fn check(limits: &Limits) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, ..) in &limits.ulimits {
        if !NAMES.iter().any(|(known, _)| known == name) {
            warnings.push(format!("there is no resource limit {name}: it is not set"));
        }
    }
    for (resource, wanted, name) in resources(limits) {
        let before = getrlimit(resource);
        // A trial in this process, taken back at once: the hard limit is not touched.
        let within =
            |hard: Option<u64>| wanted.maximum.is_some_and(|max| hard.is_none_or(|hard| max <= hard));
        if before.maximum.is_some() && !within(before.maximum) && !may_raise() {
            warnings.push(format!(
                "the limit {name} cannot be raised above {}: it is set to that",
                before.maximum.unwrap_or_default()
            ));
        }
    }
    warnings
}

/// What to tell the user where there is no control group.
pub(super) fn without_cgroup(limits: &Limits, why: &Fault) -> Vec<String> {
    let memory =
        limits.memory.map(|_| format!("the limit of memory holds for each process, not for all: {why}"));
    let cpus = limits.cpus.map(|_| format!("the limit of processors is one of whole cores: {why}"));
    [memory, cpus].into_iter().flatten().collect()
}

/// Keeps this process to the first few of its cores.
fn keep_to_cores(count: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut kept = CpuSet::new();
    for core in (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).take(count) {
        kept.set(core);
    }
    let _ = sched_setaffinity(None, &kept);
}

fn may_raise() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE))
}

fn resources(limits: &Limits) -> Vec<(Resource, Rlimit, String)> {
    let named = limits.ulimits.iter().filter_map(|(name, soft, hard)| {
        let (_, resource) = NAMES.iter().find(|(known, _)| known == name)?;
        Some((*resource, Rlimit { current: *soft, maximum: *hard }, name.clone()))
    });
    named.collect()
}

fn clamped(resource: Resource, wanted: Rlimit) -> Rlimit {
    let hard = getrlimit(resource).maximum;
    let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    };
    let maximum = least(wanted.maximum, hard);
    Rlimit { current: least(wanted.current, maximum), maximum }
}
