//! A lock from text.

use std::collections::{BTreeMap, BTreeSet};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Entry, ImagePin, Input, Lock, Pin, WebPin,
    document::{is_commit, platform},
};
use crate::{
    oci::{Digest, Reference},
    source::{Diagnostic, SourceFile, suggest},
};

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The version that is read and written.
const VERSION: &str = "1";

impl Lock {
    /// Reads the text of a lock. The error shows the line at fault.
    pub fn parse(file: &SourceFile) -> Result<Self, Diagnostic> {
        let root = DeTable::parse(file.text()).map_err(|error| {
            let diagnostic = Diagnostic::new(format!("this is not valid TOML: {}", error.message()));
            let diagnostic = match error.span() {
                Some(span) => diagnostic.at(file.at(span), ""),
                None => diagnostic,
            };
            diagnostic.hint(match file.text().lines().any(|line| line.starts_with("<<<<<<<")) {
                true => "take one side of the merge conflict, and then run `imgbuild lock`",
                false => AGAIN,
            })
        })?;
        let reader = Reader { file };
        reader.version(root.get_ref())?;
        let mut lock = Self::default();
        for (key, value) in root.get_ref() {
            let read = match key.get_ref().as_ref() {
                "version" => continue,
                "image" => Reader::image,
                "url" => Reader::web,
                "git" => Reader::git,
                _ => return Err(reader.unknown(key, &["version", "image", "url", "git"])),
            };
            let tables = value.get_ref().as_array();
            for table in tables.ok_or_else(|| reader.wrong(value, key.get_ref(), "a list of tables"))? {
                let (input, entry) = read(&reader, table)?;
                if lock.entries.contains_key(&input) {
                    let twice = Diagnostic::new(format!("{input} is here twice"));
                    return Err(twice.at(file.at(table.span()), "the second time").hint(AGAIN));
                }
                lock.entries.insert(input, entry);
            }
        }
        Ok(lock)
    }
}

const AGAIN: &str = "remove what is wrong, or the whole file, and run `imgbuild lock`";

struct Reader<'a> {
    file: &'a SourceFile,
}

/// The fields of a table, which are taken out one by one.
struct Fields<'a, 'v, 'i> {
    reader: &'a Reader<'a>,
    at: &'v Value<'i>,
    table: &'v DeTable<'i>,
}

