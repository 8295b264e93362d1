//! Keeping credentials where they will be looked for, and forgetting them.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    CredentialError, Credentials, HELPER_TIMEOUT, document::Document, file::AuthFile, helper, server,
};
use crate::registry::Secret;

/// Where a credential is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In a file, for everybody to read who may read the file.
    File(PathBuf),
    /// By a helper program.
    Helper {
        /// Its name, `docker-credential-` aside.
        program: String,
        /// The file that names it.
        file: PathBuf,
    },
}

impl Credentials {
    /// Keeps a user name and a password for `name`, a registry as references name it, perhaps with a path: by the helper
    /// that the first of the files names, else in that file, where Docker and podman find it too.
    ///
    /// # Errors
    ///
    /// There is no file, or it is malformed or cannot be written, or the helper fails.
    pub async fn keep(&self, name: &str, username: &str, password: &Secret) -> Result<Kept, CredentialError> {
        let file = self.own_file()?;
        let helper = helper_for(file, name)?;
        let Some(program) = helper else {
            let auth = STANDARD.encode(format!("{username}:{}", password.expose()));
            change(file, |document| document.set(name, &server(name), Some(&auth)).map(|()| true))?;
            return Ok(Kept::File(file.to_owned()));
        };
        let server = server(name);
        let stored = helper::store(&program, self.helpers.as_deref(), &server, username, password);
        within(stored).await.map_err(|problem| failed(&program, problem))?;
        // What was in the file before would be of no use any more.
        change(file, |document| document.set(name, &server, None).map(|()| true))?;
        Ok(Kept::Helper { program, file: file.to_owned() })
    }

    /// Forgets what is kept for a registry, by the helper and in the file. Where it was.
    pub async fn forget(&self, name: &str) -> Result<Vec<Kept>, CredentialError> {
        let file = self.own_file()?;
        let mut kept = Vec::new();
        if let Some(program) = helper_for(file, name)? {
            let server = server(name);
            let erased = helper::erase(&program, self.helpers.as_deref(), &server);
            if within(erased).await.map_err(|problem| failed(&program, problem))? {
                kept.push(Kept::Helper { program, file: file.to_owned() });
            }
        }
        if change(file, |document| document.remove(name))? && kept.is_empty() {
            kept.push(Kept::File(file.to_owned()));
        }
        Ok(kept)
    }

    /// The file that is written.
    fn own_file(&self) -> Result<&Path, CredentialError> {
        self.files.first().map(PathBuf::as_path).ok_or(CredentialError::Nowhere)
    }
}

fn helper_for(file: &Path, name: &str) -> Result<Option<String>, CredentialError> {
    let content = AuthFile::read(file)?.unwrap_or_default();
    Ok(content.helper(name).or_else(|| content.store()).map(str::to_owned))
}

fn failed(program: &str, problem: String) -> CredentialError {
    CredentialError::Helper { program: program.to_owned(), problem }
}

async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("did not answer within {} s", HELPER_TIMEOUT.as_secs());
    tokio::time::timeout(HELPER_TIMEOUT, work).await.map_err(late)?
}

/// Changes a file, whole or not at all: others may read it at any time. Whether there was something to change.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Document) -> serde_json::Result<bool>,
) -> Result<bool, CredentialError> {
    let write = |source| CredentialError::Write { path: path.to_owned(), source };
    let target = behind_links(path);
    let folder = target.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(write)?;
    // Two that log in at once change it one after the other. A file system without locks does as well.
    let lock = File::open(folder).ok();
    let _ = lock.as_ref().map(File::lock);
    let text = match fs::read_to_string(&target) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(CredentialError::Read { path: path.to_owned(), source }),
    };
    // The parser's words could quote a value: only its position is told.
    let malformed = |error: serde_json::Error| CredentialError::File {
        path: path.to_owned(),
        problem: format!("it is not understood at line {} column {}", error.line(), error.column()),
    };
    let mut document = Document::parse(&text).map_err(malformed)?;
    if !change(&mut document).map_err(malformed)? {
        return Ok(false);
    }
    let text = document.text().map_err(malformed)?;
    // Made for its owner alone.
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(write)?;
    new.write_all(text.as_bytes()).map_err(write)?;
    if let Ok(old) = fs::metadata(&target) {
        // With sudo, the file is another user's, and must stay so. Without, this does nothing or is refused.
        let _ = std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()));
    }
    new.as_file().sync_all().map_err(write)?;
    new.persist(&target).map_err(|error| write(error.error))?;
    Ok(true)
}

/// The file that a link leads to, or a chain of them: the links stay.
fn behind_links(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => break,
        }
    }
    target
}
