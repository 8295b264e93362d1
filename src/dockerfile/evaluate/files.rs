//! `COPY` and `ADD`.

use bytes::Bytes;

use super::stage::{Current, StageBuilder, join};
use crate::{
    dockerfile::{
        syntax::{self, FileSource, Files, Heredoc, Word},
        value, word,
    },
    error::public_text,
    layer::EntryPath,
    oci::Digest,
    recipe::{
        self, Archives, Copy, CopySource, Destination, FileMode, GitSource, Modes, Owner, Rules, Step,
        StepKind, Timestamps, UrlSource, Write, Written,
    },
    remote::{Place, PlaceError},
    source::Diagnostic,
};

/// What `COPY` and `ADD` say besides their sources.
struct Shared {
    keyword: &'static str,
    /// What the files come from, in words, if it is named.
    from: Option<String>,
    to: Destination,
    /// The destination as written, for the history.
    written: String,
    owner: Option<Owner>,
    modes: Modes,
    exclude: Vec<String>,
    flags: String,
    link: bool,
    parents: bool,
}

impl StageBuilder<'_> {
    pub(super) fn copy(&mut self, at: Current<'_>, copy: &syntax::Copy) -> Result<(), Diagnostic> {
        let from = match &copy.from {
            Some(word) => self.origin(at, &word.text, word)?,
            None => CopySource::Context(String::new()),
        };
        let mut shared = self.shared(at, "COPY", &copy.files)?;
        shared.from = copy.from.as_ref().map(|word| self.origin_words(&word.text, &from));
        let mut paths = Vec::new();
        for source in &copy.files.sources {
            match source {
                FileSource::Heredoc(_) => {}
                FileSource::Path(word) => {
                    let path = self.expand(at, word)?;
                    if let Some(Ok(place)) = remote(&path) {
                        let what = match place {
                            Place::Web(_) => "a URL",
                            Place::Git(_) => "a Git repository",
                        };
                        return Err(Diagnostic::new(format!("COPY takes files, and {path:?} is {what}"))
                            .at(at.line.file.at(word.span.clone()), what)
                            .hint("write ADD in place of COPY"));
                    }
                    paths.push(path);
                }
            }
        }
        if !paths.is_empty() {
            self.put(at, &shared, from, &paths, Archives::Keep);
        }
        self.heredocs(at, &copy.files, &shared)
    }

    pub(super) fn add(&mut self, at: Current<'_>, add: &syntax::Add) -> Result<(), Diagnostic> {
        let shared = self.shared(at, "ADD", &add.files)?;
        let checksum = add.checksum.as_ref().map(|word| self.expand(at, word)).transpose()?;
        let checksum = checksum.filter(|text| !text.is_empty());
        let unpack =
            |by_default| if add.unpack.unwrap_or(by_default) { Archives::Unpack } else { Archives::Keep };
        if let (Some(word), true) = (&add.checksum, checksum.is_some() && add.files.sources.len() != 1) {
            let place = at.line.file.at(word.span.clone());
            return Err(Diagnostic::new("--checksum is for a single source").at(place, ""));
        }
        let mut paths = Vec::new();
        for source in &add.files.sources {
            let FileSource::Path(word) = source else { continue };
            let text = self.expand(at, word)?;
            let place = || at.line.file.at(word.span.clone());
            let wrong = |error: PlaceError| Diagnostic::new(error.to_string()).at(place(), "");
            match remote(&text).transpose().map_err(wrong)? {
                Some(Place::Web(url)) => {
                    let checksum = match (&checksum, &add.checksum) {
                        (Some(text), Some(word)) => Some(digest(at, text, word)?),
                        _ => None,
                    };
                    let from = CopySource::Url(UrlSource { url, checksum });
                    self.put(at, &shared, from, &[], unpack(false));
                }
                Some(Place::Git(git)) => {
                    let git = GitSource {
                        keep_git_dir: git.keep_git_dir || add.keep_git_dir,
                        checksum: git.checksum.or_else(|| checksum.clone()),
                        ..git
                    };
                    self.put(at, &shared, CopySource::Git(git), &[], Archives::Keep);
                }
                None if checksum.is_some() => {
                    return Err(Diagnostic::new("--checksum is for files on the web and Git repositories")
                        .at(place(), "a path in the build context"));
                }
                None => paths.push(text),
            }
        }
        if !paths.is_empty() {
            self.put(at, &shared, CopySource::Context(String::new()), &paths, unpack(true));
        }
        self.heredocs(at, &add.files, &shared)
    }

    /// Heredocs come last, as in BuildKit.
    fn heredocs(&mut self, at: Current<'_>, files: &Files, shared: &Shared) -> Result<(), Diagnostic> {
        for source in &files.sources {
            if let FileSource::Heredoc(heredoc) = source {
                self.heredoc(at, heredoc, shared)?;
            }
        }
        Ok(())
    }

    fn shared(&self, at: Current<'_>, keyword: &'static str, files: &Files) -> Result<Shared, Diagnostic> {
        let written = self.expand(at, &files.destination)?;
        let mut flags = String::new();
        let mut flag = |name: &str, value: &str| flags.push_str(&format!(" --{name}{value}"));
        if files.parents {
            flag("parents", "");
        }
        let owner = match self.some(at, files.chown.as_ref())? {
            Some((word, text)) => {
                flag("chown", &format!("={text}"));
                Some(value::owner(&at.line.file, word, &text)?)
            }
            None => None,
        };
        let modes = match self.some(at, files.chmod.as_ref())? {
            Some((word, text)) => {
                flag("chmod", &format!("={text}"));
                let mode = value::mode(&at.line.file, word, &text)?;
                Modes { files: Some(mode.clone()), directories: Some(mode) }
            }
            None => Modes::default(),
        };
        Ok(Shared {
            keyword,
            from: None,
            to: self.destination(at, files, &written)?,
            written,
            owner,
            modes,
            exclude: self.expand_all(at, &files.exclude)?,
            flags,
            link: files.link,
            parents: files.parents,
        })
    }

    /// A flag's word and its value, unless that is empty.
    fn some<'w>(
        &self,
        at: Current<'_>,
        word: Option<&'w Word>,
    ) -> Result<Option<(&'w Word, String)>, Diagnostic> {
        let Some(word) = word else { return Ok(None) };
        let text = self.expand(at, word)?;
        Ok((!text.is_empty()).then_some((word, text)))
    }

    /// Only a slash at the end, or `.` and `..`, say that a destination is a directory; without it a directory that is
    /// there is one all the same.
    fn destination(&self, at: Current<'_>, files: &Files, written: &str) -> Result<Destination, Diagnostic> {
        let last = written.rsplit('/').next().unwrap_or_default();
        let directory = matches!(last, "" | "." | "..");
        if files.sources.len() > 1 && !directory {
            let place = at.line.file.at(files.destination.span.clone());
            return Err(Diagnostic::new(format!(
                "several sources need a directory to go to, and {written:?} does not end in a slash"
            ))
            .at(place, "no slash at the end")
            .hint(format!("write `{}/`", files.destination.text)));
        }
        Ok(match EntryPath::new(self.absolute(written)) {
            Some(path) if !directory => Destination::Path(path),
            path => Destination::Directory(path),
        })
    }

    fn put(
        &mut self,
        at: Current<'_>,
        shared: &Shared,
        from: CopySource,
        sources: &[String],
        archives: Archives,
    ) {
        // Times in a tree that was built are what commands made them: compiled Python, for one, goes by them.
        let built = matches!(from, CopySource::Stage(_) | CopySource::Image(_));
        let timestamps = match built && self.evaluator.request.source_date_epoch.is_none() {
            true => Timestamps::Preserve,
            false => Timestamps::Fixed,
        };
        let shown = match &from {
            CopySource::Url(url) => vec![public_text(&url.url)],
            CopySource::Git(git) => vec![git.shown()],
            _ => sources.to_vec(),
        };
        let copy = Copy {
            sources: sources.iter().map(|source| normal(source, shared.parents)).collect(),
            from,
            to: shared.to.clone(),
            exclude: shared.exclude.clone(),
            owner: shared.owner.clone(),
            modes: shared.modes.clone(),
            timestamps,
            independent: shared.link,
            parents: shared.parents,
            archives,
            empty_globs: true,
            rules: Rules::Docker,
            split: None,
            written: Written { from: shared.from.clone(), sources: sources.to_vec() },
        };
        let said = shared.said(&shown.join(" "));
        self.push(at, said, StepKind::Copy(copy));
    }

    /// A file of the heredoc's name: written into a tree of its own, and copied from there.
    fn heredoc(&mut self, at: Current<'_>, heredoc: &Heredoc, shared: &Shared) -> Result<(), Diagnostic> {
        let text = heredoc.text();
        let content = match heredoc.expand {
            false => text.into_owned(),
            true => {
                let expanded = word::expand_heredoc(&text, &self.end.scope, syntax::Escape::Backslash);
                let expanded = expanded.map_err(|error| {
                    let range = match heredoc.strip_tabs {
                        false => {
                            heredoc.body_span.start + error.range.start
                                ..heredoc.body_span.start + error.range.end
                        }
                        true => heredoc.span.clone(),
                    };
                    Diagnostic::new(error.message).at(at.line.file.at(range), "")
                })?;
                self.spend(at, expanded.work)?;
                expanded.text
            }
        };
        let from = self.inline(at, &heredoc.name, content, FileMode(0o644))?;
        let copy = Copy {
            from,
            sources: vec![heredoc.name.clone()],
            to: shared.to.clone(),
            exclude: shared.exclude.clone(),
            owner: shared.owner.clone(),
            modes: shared.modes.clone(),
            timestamps: Timestamps::Fixed,
            independent: shared.link,
            parents: false,
            archives: Archives::Keep,
            empty_globs: false,
            rules: Rules::Docker,
            split: None,
            written: Written::default(),
        };
        let said = shared.said(&format!("<<{}", heredoc.name));
        self.push(at, said, StepKind::Copy(copy));
        Ok(())
    }

    /// A tree that holds one file of this content.
    pub(super) fn inline(
        &mut self,
        at: Current<'_>,
        name: &str,
        content: String,
        mode: FileMode,
    ) -> Result<CopySource, Diagnostic> {
        let path = EntryPath::new(name)
            .filter(|path| path.parent().is_none() && !name.contains(['*', '?', '[', '\\']))
            .ok_or_else(|| self.wrong(at, format!("{name:?} cannot be the name of a file")))?;
        let write = Write { path, content: Bytes::from(content), owner: None, mode: Some(mode) };
        let step = Step {
            name: format!("prepare <<{name}"),
            created_by: String::new(),
            location: Some(self.location(at)),
            kind: StepKind::Write(write),
        };
        Ok(self.helper(recipe::Stage {
            name: self.stage.name.clone(),
            base: recipe::Base::Scratch,
            platform: self.stage.platform.clone(),
            steps: vec![step],
        }))
    }
}