impl Reader<'_> {
    fn version(&self, root: &DeTable<'_>) -> Result<(), Diagnostic> {
        let Some((_, version)) = root.iter().find(|(key, _)| key.get_ref().as_ref() == "version") else {
            return Err(Diagnostic::new("there is no `version`").at(self.file.at(0..0), "").hint(AGAIN));
        };
        match version.get_ref().as_integer() {
            Some(number) if number.as_str() == VERSION && number.radix() == 10 => Ok(()),
            Some(_) => Err(Diagnostic::new("this lock has a version that is not known: 1 is the only one")
                .at(self.file.at(version.span()), "")
                .hint("a later imgbuild wrote it: use that, or remove the file and run `imgbuild lock`")),
            None => Err(self.wrong(version, "version", "a number")),
        }
    }

    fn fields<'v, 'i>(&self, value: &'v Value<'i>, known: &[&str]) -> Result<Fields<'_, 'v, 'i>, Diagnostic> {
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong(value, "an entry", "a table"))?;
        match table.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            Some((key, _)) => Err(self.unknown(key, known)),
            None => Ok(Fields { reader: self, at: value, table }),
        }
    }

    fn image(&self, value: &Value<'_>) -> Result<(Input, Entry), Diagnostic> {
        let fields = self.fields(value, &["name", "digest", "used-by", "platforms"])?;
        let name = fields.needed("name")?;
        let reference = name.get_ref().as_str().and_then(|text| text.parse::<Reference>().ok());
        let reference =
            reference.ok_or_else(|| self.wrong(name, "name", "the name of an image with its registry"))?;
        let digest = fields.digest()?;
        if reference.digest.is_some_and(|named| named != digest) {
            return Err(self.wrong(fields.needed("digest")?, "digest", "the one of the name"));
        }
        let mut platforms = BTreeMap::new();
        if let Some(table) = fields.get("platforms") {
            let wrong = || self.wrong(table, "platforms", "a table");
            for (key, value) in table.get_ref().as_table().ok_or_else(wrong)? {
                let platform = platform(key.get_ref())
                    .ok_or_else(|| self.wrong(key, "a platform", "OS/ARCHITECTURE[/VARIANT]"))?;
                platforms.insert(platform, self.digest(value)?);
            }
        }
        let pin = Pin::Image(ImagePin { digest, platforms });
        Ok((Input::image(&reference), Entry { pin, used_by: fields.used_by()? }))
    }

    fn web(&self, value: &Value<'_>) -> Result<(Input, Entry), Diagnostic> {
        let fields = self.fields(value, &["url", "query", "digest", "modified", "used-by"])?;
        let digest = fields.digest()?;
        if digest.algorithm() != "sha256" {
            return Err(self.wrong(fields.needed("digest")?, "digest", "one of SHA-256"));
        }
        let modified = match fields.get("modified") {
            None => None,
            Some(value) => {
                let number = value.get_ref().as_integer();
                let number =
                    number.and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
                Some(number.ok_or_else(|| self.wrong(value, "modified", "a number of seconds"))?)
            }
        };
        let input = Input::Web { url: fields.text("url")?, query: fields.optional("query")? };
        Ok((input, Entry { pin: Pin::Web(WebPin { digest, modified }), used_by: fields.used_by()? }))
    }

    fn git(&self, value: &Value<'_>) -> Result<(Input, Entry), Diagnostic> {
        let fields = self.fields(value, &["remote", "ref", "commit", "used-by"])?;
        let commit = fields.text("commit")?;
        let wrong = |wanted| Ok(self.wrong(fields.needed("commit")?, "commit", wanted));
        if !is_commit(&commit) {
            return Err(wrong("a commit in full, 40 or 64 hexadecimal digits")?);
        }
        let input = Input::Git { remote: fields.text("remote")?, reference: fields.optional("ref")? };
        if let Input::Git { reference: Some(reference), .. } = &input
            && is_commit(reference)
            && *reference != commit
        {
            return Err(wrong("the one of `ref`")?);
        }
        Ok((input, Entry { pin: Pin::Git(commit), used_by: fields.used_by()? }))
    }

    fn digest(&self, value: &Value<'_>) -> Result<Digest, Diagnostic> {
        let digest = value.get_ref().as_str().and_then(|text| text.parse().ok());
        digest.ok_or_else(|| self.wrong(value, "a digest", "`sha256:` and 64 hexadecimal digits"))
    }

    fn wrong<T>(&self, at: &Spanned<T>, what: &str, wanted: &str) -> Diagnostic {
        Diagnostic::new(format!("{what} must be {wanted}")).at(self.file.at(at.span()), "").hint(AGAIN)
    }

    fn unknown(&self, key: &Key<'_>, known: &[&str]) -> Diagnostic {
        let word = key.get_ref();
        Diagnostic::new(format!("unknown key `{word}`"))
            .at(self.file.at(key.span()), "")
            .hint(suggest::hint(word, known, "keys here are"))
            .hint(AGAIN)
    }
}

impl<'v, 'i> Fields<'_, 'v, 'i> {
    fn get(&self, name: &str) -> Option<&'v Value<'i>> {
        self.table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
    }

    fn needed(&self, name: &str) -> Result<&'v Value<'i>, Diagnostic> {
        let place = self.reader.file.at(self.at.span());
        self.get(name)
            .ok_or_else(|| Diagnostic::new(format!("the entry has no `{name}`")).at(place, "").hint(AGAIN))
    }

    fn optional(&self, name: &str) -> Result<Option<String>, Diagnostic> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    fn text(&self, name: &str) -> Result<String, Diagnostic> {
        let value = self.needed(name)?;
        let text = value.get_ref().as_str();
        text.map(str::to_owned).ok_or_else(|| self.reader.wrong(value, name, "a text"))
    }

    fn digest(&self) -> Result<Digest, Diagnostic> {
        self.reader.digest(self.needed("digest")?)
    }

    fn used_by(&self) -> Result<BTreeSet<String>, Diagnostic> {
        let value = self.needed("used-by")?;
        let wrong = || self.reader.wrong(value, "used-by", "a list of files");
        let files = value.get_ref().as_array().ok_or_else(wrong)?;
        files.iter().map(|file| file.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }
}
