//! Finding what to build.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::SettingsError;

/// What there is to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Layer specs, each a build of its own.
    Specs(Vec<PathBuf>),
    /// A Dockerfile.
    Dockerfile(PathBuf),
}

const SPECS: [&str; 2] = ["imgbuild.yaml", "imgbuild.yml"];
const FOLDER: &str = "build-specs";
const DOCKERFILES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// Looks for what to build in a context directory: `imgbuild.yaml`, else every spec in `build-specs/`, sorted by name,
/// else a Dockerfile.
pub fn discover(context: &Path) -> Result<Found, SettingsError> {
    for name in SPECS {
        if is_file(&context.join(name))? {
            return Ok(Found::Specs(vec![context.join(name)]));
        }
    }
    let specs = specs_in(&context.join(FOLDER))?;
    if !specs.is_empty() {
        return Ok(Found::Specs(specs));
    }
    for name in DOCKERFILES {
        if is_file(&context.join(name))? {
            return Ok(Found::Dockerfile(context.join(name)));
        }
    }
    Err(SettingsError::not_found(format!(
        "there is nothing to build in {}: it has no {}, no {FOLDER}/*.yaml and no {}",
        context.display(),
        SPECS[0],
        DOCKERFILES[0]
    ))
    .hint("name the spec with -f, or run imgbuild in the directory that holds it"))
}

/// Sorts files that were given by `-f` into what they are.
pub(super) fn of_files(files: Vec<PathBuf>) -> Result<Found, SettingsError> {
    for file in &files {
        if !is_file(file)? {
            return Err(SettingsError::not_found(format!("spec {} does not exist", file.display())));
        }
    }
    let is_spec = |file: &&PathBuf| {
        let end = file.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
        matches!(end.as_deref(), Some("yaml" | "yml"))
    };
    match files.iter().find(|file| !is_spec(file)) {
        None => Ok(Found::Specs(files)),
        Some(other) if looks_like_dockerfile(other) => Ok(Found::Dockerfile(other.clone())),
        Some(other) => Err(SettingsError::new(format!(
            "{} is no layer spec: its name does not end in .yaml or .yml",
            other.display()
        ))),
    }
}

fn looks_like_dockerfile(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.contains("dockerfile") || name.contains("containerfile")
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
