//! Images that `inspect` and `validate` are asked about.

use std::path::Path;

use super::{Environment, SettingsError};
use crate::{oci::Reference, recipe::ImageSource};

/// Reads `oci:PATH[:NAME]` or a reference. The path is the shortest beginning that exists; a path or a name may hold
/// colons.
pub fn parse_target(text: &str, environment: &Environment) -> Result<ImageSource, SettingsError> {
    let path = text.strip_prefix("oci:").or_else(|| text.strip_prefix("oci-archive:"));
    if let Some(path) = path.or_else(|| text.strip_prefix("oci-layout://")) {
        return layout(path, environment.current_dir());
    }
    text.parse::<Reference>().map(ImageSource::Reference).map_err(|error| {
        let error = SettingsError::new(error.to_string());
        match environment.current_dir().join(text).exists() {
            true => error.hint(format!("for the OCI layout, write `oci:{text}`")),
            false => error,
        }
    })
}

/// Reads `PATH[:NAME]` or `PATH@DIGEST`.
pub(super) fn layout(text: &str, current_dir: &Path) -> Result<ImageSource, SettingsError> {
    if text.is_empty() {
        return Err(SettingsError::new("oci: needs a path behind it"));
    }
    let splits = text.match_indices([':', '@']).map(|(at, _)| at);
    for at in splits.chain([text.len()]) {
        let path = current_dir.join(&text[..at]);
        if at > 0 && path.exists() {
            let name = text.get(at + 1..).filter(|name| !name.is_empty()).map(str::to_owned);
            return Ok(ImageSource::Layout { path, name });
        }
    }
    Err(SettingsError::not_found(format!("OCI layout {text} does not exist")))
}
