//! User namespaces: which ids can be had, and entering one.

use std::{
    fs,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    process::{Pid, WaitOptions, getegid, geteuid, getgid, getpid, getuid, waitpid},
    thread::{CapabilitySet, UnshareFlags, capabilities},
};

use super::{
    fault::Fault,
    ground::{Extent, IdMap},
    protocol, sys,
};

/// The map with a range of ids that this user can have.
///
/// # Errors
/// What is missing: a range in `/etc/subuid` and `/etc/subgid`, or the programs that map them.
pub(super) fn range() -> Result<IdMap, Fault> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    let own = capabilities(None).map_err(Fault::of("look at the capabilities"))?;
    let unchanged = unchanged()?;
    if let IdMap::Same { uids, gids } = &unchanged
        && own.effective.contains(needed)
        && spacious(uids)
        && spacious(gids)
    {
        return Ok(unchanged);
    }
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let name = user_name(uid);
    let extents = |file: &str, own: u32| -> Result<Vec<Extent>, Fault> {
        let ranges = sub_ids(&fs::read_to_string(file).unwrap_or_default(), &name, uid);
        if ranges.is_empty() {
            return Err(Fault::new("", format!("{file} has no line for {name}")));
        }
        let mut extents = vec![Extent { inside: 0, outside: own, count: 1 }];
        let mut inside = 1;
        for (outside, count) in ranges {
            extents.push(Extent { inside, outside, count });
            inside = inside.saturating_add(count);
        }
        Ok(extents)
    };
    let map = IdMap::Ranges { uids: extents("/etc/subuid", uid)?, gids: extents("/etc/subgid", gid)? };
    for program in ["newuidmap", "newgidmap"] {
        find(program).ok_or_else(|| Fault::new("", format!("there is no {program}")))?;
    }
    Ok(map)
}

/// The map with the ids that there are here.
pub(super) fn unchanged() -> Result<IdMap, Fault> {
    let (uids, gids) = (read_map("/proc/self/uid_map")?, read_map("/proc/self/gid_map")?);
    Ok(IdMap::Same { uids: same(&uids), gids: same(&gids) })
}

/// The map with this user alone.
pub(super) fn single() -> IdMap {
    IdMap::Single { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

/// Moves this process into a new user namespace, as its root.
pub(super) fn enter(map: &IdMap) -> Result<(), Fault> {
    if *map == IdMap::None {
        return Ok(());
    }
    let (ours, theirs) = UnixStream::pair().map_err(Fault::of("make a socket"))?;
    // A process that stays outside writes the map: only there are the ids known, and the programs allowed.
    let parent = getpid();
    let helper = sys::fork(|| u8::from(write_from_outside(&theirs, parent, map).is_err()))
        .map_err(Fault::of("fork"))?;
    drop(theirs);
    let done = unshare_and_wait(&ours);
    // The helper may still wait for a word that will not come.
    let _ = ours.shutdown(Shutdown::Both);
    // It has told what there was to tell.
    let _ = waitpid(Some(helper), WaitOptions::empty());
    done
}

fn unshare_and_wait(mut socket: &UnixStream) -> Result<(), Fault> {
    sys::unshare(UnshareFlags::NEWUSER).map_err(Fault::of("make a user namespace"))?;
    socket.write_all(b"u").map_err(Fault::of("speak to the process that maps ids"))?;
    match protocol::receive::<Result<(), Fault>>(&mut socket) {
        Ok(Some(result)) => result,
        Ok(None) => Err(Fault::new("map ids", "the process that does it has ended")),
        Err(error) => Err(Fault::of("map ids")(error)),
    }
}

fn write_from_outside(mut socket: &UnixStream, of: Pid, map: &IdMap) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    socket.read_exact(&mut [0])?;
    protocol::send(&mut socket, &write_map(of, map))
}

fn write_map(of: Pid, map: &IdMap) -> Result<(), Fault> {
    let pid = of.as_raw_pid();
    let write = |file: &str, text: &str| {
        fs::write(format!("/proc/{pid}/{file}"), text).map_err(Fault::of(format!("write {file}")))
    };
    match map {
        IdMap::None => Ok(()),
        IdMap::Same { uids, gids } => {
            write("uid_map", &lines(uids))?;
            write("gid_map", &lines(gids))
        }
        IdMap::Ranges { uids, gids } => {
            run("newuidmap", pid, uids)?;
            run("newgidmap", pid, gids)
        }
        IdMap::Single { uid, gid } => {
            write("setgroups", "deny")?;
            write("uid_map", &format!("0 {uid} 1\n"))?;
            write("gid_map", &format!("0 {gid} 1\n"))
        }
    }
}

fn run(program: &str, pid: i32, extents: &[Extent]) -> Result<(), Fault> {
    let path = find(program).ok_or_else(|| Fault::new("", format!("there is no {program}")))?;
    let numbers = extents.iter().flat_map(|extent| [extent.inside, extent.outside, extent.count]);
    let output = Command::new(path)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(Fault::of(format!("run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Fault::new(
        "map ids",
        if said.is_empty() { format!("{program} ended with {}", output.status) } else { said },
    ))
}

/// Where a program is: in the usual places, whatever the user's `PATH` has.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn read_map(file: &str) -> Result<Vec<Extent>, Fault> {
    let text = fs::read_to_string(Path::new(file)).map_err(Fault::of(format!("read {file}")))?;
    Ok(text.lines().filter_map(parse_extent).collect())
}

fn parse_extent(line: &str) -> Option<Extent> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let (inside, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(Extent { inside: inside.ok()?, outside: outside.ok()?, count: count.ok()? })
}

/// Whether the ids that images have are mapped here.
fn spacious(map: &[Extent]) -> bool {
    map.iter().map(|extent| u64::from(extent.count)).sum::<u64>() >= 65_536
}

/// The map of a namespace below one with this map that has the same ids.
fn same(map: &[Extent]) -> Vec<Extent> {
    map.iter().map(|extent| Extent { outside: extent.inside, ..*extent }).collect()
}

fn lines(extents: &[Extent]) -> String {
    let line = |extent: &Extent| format!("{} {} {}\n", extent.inside, extent.outside, extent.count);
    extents.iter().map(line).collect()
}

/// The lines of a `/etc/subuid` for a user, by name or by number (subuid(5)): first id and how many.
fn sub_ids(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let parse = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == name || owner == number).then_some((first, count)).filter(|(_, count)| *count > 0)
    };
    text.lines().filter_map(parse).collect()
}

/// The name of a user, or the number where `/etc/passwd` has none.
pub(super) fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    found.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_of_ids() {
        let text = "alice:100000:65536\n# note\nbob:1:0\n1000:300000:10\nalice:x:1\nalice:500000:7\n";
        for (name, uid, want) in [
            ("alice", 5, vec![(100_000, 65_536), (500_000, 7)]),
            ("bob", 6, vec![]),
            ("carol", 1000, vec![(300_000, 10)]),
            ("dave", 7, vec![]),
        ] {
            assert_eq!(sub_ids(text, name, uid), want, "{name}");
        }
    }

    #[test]
    fn the_same_ids_are_those_inside() {
        let map: Vec<_> =
            "         0       1000          1\n 1 100000 65536\n".lines().filter_map(parse_extent).collect();
        assert_eq!(lines(&same(&map)), "0 0 1\n1 1 65536\n");
    }
}
