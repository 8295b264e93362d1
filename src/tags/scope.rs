//! The names that expressions may have.

use std::cell::RefCell;

use jiff::Timestamp;

use super::{
    Event, date,
    error::Problem,
    template::{Call, Scope, Template},
};
use crate::source::suggest;

/// The expressions of `enable`, `prefix`, `suffix` and `value`.
const GLOBAL: [&str; 8] =
    ["branch", "tag", "sha", "base_ref", "is_default_branch", "is_not_default_branch", "date", "commit_date"];

/// The expressions of patterns of versions.
const VERSION: [&str; 7] = ["raw", "version", "major", "minor", "patch", "prerelease", "build"];

/// Reads a text with expressions. Fails for a name that means nothing anywhere, and for times without a format.
pub(super) fn checked(text: &str) -> Result<Template, Problem> {
    let template = Template::parse(text)?;
    check(&template)?;
    Ok(template)
}

fn check(template: &Template) -> Result<(), Problem> {
    for Call { name, arguments, named } in template.calls() {
        let known: Vec<&str> = VERSION.into_iter().chain(GLOBAL).collect();
        if !known.contains(&name.as_str()) {
            let problem = Problem::new(format!("there is no expression `{{{{{name}}}}}`"));
            return Err(problem.hint(suggest::hint(name, &known, "expressions")));
        }
        if !matches!(name.as_str(), "date" | "commit_date") {
            continue;
        }
        if arguments.is_empty() {
            let problem = Problem::new(format!("`{{{{{name}}}}}` has no format"));
            return Err(problem.hint(format!("write {{{{{name} 'YYYYMMDD'}}}}")));
        }
        if let Some((key, _)) = named.iter().find(|(key, _)| key != "tz") {
            let problem = Problem::new(format!("`{{{{{name}}}}}` takes no `{key}`"));
            return Err(problem.hint(format!("write {{{{{name} 'YYYYMMDD' tz='Europe/Berlin'}}}}")));
        }
    }
    Ok(())
}

/// What expressions of one rule mean, and which of them mean nothing where they are.
#[derive(Debug)]
pub(super) struct Names<'a> {
    event: &'a Event,
    /// The names of the version; none outside of patterns.
    version: Option<Vec<(&'static str, String)>>,
    /// Whether the names of the event mean something here, or times alone.
    global: bool,
    empty: &'a RefCell<Vec<String>>,
}

impl<'a> Names<'a> {
    /// The names of `enable`, `prefix`, `suffix` and `value`. What is used and means nothing is put into `empty`.
    pub(super) fn global(event: &'a Event, empty: &'a RefCell<Vec<String>>) -> Self {
        Self { event, version: None, global: true, empty }
    }

    /// The names of a schedule's pattern.
    pub(super) fn times(&self) -> Self {
        Self { event: self.event, version: None, global: false, empty: self.empty }
    }

    /// The names of a version's pattern.
    pub(super) fn version(&self, values: Vec<(&'static str, String)>) -> Self {
        Self { event: self.event, version: Some(values), global: false, empty: self.empty }
    }

    fn of_event(&self, name: &str) -> String {
        let event = self.event;
        let boolean = |is: bool| if is { "true" } else { "false" };
        let value = match name {
            "branch" => event.branch(),
            "tag" => event.tag(),
            "sha" => event.short_sha(),
            "base_ref" if event.branch().is_none() => event.base_ref.as_deref(),
            "is_default_branch" => Some(boolean(event.is_default_branch())),
            "is_not_default_branch" => Some(boolean(!event.is_default_branch())),
            _ => None,
        };
        value.unwrap_or_default().to_owned()
    }

    fn time(&self, call: &Call) -> Option<Timestamp> {
        match call.name.as_str() {
            "date" => Some(self.event.now),
            "commit_date" => Some(self.event.committed.unwrap_or(self.event.now)),
            _ => None,
        }
    }
}

impl Scope for Names<'_> {
    fn value(&self, call: &Call) -> Result<String, Problem> {
        let name = call.name.as_str();
        if let Some(values) = &self.version {
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                return Ok(value.clone());
            }
        } else if let Some(time) = self.time(call) {
            let format = call.arguments.first().map(String::as_str).unwrap_or_default();
            let zone = call.named.iter().find(|(key, _)| key == "tz").map(|(_, zone)| zone.as_str());
            return date::format(time, format, zone);
        } else if self.global && GLOBAL.contains(&name) {
            return Ok(self.of_event(name));
        }
        self.empty.borrow_mut().push(name.to_owned());
        Ok(String::new())
    }
}
