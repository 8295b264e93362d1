//! Files that are seen when they are whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::TempPath;

use super::OutputError;

/// How the names of files begin that were left behind half-written, where they had to have a name.
pub(super) const TEMPORARY: &str = ".imgbuild-";

/// A file that is being written and gets its name when it is finished. Until then it has none, where the file system
/// can do that: a process that is killed leaves nothing in the user's directories.
#[derive(Debug)]
pub(super) struct PendingFile {
    file: File,
    name: Name,
    dest: PathBuf,
}

/// How the file is called until it is finished.
#[derive(Debug)]
enum Name {
    /// Not at all.
    None,
    /// By a name beside its destination.
    Beside(TempPath),
    /// As it will be: a pipe or a device (`/dev/stdout`), which has no content that could be half there.
    Final,
}

impl PendingFile {
    /// Begins the file; makes its directory if that is missing.
    pub(super) fn create(dest: &Path) -> Result<Self, OutputError> {
        // Of a link, the file that it leads to is written, and the link stays.
        let dest = match dest.symlink_metadata() {
            Ok(found) if found.is_symlink() => fs::canonicalize(dest).unwrap_or_else(|_| dest.to_owned()),
            _ => dest.to_owned(),
        };
        if fs::metadata(&dest).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = File::options().write(true).open(&dest).map_err(OutputError::io("open", &dest))?;
            return Ok(Self { file, name: Name::Final, dest });
        }
        let folder = folder_of(&dest);
        fs::create_dir_all(folder).map_err(OutputError::io("create", folder))?;
        let (file, name) = match unnamed(folder) {
            Some(file) => (file, Name::None),
            None => {
                let (file, name) = temporary()
                    .tempfile_in(folder)
                    .map_err(OutputError::io("create a file in", folder))?
                    .into_parts();
                (file, Name::Beside(name))
            }
        };
        Ok(Self { file, name, dest })
    }

    /// The open file.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name, in place of what may have it.
    pub(super) fn keep(self) -> Result<(), OutputError> {
        let Self { file, name, dest } = self;
        let kept = match name {
            Name::None => name_file(&file, &dest),
            Name::Beside(name) => name.persist(&dest).map_err(|error| error.error),
            Name::Final => Ok(()),
        };
        kept.map_err(OutputError::io("write", dest))
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a small file: there in full or not at all.
pub fn write_file(dest: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let mut pending = PendingFile::create(dest)?;
    pending.write_all(bytes).map_err(OutputError::io("write", dest))?;
    pending.keep()
}

fn folder_of(dest: &Path) -> &Path {
    dest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names for temporary files, which get the mode of any new file of the user's.
fn temporary() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).permissions(fs::Permissions::from_mode(0o666));
    builder
}

/// A file without a name; `None` where the file system has no such files, or `/proc` is not there to name it by.
fn unnamed(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    handle_path(&file).exists().then_some(file)
}

/// Gives a file without a name its first one.
fn name_file(file: &File, dest: &Path) -> io::Result<()> {
    let handle = handle_path(file);
    let link = |path: &Path| {
        rustix::fs::linkat(CWD, &handle, CWD, path, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
    };
    match link(dest) {
        // A link never replaces a file; a rename does.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let named = temporary().make_in(folder_of(dest), link)?;
            named.into_temp_path().persist(dest).map_err(|error| error.error)
        }
        other => other,
    }
}

/// Where the kernel shows an open file (open(2), on `O_TMPFILE`).
fn handle_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_seen_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("new/file");
        for text in ["one", "two"] {
            let mut pending = PendingFile::create(&dest).unwrap();
            pending.write_all(text.as_bytes()).unwrap();
            assert_ne!(fs::read_to_string(&dest).ok().as_deref(), Some(text));
            pending.keep().unwrap();
            assert_eq!(fs::read_to_string(&dest).unwrap(), text);
            assert_eq!(names(dest.parent().unwrap()), ["file"]);
        }
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&dest), mode(&plain), "the mode of any new file");
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        fs::write(&dest, "old").unwrap();
        let mut pending = PendingFile::create(&dest).unwrap();
        pending.write_all(b"half").unwrap();
        drop(pending);
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read_to_string(&dest).unwrap(), "old");
    }

    #[test]
    fn devices_are_written_to_and_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        fs::write(at("file"), "old").unwrap();
        for name in ["null", "link"] {
            write_file(&at(name), b"new").unwrap();
            assert!(at(name).symlink_metadata().unwrap().is_symlink(), "{name}");
        }
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "new");
    }

    #[test]
    fn a_directory_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let dest = root.path().join("folder");
        fs::create_dir(&dest).unwrap();
        assert!(write_file(&dest, b"new").is_err());
        assert_eq!(names(root.path()), ["folder"]);
    }
}
