//! `COPY` and `ADD`.

use std::{fs::File, path::Path};

use super::{
    config::literal,
    stage::{Failed, StageWriter, field},
    template::Template,
    yaml::{Field, Yaml},
};
use crate::{
    dockerfile::{
        syntax::{Add, Copy, FileSource, Files, Heredoc, Word},
        word,
    },
    rootfs::is_tar,
};

impl StageWriter<'_, '_> {
    pub(super) fn copy(&mut self, copy: &Copy) -> Result<(), Failed> {
        let from = copy.from.as_ref().map(|from| self.source(from)).transpose()?;
        let sources = self.paths(&copy.files, from.is_some())?;
        let heredocs = self.heredocs(&copy.files)?;
        if !sources.is_empty() {
            let fields = self.copy_fields(&copy.files, sources, from)?;
            self.step(fields);
        }
        heredocs.into_iter().flatten().for_each(|fields| self.step(fields));
        Ok(())
    }

    pub(super) fn add(&mut self, add: &Add) -> Result<(), Failed> {
        if add
            .files
            .sources
            .iter()
            .any(|source| matches!(source, FileSource::Path(word) if is_remote(&word.text)))
        {
            return Err("a spec has no files of the web and of Git repositories but archives, which \
                        `unpack` takes"
                .to_owned());
        }
        let sources = self.paths(&add.files, false)?;
        let heredocs = self.heredocs(&add.files)?;
        let (mut files, mut archives) = (Vec::new(), Vec::new());
        for source in sources {
            match add.unpack {
                Some(false) => files.push(source),
                _ if self.is_archive(&source)? => archives.push(source),
                _ => files.push(source),
            }
        }
        if !archives.is_empty() && (!files.is_empty() || add.files.parents || add.files.link) {
            return Err(
                "archives are unpacked by steps of their own, without --parents and --link".to_owned()
            );
        }
        if !files.is_empty() {
            let fields = self.copy_fields(&add.files, files, None)?;
            self.step(fields);
        }
        for archive in archives {
            let mut fields = vec![field("unpack", Yaml::text(archive.text))];
            fields.extend(self.common(&add.files)?);
            self.step(fields);
        }
        heredocs.into_iter().flatten().for_each(|fields| self.step(fields));
        Ok(())
    }

    /// What a spec calls what files come from.
    pub(super) fn source(&mut self, name: &Word) -> Result<String, Failed> {
        match self.shared.names.source(self.index, name)? {
            Some(stage) => Ok(self.shared.names.name(stage).to_owned()),
            None if name.text == "scratch" => Err("there is nothing to copy from scratch".to_owned()),
            None if !self.end.is_targets => Err(
                "in a stage with a platform, an image is this platform's in a spec, and the target's here"
                    .to_owned(),
            ),
            None => Ok(self.shared.names.image(&literal(&name.text))),
        }
    }

    fn paths(&mut self, files: &Files, built: bool) -> Result<Vec<Template>, Failed> {
        let mut paths = Vec::new();
        for source in &files.sources {
            let FileSource::Path(word) = source else { continue };
            let mut path = self.word(word)?;
            if files.parents && path.text.contains("/./") {
                return Err("a spec keeps all parents, without the pivot `/./`".to_owned());
            }
            if path.text.contains("://") && !built {
                return Err("a spec copies no files of the web".to_owned());
            }
            path.text = inside(&path.text);
            paths.push(path);
        }
        Ok(paths)
    }

    fn copy_fields(
        &mut self,
        files: &Files,
        sources: Vec<Template>,
        from: Option<String>,
    ) -> Result<Vec<Field>, Failed> {
        let sources = sources.into_iter().map(|source| Yaml::Text(source.text)).collect();
        let mut fields = vec![field("copy", Yaml::one_or_many(sources))];
        fields.extend(from.map(|from| field("from", Yaml::text(from))));
        fields.extend(self.common(files)?);
        let yes = || Yaml::Word("true".to_owned());
        fields.extend(files.parents.then(|| field("parents", yes())));
        fields.extend(files.link.then(|| field("link", yes())));
        Ok(fields)
    }

    /// What steps with files share.
    fn common(&self, files: &Files) -> Result<Vec<Field>, Failed> {
        let mut fields = Vec::new();
        let to = self.word(&files.destination)?.text;
        if !matches!(to.as_str(), "." | "./") {
            fields.push(field("to", Yaml::text(to)));
        }
        let exclude: Vec<Yaml> = files
            .exclude
            .iter()
            .map(|word| Ok(Yaml::Text(self.word(word)?.text)))
            .collect::<Result<_, Failed>>()?;
        if !exclude.is_empty() {
            fields.push(field("exclude", Yaml::one_or_many(exclude)));
        }
        fields.extend(self.owner(files)?.map(|owner| field("owner", Yaml::text(owner))));
        fields.extend(self.mode(files)?.map(|mode| field("mode", Yaml::text(mode))));
        Ok(fields)
    }

