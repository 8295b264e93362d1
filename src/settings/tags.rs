//! The names that an image gets.

use super::SettingsError;
use crate::{
    oci::{Reference, Repository},
    recipe::Defaults,
};

/// The names of an image: those of `--tag` if there are any, else the spec's tags. A tag that is a full reference
/// stands for itself; a plain one is joined to the spec's name on each of its registries.
pub fn resolve_tags(flags: &[Reference], defaults: &Defaults) -> Result<Vec<Reference>, SettingsError> {
    let mut tags = Vec::new();
    let mut add = |tag: Reference| {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    };
    if !flags.is_empty() {
        flags.iter().cloned().for_each(add);
        return Ok(tags);
    }
    let repositories = repositories(defaults)?;
    for tag in &defaults.tags {
        if tag.contains([':', '/', '@']) {
            add(parse_tag(tag)?);
        } else if repositories.is_empty() {
            return Err(SettingsError::new(format!("tag {tag:?} has no name to go with"))
                .hint("give the spec a `name`, or write the tag as NAME:TAG"));
        } else {
            for repository in &repositories {
                add(parse_tag(&format!("{repository}:{tag}"))?);
            }
        }
    }
    if defaults.tags.is_empty() {
        repositories.iter().for_each(|repository| add(repository.tagged("latest")));
    }
    Ok(tags)
}

/// Reads a name for an image; one without a tag means `latest`.
pub fn parse_tag(text: &str) -> Result<Reference, SettingsError> {
    let mut reference: Reference = text.parse().map_err(|error| {
        let lower = text.to_lowercase();
        let error = SettingsError::new(format!("{error}"));
        match lower != text && lower.parse::<Reference>().is_ok() {
            true => error.hint(format!("did you mean `{lower}`?")),
            false => error,
        }
    })?;
    if reference.digest.is_some() {
        return Err(SettingsError::new(format!(
            "an image cannot be given the name {text:?}: it has a digest"
        )));
    }
    reference.tag.get_or_insert_with(|| "latest".to_owned());
    Ok(reference)
}

/// Where an image goes: the spec's name on each of its registries.
pub(super) fn repositories(defaults: &Defaults) -> Result<Vec<Repository>, SettingsError> {
    let Some(name) = &defaults.name else { return Ok(Vec::new()) };
    let parse = |text: String| {
        text.parse::<Repository>().map_err(|error| {
            SettingsError::new(format!("the spec's name and registries give {text:?}: {error}"))
        })
    };
    if defaults.registries.is_empty() {
        return Ok(vec![parse(name.clone())?]);
    }
    defaults
        .registries
        .iter()
        .map(|registry| parse(format!("{}/{name}", registry.trim_end_matches('/'))))
        .collect()
}
