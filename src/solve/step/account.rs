//! Users and groups, added to the account files without running anything.

use std::sync::Arc;

use super::{
    super::{
        StepError,
        place::{Ground, Placer},
        run::Run,
    },
    ground::Below,
};
use crate::{
    graph::Node,
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{Account, AccountGroup, Group},
    rootfs::{Found, NewGroup, NewUser, UserFiles},
};

/// The largest account file that is read.
const MAX_FILE: u64 = 4 << 20;

pub(super) fn user(run: &Arc<Run>, node: &Node, account: &Account) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let mut files = read(&ground)?;
    match &account.group {
        Some(AccountGroup::Name(name)) if files.users().group(name).is_none() => {
            files.add_group(&NewGroup { name: name.clone(), gid: None, system: account.system })?;
        }
        // A number says nothing of a name: the group is called like the user.
        Some(AccountGroup::Id(gid)) if files.users().groups.iter().all(|group| group.gid != *gid) => {
            files.add_group(&NewGroup {
                name: account.name.clone(),
                gid: Some(*gid),
                system: account.system,
            })?;
        }
        _ => {}
    }
    let added = files.add_user(&NewUser {
        name: account.name.clone(),
        uid: account.uid,
        group: account.group.as_ref().map(|group| match group {
            AccountGroup::Id(gid) => gid.to_string(),
            AccountGroup::Name(name) => name.clone(),
        }),
        groups: account.groups.clone(),
        comment: account.comment.clone(),
        home: account.home.clone(),
        shell: account.shell.clone(),
        system: account.system,
    })?;
    let mut placer = Placer::default();
    put(run, &ground, &mut placer, files)?;
    if account.create_home
        && let Some(home) = EntryPath::new(&added.home)
        && ground.directory(&home)?.is_none()
    {
        let (uid, gid) = (u64::from(added.uid), u64::from(added.gid));
        placer.put(Entry { uid, gid, mtime: run.mtime, ..Entry::new(home, Kind::Directory, 0o755) });
    }
    Ok(placer.finish(&ground, run.mtime)?)
}

pub(super) fn group(run: &Arc<Run>, node: &Node, group: &Group) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let mut files = read(&ground)?;
    files.add_group(&NewGroup { name: group.name.clone(), gid: group.gid, system: group.system })?;
    let mut placer = Placer::default();
    put(run, &ground, &mut placer, files)?;
    Ok(placer.finish(&ground, run.mtime)?)
}

fn read(ground: &Below) -> Result<UserFiles, StepError> {
    let [passwd, group, shadow, gshadow] = UserFiles::PATHS.map(|path| ground.view().read(path, MAX_FILE));
    Ok(UserFiles {
        passwd: passwd?.unwrap_or_default(),
        group: group?.unwrap_or_default(),
        shadow: shadow?,
        gshadow: gshadow?,
    })
}

/// Puts the files that have changed, with the owners and modes that they have below.
fn put(run: &Run, ground: &Below, placer: &mut Placer, files: UserFiles) -> Result<(), StepError> {
    let UserFiles { passwd, group, shadow, gshadow } = files;
    let contents = [Some(passwd), Some(group), shadow, gshadow];
    for (path, content) in UserFiles::PATHS.iter().zip(contents) {
        let Some(content) = content else { continue };
        let (place, found) = match ground.view().lookup(path, true)? {
            Some(Found::Item(item)) => (item.entry.path.clone(), Some(item.entry)),
            Some(Found::Root) | None => match EntryPath::new(path) {
                Some(path) => (path, None),
                None => continue,
            },
        };
        if found.is_some() && ground.view().read(path, MAX_FILE)?.as_deref() == Some(&content[..]) {
            continue;
        }
        let kind = Kind::File(Content::Bytes(content.into()));
        let entry = match found {
            Some(found) => Entry { kind, mtime: run.mtime, ..found },
            None => Entry { mtime: run.mtime, ..Entry::new(place, kind, 0o644) },
        };
        placer.put(entry);
    }
    Ok(())
}
