//! Steps that make files.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{
    scope::{Expanded, Inside},
    stage::{Said, StageBuilder},
    values,
};
use crate::{
    error::public_text,
    layer::{EntryPath, MOST_PARTS},
    oci::Digest,
    recipe::{
        Archive, Archives, Copy, CopySource, Destination, Mkdir, Remove, Rules, StepKind, Symlink,
        Timestamps, Unpack, Write, Written,
    },
    source::Diagnostic,
    spec::raw::{self, Choice, Text},
};

/// How many layers a copy makes at the most.
fn split(inside: &Inside<'_>, text: &Expanded) -> Result<u8, Diagnostic> {
    match values::number(&inside.scope, text)? {
        most @ 1..=MOST_PARTS => Ok(most),
        most => {
            let problem = format!("{most} is no number of layers to split into");
            let hint = format!("write a number from 1, which is no split, to {MOST_PARTS}");
            Err(inside.scope.error(&text.span, problem, "out of range").hint(hint))
        }
    }
}

impl StageBuilder<'_> {
    pub(super) fn copy(&self, step: &raw::CopyStep) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        let from = self.from(step.from.as_ref())?;
        let texts = inside.many(Some(&step.copy))?;
        let Some(first) = texts.first() else {
            return Err(inside.scope.error(&step.span, "`copy` names no source", "nothing to copy"));
        };
        let sources = texts.iter().map(|text| self.source(text, &from)).collect::<Result<Vec<_>, _>>()?;
        let to = match inside.option(step.to.as_ref())? {
            Some(to) => self.destination(&sources, &to)?,
            None => Destination::Directory(EntryPath::new(values::join(
                self.end.config.working_dir.as_deref(),
                "",
            ))),
        };
        let words =
            format!("copy {}{} -> {}", sources.join(" "), self.origin(step.from.as_ref())?, show(&to));
        let docker = self.scope().rules == Rules::Docker;
        let built = matches!(from, CopySource::Stage(_) | CopySource::Image(_));
        let timestamps = match inside.scope.pick_some(step.timestamps.as_ref())? {
            Some(raw::Timestamps::Preserve) => Timestamps::Preserve,
            None if docker && built && self.names.request.source_date_epoch.is_none() => Timestamps::Preserve,
            Some(raw::Timestamps::Fixed) | None => Timestamps::Fixed,
        };
        let copy = Copy {
            written: Written { from: self.origin_words(step.from.as_ref(), &from)?, sources: Vec::new() },
            from,
            to,
            exclude: strings(inside.many(step.exclude.as_ref())?),
            owner: values::owner(&inside, step.owner.as_ref())?,
            modes: values::modes(&inside, step.mode.as_ref())?,
            timestamps,
            independent: step.link.unwrap_or(!docker),
            parents: step.parents.unwrap_or(false),
            archives: Archives::Keep,
            empty_globs: docker,
            rules: self.scope().rules,
            split: inside.option(step.split.as_ref())?.map(|text| split(&inside, &text)).transpose()?,
            sources,
        };
        // All sources, since it is not known yet which of them an error will be about.
        let end = texts.last().map_or(first.span.end, |last| last.span.end);
        Ok((Said { words, span: first.span.start..end.max(first.span.start) }, StepKind::Copy(copy)))
    }

    pub(super) fn write(&self, fields: &raw::WriteFields) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        let path = inside.choice(&fields.path)?;
        let content = match (&fields.text, &fields.base64) {
            (Some(text), None) if fields.template == Some(false) => {
                Bytes::from(inside.scope.pick(text)?.text.clone())
            }
            (Some(text), None) => Bytes::from(inside.choice(text)?.text),
            (None, Some(text)) => base64(&inside, text)?,
            (Some(_), Some(text)) => {
                let span = &inside.scope.pick(text)?.span;
                return Err(inside
                    .scope
                    .error(span, "`text` and `base64` are both given", "the second content")
                    .hint("remove one of the two"));
            }
            (None, None) => {
                return Err(inside
                    .scope
                    .error(&fields.span, "`write` says no content", "neither `text` nor `base64`")
                    .hint("add `text: ...`; an empty file is `text: \"\"`"));
            }
        };
        let write = Write {
            path: self.entry(&path)?,
            content,
            owner: values::owner(&inside, fields.owner.as_ref())?,
            mode: values::mode_option(&inside, fields.mode.as_ref())?,
        };
        Ok((Said { words: format!("write /{}", write.path), span: path.span }, StepKind::Write(write)))
    }

    pub(super) fn mkdir(&self, step: &raw::MkdirStep) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        let path = inside.choice(&step.mkdir)?;
        let mkdir = Mkdir {
            path: self.entry(&path)?,
            owner: values::owner(&inside, step.owner.as_ref())?,
            owner_from: None,
            mode: values::mode_option(&inside, step.mode.as_ref())?,
            rules: self.scope().rules,
        };
        Ok((Said { words: format!("mkdir /{}", mkdir.path), span: path.span }, StepKind::Mkdir(mkdir)))
    }

    pub(super) fn symlink(&self, fields: &raw::SymlinkFields) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        let path = inside.choice(&fields.path)?;
        let target = inside.choice(&fields.target)?;
        if target.text.is_empty() {
            return Err(inside.scope.error(&target.span, "a link must point to something", "empty"));
        }
        let symlink = Symlink {
            path: self.entry(&path)?,
            target: target.text,
            owner: values::owner(&inside, fields.owner.as_ref())?,
        };
        let words = format!("symlink /{} -> {}", symlink.path, symlink.target);
        Ok((Said { words, span: path.span }, StepKind::Symlink(symlink)))
    }

    pub(super) fn remove(&self, step: &raw::RemoveStep) -> Result<(Said, StepKind), Diagnostic> {
        let texts = self.inside().many(Some(&step.remove))?;
        let Some(first) = texts.first() else {
            return Err(self.scope().error(&step.span, "`remove` names no path", "nothing to remove"));
        };
        let paths = texts.iter().map(|text| self.entry(text)).collect::<Result<Vec<_>, _>>()?;
        let shown: Vec<String> = paths.iter().map(|path| format!("/{path}")).collect();
        let remove = Remove { paths, must_exist: !step.optional.unwrap_or(false) };
        Ok((
            Said { words: format!("remove {}", shown.join(" ")), span: first.span.clone() },
            StepKind::Remove(remove),
        ))
    }

    pub(super) fn unpack(&self, step: &raw::UnpackStep) -> Result<(Said, StepKind), Diagnostic> {
        let inside = self.inside();
        let source = inside.choice(&step.unpack)?;
        let archive = if source.text.starts_with("http://") || source.text.starts_with("https://") {
            if let Some(from) = &step.from {
                let span = &inside.scope.pick(from)?.span;
                return Err(inside
                    .scope
                    .error(span, "an archive from the web has no `from`", "")
                    .hint("remove it"));
            }
            url::Url::parse(&source.text).map_err(|error| {
                let message = format!("{:?} is not a URL: {error}", source.text);
                inside.scope.error(&source.span, message, "")
            })?;
            Archive::Url(source.text.clone())
        } else if source.text.contains("://") {
            let message = format!("archives come from http and https, not {:?}", source.text);
            return Err(inside.scope.error(&source.span, message, ""));
        } else {
            let from = self.from(step.from.as_ref())?;
            Archive::File { path: self.source(&source, &from)?, from }
        };
        let to = match inside.option(step.to.as_ref())? {
            Some(to) => self.directory(&to)?,
            None => EntryPath::new(values::join(self.end.config.working_dir.as_deref(), "")),
        };
        let strip = inside.option(step.strip.as_ref())?;
        let shown = to.as_ref().map_or_else(|| "/".to_owned(), |to| format!("/{to}/"));
        let words = format!("unpack {} -> {shown}", public_text(&source.text));
        let unpack = Unpack {
            archive,
            digest: inside.option(step.sha256.as_ref())?.map(|text| sha256(&inside, &text)).transpose()?,
            to,
            strip: strip.map(|text| values::number(&inside.scope, &text)).transpose()?.unwrap_or(0),
            exclude: strings(inside.many(step.exclude.as_ref())?),
            owner: values::owner(&inside, step.owner.as_ref())?,
            modes: values::modes(&inside, step.mode.as_ref())?,
        };
        Ok((Said { words, span: source.span }, StepKind::Unpack(unpack)))
    }

    /// Where files come from: the main context, if it is not said.
    pub(super) fn from(&self, from: Option<&Choice<Text>>) -> Result<CopySource, Diagnostic> {
        match from {
            None => Ok(CopySource::Context(String::new())),
            Some(from) => {
                let text = self.scope().pick(from)?;
                self.names.resolve_text(text)?.copy_source(self.plan, text, &self.scope())
            }
        }
    }

    /// Where files come from, in words.
    pub(super) fn origin_words(
        &self,
        name: Option<&Choice<Text>>,
        from: &CopySource,
    ) -> Result<Option<String>, Diagnostic> {
        let name = name.map(|name| self.scope().text(self.scope().pick(name)?)).transpose()?;
        Ok(name.map(|name| match from {
            CopySource::Stage(_) => format!("the stage `{name}`"),
            _ => name,
        }))
    }

    fn origin(&self, from: Option<&Choice<Text>>) -> Result<String, Diagnostic> {
        match from {
            None => Ok(String::new()),
            Some(from) => Ok(format!(" from {}", self.scope().text(self.scope().pick(from)?)?)),
        }
    }

    /// A source's path, relative to the root of where it comes from.
    pub(super) fn source(&self, text: &Expanded, from: &CopySource) -> Result<String, Diagnostic> {
        let wrong = |message: String, label: &str| self.scope().error(&text.span, message, label);
        let path = text.text.as_str();
        if path.is_empty() {
            return Err(wrong("a source must not be empty".to_owned(), "empty").hint("`.` is all of it"));
        }
        if path.contains("://") {
            return Err(wrong(format!("{path:?} is a URL; `copy` takes files"), "a URL")
                .hint("`unpack` takes archives from http and https"));
        }
        if path.starts_with('/') && matches!(from, CopySource::Context(_)) {
            return Err(wrong(format!("the source {path:?} is absolute"), "absolute").hint(
                "sources are relative to the context; give another directory with --build-context NAME=PATH",
            ));
        }
        let mut depth = 0_i32;
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => depth -= 1,
                _ => depth += 1,
            }
            if depth < 0 {
                return Err(wrong(format!("the source {path:?} leads out of the context"), "leads out")
                    .hint("give the other directory a name with --build-context NAME=PATH and copy `from: NAME`"));
            }
        }
        Ok(EntryPath::new(path).map_or_else(|| ".".to_owned(), |path| path.to_string()))
    }

    /// What `to` means for these sources.
    fn destination(&self, sources: &[String], to: &Expanded) -> Result<Destination, Diagnostic> {
        let is_glob = |source: &String| source.contains(['*', '?', '[']);
        let as_directory = to.text.ends_with('/')
            || matches!(to.text.rsplit('/').next(), Some("." | ".." | ""))
            || sources.len() > 1
            || (self.scope().rules == Rules::Own && sources.iter().any(is_glob));
        let path = self.directory(to)?;
        Ok(match path {
            Some(path) if !as_directory => Destination::Path(path),
            path => Destination::Directory(path),
        })
    }

    /// A directory of the image that files go to; `None` is the root.
    fn directory(&self, text: &Expanded) -> Result<Option<EntryPath>, Diagnostic> {
        if text.text.is_empty() {
            return Err(self
                .scope()
                .error(&text.span, "the destination must not be empty", "empty")
                .hint("`.` is the working directory"));
        }
        Ok(EntryPath::new(self.absolute(text)))
    }

    /// A path of the image that something is put at.
    fn entry(&self, text: &Expanded) -> Result<EntryPath, Diagnostic> {
        let path = (!text.text.is_empty()).then(|| EntryPath::new(self.absolute(text))).flatten();
        path.ok_or_else(|| {
            self.scope()
                .error(&text.span, format!("{:?} is no path below the root directory", text.text), "")
                .hint("write an absolute path, or one relative to the working directory")
        })
    }
}

