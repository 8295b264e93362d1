//! How a plan of tags is shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tags::Plan;
use crate::{oci::Repository, tags::Movement};

/// What `--json` prints: the object of metadata-action's `json` output, and `version`, `tag-names` and `plan`. New
/// fields may come; none changes its meaning.
#[derive(Debug, Serialize)]
struct Document {
    /// The version, as people write it; empty without one.
    version: String,
    /// The full names; the tags alone where there is no repository.
    tags: Vec<String>,
    /// The tags without repositories, each once.
    #[serde(rename = "tag-names")]
    tag_names: Vec<String>,
    labels: BTreeMap<String, String>,
    /// `LEVEL:KEY=VALUE`, as `--annotation` takes them.
    annotations: Vec<String>,
    /// Every tag, also those that are held back.
    plan: Vec<Tag>,
}

/// When a tag may be moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tag {
    tag: String,
    /// `free`: at any time; `fixed`: never; `line`: with the versions of `line`.
    movement: &'static str,
    /// `1.4.x`, or `all versions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    rule: String,
    /// Where it is not moved, and the higher version that is why. The place is `git`, or a repository.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    held_back_by: BTreeMap<String, String>,
}

/// One object, or a list of them for several specs.
pub(super) fn json_of(plans: &[Plan]) -> String {
    let documents: Vec<_> = plans.iter().map(document).collect();
    let json = match &documents[..] {
        [document] => serde_json::to_string_pretty(document),
        documents => serde_json::to_string_pretty(documents),
    };
    json.expect("no map has keys but strings, and no value refuses to serialise") + "\n"
}

fn document(plan: &Plan) -> Document {
    let names = plan.names();
    let Some(tags) = &plan.resolved.plan else {
        let mut tag_names = Vec::new();
        for tag in plan.resolved.names.iter().filter_map(|name| name.tag.clone()) {
            if !tag_names.contains(&tag) {
                tag_names.push(tag);
            }
        }
        let (labels, annotations) = Default::default();
        return Document {
            version: String::new(),
            tags: names,
            tag_names,
            labels,
            annotations,
            plan: Vec::new(),
        };
    };
    let levels = plan.resolved.levels;
    let levels = [("manifest", levels.manifest), ("index", levels.index)];
    let annotations = levels.iter().filter(|(_, is_on)| *is_on).flat_map(|(level, _)| {
        tags.annotations.iter().map(move |(key, value)| format!("{level}:{key}={value}"))
    });
    let is_held =
        |movement| repositories(plan).into_iter().all(|repository| plan.held(repository, movement).is_some());
    let tag_names =
        tags.tags.iter().filter(|tag| !is_held(&tag.movement)).map(|tag| tag.tag.clone()).collect();
    let all: Vec<_> = tags.tags.iter().zip(&plan.resolved.reasons).collect();
    let all: Vec<_> = all
        .into_iter()
        .map(|(tag, rule)| Tag {
            tag: tag.tag.clone(),
            movement: match tag.movement {
                Movement::Free => "free",
                Movement::Fixed => "fixed",
                Movement::Line(_) => "line",
            },
            line: match &tag.movement {
                Movement::Line(line) => Some(line.to_string()),
                Movement::Free | Movement::Fixed => None,
            },
            rule: rule.clone(),
            held_back_by: held_back_by(plan, &tag.movement),
        })
        .collect();
    Document {
        version: tags.version.clone().unwrap_or_default(),
        tags: names,
        tag_names,
        labels: tags.labels.clone(),
        annotations: annotations.collect(),
        plan: all,
    }
}

fn repositories(plan: &Plan) -> Vec<Option<&Repository>> {
    match &plan.resolved.repositories[..] {
        [] => vec![None],
        repositories => repositories.iter().map(Some).collect(),
    }
}

fn held_back_by(plan: &Plan, movement: &Movement) -> BTreeMap<String, String> {
    let held = repositories(plan).into_iter().filter_map(|repository| plan.held(repository, movement));
    held.map(|held| (held.known_by, held.by.to_string())).collect()
}

/// A table of the tags, and what is to be said of rules that gave none.
pub(super) fn explained(plan: &Plan) -> String {
    let Some(tags) = &plan.resolved.plan else {
        return "there are no rules: the spec's tags are taken as they are\n".to_owned();
    };
    let head = ["TAG", "MOVES", "RULE"].map(str::to_owned);
    let rows = tags
        .tags
        .iter()
        .zip(&plan.resolved.reasons)
        .map(|(tag, rule)| [tag.tag.clone(), moves(plan, &tag.tag, &tag.movement), rule.clone()]);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths = [0, 1].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for [tag, moves, rule] in &rows {
        let [a, b] = widths;
        text.push_str(&format!("{tag:a$}  {moves:b$}  {rule}\n"));
    }
    for note in &plan.resolved.notes {
        let word = if note.warning { "warning" } else { "no tag" };
        text.push_str(&format!("{word}: {}: {}\n", note.rule, note.text));
    }
    text
}

fn moves(plan: &Plan, tag: &str, movement: &Movement) -> String {
    match movement {
        Movement::Free => "always".to_owned(),
        Movement::Fixed => {
            let there = plan.known.iter().filter(|(_, tags)| tags.iter().any(|known| known == tag));
            let there: Vec<_> = there.map(|(repository, _)| repository.to_string()).collect();
            match there.is_empty() {
                true => "never".to_owned(),
                false => format!("never; is in {}", there.join(", ")),
            }
        }
        Movement::Line(line) => {
            let held = held_back_by(plan, movement);
            let held: Vec<_> = held.iter().map(|(who, version)| format!("{who} has {version}")).collect();
            match held.is_empty() {
                true => format!("with {line}"),
                false => format!("not now: {}", held.join(", ")),
            }
        }
    }
}
