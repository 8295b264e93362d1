//! The commits between two versions.

use std::path::Path;

use serde::Serialize;

use super::git::git;
use crate::tags::version_at_end;

/// The most commits that are told one by one.
const MOST: usize = 500;

/// The commits that one version has and another has not, newest first, without merges. New fields may come; none changes
/// its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commits {
    /// The commit of the version before.
    pub from: String,
    /// The commit of the version.
    pub to: String,
    /// What came between.
    pub commits: Vec<Commit>,
    /// Whether there are more than are listed.
    pub more: bool,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its full hash.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}

impl Commits {
    /// The commits between two versions, of the working copy that the directory is in. Each version is told by the commit
    /// that its image was built from, or else by git's tag of it. `None`: there is no working copy, or it does not have
    /// both.
    pub fn between(
        directory: &Path,
        from: (Option<&str>, Option<&str>),
        to: (Option<&str>, Option<&str>),
    ) -> Option<Self> {
        directory.ancestors().find(|folder| folder.join(".git").exists())?;
        let (from, to) = (commit(directory, from)?, commit(directory, to)?);
        let range = format!("{from}..{to}");
        let most = format!("--max-count={}", MOST + 1);
        // Not `log`, which does more than read: see `git`.
        let listed =
            git(directory, &["rev-list", "--no-merges", &most, "--format=%H%x1f%an%x1f%s", &range, "--"])?;
        let mut commits: Vec<_> = listed.lines().filter_map(parse).collect();
        let more = commits.len() > MOST;
        commits.truncate(MOST);
        Some(Self { from, to, commits, more })
    }
}

/// A line of the format; before each there is one with the commit alone.
fn parse(line: &str) -> Option<Commit> {
    let mut parts = line.splitn(3, '\x1f').map(str::to_owned);
    Some(Commit { id: parts.next()?, author: parts.next()?, subject: parts.next()? })
}

/// The commit of a version.
fn commit(directory: &Path, (revision, version): (Option<&str>, Option<&str>)) -> Option<String> {
    // Whatever else a label holds is not handed to git.
    let is_hash = |text: &&str| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let found = version.and_then(version_at_end);
    let tags = found.into_iter().flat_map(|(prefix, version)| {
        // `api-1.4.2` is an image's name for `api/v1.4.2`.
        let folder = prefix.strip_suffix('-').map(|name| format!("{name}/"));
        let prefixes = [Some(prefix.to_owned()), folder].into_iter().flatten();
        prefixes.flat_map(move |prefix| ["v", ""].map(|v| format!("refs/tags/{prefix}{v}{version}")))
    });
    let names = revision.filter(is_hash).map(str::to_owned).into_iter().chain(tags);
    names.into_iter().find_map(|name| {
        let name = format!("{name}^{{commit}}");
        let found = git(directory, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name])?;
        // Older versions of git print the option, too.
        found.lines().last().map(str::to_owned)
    })
}