/// Shows a destination.
fn show(to: &Destination) -> String {
    match to {
        Destination::Directory(None) => "/".to_owned(),
        Destination::Directory(Some(path)) => format!("/{path}/"),
        Destination::Path(path) => format!("/{path}"),
    }
}

fn strings(texts: Vec<Expanded>) -> Vec<String> {
    texts.into_iter().map(|text| text.text).collect()
}

fn base64(inside: &Inside<'_>, text: &Choice<Text>) -> Result<Bytes, Diagnostic> {
    let text = inside.choice(text)?;
    let compact: String = text.text.split_whitespace().collect();
    STANDARD.decode(compact).map(Bytes::from).map_err(|error| {
        inside
            .scope
            .error(&text.span, format!("this is not base64: {}", error.to_string().trim_end_matches('.')), "")
            .hint("use the standard alphabet with padding, as `base64 FILE` prints it")
    })
}

/// 64 hex digits, with or without `sha256:` in front.
fn sha256(inside: &Inside<'_>, text: &Expanded) -> Result<Digest, Diagnostic> {
    let hex = text.text.strip_prefix("sha256:").unwrap_or(&text.text).to_ascii_lowercase();
    let digest: Result<Digest, _> = format!("sha256:{hex}").parse();
    digest.map_err(|_| {
        let digits = hex.chars().count();
        inside
            .scope
            .error(&text.span, format!("{:?} is not a SHA-256", text.text), format!("{digits} characters"))
            .hint("a SHA-256 has 64 hex digits, as `sha256sum FILE` prints it")
    })
}
