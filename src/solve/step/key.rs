//! The keys of steps that are no commands: all that decides what they put into their layers.
//!
//! A step whose key is known need not be carried out: nothing below it has to be fetched or looked at, nor what it copies
//! from. Where all of that is here, its entries are as cheap to find as its key: only copies from stages and images have
//! keys then. When caches of other machines are asked or written, every step has one, but for those whose files nobody
//! knows before they are here: from a URL without a checksum, or from a branch.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{
        StepError,
        command::tree_key,
        key::{KeyBuilder, content_digest, entry},
        place::Identity,
        run::Run,
    },
    context::file,
    copy_docker::plain,
    parents::{Kept, kept},
    remote::file_name,
    source::{Source, SourceItem, sources},
};
use crate::{
    graph::{NodeId, Origin},
    layer::EntryPath,
    oci::Digest,
    recipe::{Archive, Copy, GitSource, Mkdir, Rules, StepKind, Timestamps, Unpack, UrlSource, Write},
};

const VERSION: &[u8] = b"imgbuild step key 2";

/// The key of a node. `None`: it is carried out each time. Blocks.
pub(in super::super) fn key(run: &Arc<Run>, id: NodeId) -> Result<Option<Digest>, StepError> {
    let node = run.node_of(id);
    let from_tree = matches!((&node.kind, &node.origins[..]), (StepKind::Copy(_), [Origin::Tree(_)]));
    if !from_tree && !run.shares() {
        return Ok(None);
    }
    let Some(definition) = definition(&node.kind) else { return Ok(None) };
    let mut key = KeyBuilder::new(VERSION);
    key.number(run.mtime as u64);
    key.part(definition.as_bytes());
    for origin in &node.origins {
        if !self::origin(&mut key, run, origin, &node.kind)? {
            return Ok(None);
        }
    }
    key.part(tree_key(run, &node.below)?.as_bytes());
    Ok(Some(key.finish()))
}

