//! A lock as text.

use std::fmt::{self, Write};

use super::{Entry, Input, Lock, Pin};

/// The first lines: what the file is, and its version.
const HEADER: &str = "\
# What the inputs of this directory's builds mean. Written by `imgbuild lock`: do not edit.
version = 1
";

impl fmt::Display for Lock {
    /// The file's text: sorted by kind and name, always the same for the same entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        self.entries.iter().try_for_each(|(input, entry)| table(f, input, entry))
    }
}

fn table(f: &mut fmt::Formatter<'_>, input: &Input, entry: &Entry) -> fmt::Result {
    writeln!(f, "\n[[{}]]", input.kind())?;
    match input {
        Input::Image(reference) => pair(f, "name", &reference.to_string())?,
        Input::Web { url, query } => {
            pair(f, "url", url)?;
            optional(f, "query", query.as_deref())?;
        }
        Input::Git { remote, reference } => {
            pair(f, "remote", remote)?;
            optional(f, "ref", reference.as_deref())?;
        }
    }
    match &entry.pin {
        Pin::Image(pin) => pair(f, "digest", &pin.digest.to_string())?,
        Pin::Web(pin) => {
            pair(f, "digest", &pin.digest.to_string())?;
            if let Some(modified) = pin.modified {
                writeln!(f, "modified = {modified}")?;
            }
        }
        Pin::Git(commit) => pair(f, "commit", commit)?,
    }
    let files: Vec<String> = entry.used_by.iter().map(|file| quoted(file)).collect();
    writeln!(f, "used-by = [{}]", files.join(", "))?;
    if let Pin::Image(pin) = &entry.pin
        && !pin.platforms.is_empty()
    {
        writeln!(f, "\n[image.platforms]")?;
        for (platform, digest) in &pin.platforms {
            writeln!(f, "{} = {}", quoted(platform), quoted(&digest.to_string()))?;
        }
    }
    Ok(())
}

fn pair(f: &mut fmt::Formatter<'_>, key: &str, value: &str) -> fmt::Result {
    writeln!(f, "{key} = {}", quoted(value))
}

fn optional(f: &mut fmt::Formatter<'_>, key: &str, value: Option<&str>) -> fmt::Result {
    value.map_or(Ok(()), |value| pair(f, key, value))
}

/// A basic string of TOML (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a string cannot fail.
            c if c.is_control() => _ = write!(out, "\\U{:08X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