impl Shared {
    fn said(&self, sources: &str) -> String {
        format!("{}{} {sources} {} # imgbuild", self.keyword, self.flags, self.written)
    }
}

/// A source relative to its root: what leads out of it stops there, as in BuildKit. With `--parents`, `/./` parts what
/// is not kept from what is.
fn normal(source: &str, parents: bool) -> String {
    let clean = |path: &str| join("/", path).trim_start_matches('/').to_owned();
    match source.split_once("/./").filter(|_| parents) {
        Some((front, rest)) => format!("{}/./{}", clean(front), clean(rest)),
        None => Some(clean(source)).filter(|path| !path.is_empty()).unwrap_or_else(|| ".".to_owned()),
    }
}

fn digest(at: Current<'_>, text: &str, word: &Word) -> Result<Digest, Diagnostic> {
    text.parse().map_err(|_| {
        Diagnostic::new(format!("{text:?} is not a digest"))
            .at(at.line.file.at(word.span.clone()), "not a digest")
            .hint("write sha256: and the 64 hex digits that `sha256sum FILE` prints")
    })
}

/// What a source names that is not in the build context. `github.com/…` may well be a path there.
fn remote(source: &str) -> Option<Result<Place, PlaceError>> {
    if source.starts_with("github.com/") { None } else { Place::parse(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_stay_below_their_root() {
        for (source, parents, expected) in [
            ("a/b", false, "a/b"),
            ("/a", false, "a"),
            ("../../a", false, "a"),
            (".", false, "."),
            ("./a/./b/", false, "a/b"),
            ("", false, "."),
            ("x/../y/./a/*.c", true, "y/./a/*.c"),
            ("./a/b", true, "a/b"),
        ] {
            assert_eq!(normal(source, parents), expected, "{source}");
        }
    }
}
