//! Who runs a command.

use super::super::StepError;
use crate::{
    rootfs::{Users, View},
    sandbox::User,
};

/// A user by numbers, and their home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: User,
    pub(super) home: String,
}

/// Looks up what `USER` says: `name` or `uid`, with `:group` or `:gid`; nothing is root. Without a group, further
/// groups are those of `/etc/group` that name the user (runc's `GetExecUser`, which builders share).
pub(super) fn account(view: &View, text: &str) -> Result<Account, StepError> {
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let users = Users::of(view)?;
    let mut account = user(&users, if name.is_empty() { "0" } else { name })?;
    if let Some(group) = group {
        account.user.gid = self::group(&users, group)?;
        account.user.groups.clear();
    }
    Ok(account)
}

fn user(users: &Users, name: &str) -> Result<Account, StepError> {
    let uid = number("user", name)?;
    let found = users.users.iter().find(|user| Some(user.uid) == uid || user.name == name);
    match (found, uid) {
        (Some(found), _) => {
            let groups = users.groups.iter().filter(|group| group.members.contains(&found.name));
            let groups = groups.map(|group| group.gid).filter(|gid| *gid != found.gid).collect();
            let home = if found.home.is_empty() { "/".to_owned() } else { found.home.clone() };
            Ok(Account { user: User { uid: found.uid, gid: found.gid, groups }, home })
        }
        (None, Some(0)) => Ok(root()),
        (None, Some(uid)) => {
            Ok(Account { user: User { uid, gid: 0, groups: Vec::new() }, home: "/".to_owned() })
        }
        // Who that is, every kernel knows, also where no account file tells it.
        (None, None) if name == "root" => Ok(root()),
        (None, None) => Err(unknown("user", name, users.users.iter().map(|user| user.name.as_str()))),
    }
}

fn group(users: &Users, name: &str) -> Result<u32, StepError> {
    match (number("group", name)?, users.group(name)) {
        (Some(gid), _) => Ok(gid),
        (None, Some(group)) => Ok(group.gid),
        (None, None) if name == "root" => Ok(0),
        (None, None) => Err(unknown("group", name, users.groups.iter().map(|group| group.name.as_str()))),
    }
}

fn root() -> Account {
    Account { user: User::default(), home: "/root".to_owned() }
}

/// The number that a text is, if it is one at all.
fn number(what: &'static str, text: &str) -> Result<Option<u32>, StepError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    // The last one means "none" to the kernel.
    let id = text.parse().ok().filter(|id| *id != u32::MAX);
    id.map(Some).ok_or_else(|| StepError::BadId { what, text: text.to_owned() })
}

fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> StepError {
    StepError::NoAccount { what, name: name.to_owned(), known: known.take(8).map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\napp:x:100:101::/home/app:/bin/sh\nbare:x:7:7:::\n";
    const GROUP: &[u8] = b"root:x:0:\napp:x:101:app\nweb:x:33:app,bare\n";

    #[test]
    fn users_are_found_by_name_or_number() {
        let users = Users::parse(PASSWD, GROUP);
        for (text, uid, gid, groups, home) in [
            ("app", 100, 101, &[33][..], "/home/app"),
            ("100", 100, 101, &[33], "/home/app"),
            ("root", 0, 0, &[], "/root"),
            ("4321", 4321, 0, &[], "/"),
            ("bare", 7, 7, &[33], "/"),
        ] {
            let account = user(&users, text).unwrap();
            let expected = Account { user: User { uid, gid, groups: groups.into() }, home: home.into() };
            assert_eq!(account, expected, "{text}");
        }
        assert_eq!(user(&Users::default(), "root").unwrap(), root());
        assert_eq!(user(&Users::default(), "0").unwrap(), root());
        let error = user(&users, "nobody").unwrap_err();
        assert!(crate::error::Explain::hints(&error)[0].contains("root, app, bare"), "{error}");
        assert!(user(&users, "4294967295").is_err());
        assert_eq!((group(&users, "web").unwrap(), group(&users, "8").unwrap()), (33, 8));
        assert!(group(&users, "nogroup").is_err());
    }
}
