//! Adds users and groups to the files of an image, as `useradd` and `groupadd` would, running nothing.

use std::ops::RangeInclusive;

use super::{
    error::RootfsError,
    users::{Group, User, Users},
};

const SYSTEM: RangeInclusive<u32> = 100..=999;
const NORMAL: RangeInclusive<u32> = 1000..=60000;

/// A user to add.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewUser {
    /// The login name.
    pub name: String,
    /// Its number; the next free one of its range if not given, or 0 for root.
    pub uid: Option<u32>,
    /// Its primary group, by name or number; a group of the same name, added if it is not there, if not given.
    pub group: Option<String>,
    /// Further groups that it is in. They must exist.
    pub groups: Vec<String>,
    /// The comment field; empty if not given.
    pub comment: Option<String>,
    /// Its home directory; `/home/<name>` if not given, or `/nonexistent` for a system user.
    pub home: Option<String>,
    /// Its shell; `/bin/sh` if not given, or `/usr/sbin/nologin` for a system user.
    pub shell: Option<String>,
    /// Whether numbers come from 100–999 and not from 1000 on.
    pub system: bool,
}

/// A group to add.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its number; the next free one of its range if not given.
    pub gid: Option<u32>,
    /// Whether the number comes from 100–999 and not from 1000 on.
    pub system: bool,
}

/// The contents of the four files. The shadow files are kept only where the image has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserFiles {
    /// `/etc/passwd`.
    pub passwd: Vec<u8>,
    /// `/etc/group`.
    pub group: Vec<u8>,
    /// `/etc/shadow`.
    pub shadow: Option<Vec<u8>>,
    /// `/etc/gshadow`.
    pub gshadow: Option<Vec<u8>>,
}

