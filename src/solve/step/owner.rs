//! Owners by number or name.

use super::super::StepError;
use crate::{
    recipe::{Owner, OwnerName},
    rootfs::{Users, View},
};

/// The numbers that an owner means. Names are looked up in the account files below; numbers never need them.
pub(super) fn resolve_owner(ground: &View, owner: &Owner) -> Result<(u64, u64), StepError> {
    let users = match owner {
        Owner { user: OwnerName::Id(_), group: None | Some(OwnerName::Id(_)) } => Users::default(),
        _ => Users::of(ground)?,
    };
    let missing = |what, name: &str, names: Vec<&str>| StepError::NoAccount {
        what,
        name: name.to_owned(),
        known: names.iter().take(8).map(|name| (*name).to_owned()).collect(),
    };
    let (uid, primary) = match &owner.user {
        OwnerName::Id(uid) => (*uid, *uid),
        // Who that is, every kernel knows, also where no account file tells it.
        OwnerName::Name(name) if name == "root" && users.user(name).is_none() => (0, 0),
        OwnerName::Name(name) => {
            let names = || users.users.iter().map(|user| user.name.as_str()).collect();
            let user = users.user(name).ok_or_else(|| missing("user", name, names()))?;
            (u64::from(user.uid), u64::from(user.gid))
        }
    };
    let gid = match &owner.group {
        None => primary,
        Some(OwnerName::Id(gid)) => *gid,
        Some(OwnerName::Name(name)) if name == "root" && users.group(name).is_none() => 0,
        Some(OwnerName::Name(name)) => {
            let names = || users.groups.iter().map(|group| group.name.as_str()).collect();
            u64::from(users.group(name).ok_or_else(|| missing("group", name, names()))?.gid)
        }
    };
    Ok((uid, gid))
}
