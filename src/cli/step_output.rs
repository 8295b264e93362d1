//! What later steps of a job learn of a build.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write};

use super::{
    outputs::{Delivered, image_id},
    printer::HostError,
    tags::Plan,
    tags_text::json_of,
};
use crate::{
    error::Failure,
    oci::Reference,
    report::step_output,
    settings::{CiFlags, Environment},
};

/// Appends the outputs to the file that flags name, if they do.
pub(super) fn write(flags: &CiFlags, built: &[Delivered], environment: &Environment) -> Result<(), Failure> {
    let Some(path) = &flags.step_output else { return Ok(()) };
    let text: String = outputs(built).iter().map(|(name, value)| step_output(name, value)).collect();
    let file = OpenOptions::new().append(true).create(true).open(environment.current_dir().join(path));
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| HostError::new(format!("write the step's outputs to {}", path.display()), error))?;
    Ok(())
}

/// The outputs, those of docker/build-push-action and docker/metadata-action. Of several images, each has its lines.
fn outputs(built: &[Delivered]) -> Vec<(&'static str, String)> {
    let lines =
        |of: &dyn Fn(&Delivered) -> Vec<String>| built.iter().flat_map(of).collect::<Vec<_>>().join("\n");
    vec![
        ("digest", lines(&|one| vec![one.set_index.unwrap_or(one.built.root().digest).to_string()])),
        ("imageid", lines(&|one| vec![image_id(&one.built).to_string()])),
        (
            "metadata",
            list(built.iter().map(|one| String::from_utf8_lossy(&one.metadata).trim_end().to_owned())),
        ),
        ("tags", lines(&|one| one.names.iter().map(Reference::to_string).collect())),
        ("version", lines(&|one| one.resolved.plan.iter().filter_map(|plan| plan.version.clone()).collect())),
        ("labels", lines(&labels)),
        ("annotations", lines(&annotations)),
        ("json", document(built)),
    ]
}

/// One object, or a list of them for several images.
fn list(objects: impl Iterator<Item = String>) -> String {
    let objects: Vec<_> = objects.collect();
    match &objects[..] {
        [one] => one.clone(),
        objects => format!("[{}]", objects.join(",\n")),
    }
}

/// What `imgbuild tags --json` prints: the output `json` of docker/metadata-action, and more.
fn document(built: &[Delivered]) -> String {
    let plan = |one: &Delivered| Plan { resolved: one.resolved.clone(), known: BTreeMap::new() };
    json_of(&built.iter().map(plan).collect::<Vec<_>>()).trim_end().to_owned()
}

fn labels(one: &Delivered) -> Vec<String> {
    let labels = one.resolved.plan.iter().flat_map(|plan| &plan.labels);
    labels.map(|(key, value)| format!("{key}={value}")).collect()
}

/// As `--annotation` takes them.
fn annotations(one: &Delivered) -> Vec<String> {
    let levels = [("manifest", one.resolved.levels.manifest), ("index", one.resolved.levels.index)];
    let levels = levels.into_iter().filter(|(_, is_on)| *is_on);
    let all = levels.flat_map(|(level, _)| {
        let annotations = one.resolved.plan.iter().flat_map(|plan| &plan.annotations);
        annotations.map(move |(key, value)| format!("{level}:{key}={value}"))
    });
    all.collect()
}
