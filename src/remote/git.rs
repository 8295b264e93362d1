//! Git repositories, through the `git` program: it has the user's credential helpers, keys and proxies.
//!
//! ```text
//! git/<digest of the remote>/
//!   lock             held while anything below is written
//!   repo.git/        a bare repository of the commits that were asked for, each without its history
//!   trees/<digest>/  a commit's files, as its key says; complete once it is there
//!   work/            a tree that is being made
//! ```
//!
//! Nothing that a repository says is executed: no hooks, no monitors, no transports besides those of the remote and
//! of submodules on the network.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{GitSource, RemoteError, place::is_commit, tidy::tidy};
use crate::{layer::EntryPath, oci::Digest, store::Store};

/// The transports that submodules may use.
const NETWORK: &str = "http:https:ssh:git";

/// Where systems have their certificates in one file: Debian and Alpine, Fedora, OpenSSL's own.
const SYSTEM_BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Changes when what lies in a tree does, for one and the same commit.
const VERSION: &str = "imgbuild checkout 1";

/// A commit's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The directory that was asked for, in the store; nobody changes it. Modes are 0755 and 0644.
    pub path: PathBuf,
    /// The commit.
    pub commit: String,
    /// When it was made, in seconds since the epoch.
    pub committed: i64,
}

/// Gets a commit's files: from the store where it has them, which costs asking the remote what a name means, and for a
/// whole commit not even that.
///
/// `certificates` (PEM) are trusted besides those that git trusts anyway. Blocks, also while another process gets
/// something of the same remote.
///
/// # Errors
/// There is no git, the remote does not answer or has no such commit, or the commit is not the one that is expected.
pub fn checkout(
    store: &Store,
    source: &GitSource,
    certificates: &[Vec<u8>],
) -> Result<Checkout, RemoteError> {
    let home = home(store, source);
    let _lock = store.lock_folder(&home)?;
    let git = Git::open(source, &home, certificates)?;
    let found = git.find()?;
    git.expect(&found.commit)?;
    let key = format!("{VERSION}\n{}\n{}\n{}", found.commit, source.keep_git_dir, source.submodules);
    let tree = home.join("trees").join(Digest::of(key.as_bytes()).hex());
    if !tree.exists() {
        git.fetch(&found)?;
        git.make(&found.commit, &tree)?;
    }
    let (path, committed) = (git.subdirectory(&tree, &found.commit)?, git.time(&found.commit)?);
    Ok(Checkout { path, commit: found.commit, committed })
}

/// Asks the remote which commit a name means, without fetching it. Blocks, as [`checkout`] does.
///
/// # Errors
/// As of [`checkout`].
pub fn look_up(store: &Store, source: &GitSource, certificates: &[Vec<u8>]) -> Result<String, RemoteError> {
    let home = home(store, source);
    let _lock = store.lock_folder(&home)?;
    let git = Git::open(source, &home, certificates)?;
    let commit = git.find()?.commit;
    git.expect(&commit).map(|()| commit)
}

/// The directory of what is kept of a remote.
fn home(store: &Store, source: &GitSource) -> PathBuf {
    store.root().join("git").join(Digest::of(source.remote.as_bytes()).hex())
}

/// A commit, and the name under which the remote has it.
struct Found {
    name: Option<String>,
    commit: String,
}

struct Git<'a> {
    source: &'a GitSource,
    home: &'a Path,
    repository: PathBuf,
    /// The file of certificates that git is told of, if it is not told of one already.
    bundle: Option<PathBuf>,
}

/// The file of certificates for git: the one that the environment names, and where there are more to be trusted, both
/// in one, since git takes one file in place of the system's.
fn bundle(home: &Path, certificates: &[Vec<u8>]) -> Result<Option<PathBuf>, RemoteError> {
    let named = ["GIT_SSL_CAINFO", "SSL_CERT_FILE"].iter().find_map(env::var_os).map(PathBuf::from);
    if certificates.is_empty() {
        return Ok(named);
    }
    let mut bundle = match &named {
        Some(path) => fs::read(path).map_err(RemoteError::io("read", path))?,
        None => SYSTEM_BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default(),
    };
    for certificate in certificates {
        bundle.push(b'\n');
        bundle.extend_from_slice(certificate);
    }
    let path = home.join("certificates.pem");
    fs::write(&path, bundle).map_err(RemoteError::io("write", &path))?;
    Ok(Some(path))
}

