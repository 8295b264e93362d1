//! The kinds of output.

use std::{fmt, path::PathBuf};

use super::OutputError;

/// Where a built image goes, spelled for users as buildx's `--output` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An OCI layout (image-spec `image-layout.md`): a directory, or a tar of one.
    Oci {
        /// The directory or file.
        dest: PathBuf,
        /// Whether it is a tar.
        tar: bool,
    },
    /// A tar that `docker load` and `podman load` read.
    Docker {
        /// The file.
        dest: PathBuf,
    },
    /// The root file system in a directory; one subdirectory a platform where there are several.
    Local {
        /// The directory.
        dest: PathBuf,
    },
    /// The root file system as a tar.
    Tar {
        /// The file; `None` is standard output.
        dest: Option<PathBuf>,
    },
    /// A push to the registry of each tag.
    Registry,
    /// The local Docker or podman, whichever is there.
    Load,
}

impl Output {
    /// Whether an image of so many names and platforms can go there.
    pub fn check(&self, names: usize, platforms: usize) -> Result<(), OutputError> {
        match self {
            Self::Registry if names == 0 => Err(OutputError::NoName),
            Self::Docker { .. } if platforms > 1 => Err(OutputError::SeveralPlatforms { count: platforms }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci { dest, tar: false } => write!(f, "OCI layout {}", dest.display()),
            Self::Oci { dest, tar: true } => write!(f, "OCI layout in {}", dest.display()),
            Self::Docker { dest } => write!(f, "Docker archive {}", dest.display()),
            Self::Local { dest } => write!(f, "directory {}", dest.display()),
            Self::Tar { dest: Some(dest) } => write!(f, "tar {}", dest.display()),
            Self::Tar { dest: None } => f.write_str("tar on standard output"),
            Self::Registry => f.write_str("registry"),
            Self::Load => f.write_str("local engine"),
        }
    }
}
