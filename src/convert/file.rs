//! The file as a whole: its arguments and its stages.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    path::Path,
};

use super::{
    Converted,
    names::Names,
    stage::{End, StageWriter, comments, field},
    template::{Scope, Template, always_has_a_value, is_automatic},
    yaml::{Field, Yaml},
};
use crate::{
    dockerfile::{
        syntax::{Arg, Dockerfile, Escape, Instruction, Word},
        word,
    },
    source::{Diagnostic, Location},
};

/// What the writers of all stages have in common.
#[derive(Debug)]
pub(super) struct Shared<'f> {
    pub(super) dockerfile: &'f Dockerfile,
    pub(super) context: Option<&'f Path>,
    pub(super) names: Names,
    pub(super) args: Args,
    missing: Vec<Diagnostic>,
}

impl Shared<'_> {
    pub(super) fn escape(&self) -> Escape {
        self.dockerfile.directives.escape
    }

    pub(super) fn stage_span(&self, stage: usize) -> Range<usize> {
        self.dockerfile.stages[stage].from.span.clone()
    }

    /// A place: its first line.
    pub(super) fn at(&self, span: &Range<usize>) -> Location {
        let text = self.dockerfile.file.text().get(span.clone()).unwrap_or_default();
        let end = text.find('\n').map_or(span.end, |line| span.start + line);
        self.dockerfile.file.at(span.start..end)
    }

    /// Tells that something is not converted.
    pub(super) fn tell(&mut self, span: &Range<usize>, why: &str) {
        let place = self.at(span);
        self.missing.push(Diagnostic::new(format!("not converted: {why}")).at(place, ""));
    }
}

/// The arguments of the spec, which are the whole file's.
#[derive(Debug, Default)]
pub(super) struct Args {
    fields: Vec<Field>,
    /// The names that a stage declares, with the default that they had first.
    known: HashMap<String, Option<String>>,
    /// Those from before the first `FROM`.
    global: BTreeSet<String>,
}

impl Args {
    /// An `ARG` of a stage. Its default must be the one that the argument has everywhere.
    pub(super) fn declare_in_stage(
        &mut self,
        arg: &Arg,
        comments: &[String],
        scope: &mut Scope,
        escape: Escape,
    ) -> Result<(), String> {
        for arg in &arg.args {
            let name = arg.name.text.clone();
            if name.contains(['$', '\'', '"', '\\']) {
                return Err("the names of arguments are fixed in a spec".to_owned());
            }
            let default = match &arg.value {
                Some(value) => {
                    let parts = word::parts(&value.text, escape).map_err(|error| error.message)?;
                    Some(scope.write(&parts)?)
                }
                None => None,
            };
            if is_automatic(&name) {
                if default.is_some() {
                    return Err(format!("{name} has no default in a spec: every build has it"));
                }
                scope.declare(&name, always_has_a_value(&name));
                continue;
            }
            if scope.is_variable(&name) {
                return Err(format!("{name} is a variable of the image, which a spec's commands see first"));
            }
            if default.as_ref().is_some_and(Template::has_variables) {
                return Err(format!("the default of {name} uses the image's environment"));
            }
            let has_value = self.merge(&name, default, comments)?;
            scope.declare(&name, has_value);
        }
        Ok(())
    }

    fn merge(&mut self, name: &str, default: Option<Template>, comments: &[String]) -> Result<bool, String> {
        let default = default.map(|default| default.text);
        match (self.known.get(name), default) {
            (Some(known), None) if self.global.contains(name) => Ok(known.is_some()),
            (Some(known), default) if *known == default => Ok(known.is_some()),
            (Some(_), _) => {
                Err(format!("{name} has another default elsewhere; a spec has one for all stages"))
            }
            (None, default) => {
                let value = default.as_ref().map_or(Yaml::Null, Yaml::text);
                self.fields.push(Field { comments: comments.to_vec(), ..field(name, value) });
                let has_value = default.is_some();
                self.known.insert(name.to_owned(), default);
                Ok(has_value)
            }
        }
    }

    fn yaml(self) -> Option<Field> {
        let commented =
            self.fields.iter().any(|field| !field.comments.is_empty() || field.value == Yaml::Null);
        let value = match commented {
            true => Yaml::Map(self.fields),
            false => Yaml::Flow(self.fields),
        };
        match &value {
            Yaml::Map(fields) | Yaml::Flow(fields) if fields.is_empty() => None,
            _ => Some(field("args", value)),
        }
    }
}

/// Writes a whole file.
#[derive(Debug)]
pub(super) struct File<'f> {
    shared: Shared<'f>,
    ends: Vec<End>,
}