impl<'a> Git<'a> {
    /// Begins to work in the directory of a remote, which is locked.
    fn open(source: &'a GitSource, home: &'a Path, certificates: &[Vec<u8>]) -> Result<Self, RemoteError> {
        fs::create_dir_all(home.join("trees")).map_err(RemoteError::io("create", home))?;
        let bundle = bundle(home, certificates)?;
        let git = Self { source, home, repository: home.join("repo.git"), bundle };
        git.init()?;
        Ok(git)
    }

    fn init(&self) -> Result<(), RemoteError> {
        if self.repository.join("HEAD").exists() {
            return Ok(());
        }
        let mut command = self.command("file");
        command.args(["init", "-q", "--bare", "--template="]).arg(&self.repository);
        self.run("make a repository for", &mut command).map(drop)
    }

    /// The commit that is asked for.
    fn find(&self) -> Result<Found, RemoteError> {
        let reference = self.source.reference.as_deref();
        if let Some(commit) = reference.filter(|text| is_commit(text)) {
            return Ok(Found { name: None, commit: commit.to_owned() });
        }
        let (patterns, names) = match reference {
            None => (vec!["HEAD".to_owned()], vec!["HEAD".to_owned()]),
            Some(text) => {
                // Branches go before tags, as in `git checkout`; an annotated tag is asked for what it points to.
                let names = match text.starts_with("refs/") {
                    true => vec![format!("{text}^{{}}"), text.to_owned()],
                    false => vec![
                        format!("refs/heads/{text}"),
                        format!("refs/tags/{text}^{{}}"),
                        format!("refs/tags/{text}"),
                        format!("refs/{text}"),
                    ],
                };
                (vec![text.to_owned(), format!("{text}^{{}}")], names)
            }
        };
        let mut command = self.remote_command();
        let told = self.run("read", command.args(["ls-remote", "-q", "--", "origin"]).args(patterns))?;
        let lines: Vec<(&str, &str)> = told.lines().filter_map(|line| line.split_once('\t')).collect();
        names
            .iter()
            .find_map(|name| lines.iter().find(|(_, told)| told == name))
            .filter(|(commit, _)| is_commit(commit))
            .map(|(commit, name)| Found {
                name: Some(name.trim_end_matches("^{}").to_owned()),
                commit: (*commit).to_owned(),
            })
            .ok_or_else(|| self.no_reference())
    }

    fn no_reference(&self) -> RemoteError {
        let reference = self.source.reference.clone().unwrap_or_else(|| "HEAD".to_owned());
        RemoteError::NoReference { remote: self.source.shown(), reference }
    }

