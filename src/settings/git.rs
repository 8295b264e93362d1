//! What a working copy says of itself: its commit, branch and tags.

use std::path::Path;

use jiff::Timestamp;

use crate::solve::plumbing;

/// What is checked out, and what is known around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WorkingCopy {
    /// The commit.
    pub(super) sha: Option<String>,
    /// When it was made.
    pub(super) committed: Option<Timestamp>,
    /// The branch, if one is checked out.
    pub(super) branch: Option<String>,
    /// The tags of the commit.
    pub(super) tags_here: Vec<String>,
    /// All tags.
    pub(super) tags: Vec<String>,
    /// The branch that clones of the same origin begin on.
    pub(super) default_branch: Option<String>,
    /// The page of the origin, as far as its address tells.
    pub(super) url: Option<String>,
}

impl WorkingCopy {
    /// Looks at the working copy that the directory is in. Empty if there is none, or no git.
    pub(super) fn of(directory: &Path) -> Self {
        if !directory.ancestors().any(|folder| folder.join(".git").exists()) {
            return Self::default();
        }
        let mut copy = Self::default();
        let head = git(directory, &["rev-list", "--max-count=1", "--timestamp", "HEAD", "--"]);
        if let Some((time, sha)) = head.as_deref().and_then(|line| line.trim().split_once(' ')) {
            copy.sha = Some(sha.to_owned());
            copy.committed = time.parse().ok().and_then(|time| Timestamp::from_second(time).ok());
        }
        copy.branch = git(directory, &["symbolic-ref", "-q", "--short", "HEAD"]).map(trimmed);
        let format = "--format=%(refname) %(objectname) %(*objectname) %(symref)";
        let references = git(directory, &["for-each-ref", format, "refs/tags", "refs/remotes/origin/HEAD"]);
        for line in references.unwrap_or_default().lines() {
            // A name has no spaces; what is not there is empty.
            let parts: Vec<&str> = line.split(' ').collect();
            if let [name, object, peeled, origin] = parts[..] {
                copy.reference(name, [object, peeled], origin);
            }
        }
        copy.url = git(directory, &["config", "--get", "remote.origin.url"]).and_then(|url| page(url.trim()));
        copy
    }

    fn reference(&mut self, name: &str, objects: [&str; 2], origin: &str) {
        if let Some(branch) = origin.strip_prefix("refs/remotes/origin/") {
            self.default_branch = Some(branch.to_owned());
        }
        let Some(tag) = name.strip_prefix("refs/tags/") else { return };
        self.tags.push(tag.to_owned());
        if self.sha.as_deref().is_some_and(|sha| objects.contains(&sha)) {
            self.tags_here.push(tag.to_owned());
        }
    }
}

fn trimmed(text: String) -> String {
    text.trim().to_owned()
}

/// What a plumbing command of git prints.
pub(super) fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = plumbing(directory, arguments).output().ok()?;
    // A command that has nothing to say, such as for a branch where none is checked out, fails.
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The page of a repository with this address; never with credentials that are in the address.
fn page(address: &str) -> Option<String> {
    let web = ["https://", "http://", "ssh://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    let (host, path) = match web {
        Some(rest) => rest.split_once('/')?,
        // `git@host:me/app.git`, as ssh has it; what has a slash before the colon is a path.
        None => address.split_once(':').filter(|(host, _)| host.contains('@') && !host.contains('/'))?,
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    // The port is that of ssh.
    let host = if address.starts_with("ssh:") { host.split(':').next()? } else { host };
    let scheme = if address.starts_with("http://") { "http" } else { "https" };
    let path = path.split(['?', '#']).next()?.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_give_pages_without_credentials() {
        for (address, expected) in [
            ("https://host.example/me/app.git", Some("https://host.example/me/app")),
            ("https://user:secret@host.example/me/app", Some("https://host.example/me/app")),
            ("http://host.example:3000/me/app.git/", Some("http://host.example:3000/me/app")),
            ("git@host.example:me/app.git", Some("https://host.example/me/app")),
            ("ssh://git@host.example:22/me/app.git", Some("https://host.example/me/app")),
            ("/srv/app.git", None),
            ("../app", None),
            ("file:///srv/app", None),
            ("C:/app", None),
        ] {
            assert_eq!(page(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn a_working_copy_tells_its_commit_branch_and_tags() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(WorkingCopy::of(folder.path()), WorkingCopy::default());
        let run = |arguments: &[&str]| {
            let status = std::process::Command::new("git")
                .args(["-c", "user.name=a", "-c", "user.email=a@b.example"])
                .args(arguments)
                .current_dir(folder.path())
                .envs([("GIT_AUTHOR_DATE", "@1234 +0000"), ("GIT_COMMITTER_DATE", "@1234 +0000")])
                .output()
                .unwrap()
                .status;
            assert!(status.success(), "git {arguments:?}");
        };
        run(&["init", "-q", "-b", "trunk"]);
        assert_eq!(WorkingCopy::of(folder.path()).branch.as_deref(), Some("trunk"));
        run(&["commit", "-q", "--allow-empty", "-m", "one"]);
        run(&["tag", "v1.0.0"]);
        run(&["commit", "-q", "--allow-empty", "-m", "two"]);
        run(&["tag", "-a", "v1.1.0", "-m", "x"]);
        run(&["tag", "api/v2.0.0"]);
        run(&["remote", "add", "origin", "git@host.example:me/app.git"]);
        run(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
        run(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
        let copy = WorkingCopy::of(folder.path());
        assert_eq!(copy.tags, ["api/v2.0.0", "v1.0.0", "v1.1.0"]);
        assert_eq!(copy.tags_here, ["api/v2.0.0", "v1.1.0"]);
        assert_eq!(copy.branch.as_deref(), Some("trunk"));
        assert_eq!(copy.default_branch.as_deref(), Some("trunk"));
        assert_eq!(copy.committed, Some(Timestamp::from_second(1234).unwrap()));
        assert_eq!(copy.sha.map(|sha| sha.len()), Some(40));
        assert_eq!(copy.url.as_deref(), Some("https://host.example/me/app"));
        run(&["checkout", "-q", "v1.0.0"]);
        assert_eq!(WorkingCopy::of(folder.path()).branch, None);
    }
}
