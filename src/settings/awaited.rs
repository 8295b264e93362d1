//! A main context that has to be fetched before it is known what to build.

use std::path::{Component, Path, PathBuf};

use super::{
    BuildSettings, SettingsError,
    build::for_one_image,
    discover::{BuildFile, discover, of_files},
};
use crate::{recipe::ContextSource, solve::FetchedContext};

/// The context that is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MainContext {
    /// A directory, a Git repository or a URL.
    Source(ContextSource),
    /// A tar, or a Dockerfile, on standard input.
    StandardInput,
}

/// What waits for the main context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The context.
    pub context: MainContext,
    /// The files of `-f`, relative to the context; `-` is standard input.
    files: Vec<PathBuf>,
}

impl Awaited {
    pub(super) fn new(context: MainContext, files: &[PathBuf]) -> Result<Self, SettingsError> {
        let twice = context == MainContext::StandardInput && files.iter().any(|file| file.as_os_str() == "-");
        if twice {
            return Err(SettingsError::new("the context and the file of -f cannot both be standard input"));
        }
        Ok(Self { context, files: files.to_vec() })
    }
}

impl BuildSettings {
    /// Goes on once the main context is there: finds what to build in it.
    pub fn arrived(&mut self, context: &FetchedContext) -> Result<(), SettingsError> {
        let Some(awaited) = self.awaited.take() else { return Ok(()) };
        let (root, files) = match context {
            FetchedContext::Directory { path, .. } => (path, found(path, &awaited.files)?),
            FetchedContext::File { path, context } if awaited.files.is_empty() => {
                (context, vec![BuildFile::Dockerfile(path.clone())])
            }
            FetchedContext::File { context, .. } => {
                let [file] = &awaited.files[..] else { return Err(single()) };
                match file.as_os_str() == "-" {
                    true => (context, vec![BuildFile::StandardInput]),
                    false => return Err(single()),
                }
            }
        };
        if files.len() > 1 {
            let (iidfile, metadata) = (self.iidfile.is_some(), self.metadata_file.is_some());
            for_one_image(&self.outputs, !self.image.tags.is_empty(), iidfile, metadata, files.len())?;
        }
        self.request.contexts.insert(String::new(), ContextSource::Directory(root.clone()));
        self.files = files;
        Ok(())
    }
}

fn single() -> SettingsError {
    SettingsError::new("-f names a file of the context, but the context is a single file, and no archive")
        .hint("leave -f away: the file says what to build")
}

/// What to build in a context that was fetched.
fn found(root: &Path, files: &[PathBuf]) -> Result<Vec<BuildFile>, SettingsError> {
    // A link of somebody else's repository leads to nothing of this machine.
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let is_inside = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&real));
    if files.is_empty() {
        let found = discover(root).ok();
        let inside = |file: &BuildFile| file.path().is_some_and(is_inside);
        return found.filter(|files| files.iter().all(inside)).ok_or_else(|| {
            SettingsError::not_found(
                "there is nothing to build in the context: it has no imgbuild.yaml, no build-specs/*.yaml, no \
                 Dockerfile and no Containerfile",
            )
            .hint("name a file of the context with -f")
        });
    }
    let mut inside = Vec::new();
    for file in files {
        if file.as_os_str() == "-" {
            inside.push(file.clone());
            continue;
        }
        let parts: PathBuf = file.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let leaves = file.components().any(|part| part == Component::ParentDir);
        let path = root.join(&parts);
        if leaves || !is_inside(&path) || !path.is_file() {
            return Err(SettingsError::not_found(format!(
                "the context has no file {}, which -f names",
                file.display()
            )));
        }
        inside.push(path);
    }
    of_files(&inside, root)
}
