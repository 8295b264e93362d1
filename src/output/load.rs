//! Images into the local Docker or podman.

use std::{
    env,
    io::{self, Read},
    path::Path,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use super::{
    OutputError,
    archive::Archive,
    docker::{fill, only},
};
use crate::{image::Built, oci::Reference, store::Store};

/// Which engine took an image, and what it calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// `docker` or `podman`.
    pub engine: &'static str,
    /// Its names there, or its ID if it has none.
    pub names: Vec<String>,
}

/// Hands the image to the local Docker, or to podman where no Docker is installed and nobody has chosen one.
pub fn load(store: &Store, built: &Built, names: &[Reference]) -> Result<Loaded, OutputError> {
    let image = only(built)?;
    let load = |engine| {
        let names = load_with(engine, |archive| fill(archive, store, built, image, names))?;
        Ok(Loaded { engine, names })
    };
    match ask("docker") {
        Ok(()) => load("docker"),
        Err(docker) => match (chosen(), is_absent(&docker)) {
            (None, true) => load("podman")
                .map_err(|podman| if is_absent(&podman) { OutputError::NoEngine } else { podman }),
            (chosen, _) => Err(OutputError::Unreachable { chosen, cause: Box::new(docker) }),
        },
    }
}

/// The variable that says which Docker the user means, with its value; or the context that they chose.
fn chosen() -> Option<String> {
    let variable = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty())?;
        Some(format!("{name}={}", value.to_string_lossy()))
    };
    variable("DOCKER_HOST").or_else(|| variable("DOCKER_CONTEXT")).or_else(|| {
        // Clients before 19.03 know no contexts, and those of others need not.
        let shown = Command::new("docker").args(["context", "show"]).stdin(Stdio::null()).output().ok()?;
        let context = String::from_utf8(shown.stdout).ok()?.trim().to_owned();
        let is_chosen = shown.status.success() && !matches!(&*context, "" | "default");
        is_chosen.then(|| format!("the context {context}"))
    })
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

/// Streams an archive into `<engine> load`. Returns what the engine says it has loaded.
fn load_with(
    engine: &'static str,
    fill: impl FnOnce(Archive<ChildStdin>) -> Result<ChildStdin, OutputError>,
) -> Result<Vec<String>, OutputError> {
    let mut child = Command::new(engine)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(OutputError::io("start", engine))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // Read beside the writing: an engine that waits for somebody to read its words reads nothing itself.
        let (told, said) = (scope.spawn(|| read(stdout)), scope.spawn(|| read(stderr)));
        let filled = stdin.map_or(Ok(()), |stdin| fill(Archive::new(stdin, Path::new(engine))).map(drop));
        if matches!(&filled, Err(error) if !is_closed(error)) {
            // Half an archive: nothing of it should be taken in.
            let _ = child.kill();
        }
        let status = child.wait().map_err(OutputError::io("wait for", engine))?;
        let [told, said] = [told, said].map(|reader| {
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read.map_err(OutputError::io("read the output of", engine))
        });
        let (told, said) = (told?, said?);
        match filled {
            Err(error) if !is_closed(&error) => return Err(error),
            // An engine that stops reading says why.
            Err(error) => ended(engine, status, &said).and(Err(error))?,
            Ok(()) => ended(engine, status, &said)?,
        }
        Ok(loaded(&String::from_utf8_lossy(&told)))
    })
}

fn read(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
}

/// The names in an engine's words: `Loaded image: NAME` a line, `Loaded image ID: DIGEST`, in podman before version 4
/// `Loaded image(s): NAME,NAME`.
fn loaded(told: &str) -> Vec<String> {
    let names = told.lines().filter_map(|line| line.strip_prefix("Loaded image")?.split_once(": "));
    let names = names.flat_map(|(_, names)| names.split(','));
    names.map(|name| name.trim().chars().filter(|c| !c.is_control()).collect()).collect()
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
