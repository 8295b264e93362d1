//! Tars that `docker load` and `podman load` read, and loading them.

use std::{
    io::{self, Read, Write},
    path::Path,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use serde::Serialize;

use super::{
    OutputError,
    archive::Archive,
    layout::{LAYOUT, LAYOUT_FILE, blobs, entries},
    pending::PendingFile,
};
use crate::{
    image::{Built, BuiltImage},
    oci::{Index, Reference, canonical},
    store::Store,
};

/// An entry of `manifest.json`, as `docker save` writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes the image in the form of `docker save` since version 25: an OCI layout with a `manifest.json` for older
/// readers.
pub fn write_archive(
    store: &Store,
    built: &Built,
    names: &[Reference],
    dest: &Path,
) -> Result<(), OutputError> {
    let image = only(built)?;
    let archive = Archive::new(PendingFile::create(dest)?, dest);
    fill(archive, store, built, image, names)?.keep()
}

fn only(built: &Built) -> Result<&BuiltImage, OutputError> {
    match built.images.as_slice() {
        [image] => Ok(image),
        several => Err(OutputError::SeveralPlatforms { count: several.len() }),
    }
}

fn fill<W: Write>(
    mut archive: Archive<W>,
    store: &Store,
    built: &Built,
    image: &BuiltImage,
    names: &[Reference],
) -> Result<W, OutputError> {
    archive.file(LAYOUT_FILE, LAYOUT.as_bytes())?;
    archive.file("index.json", &Index::new(entries(built, names)).to_bytes())?;
    archive.file("manifest.json", &canonical(&[saved(image, names)]))?;
    archive.blobs(store, &blobs(built))?;
    archive.finish()
}

fn saved(image: &BuiltImage, names: &[Reference]) -> SavedImage {
    let path = |digest: &crate::oci::Digest| format!("blobs/{}/{}", digest.algorithm(), digest.hex());
    let tag = |name: &Reference| {
        format!("{}:{}", name.repository.familiar(), name.tag_or_latest().unwrap_or("latest"))
    };
    SavedImage {
        config: path(&image.config.digest),
        repo_tags: names.iter().map(tag).collect(),
        layers: image.layers.iter().map(|layer| path(&layer.digest)).collect(),
    }
}

/// Hands the image to the local Docker, or to podman where there is no Docker or its daemon does not answer. Returns
/// which one took it.
pub fn load(store: &Store, built: &Built, names: &[Reference]) -> Result<&'static str, OutputError> {
    let image = only(built)?;
    let load = |engine| load_with(engine, |archive| fill(archive, store, built, image, names));
    // Without a daemon there is a client only, and podman may be what people use here.
    let unreachable = match ask("docker") {
        Ok(()) => return load("docker").map(|()| "docker"),
        Err(error) => error,
    };
    match (load("podman"), unreachable) {
        (Ok(()), _) => Ok("podman"),
        (Err(podman), docker) if is_absent(&podman) => {
            Err(if is_absent(&docker) { OutputError::NoEngine } else { docker })
        }
        (Err(podman), _) => Err(podman),
    }
}

/// Whether the error is that the engine's program is not there.
fn is_absent(error: &OutputError) -> bool {
    matches!(error, OutputError::Io { action: "start", source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Asks an engine's daemon for its version: it fails where the daemon does not answer.
fn ask(engine: &'static str) -> Result<(), OutputError> {
    let mut command = Command::new(engine);
    command.args(["version", "--format", "{{.Server.Version}}"]);
    let output = command.stdin(Stdio::null()).output().map_err(OutputError::io("start", engine))?;
    ended(engine, output.status, &output.stderr)
}

/// Streams an archive into `<engine> load`.
fn load_with(
    engine: &'static str,
    fill: impl FnOnce(Archive<ChildStdin>) -> Result<ChildStdin, OutputError>,
) -> Result<(), OutputError> {
    let mut child = Command::new(engine)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(OutputError::io("start", engine))?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    thread::scope(|scope| {
        // Read beside the writing: an engine that waits for somebody to read its words reads nothing itself.
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            stderr.map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said)).map(|_| said)
        });
        let filled = stdin.map_or(Ok(()), |stdin| fill(Archive::new(stdin, Path::new(engine))).map(drop));
        if matches!(&filled, Err(error) if !is_closed(error)) {
            // Half an archive: nothing of it should be taken in.
            let _ = child.kill();
        }
        let status = child.wait().map_err(OutputError::io("wait for", engine))?;
        let said = said.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let said = said.map_err(OutputError::io("read the output of", engine))?;
        match filled {
            Err(error) if !is_closed(&error) => Err(error),
            // An engine that stops reading says why.
            Err(error) => ended(engine, status, &said).and(Err(error)),
            Ok(()) => ended(engine, status, &said),
        }
    })
}

/// Whether the other side has ended.
fn is_closed(error: &OutputError) -> bool {
    matches!(error, OutputError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

fn ended(engine: &'static str, status: ExitStatus, said: &[u8]) -> Result<(), OutputError> {
    if status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(said).trim().to_owned();
    Err(OutputError::Load { engine, status, output })
}
