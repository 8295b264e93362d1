//! What goes wrong with images.

use super::LayoutError;
use crate::{
    error::{Explain, Failure, Kind},
    lock::LockError,
    oci::{Digest, JsonError, Platform},
    registry::RegistryError,
    store::StoreError,
};

/// What went wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image is nowhere.
    #[error("image {name} was not found")]
    NotFound {
        /// The image as the user named it.
        name: String,
    },
    /// The image is there, but not for the platform wanted.
    #[error("image {name} is not there for {wanted}; it is for {}", list(.there))]
    Platform {
        /// The image as the user named it.
        name: String,
        /// What was wanted.
        wanted: Box<Platform>,
        /// What there is.
        there: Vec<Platform>,
    },
    /// A document of the image is broken.
    #[error("image {name}: {source}")]
    Document {
        /// The image as the user named it.
        name: String,
        /// What is wrong.
        source: JsonError,
    },
    /// A document of the image is of a kind that is no image.
    #[error("{name} is a {media_type}, not an image")]
    NotAnImage {
        /// The image as the user named it.
        name: String,
        /// What it is.
        media_type: String,
    },
    /// Manifest and config do not fit together.
    #[error("image {name} has {layers} layers in its manifest and {diff_ids} in its config")]
    LayerCount {
        /// The image as the user named it.
        name: String,
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A document is larger than any honest one.
    #[error("document {digest} of image {name} has {size} bytes; 16 MiB are the most that is read")]
    TooLarge {
        /// The image as the user named it.
        name: String,
        /// The document.
        digest: Box<Digest>,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob is gone from where it was.
    #[error("blob {digest} of image {name} is missing")]
    Blob {
        /// The image as the user named it.
        name: String,
        /// The blob.
        digest: Box<Digest>,
    },
    /// A layout on this machine cannot be read.
    #[error(transparent)]
    Layout(Box<LayoutError>),
    /// A document or a blob cannot be read from where it is.
    #[error("image {name}: {cause}")]
    Source {
        /// The image as the user named it.
        name: String,
        /// Why it failed.
        cause: Failure,
    },
    /// The registry failed.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// The lock says something else, or does not have it.
    #[error(transparent)]
    Lock(Box<LockError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(platforms: &[Platform]) -> String {
    let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    if names.is_empty() { "no platform".to_owned() } else { names.join(", ") }
}
// Boxed, so that a result is not much larger for the sake of its rarest case.
impl From<LayoutError> for ImageError {
    fn from(error: LayoutError) -> Self {
        Self::Layout(Box::new(error))
    }
}

impl From<RegistryError> for ImageError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl From<LockError> for ImageError {
    fn from(error: LockError) -> Self {
        Self::Lock(Box::new(error))
    }
}

impl Explain for ImageError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } | Self::Platform { .. } | Self::Blob { .. } => Kind::NotFound,
            Self::Document { .. }
            | Self::NotAnImage { .. }
            | Self::LayerCount { .. }
            | Self::TooLarge { .. } => Kind::Input,
            Self::Layout(error) => error.kind(),
            Self::Source { cause, .. } => cause.kind(),
            Self::Registry(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { .. } => {
                vec!["check the name and the tag; a private image needs credentials (imgbuild login)".into()]
            }
            Self::Platform { there, .. } if !there.is_empty() => {
                vec![format!("build for {} with --platform, or choose another base", there[0])]
            }
            Self::Blob { .. } => vec!["build or pull the image again".into()],
            Self::Layout(error) => error.hints(),
            Self::Source { cause, .. } => cause.hints(),
            Self::Registry(error) => error.hints(),
            Self::Lock(error) => error.hints(),
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
