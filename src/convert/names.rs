//! The names of stages, and what a name means.

use std::collections::HashMap;

use crate::{
    dockerfile::syntax::{Dockerfile, Word},
    source::suggest::closest,
};

/// The stages' names in the spec.
#[derive(Debug)]
pub(super) struct Names {
    /// By the stage's place.
    names: Vec<String>,
    /// The last stage of each name of the Dockerfile, in lower case.
    last: HashMap<String, usize>,
    /// The names as written, in lower case, by place.
    written: Vec<Option<String>>,
}

impl Names {
    pub(super) fn new(file: &Dockerfile) -> Self {
        let written: Vec<Option<String>> = file
            .stages
            .iter()
            .map(|stage| stage.from.node.name.as_ref().map(|name| name.text.to_lowercase()))
            .collect();
        let named = written.iter().enumerate().filter_map(|(at, name)| Some((name.clone()?, at)));
        let last: HashMap<String, usize> = named.collect();
        let mut names: Vec<String> = Vec::new();
        for (at, name) in written.iter().enumerate() {
            let wanted = match name {
                Some(name) if last.get(name) == Some(&at) && name != "scratch" => name.clone(),
                Some(name) => format!("{name}-{at}"),
                None if at + 1 == written.len() => "app".to_owned(),
                None => format!("stage-{at}"),
            };
            let mut unique = wanted.clone();
            let mut number = 1;
            let taken = |name: &String, names: &[String]| {
                names.contains(name) || last.get(name).is_some_and(|other| *other != at)
            };
            while taken(&unique, &names) {
                number += 1;
                unique = format!("{wanted}-{number}");
            }
            names.push(unique);
        }
        Self { names, last, written }
    }

    pub(super) fn name(&self, stage: usize) -> &str {
        &self.names[stage]
    }

    /// A name for a part of a stage.
    pub(super) fn part(&mut self, stage: usize) -> String {
        let name = self.names[stage].clone();
        let free = (1..).map(|number| format!("{name}-{number}")).find(|name| !self.names.contains(name));
        let part = free.unwrap_or(name);
        self.names.push(part.clone());
        part
    }

    /// The stage that `FROM` means: an earlier one.
    pub(super) fn base(&self, stage: usize, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        (0..stage).rev().find(|at| self.written[*at].as_deref() == Some(name.as_str()))
    }

    /// The stage that `--from` means. The error says what is wrong with it.
    pub(super) fn source(&self, stage: usize, name: &Word) -> Result<Option<usize>, String> {
        let number = name.text.parse().ok().filter(|at| *at < self.written.len());
        match self.last.get(&name.text.to_lowercase()).copied().or(number) {
            Some(found) if found >= stage => Err(format!("the stage {:?} is not an earlier one", name.text)),
            found => Ok(found),
        }
    }

    /// An image's name that no reader takes for a stage's.
    pub(super) fn image(&self, name: &str) -> String {
        let bare = !name.contains(['/', ':', '@', '$']) && name != "scratch";
        let near = self.names.iter().any(|stage| stage == name)
            || closest(name, self.names.iter().map(String::as_str)).is_some();
        if bare && near { format!("{name}:latest") } else { name.to_owned() }
    }
}