    /// What is left out beside the colon is root's.
    fn owner(&self, files: &Files) -> Result<Option<String>, Failed> {
        let Some(word) = &files.chown else { return Ok(None) };
        let owner = self.word(word)?.text;
        Ok(match owner.as_str() {
            "" => None,
            text if text.starts_with(':') => Some(format!("0{text}")),
            text if text.ends_with(':') => Some(format!("{text}0")),
            _ => Some(owner),
        })
    }

    fn mode(&self, files: &Files) -> Result<Option<String>, Failed> {
        let Some(word) = &files.chmod else { return Ok(None) };
        let mode = self.word(word)?;
        let octal = mode.literal && mode.text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(match mode.text.as_str() {
            "" => None,
            text if octal => Some(format!("{:0>4}", text.trim_start_matches('0'))),
            _ => Some(mode.text),
        })
    }

    /// The steps that write each heredoc: to its name in a directory, or to the destination itself.
    fn heredocs(&self, files: &Files) -> Result<Vec<Vec<Vec<Field>>>, Failed> {
        let heredocs = files.sources.iter().filter_map(|source| match source {
            FileSource::Heredoc(heredoc) => Some(heredoc),
            FileSource::Path(_) => None,
        });
        heredocs.map(|heredoc| self.heredoc(files, heredoc)).collect()
    }

    fn heredoc(&self, files: &Files, heredoc: &Heredoc) -> Result<Vec<Vec<Field>>, Failed> {
        if !files.exclude.is_empty() || files.link {
            return Err("a spec writes files without --exclude and --link".to_owned());
        }
        let to = self.word(&files.destination)?.text;
        let path = match to.rsplit('/').next() {
            Some("") => format!("{to}{}", heredoc.name),
            Some("." | "..") => format!("{to}/{}", heredoc.name),
            _ => to,
        };
        let mut write = vec![field("path", Yaml::text(path.trim_start_matches("./")))];
        let text = heredoc.text();
        if heredoc.expand {
            let parts = word::heredoc_parts(&text).map_err(|error| error.message)?;
            write.push(field("text", Yaml::text(self.end.scope.write(&parts)?.text)));
        } else {
            let raw = literal(&text) != *text;
            write.push(field("text", Yaml::text(text)));
            write.extend(raw.then(|| field("template", Yaml::Word("false".to_owned()))));
        }
        if let Some(mode) = self.mode(files)? {
            if !mode.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("a spec writes files with modes in octal".to_owned());
            }
            write.push(field("mode", Yaml::text(mode)));
        }
        let mut steps = Vec::new();
        if let Some(owner) = self.owner(files)? {
            // Directories that have to be made are the owner's, too.
            if let Some((parent, _)) =
                path.rsplit_once('/').filter(|(parent, _)| !matches!(*parent, "" | "."))
            {
                steps.push(vec![field("mkdir", Yaml::text(parent)), field("owner", Yaml::text(&owner))]);
            }
            write.push(field("owner", Yaml::text(owner)));
        }
        let long = write.iter().any(|field| matches!(&field.value, Yaml::Text(text) if text.contains('\n')));
        steps.push(vec![field("write", if long { Yaml::Map(write) } else { Yaml::Flow(write) })]);
        Ok(steps)
    }

    /// Whether a file of the context would be unpacked.
    fn is_archive(&self, source: &Template) -> Result<bool, Failed> {
        let unknown =
            || format!("whether {} is an archive is not known: it is not in the context", source.text);
        let context: &Path = self.shared.context.ok_or_else(unknown)?;
        if !source.literal || source.text.contains(['*', '?', '[']) {
            return Err("which of these files are archives is known to a build alone".to_owned());
        }
        let path = context.join(&source.text);
        let stat = std::fs::metadata(&path).map_err(|_| unknown())?;
        Ok(stat.is_file() && File::open(&path).is_ok_and(is_tar))
    }
}

/// A path below its root, as it is meant: what leads out of it stops there.
fn inside(path: &str) -> String {
    let absolute = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if !absolute {
        return if path.is_empty() { ".".to_owned() } else { path.to_owned() };
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    if parts.is_empty() { ".".to_owned() } else { format!("{}{slash}", parts.join("/")) }
}

fn is_remote(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@") || text.ends_with(".git")
}