    fn expect(&self, commit: &str) -> Result<(), RemoteError> {
        match &self.source.checksum {
            Some(expected) if expected.is_empty() || !commit.starts_with(expected.as_str()) => {
                Err(RemoteError::Commit {
                    remote: self.source.shown(),
                    reference: self.source.reference.clone().unwrap_or_else(|| "HEAD".to_owned()),
                    expected: expected.clone(),
                    found: commit.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the repository has the commit.
    fn fetch(&self, found: &Found) -> Result<(), RemoteError> {
        let kept = format!("refs/imgbuild/{}", found.commit);
        if self.has(&kept) {
            return Ok(());
        }
        let wanted = found.name.as_deref().unwrap_or(&found.commit);
        let one = |depth: &[&str]| {
            let mut command = self.remote_command();
            command.args(["fetch", "-q", "--no-tags", "--force"]).args(depth);
            command.args(["--", "origin"]).arg(format!("+{wanted}:refs/imgbuild/incoming"));
            self.run("fetch", &mut command)
        };
        let mut fetched = one(&["--depth=1"]);
        if let Err(RemoteError::Git { problem, .. }) = &fetched
            && problem.contains("shallow")
        {
            // Repositories that are nothing but files on a web server have no shallow form.
            fetched = one(&[]);
        }
        // The name may mean something newer by now; what it meant when it was asked for is what counts.
        if fetched.is_err() || !self.has(&found.commit) {
            let mut command = self.remote_command();
            // All of the history: `--unshallow` fails where there is none to add.
            command.args(["fetch", "-q", "--no-tags", "--force", "--depth=2147483647", "--", "origin"]);
            command.args(["+refs/heads/*:refs/imgbuild/heads/*", "+refs/tags/*:refs/imgbuild/tags/*"]);
            let all = self.run("fetch", &mut command);
            if !self.has(&found.commit) {
                // The first failure says more than that of a last attempt.
                fetched?;
                all?;
                return Err(self.no_reference());
            }
        }
        let mut command = self.command("file");
        command.arg("--git-dir").arg(&self.repository).args(["update-ref", &kept, &found.commit]);
        self.run("keep a commit of", &mut command).map(drop)
    }

    fn has(&self, name: &str) -> bool {
        let mut command = self.command("file");
        command.arg("--git-dir").arg(&self.repository);
        command.args(["cat-file", "-e", &format!("{name}^{{commit}}")]);
        self.run("look into", &mut command).is_ok()
    }

    fn time(&self, commit: &str) -> Result<i64, RemoteError> {
        let mut command = self.command("file");
        command.arg("--git-dir").arg(&self.repository);
        let told = self.run(
            "read a commit of",
            command.args(["rev-list", "--max-count=1", "--timestamp", commit, "--"]),
        )?;
        Ok(told.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or(0))
    }

    /// Makes the tree of a commit.
    fn make(&self, commit: &str, tree: &Path) -> Result<(), RemoteError> {
        let work = self.home.join("work");
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RemoteError::io("remove", &work)(error));
            }
            _ => {}
        }
        let folder = work.join(".git");
        self.run("check out", self.command("file").args(["init", "-q", "--template="]).arg(&work))?;
        let here = |protocols: &str| {
            let mut command = self.command(protocols);
            command.current_dir(&work);
            command
        };
        if self.source.keep_git_dir {
            let mut command = here("file");
            command.args(["fetch", "-q", "--no-tags", "--depth=1", "--"]).arg(format!(
                "file://{}",
                // A URL, since a path is cloned whole.
                self.repository.display()
            ));
            self.run("check out", command.arg(format!("refs/imgbuild/{commit}")))?;
        } else {
            // Everything is there already: nothing is copied, and `.git` goes in the end.
            let objects = self.repository.join("objects");
            let alternates = folder.join("objects/info/alternates");
            let parent = folder.join("objects/info");
            fs::create_dir_all(&parent).map_err(RemoteError::io("create", &parent))?;
            fs::write(&alternates, objects.as_os_str().as_encoded_bytes())
                .map_err(RemoteError::io("write", &alternates))?;
            let shallow = self.repository.join("shallow");
            if shallow.exists() {
                fs::copy(&shallow, folder.join("shallow")).map_err(RemoteError::io("copy", &shallow))?;
            }
        }
        // Submodules with relative URLs are found from here. What is kept has no password.
        self.set_origin(&folder, &self.source.remote)?;
        self.run("check out", here("file").args(["checkout", "-q", "-f", "--detach", commit, "--"]))?;
        if self.source.submodules && work.join(".gitmodules").exists() {
            let allowed = match self.protocol() {
                "file" => format!("{NETWORK}:file"),
                _ => NETWORK.to_owned(),
            };
            let update = |depth: &[&str]| {
                let mut command = here(&allowed);
                command.args(["submodule", "-q", "update", "--init", "--recursive", "--force"]).args(depth);
                self.run("fetch the submodules of", &mut command)
            };
            // Servers may refuse a commit that is no branch's tip.
            update(&["--depth=1"]).or_else(|_| update(&[]))?;
        }
        if self.source.keep_git_dir {
            self.set_origin(&folder, &self.source.shown())?;
        }
        tidy(&work, self.source.keep_git_dir)?;
        fs::rename(&work, tree).map_err(RemoteError::io("rename a checkout to", tree))
    }

    /// Writes the remote into a repository's configuration: an argument could be seen by everyone on this machine.
    fn set_origin(&self, folder: &Path, url: &str) -> Result<(), RemoteError> {
        let path = folder.join("config");
        let config = fs::read_to_string(&path).map_err(RemoteError::io("read", &path))?;
        let own = config.split("[remote \"origin\"]").next().unwrap_or_default();
        let escaped = url.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], "");
        let config = format!(
            "{own}[remote \"origin\"]\n\turl = \"{escaped}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        );
        fs::write(&path, config).map_err(RemoteError::io("write", &path))
    }

    fn subdirectory(&self, tree: &Path, commit: &str) -> Result<PathBuf, RemoteError> {
        let Some(wanted) = &self.source.subdirectory else { return Ok(tree.to_owned()) };
        let none = || RemoteError::NoSubdirectory {
            remote: self.source.shown(),
            subdirectory: wanted.clone(),
            commit: commit.to_owned(),
        };
        let Some(path) = EntryPath::new(wanted) else { return Ok(tree.to_owned()) };
        let root = tree.canonicalize().map_err(RemoteError::io("look at", tree))?;
        // A link may lead to it, but not out of the commit.
        let path = root.join(OsStr::new(&path.to_string())).canonicalize().map_err(|_| none())?;
        match path.starts_with(&root) && path.is_dir() {
            true => Ok(path),
            false => Err(none()),
        }
    }

    /// The transport of the remote, as git calls it.
    fn protocol(&self) -> &str {
        let remote = &self.source.remote;
        match remote.split_once("://") {
            Some((scheme, _)) => scheme,
            None if remote.starts_with(['/', '.']) => "file",
            None => "ssh",
        }
    }

    /// A command that talks to the remote as `origin`. Its URL may hold a password, which neither a file nor the list
    /// of processes is to have.
    fn remote_command(&self) -> Command {
        let mut command = self.command(self.protocol());
        let count: usize = env::var("GIT_CONFIG_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        command
            .env("GIT_CONFIG_COUNT", (count + 1).to_string())
            .env(format!("GIT_CONFIG_KEY_{count}"), "remote.origin.url")
            .env(format!("GIT_CONFIG_VALUE_{count}"), &self.source.remote)
            .arg("--git-dir")
            .arg(&self.repository);
        command
    }

    /// `git`, allowed to use these transports only.
    fn command(&self, protocols: &str) -> Command {
        let mut command = Command::new("git");
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            // Of git's own variables only those that say how to reach a server: others could name another repository.
            let reach = ["GIT_SSH", "GIT_ASKPASS", "GIT_CONFIG_", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY"];
            if text.starts_with("GIT_") && !reach.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        if let Some(bundle) = &self.bundle {
            command.env("GIT_SSL_CAINFO", bundle);
        }
        for setting in [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "core.autocrlf=false",
            "core.symlinks=true",
            "gc.auto=0",
            "maintenance.auto=false",
            "advice.detachedHead=false",
            "init.defaultBranch=main",
            "submodule.recurse=false",
            "fetch.recurseSubmodules=false",
            "safe.directory=*",
        ] {
            command.args(["-c", setting]);
        }
        command
            .env("GIT_ALLOW_PROTOCOL", protocols)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, action: &'static str, command: &mut Command) -> Result<String, RemoteError> {
        let remote = self.source.shown();
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RemoteError::NoGit { remote });
            }
            Err(error) => return Err(RemoteError::Git { action, remote, problem: error.to_string() }),
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let problem = match self.problem(&String::from_utf8_lossy(&output.stderr)) {
            problem if problem.is_empty() => format!("git ended with {}", output.status),
            problem => problem,
        };
        Err(RemoteError::Git { action, remote, problem })
    }

    /// What git said, without secrets, in one line.
    fn problem(&self, said: &str) -> String {
        let mut said = said.replace(&self.source.remote, &self.source.shown());
        if let Some(password) =
            url::Url::parse(&self.source.remote).ok().as_ref().and_then(url::Url::password)
            && !password.is_empty()
        {
            said = said.replace(password, "***");
        }
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
        let mut last: Vec<&str> = lines.collect();
        let first = last.len().saturating_sub(3);
        last.drain(..first);
        last.join("; ").chars().filter(|c| !c.is_control()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_on_top_of_those_that_git_trusts() {
        let folder = tempfile::tempdir().unwrap();
        let named = bundle(folder.path(), &[]).unwrap();
        let path = bundle(folder.path(), &[b"ONE".to_vec(), b"TWO\n".to_vec()]).unwrap().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(path.starts_with(folder.path()) && bytes.ends_with(b"\nONE\nTWO\n"));
        if let Some(named) = named {
            assert!(bytes.starts_with(&fs::read(named).unwrap()));
        }
    }
}
