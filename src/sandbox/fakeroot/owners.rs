//! Owners that files cannot have.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{AtFlags, FileType, XattrFlags, chownat, fstat, getxattr, setxattr},
    io::Errno,
};

use super::{
    super::tree::{BareOwners, FileId},
    ids::Ids,
    target::own_path,
};

/// The attribute that an owner is kept in: `uid:gid`, decimal.
const ATTRIBUTE: &str = "user.imgbuild.owner";

/// A user and a group.
pub(in crate::sandbox) type Owner = (u32, u32);

/// The owners of files: with the files where those can have attributes, else here.
#[derive(Debug)]
pub(super) struct Owners {
    default: Owner,
    bare: BareOwners,
}

impl Owners {
    /// `default` owns what nobody was given.
    pub(super) fn new(default: Owner) -> Self {
        Self { default, bare: BareOwners::new() }
    }

    /// Those of symbolic links, named pipes and sockets.
    pub(super) fn into_bare(self) -> BareOwners {
        self.bare
    }

    /// chown(2), on a file that is opened as a path, by a process of these ids.
    pub(super) fn give(
        &mut self,
        file: &OwnedFd,
        user: Option<u32>,
        group: Option<u32>,
        ids: &Ids,
    ) -> Result<(), Errno> {
        let old = self.of(file)?;
        let own = ids.may_give_away()
            || (old.0 == ids.user.file
                && user.is_none_or(|user| user == old.0)
                && group.is_none_or(|group| ids.is_in(group)));
        if !own {
            return Err(Errno::PERM);
        }
        // Changes nothing but what every change of owner does: the time of change is set, set-user-id bits and file
        // capabilities go. A file of a lower layer is copied up, so its inode number is asked for afterwards.
        chownat(file, "", None, None, AtFlags::EMPTY_PATH)?;
        let new = (user.unwrap_or(old.0), group.unwrap_or(old.1));
        // What changes nothing is not recorded: programs that put a new file in the place of an old one, as useradd does
        // with `/etc/shadow`, give it the owner that they read, which is root; capture knows better.
        if new == old { Ok(()) } else { self.keep(file, new) }
    }

    fn of(&self, file: &OwnedFd) -> Result<Owner, Errno> {
        if !takes_attributes(file)? {
            return Ok(self.bare.get(&FileId::of(file)?).copied().unwrap_or(self.default));
        }
        let mut value = [0; 32];
        Ok(match getxattr(own_path(file), ATTRIBUTE, &mut value[..]) {
            Ok(size) => parse(&value[..size]).unwrap_or(self.default),
            Err(_) => self.default,
        })
    }

    fn keep(&mut self, file: &OwnedFd, owner: Owner) -> Result<(), Errno> {
        if !takes_attributes(file)? {
            self.bare.insert(FileId::of(file)?, owner);
            return Ok(());
        }
        let value = format!("{}:{}", owner.0, owner.1);
        match setxattr(own_path(file), ATTRIBUTE, value.as_bytes(), XattrFlags::empty()) {
            // A file system without attributes: none that layers are made of.
            Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => Ok(()),
            other => other,
        }
    }
}

/// Whether a file can have attributes of users.
fn takes_attributes(file: &OwnedFd) -> Result<bool, Errno> {
    let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
    Ok(matches!(kind, FileType::RegularFile | FileType::Directory))
}

fn parse(value: &[u8]) -> Option<Owner> {
    let (user, group) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((user.parse().ok()?, group.parse().ok()?))
}
