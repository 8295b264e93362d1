//! Variables: arguments and environment, in one list, as they stand in a stage.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::Evaluator;
use crate::{
    dockerfile::{
        syntax::{Arg, Statement, Word},
        word::{self, Expanded, MOST_WORK, Variables, WordError},
    },
    oci::Platform,
    recipe::Request,
    source::{Diagnostic, Location, SourceFile},
};

/// Names and values in the order in which the names were first set; the last value that was set counts, whichever of
/// `ARG` and `ENV` set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::dockerfile) struct Scope {
    list: Arc<Vec<(String, String)>>,
    /// Where in the list each name is.
    places: Arc<HashMap<String, usize>>,
    /// The bytes of all names and values.
    size: usize,
}

impl Scope {
    pub(in crate::dockerfile) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|at| self.list[*at].1.as_str())
    }

    pub(in crate::dockerfile) fn set(&mut self, name: &str, value: &str) {
        let list = Arc::make_mut(&mut self.list);
        self.size += value.len();
        match self.places.get(name) {
            Some(at) => {
                self.size -= list[*at].1.len();
                value.clone_into(&mut list[*at].1);
            }
            None => {
                self.size += name.len();
                Arc::make_mut(&mut self.places).insert(name.to_owned(), list.len());
                list.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The bytes of all names and values.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The bytes that a change copies, where commands or other stages have the list as it is.
    pub(super) fn copied_by_a_change(&self) -> usize {
        /// Two texts and their place.
        const EACH: usize = 64;
        if Arc::strong_count(&self.list) == 1 { 0 } else { self.size + EACH * self.list.len() }
    }

    pub(in crate::dockerfile) fn pairs(&self) -> &Arc<Vec<(String, String)>> {
        &self.list
    }
}

impl Variables for Scope {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// The build arguments that were given, with those that other settings stand for.
pub(in crate::dockerfile) fn given(request: &Request) -> BTreeMap<String, String> {
    let mut given = request.args.clone();
    if let Some(epoch) = request.source_date_epoch {
        given.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| epoch.to_string());
    }
    given
}

/// The arguments that every build has (Dockerfile reference, "Automatic platform ARGs in the global scope").
pub(in crate::dockerfile) fn automatic(request: &Request, stage: Option<&str>) -> Scope {
    let mut scope = Scope::default();
    let platforms = [
        (&request.build_platform, ["BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"]),
        (&request.platform, ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"]),
    ];
    for (platform, names) in platforms {
        let Platform { architecture, os, variant, .. } = platform;
        let variant = variant.clone().unwrap_or_default();
        let values = [platform.to_string(), os.to_string(), architecture.to_string(), variant];
        for (name, value) in names.into_iter().zip(values) {
            scope.set(name, &value);
        }
    }
    scope.set("TARGETSTAGE", stage.unwrap_or("default"));
    for (name, value) in &request.args {
        if scope.get(name).is_some() {
            scope.set(name, value);
        }
    }
    scope
}

/// Adds the `ARG`s before the first `FROM`: given ones with their value, others with their default.
pub(in crate::dockerfile) fn globals(
    evaluator: &Evaluator<'_>,
    args: &[Statement<Arg>],
    mut scope: Scope,
    given: &BTreeMap<String, String>,
) -> Result<Scope, Diagnostic> {
    for arg in args.iter().flat_map(|statement| &statement.node.args) {
        let name = evaluator.expand(&arg.name, &scope)?;
        match (given.get(&name), &arg.value) {
            (Some(value), _) => scope.set(&name, value),
            (None, Some(default)) => {
                let value = evaluator.expand(default, &scope)?;
                scope.set(&name, &value);
            }
            (None, None) => {}
        }
    }
    Ok(scope)
}

impl Evaluator<'_> {
    /// A word of the main file.
    pub(super) fn expand(&self, word: &Word, scope: &Scope) -> Result<String, Diagnostic> {
        self.expand_in(&self.file.file, word, scope)
    }

    /// A word of a file: the main one, or a trigger.
    pub(super) fn expand_in(
        &self,
        file: &SourceFile,
        word: &Word,
        scope: &Scope,
    ) -> Result<String, Diagnostic> {
        // Most words have nothing to expand.
        if !word.text.contains(['$', '\'', '"', '\\', '`']) {
            return Ok(word.text.clone());
        }
        let expanded = word::expand(&word.text, scope, self.file.directives.escape);
        self.plain(file, word, expanded)
    }

    /// A text that may become several words.
    pub(super) fn expand_words(
        &self,
        file: &SourceFile,
        word: &Word,
        scope: &Scope,
    ) -> Result<Vec<String>, Diagnostic> {
        self.plain(file, word, word::expand_words(&word.text, scope, self.file.directives.escape))
    }

    fn plain<T>(
        &self,
        file: &SourceFile,
        word: &Word,
        expanded: Result<Expanded<T>, WordError>,
    ) -> Result<T, Diagnostic> {
        let expanded = expanded
            .map_err(|error| Diagnostic::new(error.message).at(file.at(word.part(error.range)), ""))?;
        self.spend(expanded.work, || file.at(word.span.clone()))?;
        Ok(expanded.text)
    }

    /// Takes what variables cost from what a file has of it.
    pub(super) fn spend(&self, work: usize, place: impl FnOnce() -> Location) -> Result<(), Diagnostic> {
        let left = self.room.get().checked_sub(work).ok_or_else(|| {
            let message = format!("the variables of this file take more than {} MiB", MOST_WORK >> 20);
            Diagnostic::new(message).at(place(), "up to here")
        })?;
        self.room.set(left);
        Ok(())
    }
}

/// What the variables of a file may cost: see [`MOST_WORK`].
pub(in crate::dockerfile) fn room() -> Cell<usize> {
    Cell::new(MOST_WORK)
}
