//! Copies by Docker's rules: what BuildKit does with COPY and ADD.
//!
//! | the destination | a file goes | a directory's content goes |
//! |---|---|---|
//! | ends in a slash, or is a directory | into it | into it |
//! | is a file, or a link to one | in its place | nowhere: an error |
//! | is not there | there | into a directory made there |
//!
//! Directories that have to be made belong to the copy's owner and have mode 0755, whatever modes it asks for. The
//! destination itself keeps its attributes; directories below it take those of the source. Links that lead to the
//! destination are followed, unless the copy is independent: then it is made as if there were nothing below.

use std::{collections::HashSet, sync::Arc};

use super::{
    super::{
        StepError,
        place::{Identity, Implied, Placer},
        run::Run,
    },
    archive::{Unpacking, archive, put_archive},
    ground::Below,
    owner::resolve_owner,
    parents::{Kept, kept},
    source::{Source, SourceItem, sources},
};
use crate::{
    graph::{Node, Origin, Tree},
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{Archives, Copy, Destination, Modes, Timestamps},
};

pub(super) fn entries(run: &Arc<Run>, node: &Node, copy: &Copy) -> Result<Vec<Entry>, StepError> {
    let accounts = Below::new(run, &node.below);
    let owner = copy.owner.as_ref().map(|owner| resolve_owner(accounts.view(), owner)).transpose()?;
    let ground = match copy.independent {
        true => Below::new(run, &Tree::default()),
        false => accounts,
    };
    // An independent layer hides what directories were like below: the usual modes are the better guess.
    let implied = match (copy.independent, owner) {
        (true, None) => Implied::Usual,
        (_, owner) => owner.map_or(Implied::Owned(0, 0), |(uid, gid)| Implied::Owned(uid, gid)),
    };
    let placer = Placer::new(implied);
    let mut copier = Copier { run, copy, ground: &ground, owner, placer, made: HashSet::new() };
    let origin = &node.origins[0];
    if copy.parents {
        for Kept { root, directories, source } in kept(run, origin, copy)? {
            copier.directories(directories)?;
            copier.source(origin, root, source)?;
        }
    } else {
        for source in sources(run, origin, &plain(copy))? {
            copier.source(origin, None, source)?;
        }
    }
    Ok(copier.placer.finish(&ground, run.mtime)?)
}

/// The copy with sources as Go's `filepath.Match` reads them: `**` is nothing but `*`.
pub(super) fn plain(copy: &Copy) -> Copy {
    let mut copy = copy.clone();
    for source in &mut copy.sources {
        while source.contains("**") {
            *source = source.replace("**", "*");
        }
    }
    copy
}

struct Copier<'a> {
    run: &'a Arc<Run>,
    copy: &'a Copy,
    ground: &'a Below,
    owner: Option<(u64, u64)>,
    placer: Placer,
    /// The directories at the destination that this copy has made.
    made: HashSet<Option<EntryPath>>,
}