impl<'f> File<'f> {
    pub(super) fn new(dockerfile: &'f Dockerfile, context: Option<&'f Path>) -> Self {
        let names = Names::new(dockerfile);
        let shared = Shared { dockerfile, context, names, args: Args::default(), missing: Vec::new() };
        Self { shared, ends: Vec::new() }
    }

    pub(super) fn convert(mut self) -> Converted {
        let file = self.shared.dockerfile;
        let in_stages = file.stages.iter().flat_map(|stage| &stage.instructions);
        let in_stages = in_stages.filter_map(|statement| match &statement.node {
            Instruction::Arg(arg) => Some(arg),
            _ => None,
        });
        let all = file.args.iter().map(|statement| &statement.node).chain(in_stages);
        let declared = all.flat_map(|arg| &arg.args).map(|arg| arg.name.text.clone());
        let mut scope = Scope::global(declared.filter(|name| !is_automatic(name)).collect());
        for statement in &file.args {
            let comments = comments(&statement.comments);
            let names: Vec<String> = statement.node.args.iter().map(|arg| arg.name.text.clone()).collect();
            let escape = self.shared.escape();
            if let Err(why) =
                self.shared.args.declare_in_stage(&statement.node, &comments, &mut scope, escape)
            {
                self.shared.tell(&statement.span, &why);
            }
            self.shared.args.global.extend(names);
        }
        let mut stages: Vec<(Vec<String>, String, Vec<Field>)> = Vec::new();
        for index in 0..file.stages.len() {
            stages.extend(self.stage(index, &scope));
        }
        let mut fields = vec![field("rules", Yaml::text("docker"))];
        fields.extend(self.shared.args.yaml());
        let unnamed = file.stages.iter().all(|stage| stage.from.node.name.is_none());
        match stages.as_mut_slice() {
            [(comments, _, only)] if unnamed => {
                if let Some(from) = only.first_mut() {
                    from.comments.append(comments);
                }
                fields.append(only);
            }
            _ => {
                let stages = stages
                    .into_iter()
                    .map(|(comments, name, fields)| Field { comments, ..field(&name, Yaml::Map(fields)) });
                fields.push(field("stages", Yaml::Map(stages.collect())));
            }
        }
        Converted { text: Yaml::Map(fields).document(), missing: self.shared.missing }
    }

    /// The stages of the spec that a stage becomes.
    fn stage(&mut self, index: usize, global: &Scope) -> Vec<(Vec<String>, String, Vec<Field>)> {
        let stage = &self.shared.dockerfile.stages[index];
        let (from, start) = match self.base(index, global) {
            Ok(base) => base,
            Err(why) => {
                self.shared.tell(&stage.from.span, &why);
                let from = format!("not-converted/{}", self.shared.names.name(index));
                let start = End { scope: global.stage(), is_targets: true, ..End::default() };
                (vec![field("from", Yaml::text(from))], start)
            }
        };
        let mut writer = StageWriter::new(&mut self.shared, index, from, start);
        for statement in &stage.instructions {
            writer.instruction(statement);
        }
        let (done, end) = writer.finish();
        self.ends.push(end);
        let mut above = comments(&stage.from.comments);
        done.into_iter().map(|(name, fields)| (std::mem::take(&mut above), name, fields)).collect()
    }

    /// What a stage starts from: its fields, and what it takes over.
    fn base(&self, index: usize, global: &Scope) -> Result<(Vec<Field>, End), String> {
        let from = &self.shared.dockerfile.stages[index].from.node;
        let write = |word: &Word| {
            let parts = word::parts(&word.text, self.shared.escape()).map_err(|error| error.message)?;
            global.write(&parts)
        };
        let image = write(&from.image)?;
        let start = End { scope: global.stage(), is_targets: true, ..End::default() };
        if let Some(base) = self.shared.names.base(index, &image.text) {
            let end = self.ends.get(base).cloned().unwrap_or_default();
            if end.has_triggers {
                return Err("the stage has ONBUILD, which a spec does not carry out".to_owned());
            }
            return Ok((vec![field("from", Yaml::text(self.shared.names.name(base)))], end));
        }
        let mut fields = vec![field("from", Yaml::text(self.shared.names.image(&image.text)))];
        let platform = from.platform.as_ref().filter(|_| image.text != "scratch");
        let Some(platform) = platform else { return Ok((fields, start)) };
        let platform = write(platform)?.text;
        if platform == "${TARGETPLATFORM}" {
            return Ok((fields, start));
        }
        fields.push(field("platform", Yaml::text(platform)));
        Ok((fields, End { is_targets: false, ..start }))
    }
}
