//! The ignore file of a context.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{ContextError, Filter};

/// The rules of a `.dockerignore` file: a [`Filter`] and where it comes from.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    filter: Filter,
    file: Option<PathBuf>,
}

impl Ignore {
    /// No rules: nothing is ignored.
    pub fn none() -> Self {
        Self::default()
    }

    /// Parses the content of an ignore file: one pattern a line, without the space around it; empty lines and lines
    /// that begin with `#` do not count; a byte order mark and CRLF are fine. Patterns are relative to the context,
    /// with or without a slash in front or behind.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, ContextError> {
        Self::parse_file(text.as_ref(), None)
    }

    fn parse_file(text: &[u8], file: Option<PathBuf>) -> Result<Self, ContextError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut filter = Filter::default();
        for (index, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.starts_with(b"#") {
                continue;
            }
            let pattern = trim(line);
            if let Err(error) = filter.push(index + 1, pattern) {
                let pattern = String::from_utf8_lossy(pattern).into_owned();
                return Err(ContextError::Pattern { file, line: index + 1, pattern, error });
            }
        }
        Ok(Self { filter, file })
    }

    /// Loads the ignore file of a context: `<file>.dockerignore` beside the spec or Dockerfile that is built, else
    /// `.imgbuildignore`, else `.dockerignore` in the context's root; no rules where there is none of them.
    pub fn load(root: &Path, beside: Option<&Path>) -> Result<Self, ContextError> {
        let own = beside.map(|file| {
            let mut name = OsString::from(file);
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        for path in own.into_iter().chain([root.join(".imgbuildignore"), root.join(".dockerignore")]) {
            match fs::read(&path) {
                Ok(text) => return Self::parse_file(&text, Some(path)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(source) => return Err(ContextError::Io { action: "read", path, source }),
            }
        }
        Ok(Self::none())
    }

    /// Whether a path relative to the context is ignored, by itself or through a directory above it.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.filter.matches(path)
    }

    /// Whether something below an ignored directory may be re-included by a `!` pattern.
    pub fn may_reinclude_below(&self, directory: impl AsRef<[u8]>) -> bool {
        self.filter.may_reinclude_below(directory)
    }

    /// The rules.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The file that the rules are from, if they are from one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// Cuts white space of any kind off both ends, as far as the line is UTF-8.
fn trim(line: &[u8]) -> &[u8] {
    match std::str::from_utf8(line) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => line.trim_ascii(),
    }
}