impl Copier<'_> {
    /// Puts one source at its place: below the destination at `kept`, if its parents are kept.
    fn source(&mut self, origin: &Origin, kept: Option<EntryPath>, source: Source) -> Result<(), StepError> {
        let Source { path, directory, items, .. } = source;
        self.placer.reserve(items.size_hint().0);
        if directory {
            // A directory whose parents are kept is itself one of those below the destination.
            let (root, described) = match kept {
                Some(kept) => (self.below(kept)?, true),
                None => (self.destination()?, false),
            };
            self.make(&root)?;
            for SourceItem { below, entry, identity } in items {
                let path = match (&root, below) {
                    (None, below) => below,
                    (Some(root), Some(below)) => Some(root.join(below.as_bytes())),
                    (Some(root), None) => described.then(|| root.clone()),
                };
                if let Some(path) = path {
                    self.put(Entry { path, ..entry }, identity)?;
                }
            }
            return Ok(());
        }
        for SourceItem { entry, identity, .. } in items {
            if self.copy.archives == Archives::Unpack && self.unpack(origin, &entry)? {
                continue;
            }
            let name = path.clone().unwrap_or_else(|| entry.path.clone());
            let path = match &kept {
                Some(kept) => self.below(kept.clone())?,
                None => self.file(&name)?,
            };
            if let Some(path) = path {
                self.put(Entry { path, ..entry }, identity)?;
            }
        }
        Ok(())
    }

    /// The path that the destination is written as.
    fn written(&self) -> Option<&EntryPath> {
        match &self.copy.to {
            Destination::Directory(path) => path.as_ref(),
            Destination::Path(path) => Some(path),
        }
    }

    /// The destination as a directory: where it really is.
    fn destination(&self) -> Result<Option<EntryPath>, StepError> {
        let spot = self.ground.find(self.written())?;
        match (&spot.kind, &spot.path) {
            (Some(kind), Some(path)) if *kind != Kind::Directory => {
                Err(StepError::NoDirectory { path: format!("/{path}") })
            }
            _ => Ok(spot.path),
        }
    }

    fn below(&self, path: EntryPath) -> Result<Option<EntryPath>, StepError> {
        Ok(Some(match self.destination()? {
            Some(root) => root.join(path.as_bytes()),
            None => path,
        }))
    }

    /// Where a file of this name goes.
    fn file(&self, name: &EntryPath) -> Result<Option<EntryPath>, StepError> {
        let into = |directory: Option<EntryPath>| {
            let name = EntryPath::new(name.name())?;
            Some(directory.map_or_else(|| name.clone(), |directory| directory.join(name.as_bytes())))
        };
        if let Destination::Directory(_) = self.copy.to {
            return Ok(into(self.destination()?));
        }
        let spot = self.ground.find(self.written())?;
        match spot.is_directory() || self.made.contains(&spot.path) {
            true => Ok(into(spot.path)),
            false => Ok(spot.path),
        }
    }

    /// Makes sure that there is a directory at the destination.
    fn make(&mut self, path: &Option<EntryPath>) -> Result<(), StepError> {
        if self.made.insert(path.clone())
            && let Some(path) = path
            && !self.ground.is_directory(path)?
        {
            self.placer.imply(path.clone(), self.run.mtime);
        }
        Ok(())
    }

    /// Puts directories that lead to a source whose parents are kept.
    fn directories(&mut self, directories: Vec<Entry>) -> Result<(), StepError> {
        for entry in directories {
            if let Some(path) = self.below(entry.path.clone())? {
                self.put(Entry { path, ..entry }, None)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, mut entry: Entry, identity: Option<Identity>) -> Result<(), StepError> {
        let directory = entry.kind == Kind::Directory;
        let Some(path) = self.ground.follow(entry.path.clone(), directory)? else { return Ok(()) };
        if !directory && self.ground.is_directory(&path)? {
            let instead = "remove it in an earlier step, or copy to another place".to_owned();
            return Err(StepError::IsDirectory { path: format!("/{path}"), instead });
        }
        entry.path = path;
        (entry.uid, entry.gid) = self.owner.unwrap_or((entry.uid, entry.gid));
        let modes = &self.copy.modes;
        let wanted = if directory { &modes.directories } else { &modes.files };
        if let Some(mode) = wanted
            && !matches!(entry.kind, Kind::Symlink(_))
        {
            entry.mode = mode.apply(entry.mode, directory);
        }
        if self.copy.timestamps == Timestamps::Fixed {
            entry.mtime = self.run.mtime;
        }
        self.placer.put_linked(entry, identity);
        Ok(())
    }

    /// Unpacks a file at the destination if it is an archive.
    fn unpack(&mut self, origin: &Origin, entry: &Entry) -> Result<bool, StepError> {
        let Kind::File(content) = &entry.kind else { return Ok(false) };
        let Some(index) = archive(self.run, content, &shown(origin, entry, content))? else {
            return Ok(false);
        };
        let to = self.destination()?;
        self.make(&to)?;
        // Modes are for what is copied: BuildKit, too, leaves those of an archive alone.
        let unpacking = Unpacking {
            to: &to,
            strip: 0,
            owner: self.owner,
            modes: &Modes::default(),
            usual_modes: false,
            follow: true,
        };
        put_archive(self.ground, &mut self.placer, &index, &unpacking, |_| false)?;
        Ok(true)
    }
}

/// A file as errors name it.
fn shown(origin: &Origin, entry: &Entry, content: &Content) -> String {
    match (origin, content) {
        (Origin::Context(_), Content::File { path, .. }) => path.display().to_string(),
        _ => entry.path.to_string(),
    }
}
