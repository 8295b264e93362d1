//! `--output`, spelled as buildx's.

use std::path::{Path, PathBuf};

use super::{SettingsError, compression::CompressionKind, pairs::split_csv};
use crate::output::Output;

const TYPES: [&str; 6] = ["oci", "docker", "local", "tar", "registry", "image"];
const KEYS: [&str; 8] =
    ["type", "dest", "tar", "push", "name", "compression", "compression-level", "oci-mediatypes"];

/// What one `--output` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputFlag {
    /// The output; `None` leaves the image in the store only.
    pub output: Option<Output>,
    /// Names for the image besides those of `--tag`.
    pub names: Vec<String>,
    /// How layers are compressed, if the flag says so.
    pub compression: Option<CompressionKind>,
    /// How hard.
    pub compression_level: Option<u8>,
}

#[derive(Default)]
struct Keys {
    kind: Option<String>,
    dest: Option<PathBuf>,
    tar: Option<bool>,
    push: bool,
}

/// Reads one `--output`: `DIR`, `-`, or a list of `key=value`. Relative destinations start in `current_dir`.
pub fn parse_output(text: &str, current_dir: &Path) -> Result<OutputFlag, SettingsError> {
    let wrong = |reason: String| SettingsError::new(format!("--output {text:?}: {reason}"));
    let fields = split_csv(text).ok_or_else(|| wrong("a quote is not closed".into()))?;
    if let [field] = &fields[..]
        && !field.contains('=')
    {
        return match field.as_str() {
            "" => Err(wrong("it is empty".into())),
            "-" => Ok(OutputFlag { output: Some(Output::Tar { dest: None }), ..OutputFlag::default() }),
            folder => Ok(OutputFlag {
                output: Some(Output::Local { dest: current_dir.join(folder) }),
                ..OutputFlag::default()
            }),
        };
    }
    let mut flag = OutputFlag::default();
    let mut keys = Keys::default();
    for field in &fields {
        let (key, value) = field.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            wrong(format!("{field:?} is not of the form key=value"))
                .hint("a value that holds a comma needs quotes: '\"dest=a,b\"'")
        })?;
        let boolean = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(wrong(format!("{key} is {value:?}, which is neither true nor false"))),
        };
        match key {
            "type" => keys.kind = Some(value.to_owned()),
            "dest" | "destination" => keys.dest = Some(PathBuf::from(value)),
            "tar" => keys.tar = Some(boolean()?),
            "push" => keys.push = boolean()?,
            "name" => flag.names.extend(value.split(',').map(str::to_owned)),
            "compression" => {
                flag.compression = Some(CompressionKind::parse(value).ok_or_else(|| {
                    wrong(format!("compression is {value:?}, which is none of gzip, zstd, none"))
                })?);
            }
            "compression-level" => {
                flag.compression_level = Some(
                    value.parse().map_err(|_| wrong(format!("compression-level {value:?} is no number")))?,
                );
            }
            "oci-mediatypes" if boolean()? => {}
            "oci-mediatypes" => {
                return Err(wrong("images have OCI media types; Docker's are not written".into()));
            }
            _ => return Err(wrong(format!("{key:?} is not known")).did_you_mean(key, KEYS)),
        }
    }
    flag.output = keys.output(current_dir, wrong)?;
    Ok(flag)
}

impl Keys {
    fn output(
        self,
        current_dir: &Path,
        wrong: impl Fn(String) -> SettingsError,
    ) -> Result<Option<Output>, SettingsError> {
        let Some(kind) = self.kind.as_deref() else {
            return Err(wrong("type is missing".into()).hint(format!("types are {}", TYPES.join(", "))));
        };
        if self.push && !matches!(kind, "image" | "registry") {
            return Err(wrong(format!("push goes with type=image, not with type={kind}")));
        }
        if self.tar.is_some() && kind != "oci" {
            return Err(wrong(format!("tar goes with type=oci, not with type={kind}")));
        }
        let stdout = self.dest.as_deref() == Some(Path::new("-"));
        if stdout && kind != "tar" {
            return Err(wrong(format!("type={kind} needs a path, not `-`")));
        }
        let dest = self.dest.filter(|dest| !dest.as_os_str().is_empty() && !stdout);
        let dest = dest.map(|dest| current_dir.join(dest));
        let needed = |dest: Option<PathBuf>| dest.ok_or_else(|| wrong("dest is missing".into()));
        let none = |dest: Option<PathBuf>| match dest {
            None => Ok(()),
            Some(_) => Err(wrong(format!("type={kind} has no dest"))),
        };
        Ok(Some(match kind {
            "oci" => {
                let dest = needed(dest)?;
                let tar = self.tar.unwrap_or_else(|| dest.extension().is_some_and(|end| end == "tar"));
                Output::Oci { dest, tar }
            }
            "docker" => match dest {
                Some(dest) => Output::Docker { dest },
                None => Output::Load,
            },
            "local" => Output::Local { dest: needed(dest)? },
            "tar" => Output::Tar { dest: if stdout { None } else { Some(needed(dest)?) } },
            "registry" => {
                none(dest)?;
                Output::Registry
            }
            "image" => {
                none(dest)?;
                if !self.push {
                    return Ok(None);
                }
                Output::Registry
            }
            other => {
                return Err(wrong(format!("type {other:?} is not known"))
                    .did_you_mean(other, TYPES)
                    .hint(format!("types are {}", TYPES.join(", "))));
            }
        }))
    }
}