/// What a step takes from where its files come from. False: that is not known before they are here.
fn origin(key: &mut KeyBuilder, run: &Arc<Run>, origin: &Origin, kind: &StepKind) -> Result<bool, StepError> {
    match (origin, kind) {
        (Origin::Tree(tree), _) => key.part(tree_key(run, tree)?.as_bytes()),
        (Origin::Context(_), StepKind::Copy(copy)) => copied(key, run, origin, copy)?,
        (Origin::Context(name), StepKind::Unpack(Unpack { archive: Archive::File { path, .. }, .. })) => {
            let digest = content_digest(&file(run, name, path)?).map_err(StepError::Content)?;
            key.part(digest.as_bytes());
        }
        // Their own times are known when they are here.
        (_, StepKind::Copy(copy)) if copy.timestamps == Timestamps::Preserve => return Ok(false),
        (Origin::Url(UrlSource { url, checksum: Some(checksum) }), _) => {
            key.part(file_name(url).as_bytes());
            key.part(checksum.to_string().as_bytes());
        }
        (Origin::Git(git), _) => match commit(git) {
            Some(commit) => {
                key.part(commit.as_bytes());
                key.part(format!("{:?}", (&git.subdirectory, git.submodules)).as_bytes());
            }
            None => return Ok(false),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// The commit that is taken, in full. A `.git` is not made of the commit alone.
fn commit(git: &GitSource) -> Option<&str> {
    let full = |text: &&str| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let said = [&git.checksum, &git.reference];
    said.into_iter().filter_map(Option::as_deref).find(full).filter(|_| !git.keep_git_dir)
}

/// What a copy takes from a context.
fn copied(key: &mut KeyBuilder, run: &Arc<Run>, origin: &Origin, copy: &Copy) -> Result<(), StepError> {
    // Files of one inode become links of each other.
    let mut files: HashMap<Identity, u64> = HashMap::new();
    let kept: Vec<Kept> = match copy.rules {
        Rules::Docker if copy.parents => kept(run, origin, copy)?,
        rules => {
            let found = match rules {
                Rules::Docker => sources(run, origin, &plain(copy))?,
                Rules::Own => sources(run, origin, copy)?,
            };
            found.into_iter().map(|source| Kept { root: None, directories: Vec::new(), source }).collect()
        }
    };
    key.number(kept.len() as u64);
    for Kept { root, directories, source } in kept {
        path(key, root.as_ref());
        key.number(directories.len() as u64);
        for directory in &directories {
            entry(key, directory).map_err(StepError::Content)?;
        }
        self::source(key, &mut files, source)?;
    }
    Ok(())
}

fn source(key: &mut KeyBuilder, files: &mut HashMap<Identity, u64>, source: Source) -> Result<(), StepError> {
    path(key, source.path.as_ref());
    key.number(u64::from(source.directory));
    for SourceItem { below, entry, identity } in source.items {
        path(key, below.as_ref());
        self::entry(key, &entry).map_err(StepError::Content)?;
        let count = files.len() as u64 + 1;
        key.number(identity.map_or(0, |identity| *files.entry(identity).or_insert(count)));
    }
    key.part(b"end");
    Ok(())
}

fn path(key: &mut KeyBuilder, path: Option<&EntryPath>) {
    key.part(path.map_or(b"", EntryPath::as_bytes));
}

/// What a step says, but for where its files come from and what only errors tell. The derived `Debug` of these types
/// has every field of theirs, and quotes texts: two that differ never look alike. `None`: it makes no files.
fn definition(kind: &StepKind) -> Option<String> {
    Some(match kind {
        StepKind::Copy(step) => copy(step),
        StepKind::Write(Write { path, content, owner, mode }) => {
            format!("{:?}", ("write", path, Digest::of(content), owner, mode))
        }
        StepKind::Mkdir(Mkdir { path, owner, owner_from: _, mode, rules }) => {
            format!("{:?}", ("mkdir", path, owner, mode, rules))
        }
        StepKind::Symlink(link) => format!("{link:?}"),
        StepKind::Remove(remove) => format!("{remove:?}"),
        StepKind::Unpack(step) => unpack(step)?,
        StepKind::Account(account) => format!("{account:?}"),
        StepKind::Group(group) => format!("{group:?}"),
        StepKind::Run(_) | StepKind::Config(_) => return None,
    })
}

fn copy(copy: &Copy) -> String {
    let Copy {
        from: _,
        sources,
        to,
        exclude,
        owner,
        modes,
        timestamps,
        independent,
        parents,
        archives,
        empty_globs,
        rules,
        // The same files, whatever layers they are in.
        split: _,
        written: _,
    } = copy;
    let flags = (timestamps, independent, parents, archives, empty_globs, rules);
    format!("{:?}", ("copy", sources, to, exclude, owner, modes, flags))
}

/// An archive on the web is known by its digest, wherever it is; one whose digest nobody says is not known.
fn unpack(unpack: &Unpack) -> Option<String> {
    let Unpack { archive, digest, to, strip, exclude, owner, modes } = unpack;
    let path = match (archive, digest) {
        (Archive::File { from: _, path }, _) => Some(path),
        (Archive::Url(_), Some(_)) => None,
        (Archive::Url(_), None) => return None,
    };
    Some(format!("{:?}", ("unpack", path, digest, to, strip, exclude, owner, modes)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        layer::EntryPath,
        recipe::{
            Account, CopySource, Destination, FileMode, Group, Modes, Owner, OwnerName, Remove, Symlink,
        },
        source::{Location, SourceFile},
    };

    fn at(path: &str) -> EntryPath {
        EntryPath::new(path).unwrap()
    }

    fn unpacked(archive: Archive, digest: Option<Digest>) -> StepKind {
        let (strip, exclude, modes) = (0, Vec::new(), Modes::default());
        StepKind::Unpack(Unpack { archive, digest, to: None, strip, exclude, owner: None, modes })
    }

    #[test]
    fn steps_that_differ_say_something_else() {
        let owner = || Some(Owner { user: OwnerName::Name("a".into()), group: None });
        let write = |path: &str, content: &'static str| Write {
            path: at(path),
            content: content.as_bytes().into(),
            owner: None,
            mode: None,
        };
        let mkdir = |path: &str| Mkdir {
            path: at(path),
            owner: None,
            owner_from: None,
            mode: None,
            rules: Rules::Own,
        };
        let account = |name: &str| Account::named(name.into());
        let copy = Copy::docker(CopySource::Stage(0), vec!["a".into()], Destination::Path(at("a")));
        let file = || Archive::File { from: CopySource::Stage(0), path: "a".into() };
        let steps = [
            StepKind::Copy(copy.clone()),
            StepKind::Copy(Copy { independent: true, ..copy.clone() }),
            StepKind::Copy(Copy { to: Destination::Directory(Some(at("a"))), ..copy }),
            StepKind::Write(write("a", "1")),
            StepKind::Write(write("a", "2")),
            StepKind::Write(Write { owner: owner(), ..write("a", "1") }),
            StepKind::Mkdir(mkdir("a")),
            StepKind::Mkdir(mkdir("b")),
            StepKind::Mkdir(Mkdir { mode: Some(FileMode(0o700)), ..mkdir("a") }),
            StepKind::Mkdir(Mkdir { rules: Rules::Docker, ..mkdir("a") }),
            StepKind::Symlink(Symlink { path: at("a"), target: "b".into(), owner: None }),
            StepKind::Remove(Remove { paths: vec![at("a"), at("b")], must_exist: true }),
            StepKind::Remove(Remove { paths: vec![at("a\", \"b")], must_exist: true }),
            StepKind::Account(account("a")),
            StepKind::Account(Account { system: true, ..account("a") }),
            StepKind::Group(Group { name: "a".into(), gid: None, system: false }),
            unpacked(file(), None),
            unpacked(file(), Some(Digest::of(b"a"))),
            unpacked(Archive::Url("https://a".into()), Some(Digest::of(b"a"))),
        ];
        let definitions: BTreeSet<_> = steps.iter().map(|step| definition(step).unwrap()).collect();
        assert_eq!(definitions.len(), steps.len(), "{definitions:#?}");
        // Where a step takes its owner from is for errors, and where an archive is does not change it.
        let location = Location { file: SourceFile::new("Dockerfile", "USER a"), range: 5..6 };
        let named = StepKind::Mkdir(Mkdir { owner_from: Some(location), ..mkdir("a") });
        assert!(definitions.contains(&definition(&named).unwrap()));
        let mirror = unpacked(Archive::Url("https://b".into()), Some(Digest::of(b"a")));
        assert!(definitions.contains(&definition(&mirror).unwrap()));
        assert_eq!(definition(&unpacked(Archive::Url("https://a".into()), None)), None);
    }

    #[test]
    fn a_commit_is_known_in_full_or_not_at_all() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        let git = |reference: Option<&str>, checksum: Option<&str>, keep_git_dir| {
            let git = GitSource {
                remote: "https://a/b.git".into(),
                reference: reference.map(str::to_owned),
                subdirectory: None,
                keep_git_dir,
                checksum: checksum.map(str::to_owned),
                submodules: true,
            };
            commit(&git).map(str::to_owned)
        };
        assert_eq!(git(Some(full), None, false).as_deref(), Some(full));
        assert_eq!(git(Some("v1"), Some(full), false).as_deref(), Some(full));
        for (reference, checksum, keep) in [
            (None, None, false),
            (Some("main"), None, false),
            (Some("v1"), Some("0123456"), false),
            (Some(full), None, true),
        ] {
            assert_eq!(git(reference, checksum, keep), None, "{reference:?} {checksum:?}");
        }
    }
}