impl UserFiles {
    /// The files' paths, in the order of the fields.
    pub const PATHS: [&'static str; 4] = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];

    /// What they say.
    pub fn users(&self) -> Users {
        Users::parse(&self.passwd, &self.group)
    }

    /// Adds a group, at the files' ends; one that is there already with this number is left as it is. Its password is
    /// locked.
    pub fn add_group(&mut self, new: &NewGroup) -> Result<Group, RootfsError> {
        check_name("group", &new.name)?;
        let users = self.users();
        let taken = |why: String| RootfsError::Taken { what: "group", name: new.name.clone(), why };
        if let Some(group) = users.group(&new.name) {
            return match new.gid {
                Some(gid) if gid != group.gid => {
                    Err(taken(format!("it exists with the number {}", group.gid)))
                }
                _ => Ok(group.clone()),
            };
        }
        let gid = match new.gid {
            Some(gid) => match users.groups.iter().find(|group| group.gid == gid) {
                Some(other) => return Err(taken(format!("the number {gid} is that of {}", other.name))),
                None => gid,
            },
            None => free(new.system, |id| users.groups.iter().any(|group| group.gid == id))
                .ok_or_else(|| taken("no number is free".into()))?,
        };
        append(&mut self.group, &format!("{}:x:{gid}:", new.name));
        if let Some(gshadow) = self.gshadow.as_mut().filter(|file| !has(file, &new.name)) {
            append(gshadow, &format!("{}:!::", new.name));
        }
        Ok(Group { name: new.name.clone(), gid, members: Vec::new() })
    }

    /// Adds a user and, where none is given, its group; a user that is there already and is the same in all that
    /// `new` gives is left as it is, but for the groups that it was not in. The password is locked, and no date is
    /// written.
    pub fn add_user(&mut self, new: &NewUser) -> Result<User, RootfsError> {
        check_name("user", &new.name)?;
        for field in [&new.home, &new.shell, &new.comment].into_iter().flatten() {
            if field.contains([':', '\n', '\0']) {
                let why = "has a home, a shell or a comment with a colon or a line break".into();
                return Err(RootfsError::BadName { what: "user", name: new.name.clone(), why });
            }
        }
        let users = self.users();
        if let Some(name) = new.groups.iter().find(|name| users.group(name).is_none()) {
            let (what, file) = ("group", "/etc/group");
            return Err(RootfsError::UnknownName { what, name: name.clone(), file });
        }
        let user = self.add_to_passwd(new, &users)?;
        for group in &new.groups {
            add_member(&mut self.group, group, &new.name);
            if let Some(gshadow) = &mut self.gshadow {
                add_member(gshadow, group, &new.name);
            }
        }
        Ok(user)
    }

    fn add_to_passwd(&mut self, new: &NewUser, users: &Users) -> Result<User, RootfsError> {
        let taken = |why: String| RootfsError::Taken { what: "user", name: new.name.clone(), why };
        let wanted_gid = match new.group.as_deref() {
            Some(group) => Some(users.owner(&format!("0:{group}"))?.gid),
            None => None,
        };
        if let Some(user) = users.user(&new.name) {
            let differs = |what: &str, is: &dyn std::fmt::Display| {
                Err(taken(format!("it exists with the {what} {is}")))
            };
            return match () {
                () if new.uid.is_some_and(|uid| uid != user.uid) => differs("number", &user.uid),
                () if wanted_gid.is_some_and(|gid| gid != user.gid) => differs("group", &user.gid),
                () if new.home.as_ref().is_some_and(|home| *home != user.home) => differs("home", &user.home),
                () if new.shell.as_ref().is_some_and(|shell| *shell != user.shell) => {
                    differs("shell", &user.shell)
                }
                () if new.comment.as_ref().is_some_and(|comment| *comment != self.comment(&new.name)) => {
                    differs("comment", &self.comment(&new.name))
                }
                () => Ok(user.clone()),
            };
        }
        let uid_taken = |id| users.users.iter().any(|user| user.uid == id);
        let uid = match new.uid {
            Some(uid) => match users.users.iter().find(|user| user.uid == uid) {
                Some(other) => return Err(taken(format!("the number {uid} is that of {}", other.name))),
                None => uid,
            },
            None if new.name == "root" && !uid_taken(0) => 0,
            // One number for the user and its own group, where that is possible.
            None if new.group.is_none() && users.group(&new.name).is_none() => {
                free(new.system, |id| uid_taken(id) || users.groups.iter().any(|group| group.gid == id))
                    .ok_or_else(|| taken("no number is free".into()))?
            }
            None => free(new.system, uid_taken).ok_or_else(|| taken("no number is free".into()))?,
        };
        let gid = match wanted_gid {
            Some(gid) => gid,
            None => {
                let same =
                    users.groups.iter().all(|group| group.gid != uid) && users.group(&new.name).is_none();
                let group = NewGroup { name: new.name.clone(), gid: same.then_some(uid), system: new.system };
                self.add_group(&group)?.gid
            }
        };
        let home = new.home.clone().unwrap_or_else(|| match new.system {
            _ if uid == 0 => "/root".into(),
            true => "/nonexistent".into(),
            false => format!("/home/{}", new.name),
        });
        let shell = new.shell.clone().unwrap_or_else(|| match new.system {
            true => "/usr/sbin/nologin".into(),
            false => "/bin/sh".into(),
        });
        let comment = new.comment.as_deref().unwrap_or_default();
        append(&mut self.passwd, &format!("{}:x:{uid}:{gid}:{comment}:{home}:{shell}", new.name));
        if let Some(shadow) = self.shadow.as_mut().filter(|file| !has(file, &new.name)) {
            append(shadow, &format!("{}:!:::::::", new.name));
        }
        Ok(User { name: new.name.clone(), uid, gid, home, shell })
    }

    /// The comment field of a user.
    fn comment(&self, name: &str) -> String {
        let mut lines = self.passwd.split(|b| *b == b'\n');
        let line = lines.find(|line| is_of(line, name)).unwrap_or_default();
        String::from_utf8_lossy(line.split(|b| *b == b':').nth(4).unwrap_or_default()).into_owned()
    }
}

/// Adds a user to the members of a group, which are the fourth field of a line of both `/etc/group` and
/// `/etc/gshadow`. Nothing changes where the file does not have the group, or the group has the member.
fn add_member(file: &mut Vec<u8>, group: &str, user: &str) {
    let mut lines: Vec<Vec<u8>> = file.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let Some(line) = lines.iter_mut().find(|line| is_of(line, group)) else { return };
    let mut fields: Vec<Vec<u8>> = line.split(|b| *b == b':').map(<[u8]>::to_vec).collect();
    fields.resize(fields.len().max(4), Vec::new());
    let members = &mut fields[3];
    if members.split(|b| *b == b',').any(|member| member.trim_ascii() == user.as_bytes()) {
        return;
    }
    if !members.trim_ascii().is_empty() {
        members.push(b',');
    }
    members.extend_from_slice(user.as_bytes());
    *line = fields.join(&b':');
    *file = lines.join(&b'\n');
}

/// Whether a line is that of the user or the group of this name.
fn is_of(line: &[u8], name: &str) -> bool {
    line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
}

/// System numbers are given from the top down, others from the bottom up, as by the shadow tools.
fn free(system: bool, taken: impl Fn(u32) -> bool) -> Option<u32> {
    match system {
        true => SYSTEM.rev().find(|id| !taken(*id)),
        false => NORMAL.into_iter().find(|id| !taken(*id)),
    }
}

/// The names that `useradd` takes, and dots inside.
fn check_name(what: &'static str, name: &str) -> Result<(), RootfsError> {
    let bad = |why: &str| Err(RootfsError::BadName { what, name: name.into(), why: why.into() });
    let first = name.bytes().next();
    if !first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
        return bad("does not begin with a letter or an underscore");
    }
    let body = name.strip_suffix('$').unwrap_or(name);
    if !body.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
        return bad("has a character other than letters, digits, '_', '-' and '.'");
    }
    if name.len() > 32 { bad("is longer than 32 characters") } else { Ok(()) }
}

