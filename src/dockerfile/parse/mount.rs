//! `RUN --mount`.

use super::{Context, go};
use crate::{
    dockerfile::{
        syntax::{Mount, MountFlag, MountKind, MountOption, Word},
        text::WordBuilder,
    },
    recipe::Sharing,
    source::{Diagnostic, SourceFile, suggest},
};

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

/// Reads a flag's value. One without variables is checked as a whole right away.
pub(super) fn mount_flag(context: &mut Context<'_>, value: &Word) -> Option<MountFlag> {
    let Some(fields) = fields(value) else {
        context.error_with_hint(
            "the options of --mount cannot be read",
            &value.span,
            "a quote is not closed, or something follows one",
            "options are comma-separated; quote one that holds a comma: \"target=/a,b\"",
        );
        return None;
    };
    let mut flag = MountFlag { options: Vec::with_capacity(fields.len()), span: value.span.clone() };
    let mut variables = false;
    for field in fields {
        let option = match field.key_value() {
            Some((key, value)) => MountOption { key, value: Some(value) },
            None => MountOption { key: field, value: None },
        };
        let value = option.value.as_ref().map_or("", |value| value.text.as_str());
        if value.contains('$') {
            variables = true;
            if option.key.text.eq_ignore_ascii_case("from") {
                context.error_with_hint(
                    "variables are not expanded in `from`",
                    &option.value.as_ref().map_or(field_span(&option), |value| value.span.clone()),
                    "",
                    "name the image in a stage, `FROM ${IMAGE} AS name`, and mount from the stage",
                );
            }
        }
        flag.options.push(option);
    }
    if !variables && let Err(error) = flag.resolve(context.file, &mut |word| Ok(word.text.clone())) {
        context.errors.push(error);
    }
    Some(flag)
}

fn field_span(option: &MountOption) -> std::ops::Range<usize> {
    let end = option.value.as_ref().map_or(option.key.span.end, |value| value.span.end);
    option.key.span.start..end
}

/// Comma-separated fields; one in double quotes may hold commas, and quotes written twice (RFC 4180). `None`: a quote
/// is not closed, or something follows a closing one, or one is inside a plain field.
fn fields(value: &Word) -> Option<Vec<Word>> {
    let text = &value.text;
    let mut fields = Vec::new();
    let mut position = 0;
    loop {
        if text[position..].starts_with('"') {
            let mut field = WordBuilder::new(value, position);
            let mut characters =
                text[position + 1..].char_indices().map(|(at, c)| (position + 1 + at, c)).peekable();
            let mut end = None;
            while let Some((at, character)) = characters.next() {
                if character != '"' {
                    field.push(at, character);
                } else if let Some((at, _)) = characters.next_if(|(_, next)| *next == '"') {
                    field.push(at, '"');
                } else {
                    end = Some(at + 1);
                    break;
                }
            }
            position = end?;
            fields.push(field.finish(position));
        } else {
            let length = text[position..].find(',').unwrap_or(text.len() - position);
            let field = value.slice(position..position + length);
            if field.text.contains('"') {
                return None;
            }
            fields.push(field);
            position += length;
        }
        match text[position..].chars().next() {
            None => return Some(fields),
            Some(',') => position += 1,
            Some(_) => return None,
        }
    }
}

impl MountFlag {
    /// What it means. `expand` is asked for each value but that of `from` (and may give the text back as it is);
    /// errors about keys and values are told at their places in `file`.
    pub fn resolve(
        &self,
        file: &SourceFile,
        expand: &mut dyn FnMut(&Word) -> Result<String, Diagnostic>,
    ) -> Result<Mount, Diagnostic> {
        let mut values = Vec::with_capacity(self.options.len());
        for option in &self.options {
            let value = match &option.value {
                Some(value) if option.key.text.eq_ignore_ascii_case("from") => Some(value.text.clone()),
                Some(value) => Some(expand(value)?),
                None => None,
            };
            values.push((option.key.text.to_ascii_lowercase(), value));
        }
        let mut resolver = Resolver { file, flag: self, mount: Mount::default(), read_only: None };
        // The others are checked against it, wherever it stands.
        for (option, (key, value)) in self.options.iter().zip(&values) {
            if let ("type", Some(value)) = (key.as_str(), value) {
                resolver.mount.kind = resolver.choice(option, value, &KINDS)?;
            }
        }
        for (option, (key, value)) in self.options.iter().zip(&values) {
            match value {
                Some(value) => resolver.set(option, key, value)?,
                None => resolver.switch(option, key)?,
            }
        }
        resolver.finish()
    }
}

struct Resolver<'a> {
    file: &'a SourceFile,
    flag: &'a MountFlag,
    mount: Mount,
    read_only: Option<bool>,
}

