//! Why a step of one build is not what it was in another.

use super::{BuildRecord, StepEnd, StepRecord, align::Alignment, list::FileList};
use crate::{
    event::{FileChange, ParentChange, Reason, Value},
    oci::Digest,
};

/// The parts of a command's key that others explain better.
pub(in super::super) const BASE: &str = "base";
pub(in super::super) const LAYER: &str = "layer ";
pub(in super::super) const MOUNTED: &str = "files of mount ";
pub(in super::super) const VARIABLE: &str = "variable ";

/// A build, what it is compared with, and where the lists of files are.
pub(super) struct Pair<'a> {
    pub(super) new: &'a BuildRecord,
    pub(super) old: &'a BuildRecord,
    pub(super) alignment: &'a Alignment,
    pub(super) lists: &'a dyn Fn(&Digest) -> Option<FileList>,
}

/// What differs: the first reason goes before the others.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) reasons: Vec<Reason>,
    pub(super) files: Vec<FileChange>,
}

impl Pair<'_> {
    /// What differs of a step that was not in the cache.
    pub(super) fn difference(&self, at: usize) -> Difference {
        let new = &self.new.steps[at];
        let mut found = Difference::default();
        if new.no_cache {
            found.reasons.push(Reason::NoCache);
        }
        let Some(before) = self.alignment.before[at] else {
            found.reasons.push(Reason::NewStep);
            return found;
        };
        let old = &self.old.steps[before];
        if old.end == StepEnd::NotReached {
            found.reasons.push(Reason::Unfinished);
            return found;
        }
        match new.command {
            true => self.command(at, old, &mut found),
            false => self.files(new, old, &mut found),
        }
        if found.reasons.is_empty() {
            let known = match new.command {
                true => new.key == old.key,
                false => new.content == old.content,
            };
            found.reasons.push(match (known, old.end) {
                (_, StepEnd::Failed) => Reason::Unfinished,
                (true, _) => Reason::Forgotten,
                (false, _) => part("order of its parts", None, None),
            });
        }
        found
    }

    fn command(&self, at: usize, old: &StepRecord, found: &mut Difference) {
        let new = &self.new.steps[at];
        if differs(new, old, BASE) {
            found.reasons.push(self.base(new.base, old.base));
        }
        self.own_parts(new, old, &mut found.reasons);
        if self.alignment.moved[at] {
            found.reasons.push(Reason::Moved { before: old.number });
        }
        found.reasons.extend(self.parent(new, old));
        let mounts = new.parts.iter().filter(|part| part.name.starts_with(MOUNTED));
        for mount in mounts.filter(|mount| differs(new, old, &mount.name)) {
            let lists =
                old.part(&mount.name).and_then(|old| Some((digest(&mount.value)?, digest(&old.value)?)));
            match lists.and_then(|(new, old)| self.changed_files(&new, &old)) {
                Some(files) => self.told(new, files, found),
                None => found.reasons.push(part(&mount.name, None, None)),
            }
        }
    }

    fn files(&self, new: &StepRecord, old: &StepRecord, found: &mut Difference) {
        if new.layers != old.layers && old.layers > 0 {
            let number = |layers: u8| Some(Value::Text(layers.to_string()));
            found.reasons.push(part(
                "the number of layers it may have",
                number(old.layers),
                number(new.layers),
            ));
        }
        if new.content.is_some() && new.content == old.content {
            return;
        }
        // An argument that the text names is what the user has changed, and not the path that came of it.
        let said = found.reasons.len();
        self.own_parts(new, old, &mut found.reasons);
        if found.reasons.len() > said && new.name == old.name {
            let named = |reason: &Reason| match reason {
                Reason::Argument { name, .. } => mentions(&new.name, name),
                _ => false,
            };
            let arguments: Vec<Reason> = self.arguments().into_iter().filter(named).collect();
            found.reasons.splice(said..said, arguments);
        }
        if let (Some(now), Some(before)) = (&new.content, &old.content) {
            match self.changed_files(now, before) {
                Some(files) => self.told(new, files, found),
                None => found.reasons.push(part(
                    "content",
                    Some(Value::Digest(*before)),
                    Some(Value::Digest(*now)),
                )),
            }
        }
        for (origin, before) in new.origins.iter().zip(&old.origins) {
            let name = |build: &BuildRecord, base: Option<usize>| Some(build.bases.get(base?)?.digest);
            if name(self.new, origin.base) != name(self.old, before.base) {
                found.reasons.push(self.base(origin.base, before.base));
            }
            let other = |at: &&usize| {
                let step = &self.new.steps[**at];
                let before = self.alignment.before[**at].and_then(|before| self.old.steps[before].content);
                step.end == StepEnd::Done && (before.is_none() || step.content != before)
            };
            if let Some(at) = origin.steps.iter().find(other) {
                let step = &self.new.steps[*at];
                let (stage, number) = (Some(step.stage.clone()), step.number);
                found.reasons.push(Reason::Parent { stage, number, change: ParentChange::Result });
            }
        }
    }

    fn changed_files(&self, new: &Digest, old: &Digest) -> Option<Vec<FileChange>> {
        Some((self.lists)(new)?.changes(&(self.lists)(old)?)).filter(|files| !files.is_empty())
    }

    /// Tells of files. One that the context has goes first: of a directory that was made for it nobody knows.
    fn told(&self, step: &StepRecord, files: Vec<FileChange>, found: &mut Difference) {
        let of_context = files.iter().find(|file| !file.path.starts_with('/'));
        let Some(first) = of_context.or(files.first()).cloned() else { return };
        let contexts = step.origins.iter().filter_map(|origin| origin.context.as_ref());
        let mut ignore = contexts.filter_map(|name| {
            let of = |build: &BuildRecord| {
                build.contexts.iter().find(|context| context.name == *name)?.ignore.clone()
            };
            let (now, before) = (of(self.new), of(self.old));
            if now == before { None } else { now.or(before).map(|(name, _)| name) }
        });
        let ignore = ignore.next().filter(|name| *name != first.path);
        found.reasons.push(Reason::Files { first, more: files.len() - 1, ignore });
        found.files.extend(files);
    }

    /// The parts that are the step's own.
    fn own_parts(&self, new: &StepRecord, old: &StepRecord, reasons: &mut Vec<Reason>) {
        let own = |name: &str| name != BASE && !name.starts_with(LAYER) && !name.starts_with(MOUNTED);
        let mut names: Vec<&str> = Vec::new();
        for part in new.parts.iter().chain(&old.parts).filter(|part| own(&part.name)) {
            if !names.contains(&part.name.as_str()) {
                names.push(&part.name);
            }
        }
        for name in names.into_iter().filter(|name| differs(new, old, name)) {
            let value = |step: &StepRecord| step.part(name).map(|part| part.value.clone());
            let (old, new) = (value(old), value(new));
            reasons.push(match name.strip_prefix(VARIABLE) {
                Some(variable) if self.declares(variable) => {
                    Reason::Argument { name: variable.to_owned(), old, new }
                }
                _ => part(name, old, new),
            });
        }
    }

    fn declares(&self, name: &str) -> bool {
        [self.new, self.old].iter().any(|build| build.declared.iter().any(|known| known == name))
    }

    /// The arguments of the command line that differ.
    fn arguments(&self) -> Vec<Reason> {
        let mut names: Vec<&String> =
            self.new.arguments.iter().chain(&self.old.arguments).map(|part| &part.name).collect();
        names.sort_unstable();
        names.dedup();
        let changed = |name: &String| {
            let (old, new) = (self.old.argument(name), self.new.argument(name));
            if old.zip(new).is_some_and(|(old, new)| old.says(new)) {
                return None;
            }
            let value = |part: Option<&super::super::key::Part>| part.map(|part| part.value.clone());
            Some(Reason::Argument { name: name.clone(), old: value(old), new: value(new) })
        };
        names.into_iter().filter_map(changed).collect()
    }

    fn base(&self, new: Option<usize>, old: Option<usize>) -> Reason {
        let new = new.and_then(|at| self.new.bases.get(at));
        let old = old.and_then(|at| self.old.bases.get(at));
        let name = new.or(old).map(|base| base.name.clone()).unwrap_or_default();
        Reason::Base { name, old: old.map(|base| base.digest), new: new.map(|base| base.digest) }
    }

    /// The lowest step below that is not what it was.
    fn parent(&self, new: &StepRecord, old: &StepRecord) -> Option<Reason> {
        let told = |build: &BuildRecord, at: usize, change| {
            let step = &build.steps[at];
            let stage = Some(step.stage.clone()).filter(|stage| *stage != new.stage);
            Some(Reason::Parent { stage, number: step.number, change })
        };
        for place in 0..new.below.len().max(old.below.len()) {
            let (now, before) = (new.below.get(place).copied(), old.below.get(place).copied());
            let layer = format!("{LAYER}{}", place + 1);
            let was = now.and_then(|now| self.alignment.before[now]);
            match (now, before) {
                (Some(_), Some(_)) if !differs(new, old, &layer) => {}
                (Some(now), Some(before)) if was == Some(before) => {
                    return told(self.new, now, ParentChange::Result);
                }
                (Some(now), _) if was.is_none() => return told(self.new, now, ParentChange::New),
                (_, Some(before)) if self.alignment.gone.contains(&before) => {
                    return told(self.old, before, ParentChange::Gone);
                }
                (Some(now), _) => return told(self.new, now, ParentChange::Order),
                (None, Some(before)) => return told(self.old, before, ParentChange::Gone),
                (None, None) => {}
            }
        }
        None
    }
}

fn differs(new: &StepRecord, old: &StepRecord, name: &str) -> bool {
    match (new.part(name), old.part(name)) {
        (Some(new), Some(old)) => !new.says(old),
        (None, None) => false,
        _ => true,
    }
}

fn part(name: &str, old: Option<Value>, new: Option<Value>) -> Reason {
    Reason::Part { name: name.to_owned(), old, new }
}

fn digest(value: &Value) -> Option<Digest> {
    match value {
        Value::Digest(digest) => Some(*digest),
        Value::Text(_) => None,
    }
}

/// Whether a text has `$NAME` or `${NAME…` in it.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    })
}
