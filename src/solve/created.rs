//! When an image counts as made.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use crate::event::Sink;

/// The time of files that nothing gives another one, in seconds since the epoch: 1980-01-01T00:00:00Z.
///
/// The same for everyone, and so the same files make the same layer. Not the epoch itself, since a ZIP archive holds no
/// time before 1980 (APPNOTE 4.4.6, the MS-DOS format): tools that pack what was copied, such as Python's builders of
/// wheels, would fail on it.
pub const FILE_TIME: i64 = 315_532_800;

/// The time that an image is said to be made at, in seconds since the epoch: what the user set
/// (`SOURCE_DATE_EPOCH`), else the time of the context's last commit, else the epoch. Never the clock: the same input
/// gives the same image.
pub fn created(source_date_epoch: Option<i64>, context: &Path, sink: &Sink) -> i64 {
    source_date_epoch.or_else(|| last_commit(context, sink)).unwrap_or(0)
}

/// The time in RFC 3339, in UTC. Times that no calendar has are the epoch.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn last_commit(context: &Path, sink: &Sink) -> Option<i64> {
    head(context, sink)?.split_whitespace().next()?.parse().ok()
}

/// The commit that a context is of, if it is one's.
pub(super) fn commit(context: &Path) -> Option<String> {
    let head = head(context, &Sink::silent())?;
    head.split_whitespace().nth(1).map(str::to_owned)
}

/// A plumbing command of git in a directory, with nothing but its standard output to be read.
///
/// The clone of another user is read too, or the same commit would give images of different times to different users. So
/// nothing that the repository says may be executed: a plumbing command, which knows no pager, aliases or signatures; no
/// file system monitor; and no fetching of objects that are missing (partial clones name programs to fetch them with),
/// whatever the repository allows itself.
pub fn plumbing(directory: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    git.args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        // Goes before every `protocol.*.allow` of the repository; for versions that do not know the variable above.
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    git
}

/// The time of the last commit, and its name.
fn head(context: &Path, sink: &Sink) -> Option<String> {
    // A look at the directories first: most contexts outside of a repository cost no process this way.
    context.ancestors().find(|folder| folder.join(".git").exists())?;
    let output = plumbing(context, &["rev-list", "--max-count=1", "--timestamp", "HEAD", "--"]).output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        // No commit yet.
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sink.warn(
                "git is not installed: the image's creation time is the epoch, not the context's last commit; \
                 set SOURCE_DATE_EPOCH to choose it",
            );
            None
        }
        Err(error) => {
            sink.warn(format!("failed to ask git for the context's last commit: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn what_the_user_set_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(created(Some(7), folder.path(), &Sink::silent()), 7);
        assert_eq!(created(None, folder.path(), &Sink::silent()), 0);
    }

    /// A repository in `folder` whose last commit is of the second 1234.
    fn git(folder: &Path, args: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b.example"])
            .args(args)
            .current_dir(folder)
            .envs([("GIT_AUTHOR_DATE", "@1234 +0000"), ("GIT_COMMITTER_DATE", "@1234 +0000")])
            .output()
            .unwrap()
            .status;
        assert!(status.success(), "git {args:?}");
    }

    #[test]
    fn a_clone_tells_its_last_commit() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        assert_eq!(created(None, folder.path(), &Sink::silent()), 0);
        git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "x"]);
        std::fs::create_dir(folder.path().join("below")).unwrap();
        assert_eq!(created(None, &folder.path().join("below"), &Sink::silent()), 1234);
    }

    #[test]
    fn a_repository_cannot_have_programs_run() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, mark) = (folder.path().join("r"), folder.path().join("mark"));
        std::fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "-q"]);
        git(&repository, &["commit", "-q", "--allow-empty", "-m", "x"]);
        let program = format!("touch {}; false", mark.display());
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "o"),
            ("remote.o.url", repository.to_str().unwrap()),
            ("remote.o.promisor", "true"),
            ("remote.o.uploadpack", &program),
            ("protocol.file.allow", "always"),
            ("protocol.allow", "always"),
            ("core.fsmonitor", &program),
            ("core.pager", &program),
        ] {
            git(&repository, &["config", key, value]);
        }
        let head = repository.join(".git/refs/heads");
        for branch in std::fs::read_dir(head).unwrap() {
            std::fs::write(branch.unwrap().path(), format!("{}\n", "1".repeat(40))).unwrap();
        }
        assert_eq!(created(None, &repository, &Sink::silent()), 0);
        assert!(!mark.exists(), "a program that the repository names was run");
    }
}
