//! The users and groups of an image: `/etc/passwd`, `/etc/group`.

use super::{error::RootfsError, view::View};

/// The most bytes that are read of either file.
const MAX_FILE: u64 = 4 << 20;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its home directory, as written.
    pub home: String,
    /// Its shell, as written.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// The users that are in it besides those whose primary group it is.
    pub members: Vec<String>,
}

/// An owner in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The users and groups of an image, in the order of the files. Lines that make no sense are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// The users.
    pub users: Vec<User>,
    /// The groups.
    pub groups: Vec<Group>,
}

impl Users {
    /// Reads the two files of a view; one that is not there has no lines.
    pub fn of(view: &View) -> Result<Self, RootfsError> {
        let passwd = view.read("/etc/passwd", MAX_FILE)?.unwrap_or_default();
        let group = view.read("/etc/group", MAX_FILE)?.unwrap_or_default();
        Ok(Self::parse(&passwd, &group))
    }

    /// Reads the contents of `/etc/passwd` and `/etc/group`.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let user = |fields: Vec<&str>| {
            let [name, _, uid, gid, rest @ ..] = fields.as_slice() else { return None };
            let rest = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
            let user = User {
                name: name.to_string(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: rest(1),
                shell: rest(2),
            };
            Some(user)
        };
        let group_of = |fields: Vec<&str>| {
            let [name, _, gid, rest @ ..] = fields.as_slice() else { return None };
            let members = rest.first().copied().unwrap_or_default().split(',').map(str::trim);
            let members = members.filter(|m| !m.is_empty()).map(str::to_owned).collect();
            Some(Group { name: name.to_string(), gid: gid.parse().ok()?, members })
        };
        Self { users: lines(passwd, user), groups: lines(group, group_of) }
    }

    /// The first user of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The first group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The owner that `user[:group]` means for files, names or numbers, as in `COPY --chown`: a name alone brings its
    /// primary group, a number alone is the group's too.
    pub fn owner(&self, text: &str) -> Result<Owner, RootfsError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, (!group.is_empty()).then_some(group)),
            None => (text, None),
        };
        let bad = |why: &str| RootfsError::BadName { what: "owner", name: text.into(), why: why.into() };
        if user.is_empty() {
            return Err(bad("has no user in front of the colon"));
        }
        let unknown = |what, name: &str, file| RootfsError::UnknownName { what, name: name.into(), file };
        let mut owner = match number(user) {
            Some(id) => {
                let id = id.ok_or_else(|| bad("has a number beyond 4294967294"))?;
                Owner { uid: id, gid: id }
            }
            None => {
                let user = self.user(user).ok_or_else(|| unknown("user", user, "/etc/passwd"))?;
                Owner { uid: user.uid, gid: user.gid }
            }
        };
        if let Some(group) = group {
            owner.gid = match number(group) {
                Some(id) => id.ok_or_else(|| bad("has a number beyond 4294967294"))?,
                None => self.group(group).ok_or_else(|| unknown("group", group, "/etc/group"))?.gid,
            };
        }
        Ok(owner)
    }
}

/// `None`: it is a name; `Some(None)`: a number that no ID can have.
fn number(text: &str) -> Option<Option<u32>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok().filter(|id| *id != u32::MAX))
}

fn lines<T>(bytes: &[u8], parse: impl Fn(Vec<&str>) -> Option<T>) -> Vec<T> {
    let text = String::from_utf8_lossy(bytes);
    (text.lines().map(str::trim))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| parse(line.split(':').collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_owners() {
        let users = Users::parse(
            b"root:x:0:0:root:/root:/bin/sh\n# no\njunk\n\nx:y:z\napp:x:101:102::/app:/bin/sh\nbad:x:-1:0\n",
            b"root:x:0:\nweb:x:33:app,root\napp:x:102:\n",
        );
        assert_eq!(users.users.len(), 2);
        assert_eq!(users.groups[1].members, ["app", "root"]);
        for (text, uid, gid) in [
            ("app", 101, 102),
            ("app:web", 101, 33),
            ("app:", 101, 102),
            ("1000", 1000, 1000),
            ("1000:web", 1000, 33),
            ("app:7", 101, 7),
        ] {
            assert_eq!(users.owner(text).unwrap(), Owner { uid, gid }, "{text}");
        }
        for bad in ["nobody", "app:nogroup", "", ":web", "4294967295", "99999999999"] {
            assert!(users.owner(bad).is_err(), "{bad}");
        }
    }
}
