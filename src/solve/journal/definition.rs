//! What a step says, in parts, without what it finds when it is carried out.

use super::super::key::{NamedParts, Part};
use crate::{
    error::public_text,
    graph::{Node, Origin},
    layer::EntryPath,
    oci::Digest,
    recipe::{
        Archive, Archives, Copy, Destination, FileMode, ModeChange, Modes, Owner, OwnerName, StepKind,
        Timestamps, Unpack,
    },
};

const VERSION: &[u8] = b"imgbuild definition 1";

/// What a step that runs no command says, and the digest of exactly that. Commands have their parts in their keys.
pub(in super::super) fn definition(node: &Node) -> (Digest, Vec<Part>) {
    let mut parts = NamedParts::new(VERSION);
    match &node.kind {
        StepKind::Copy(step) => copy(&mut parts, step),
        StepKind::Write(write) => {
            parts.shown("path", &slash(Some(&write.path)));
            parts.digest("content", &Digest::of(&write.content));
            attributes(&mut parts, &write.owner, &write.mode);
        }
        StepKind::Mkdir(mkdir) => {
            parts.shown("path", &slash(Some(&mkdir.path)));
            attributes(&mut parts, &mkdir.owner, &mkdir.mode);
        }
        StepKind::Symlink(link) => {
            parts.shown("path", &slash(Some(&link.path)));
            parts.shown("target", &link.target);
            attributes(&mut parts, &link.owner, &None);
        }
        StepKind::Remove(remove) => {
            let paths: Vec<_> = remove.paths.iter().map(|path| slash(Some(path))).collect();
            parts.shown("paths", &paths.join(" "));
        }
        StepKind::Unpack(step) => unpack(&mut parts, step),
        // Neither has a place in a file or anything that is long.
        StepKind::Account(account) => parts.shown("user", &format!("{account:?}")),
        StepKind::Group(group) => parts.shown("group", &format!("{group:?}")),
        StepKind::Run(_) | StepKind::Config(_) => {}
    }
    for origin in &node.origins {
        match origin {
            Origin::Context(name) if name.is_empty() => {}
            Origin::Context(name) => parts.shown("context", name),
            Origin::Url(url) => {
                parts.shown("URL", &public_text(&url.url));
                checksum(&mut parts, url.checksum.as_ref());
            }
            Origin::Git(git) => {
                parts.shown("repository", &git.shown());
                let reference = git.reference.as_deref().or(git.checksum.as_deref());
                parts.shown("commit", reference.unwrap_or("HEAD"));
            }
            // A stage by another name is the same: what comes out of it counts.
            Origin::Tree(_) => {}
        }
    }
    parts.finish()
}

fn copy(parts: &mut NamedParts, copy: &Copy) {
    parts.shown("sources", &copy.sources.join(" "));
    let to = match &copy.to {
        Destination::Directory(None) => "/".to_owned(),
        Destination::Directory(path) => format!("{}/", slash(path.as_ref())),
        Destination::Path(path) => slash(Some(path)),
    };
    parts.shown("destination", &to);
    if !copy.exclude.is_empty() {
        parts.shown("excludes", &copy.exclude.join(" "));
    }
    attributes(parts, &copy.owner, &None);
    modes(parts, &copy.modes);
    let switches = [
        ("times", copy.timestamps == Timestamps::Preserve),
        ("link", copy.independent),
        ("parents", copy.parents),
        ("unpacking", copy.archives == Archives::Unpack),
    ];
    for (name, _) in switches.into_iter().filter(|(_, on)| *on) {
        parts.shown(name, "yes");
    }
}

fn unpack(parts: &mut NamedParts, unpack: &Unpack) {
    match &unpack.archive {
        Archive::File { path, .. } => parts.shown("archive", path),
        Archive::Url(url) => parts.shown("archive", &public_text(url)),
    }
    checksum(parts, unpack.digest.as_ref());
    parts.shown("destination", &slash(unpack.to.as_ref()));
    if unpack.strip > 0 {
        parts.shown("strip", &unpack.strip.to_string());
    }
    if !unpack.exclude.is_empty() {
        parts.shown("excludes", &unpack.exclude.join(" "));
    }
    attributes(parts, &unpack.owner, &None);
    modes(parts, &unpack.modes);
}

fn checksum(parts: &mut NamedParts, digest: Option<&Digest>) {
    if let Some(digest) = digest {
        parts.digest("checksum", digest);
    }
}

fn attributes(parts: &mut NamedParts, owner: &Option<Owner>, mode: &Option<FileMode>) {
    let name = |name: &OwnerName| match name {
        OwnerName::Id(id) => id.to_string(),
        OwnerName::Name(name) => name.clone(),
    };
    if let Some(Owner { user, group }) = owner {
        let group = group.as_ref().map(|group| format!(":{}", name(group))).unwrap_or_default();
        parts.shown("owner", &format!("{}{group}", name(user)));
    }
    if let Some(mode) = mode {
        parts.shown("mode", &mode.to_string());
    }
}

fn modes(parts: &mut NamedParts, modes: &Modes) {
    for (name, mode) in [("mode of files", &modes.files), ("mode of directories", &modes.directories)] {
        match mode {
            Some(ModeChange::Set(mode)) => parts.shown(name, &mode.to_string()),
            Some(change) => parts.shown(name, &format!("{change:?}")),
            None => {}
        }
    }
}

fn slash(path: Option<&EntryPath>) -> String {
    path.map(|path| format!("/{path}")).unwrap_or_else(|| "/".to_owned())
}
