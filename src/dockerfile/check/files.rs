//! What is copied into the image.

use std::path::Path;

use super::{Checker, rule};
use crate::{
    context::Ignore,
    dockerfile::syntax::{FileSource, Files, Instruction, Word},
    layer::EntryPath,
};

impl Checker<'_> {
    /// The rules for `COPY` and `ADD`.
    pub(super) fn copies(&mut self) {
        let shipped = self.shipped();
        for index in self.looked_at() {
            for statement in self.instructions(index) {
                let files = match &statement.node {
                    Instruction::Copy(copy) if copy.from.is_none() => &copy.files,
                    Instruction::Add(add) => &add.files,
                    _ => continue,
                };
                for source in &files.sources {
                    if let FileSource::Path(word) = source
                        && !word.text.contains("://")
                    {
                        self.source(files, word, shipped.contains(&index));
                    }
                }
            }
        }
    }

    fn source(&mut self, files: &Files, word: &Word, shipped: bool) {
        let text = word.text.trim_matches(['"', '\'']);
        // What a variable holds is not known here.
        if text.contains('$') {
            return;
        }
        let path = EntryPath::new(text).map_or_else(|| ".".to_owned(), |path| path.to_string());
        if shipped && is_secret(&path) {
            self.secret_file(word, &path);
        }
        let Some((root, ignore)) = self.around.context else { return };
        let whole = path == ".";
        if whole && ignore.file().is_none() {
            let message = "the whole context is copied, and no ignore file says what is not";
            let hint = "write a .dockerignore with .git, dependencies, secrets and what is built";
            self.find(rule::DOCKERIGNORE_MISSING, &word.span, message, hint);
        }
        if !whole && ignore.matches(&path) && !ignore.may_reinclude_below(&path) {
            let message = format!("{path} is excluded by the ignore file");
            let why =
                ignore.filter().why(&path).map(|rule| format!("remove the line {:?} from it", rule.written));
            self.find(rule::COPY_IGNORED_FILE, &word.span, message, why.unwrap_or_default());
        }
        if shipped && !path.contains(['*', '?', '[']) {
            for name in secrets_in(root, ignore, &path) {
                if !files.exclude.iter().any(|exclude| exclude.text.contains(&name)) {
                    self.secret_file(word, &name);
                }
            }
        }
    }

    fn secret_file(&mut self, word: &Word, name: &str) {
        let message = format!("{name} is copied into the image, and looks like a secret");
        let hint = "name it in .dockerignore; a step that needs it takes it by RUN --mount=type=secret";
        self.find(rule::SECRET_FILE_COPIED, &word.span, message, hint);
    }
}

/// The files right in a directory of the context that look like secrets and are not ignored.
fn secrets_in(root: &Path, ignore: &Ignore, path: &str) -> Vec<String> {
    let folder = root.join(path);
    let mut found = Vec::new();
    // A directory that cannot be read is an error of the build.
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if path == "." { name } else { format!("{path}/{name}") };
        if is_secret(&below) && !ignore.matches(&below) && !entry.path().is_dir() {
            found.push(below);
        }
    }
    found.sort();
    found
}

/// Whether a file usually holds a secret, by its name.
fn is_secret(path: &str) -> bool {
    const NAMES: [&str; 10] = [
        ".env",
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        ".npmrc",
        ".pypirc",
        ".netrc",
        ".htpasswd",
        ".git-credentials",
    ];
    const ENDS: [&str; 6] = [".pem", ".key", ".p12", ".pfx", ".jks", ".kdbx"];
    const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let environment = name.strip_prefix(".env.").is_some_and(|rest| !EXAMPLES.contains(&rest));
    environment
        || NAMES.contains(&name.as_str())
        || ENDS.iter().any(|end| name.ends_with(end) && name.len() > end.len())
        || path.ends_with(".aws/credentials")
        || path.ends_with(".docker/config.json")
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn secrets_are_known_by_name() {
        for yes in [".env", "a/.env.production", "certs/tls.key", "ID_RSA", ".aws/credentials", "*.pem"] {
            assert!(is_secret(yes), "{yes}");
        }
        for no in [".env.example", "env", "src/key.rs", ".key", "id_rsa.pub", "package.json", "."] {
            assert!(!is_secret(no), "{no}");
        }
    }
}
