//! Reading OCI layouts (image-spec `image-layout.md`): a directory, or a tar of one.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::BlobSource;
use crate::{
    error::{Explain, Failure, Kind},
    oci::{Descriptor, Index, JsonError},
};

/// The annotation that names an image within a layout (image-spec `annotations.md`).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's annotation with the full reference, which `docker save` writes too.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Neither `oci-layout` nor `index.json` is ever larger: registries' limit for a manifest.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// An OCI layout, opened.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    files: Files,
    index: Index,
}

#[derive(Debug)]
enum Files {
    Directory,
    /// Where each file of the tar is: offset and size.
    Tar(HashMap<String, (u64, u64)>),
}

/// Why a layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file cannot be read.
    #[error("failed to read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that every layout has is not there.
    #[error("{path} is no OCI layout: it has no {file}")]
    NoLayout {
        /// What was opened.
        path: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// A document is malformed.
    #[error("failed to read the OCI layout {path}: {file}: {source}")]
    Json {
        /// The layout.
        path: PathBuf,
        /// The document.
        file: &'static str,
        /// What is wrong.
        source: JsonError,
    },
    /// A version of the layout that is not known.
    #[error("{path} is an OCI layout of version {version:?}; only 1.0.0 is known")]
    Version {
        /// The layout.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// No image has the name that was asked for.
    #[error("OCI layout {path} has no image {name:?}")]
    NoImage {
        /// The layout.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// A name is needed, and none was given.
    #[error("OCI layout {path} has {} images: which one is meant must be said", names.len())]
    Ambiguous {
        /// The layout.
        path: PathBuf,
        /// The names, or digests, there are.
        names: Vec<String>,
    },
    /// There is no image in it.
    #[error("OCI layout {path} has no images")]
    Empty {
        /// The layout.
        path: PathBuf,
    },
}

impl Explain for LayoutError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::NoImage { .. } | Self::Empty { .. } => Kind::NotFound,
            _ => Kind::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoImage { names, .. } if !names.is_empty() => vec![format!("it has {}", names.join(", "))],
            Self::Ambiguous { path, names } => {
                vec![format!("write oci:{}:NAME, with one of {}", path.display(), names.join(", "))]
            }
            _ => Vec::new(),
        }
    }
}

#[derive(serde::Deserialize)]
struct Marker {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

impl Layout {
    /// Opens a layout: a directory, or a tar file.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let io = |source| LayoutError::Io { path: path.to_owned(), source };
        let stat = std::fs::metadata(path).map_err(io)?;
        let files = match stat.is_dir() {
            true => Files::Directory,
            false => Files::Tar(tar_files(path).map_err(io)?),
        };
        let mut layout = Self { path: path.to_owned(), files, index: Index::new(Vec::new()) };
        let json = |file, source| LayoutError::Json { path: path.to_owned(), file, source };
        let marker: Marker = serde_json::from_slice(&layout.document("oci-layout")?)
            .map_err(|source| json("oci-layout", JsonError { what: "layout marker", source }))?;
        if marker.version != "1.0.0" {
            return Err(LayoutError::Version { path: path.to_owned(), version: marker.version });
        }
        layout.index =
            Index::parse(&layout.document("index.json")?).map_err(|source| json("index.json", source))?;
        Ok(layout)
    }

    /// `index.json`: the images in it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The image of this name or digest; the only one if no name is given.
    pub fn find(&self, name: Option<&str>) -> Result<&Descriptor, LayoutError> {
        let path = || self.path.clone();
        let names = || self.index.manifests.iter().map(name_of).collect();
        match (name, &self.index.manifests[..]) {
            (None, []) => Err(LayoutError::Empty { path: path() }),
            // One image under several names is one image.
            (None, [first, rest @ ..]) if rest.iter().all(|other| other.digest == first.digest) => Ok(first),
            (None, _) => Err(LayoutError::Ambiguous { path: path(), names: names() }),
            (Some(name), manifests) => manifests
                .iter()
                .find(|image| {
                    let is = |key| image.annotations.get(key).is_some_and(|named| named == name);
                    is(REF_NAME) || is(IMAGE_NAME) || image.digest.to_string() == name
                })
                .ok_or_else(|| LayoutError::NoImage { path: path(), name: name.to_owned(), names: names() }),
        }
    }

    fn document(&self, file: &'static str) -> Result<Vec<u8>, LayoutError> {
        let io = |source| LayoutError::Io { path: self.path.join(file), source };
        let reader = self.file(file).map_err(io)?;
        let reader = reader.ok_or_else(|| LayoutError::NoLayout { path: self.path.clone(), file })?;
        let mut bytes = Vec::new();
        reader.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    fn file(&self, name: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        match &self.files {
            Files::Directory => match File::open(self.path.join(name)) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Files::Tar(files) => {
                let Some((offset, size)) = files.get(name) else { return Ok(None) };
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Ok(Some(Box::new(file.take(*size))))
            }
        }
    }
}

impl BlobSource for Layout {
    fn open(&self, blob: &Descriptor) -> Result<Option<Box<dyn Read + Send + '_>>, Failure> {
        // A parsed digest is an algorithm and hex digits: it cannot leave the layout.
        let name = format!("blobs/{}/{}", blob.digest.algorithm(), blob.digest.hex());
        Ok(self.file(&name).map_err(|source| LayoutError::Io { path: self.path.join(&name), source })?)
    }
}

/// What an image of a layout is called: its name, else its digest.
fn name_of(image: &Descriptor) -> String {
    let name = image.annotations.get(REF_NAME).or_else(|| image.annotations.get(IMAGE_NAME));
    name.cloned().unwrap_or_else(|| image.digest.to_string())
}

/// Where the regular files of a tar are.
fn tar_files(path: &Path) -> io::Result<HashMap<String, (u64, u64)>> {
    let mut archive = tar::Archive::new(File::open(path)?);
    let mut files = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            files.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(files)
}