impl Resolver<'_> {
    fn error(&self, option: &MountOption, message: String) -> Diagnostic {
        Diagnostic::new(message).at(self.file.at(field_span(option)), "")
    }

    fn whole(&self, message: &str) -> Diagnostic {
        Diagnostic::new(message).at(self.file.at(self.flag.span.clone()), "")
    }

    fn kind_name(&self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self.mount.kind).map_or("", |(name, _)| name)
    }

    fn choice<T: Copy>(
        &self,
        option: &MountOption,
        value: &str,
        known: &[(&'static str, T)],
    ) -> Result<T, Diagnostic> {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        known.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, value)| *value).ok_or_else(
            || {
                self.error(option, format!("`{}` of a mount cannot be {value:?}", option.key.text))
                    .hint(suggest::hint(value, &names, "values known here"))
            },
        )
    }

    fn boolean(&self, option: &MountOption, value: &str) -> Result<bool, Diagnostic> {
        go::go_bool(value).ok_or_else(|| {
            self.error(option, format!("`{}` is either true or false, not {value:?}", option.key.text))
        })
    }

    fn number(&self, option: &MountOption, value: &str, radix: u32) -> Result<u32, Diagnostic> {
        let plain = !value.starts_with('+');
        u32::from_str_radix(value, radix).ok().filter(|_| plain).ok_or_else(|| {
            let kind = if radix == 8 { "an octal number" } else { "a number" };
            self.error(option, format!("`{}` is {kind}, not {value:?}", option.key.text))
        })
    }

    /// Tells of an option that this kind of mount has not.
    fn only(&self, option: &MountOption, kinds: &[MountKind]) -> Result<(), Diagnostic> {
        if kinds.contains(&self.mount.kind) {
            return Ok(());
        }
        let names: Vec<&str> =
            KINDS.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| *name).collect();
        let message = format!("a mount of type {} has no `{}`", self.kind_name(), option.key.text);
        Err(self.error(option, message).hint(format!("mounts of type {} have it", names.join(", "))))
    }

    fn set(&mut self, option: &MountOption, key: &str, value: &str) -> Result<(), Diagnostic> {
        use MountKind::{Cache, Secret, Ssh, Tmpfs};
        let owned = || Some(value.to_owned());
        match key {
            "type" => {}
            "from" => self.mount.from = owned(),
            "source" | "src" => self.mount.source = owned(),
            "target" | "dst" | "destination" => self.mount.target = owned(),
            "readonly" | "ro" => self.read_only = Some(self.boolean(option, value)?),
            "readwrite" | "rw" => self.read_only = Some(!self.boolean(option, value)?),
            "id" => self.mount.id = owned(),
            "env" => {
                self.only(option, &[Secret])?;
                self.mount.env = owned();
            }
            "required" => {
                self.only(option, &[Secret, Ssh])?;
                self.mount.required = self.boolean(option, value)?;
            }
            "sharing" => {
                self.only(option, &[Cache])?;
                self.mount.sharing = Some(self.choice(option, value, &SHARINGS)?);
            }
            "size" => {
                self.only(option, &[Tmpfs])?;
                let size = go::bytes(value);
                let error =
                    || self.error(option, format!("{value:?} is no size")).hint("write it as 64m or 1g");
                self.mount.size = Some(size.ok_or_else(error)?);
            }
            "mode" | "uid" | "gid" => {
                self.only(option, &[Secret, Ssh, Cache])?;
                match key {
                    "mode" => self.mount.mode = Some(self.number(option, value, 8)?),
                    "uid" => self.mount.uid = Some(self.number(option, value, 10)?),
                    _ => self.mount.gid = Some(self.number(option, value, 10)?),
                }
            }
            _ => return Err(self.unknown(option)),
        }
        Ok(())
    }

    /// An option without a value.
    fn switch(&mut self, option: &MountOption, key: &str) -> Result<(), Diagnostic> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only(option, &[MountKind::Secret, MountKind::Ssh])?;
                self.mount.required = true;
            }
            _ if KEYS.contains(&key) => {
                let key = &option.key.text;
                return Err(self
                    .error(option, format!("`{key}` needs a value"))
                    .hint(format!("write {key}=…")));
            }
            _ => return Err(self.unknown(option)),
        }
        Ok(())
    }

    fn unknown(&self, option: &MountOption) -> Diagnostic {
        let key = &option.key.text;
        if key.is_empty() && option.value.is_none() {
            return self.error(option, "an option of --mount is empty".to_owned());
        }

        self.error(option, format!("a mount has no option {key:?}"))
            .hint(suggest::hint(key, &KEYS, "options"))
    }

    fn finish(self) -> Result<Mount, Diagnostic> {
        let Self { mount, read_only, .. } = &self;
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        match mount.kind {
            MountKind::Secret if has(&mount.from) => {
                return Err(self.whole("a secret mount has no `from`"));
            }
            // As in BuildKit: the variable is where it goes, not which one it is.
            MountKind::Secret if ![&mount.source, &mount.target, &mount.id].into_iter().any(has) => {
                let name = mount.env.as_deref().filter(|name| !name.is_empty()).unwrap_or("NAME");
                return Err(self
                    .whole("a secret mount needs an `id` or a `target`")
                    .hint(format!("the id is that of --secret, as in type=secret,id={name},env={name}")));
            }
            MountKind::Secret if has(&mount.source) && has(&mount.id) => {
                return Err(self.whole("`source` and `id` of a secret mean the same: give one of them"));
            }
            _ => {}
        }
        let writable = matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs);
        let read_only = read_only.unwrap_or(!writable);
        Ok(Mount { read_only, ..self.mount })
    }
}
