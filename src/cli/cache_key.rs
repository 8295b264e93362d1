//! Keys that sign shared caches: `imgbuild cache keygen`, and those of a build.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};

use super::{
    ExitStatus,
    printer::{HostError, Printer},
};
use crate::{
    cache::{SigningKey, TrustedKey},
    error::Failure,
    settings::{CacheSettings, KeySource, SettingsError},
};

/// Make a key that signs what shared caches get, and the public key that goes with it
#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The file of the private key, for --cache-sign-key; FILE.pub gets the public key, for --cache-trust-key
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<ExitStatus, Failure> {
    let path = &args.file;
    let text = SigningKey::generate(path)?;
    let public = SigningKey::of_pem(&text, path)?.public().to_pem();
    let mut public_path = path.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    // Nothing is half done where one of them is there already.
    if public_path.exists() {
        return Err(taken(&public_path).into());
    }
    write_new(path, &text, 0o600)?;
    write_new(&public_path, public.as_bytes(), 0o644)?;
    Printer::stderr(&format!("made {} and {}\n", path.display(), public_path.display()));
    Printer::stdout(&public)?;
    Ok(ExitStatus::Success)
}

fn taken(path: &Path) -> SettingsError {
    SettingsError::new(format!("{} is there already, and a key is not written over", path.display()))
}

fn write_new(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = made.and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(taken(path).into()),
        Err(error) => Err(HostError::new(format!("write {}", path.display()), error).into()),
        Ok(()) => Ok(()),
    }
}

/// The keys of a build: the one that signs, and those whose signatures count.
pub(super) fn keys(settings: &CacheSettings) -> Result<(Option<SigningKey>, Vec<TrustedKey>), Failure> {
    let sign = match &settings.sign_key {
        None => None,
        Some(KeySource::File(path)) => Some(SigningKey::read(path)?),
        Some(KeySource::Variable(name, text)) => {
            Some(SigningKey::of_pem(text.expose().as_bytes(), &variable(name))?)
        }
    };
    let mut trusted = Vec::new();
    for source in &settings.trust_keys {
        trusted.extend(match source {
            KeySource::File(path) => TrustedKey::read(path)?,
            KeySource::Variable(name, text) => TrustedKey::of_pem(text.expose().as_bytes(), &variable(name))?,
        });
    }
    Ok((sign, trusted))
}

/// A variable in the place of a file.
fn variable(name: &str) -> PathBuf {
    format!("env:{name}").into()
}