fn append(file: &mut Vec<u8>, line: &str) {
    if !file.is_empty() && !file.ends_with(b"\n") {
        file.push(b'\n');
    }
    file.extend_from_slice(line.as_bytes());
    file.push(b'\n');
}

fn has(file: &[u8], name: &str) -> bool {
    file.split(|b| *b == b'\n').any(|line| is_of(line, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> UserFiles {
        UserFiles {
            passwd: b"# users\nroot:x:0:0:root:/root:/bin/bash\nold:x:999:998::/:/bin/sh".to_vec(),
            group: b"root:x:0:\nold:x:998:\n".to_vec(),
            shadow: Some(b"root:*:1::::::\n".to_vec()),
            gshadow: None,
        }
    }

    #[test]
    fn adds_and_keeps_what_is_there() {
        let mut files = files();
        let new = NewUser { name: "app".into(), system: true, ..NewUser::default() };
        let user = files.add_user(&new).unwrap();
        assert_eq!((user.uid, user.gid), (997, 997));
        let text = String::from_utf8(files.passwd.clone()).unwrap();
        assert!(text.starts_with("# users\nroot:"), "{text}");
        assert!(text.ends_with("/bin/sh\napp:x:997:997::/nonexistent:/usr/sbin/nologin\n"), "{text}");
        assert!(files.group.ends_with(b"app:x:997:\n"));
        assert!(files.shadow.as_ref().unwrap().ends_with(b"app:!:::::::\n"));
        let before = files.clone();
        assert_eq!(files.add_user(&new).unwrap(), user);
        assert_eq!(files, before);
    }

    #[test]
    fn further_groups_and_comments_are_written_once() {
        let mut files = files();
        files.gshadow = Some(b"root:*::\nold:!::\n".to_vec());
        let new = NewUser {
            name: "app".into(),
            groups: vec!["old".into(), "root".into()],
            comment: Some("The app".into()),
            ..NewUser::default()
        };
        files.add_user(&new).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text(&files.group), "root:x:0:app\nold:x:998:app\napp:x:1000:\n");
        assert_eq!(text(files.gshadow.as_ref().unwrap()), "root:*::app\nold:!::app\napp:!::\n");
        assert!(text(&files.passwd).ends_with("app:x:1000:1000:The app:/home/app:/bin/sh\n"));
        let before = files.clone();
        files.add_user(&new).unwrap();
        assert_eq!(files, before);
        let second = NewUser { name: "two".into(), groups: vec!["old".into()], ..NewUser::default() };
        files.add_user(&second).unwrap();
        assert!(text(&files.group).contains("old:x:998:app,two\n"));
        let other = NewUser { comment: Some("Another".into()), ..new.clone() };
        assert!(matches!(files.add_user(&other), Err(RootfsError::Taken { .. })));
        let none = NewUser { name: "x".into(), groups: vec!["none".into()], ..NewUser::default() };
        let before = files.clone();
        assert!(matches!(files.add_user(&none), Err(RootfsError::UnknownName { .. })));
        assert_eq!(files, before);
    }

    #[test]
    fn refuses_conflicts_and_bad_names() {
        let mut files = files();
        let user = |name: &str, uid| NewUser { name: name.into(), uid, ..NewUser::default() };
        assert_eq!(files.add_user(&user("me", None)).unwrap().uid, 1000);
        for bad in [
            user("old", Some(5)),
            user("new", Some(999)),
            user("a:b", None),
            user("", None),
            user("-x", None),
        ] {
            let before = files.clone();
            assert!(files.add_user(&bad).is_err(), "{bad:?}");
            assert_eq!(files, before);
        }
        let in_group = NewUser { group: Some("none".into()), ..user("x", None) };
        assert!(matches!(files.add_user(&in_group), Err(RootfsError::UnknownName { .. })));
        let group = |gid| NewGroup { name: "old".into(), gid, system: false };
        assert!(files.add_group(&group(Some(1))).is_err());
        assert_eq!(files.add_group(&group(Some(998))).unwrap().gid, 998);
    }
}
