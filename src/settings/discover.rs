//! Finding what to build.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::SettingsError;

/// A file that says what to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildFile {
    /// A layer spec.
    Spec(PathBuf),
    /// A Dockerfile.
    Dockerfile(PathBuf),
    /// A Dockerfile on standard input (`-f -`).
    StandardInput,
}

impl BuildFile {
    /// Where it is, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Spec(path) | Self::Dockerfile(path) => Some(path),
            Self::StandardInput => None,
        }
    }
}

const SPECS: [&str; 2] = ["imgbuild.yaml", "imgbuild.yml"];
const FOLDER: &str = "build-specs";
const DOCKERFILES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// Looks for what to build in a context directory: `imgbuild.yaml`, else every spec in `build-specs/`, sorted by name,
/// else a Dockerfile. At least one.
pub fn discover(context: &Path) -> Result<Vec<BuildFile>, SettingsError> {
    for name in SPECS {
        if is_file(&context.join(name))? {
            return Ok(vec![BuildFile::Spec(context.join(name))]);
        }
    }
    let specs = specs_in(&context.join(FOLDER))?;
    if !specs.is_empty() {
        return Ok(specs.into_iter().map(BuildFile::Spec).collect());
    }
    if let Some(path) = dockerfile_in(context)? {
        return Ok(vec![BuildFile::Dockerfile(path)]);
    }
    Err(SettingsError::not_found(format!(
        "there is nothing to build in {}: it has no {}, no {FOLDER}/*.yaml, no {} and no {}",
        context.display(),
        SPECS[0],
        DOCKERFILES[0],
        DOCKERFILES[1]
    ))
    .hint("name the file with -f, or run imgbuild in the directory that holds it"))
}

/// The Dockerfile of a context directory.
pub(super) fn dockerfile_in(context: &Path) -> Result<Option<PathBuf>, SettingsError> {
    for name in DOCKERFILES {
        if is_file(&context.join(name))? {
            return Ok(Some(context.join(name)));
        }
    }
    Ok(None)
}

/// What the files given by `-f` are: specs are YAML, and everything else is a Dockerfile.
pub(super) fn of_files(files: &[PathBuf], current_dir: &Path) -> Result<Vec<BuildFile>, SettingsError> {
    let mut found = Vec::new();
    for file in files {
        if file.as_os_str() == "-" {
            if found.contains(&BuildFile::StandardInput) {
                return Err(SettingsError::new("standard input can be read once: `-f -` is given twice"));
            }
            found.push(BuildFile::StandardInput);
            continue;
        }
        let path = current_dir.join(file);
        if !is_file(&path)? {
            return Err(missing(&path));
        }
        let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
        found.push(match end.as_deref() {
            Some("yaml" | "yml") => BuildFile::Spec(path),
            _ => BuildFile::Dockerfile(path),
        });
    }
    Ok(found)
}

fn missing(path: &Path) -> SettingsError {
    let error = SettingsError::not_found(format!("{} does not exist", path.display()));
    if !path.is_dir() {
        return error;
    }
    let instead = SettingsError::new(format!("{} is a directory, not a file to build", path.display()));
    match dockerfile_in(path) {
        Ok(Some(inside)) => instead.hint(format!("did you mean `-f {}`?", inside.display())),
        _ => instead,
    }
}

fn specs_in(folder: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let failed =
        |error: io::Error| SettingsError::new(format!("failed to list {}: {error}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut specs = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let end = path.extension().and_then(|end| end.to_str());
        if matches!(end, Some("yaml" | "yml")) && !hidden && is_file(&path)? {
            specs.push(path);
        }
    }
    specs.sort();
    Ok(specs)
}

fn is_file(path: &Path) -> Result<bool, SettingsError> {
    match fs::metadata(path) {
        Ok(stat) => Ok(!stat.is_dir()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(SettingsError::new(format!("failed to look at {}: {error}", path.display()))),
    }
}
