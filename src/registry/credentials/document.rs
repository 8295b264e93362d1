//! A credentials file that is changed: what the change is not about stays as it was written, in its order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::file::normal;

/// The file. No `Debug`: it holds secrets.
pub(super) struct Document {
    members: Members,
    /// What lines are set in by.
    indent: String,
    /// What is behind the last brace.
    end: &'static str,
}

/// An object's members in their order, with their values as written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

const AUTHS: &str = "auths";

impl Document {
    /// Reads the text of a file; an empty one is as one that is not there, which is laid out as Docker would.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() {
            return Ok(Self { members: Members(Vec::new()), indent: "\t".to_owned(), end: "\n" });
        }
        let members = serde_json::from_str(text)?;
        let inside = text.trim_start().strip_prefix('{').unwrap_or_default();
        let line = inside.strip_prefix("\r\n").or_else(|| inside.strip_prefix('\n'));
        let indent =
            line.map(|line| line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect::<String>());
        let indent = indent.filter(|indent| !indent.is_empty()).unwrap_or_else(|| "\t".to_owned());
        Ok(Self { members, indent, end: if text.ends_with('\n') { "\n" } else { "" } })
    }

    /// Sets the entry of a registry, however it is spelled so far. `auth` is base64 of `USER:PASSWORD`; without it, the
    /// entry says only that a helper has it.
    pub(super) fn set(&mut self, name: &str, key: &str, auth: Option<&str>) -> Result<(), serde_json::Error> {
        let i = &self.indent;
        let value = match auth {
            // Base64 needs no escapes.
            Some(auth) => format!("{{\n{i}{i}{i}\"auth\": \"{auth}\"\n{i}{i}}}"),
            None => "{}".to_owned(),
        };
        let value = RawValue::from_string(value)?;
        let mut auths = self.auths()?;
        let place = auths.0.iter().position(|(key, _)| normal(key) == name).unwrap_or(auths.0.len());
        auths.0.retain(|(key, _)| normal(key) != name);
        auths.0.insert(place.min(auths.0.len()), (key.to_owned(), value));
        self.put(&auths)
    }

    /// Removes the entries of a registry. Whether there were any.
    pub(super) fn remove(&mut self, name: &str) -> Result<bool, serde_json::Error> {
        let mut auths = self.auths()?;
        let before = auths.0.len();
        auths.0.retain(|(key, _)| normal(key) != name);
        if auths.0.len() == before {
            return Ok(false);
        }
        self.put(&auths)?;
        Ok(true)
    }

    fn auths(&self) -> Result<Members, serde_json::Error> {
        let found = self.members.0.iter().find(|(key, _)| key == AUTHS);
        match found.map(|(_, value)| value.get()).filter(|text| *text != "null") {
            Some(text) => serde_json::from_str(text),
            None => Ok(Members(Vec::new())),
        }
    }

    fn put(&mut self, auths: &Members) -> Result<(), serde_json::Error> {
        let value = RawValue::from_string(auths.text(&self.indent, 1)?)?;
        match self.members.0.iter_mut().find(|(key, _)| key == AUTHS) {
            Some((_, old)) => *old = value,
            None => self.members.0.insert(0, (AUTHS.to_owned(), value)),
        }
        Ok(())
    }

    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(self.members.text(&self.indent, 0)? + self.end)
    }
}

impl Members {
    fn text(&self, indent: &str, depth: usize) -> Result<String, serde_json::Error> {
        if self.0.is_empty() {
            return Ok("{}".to_owned());
        }
        let (outside, inside) = (indent.repeat(depth), indent.repeat(depth + 1));
        let lines = self
            .0
            .iter()
            .map(|(key, value)| Ok(format!("{inside}{}: {}", serde_json::to_string(key)?, value.get())));
        let lines = lines.collect::<Result<Vec<_>, serde_json::Error>>()?.join(",\n");
        Ok(format!("{{\n{lines}\n{outside}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, name: &str, key: &str) -> String {
        let mut document = Document::parse(text).unwrap();
        document.set(name, key, Some("bTpw")).unwrap();
        document.text().unwrap()
    }

    #[test]
    fn a_new_file_looks_like_dockers() {
        let expected = "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \"bTpw\"\n\t\t}\n\t}\n}\n";
        assert_eq!(set("", "ghcr.io", "ghcr.io"), expected);
        assert_eq!(set(" \n", "ghcr.io", "ghcr.io"), expected);
        assert_eq!(set("{}\n", "ghcr.io", "ghcr.io"), expected);
    }

    #[test]
    fn all_else_stays_as_it_was_written() {
        let text = "{\n  \"z\": {\"b\":1,  \"a\":[1.50, 1e2]},\n  \"auths\": {\n    \"https://ghcr.io/v2/\": {\n      \
                    \"auth\": \"old\",\n      \"email\": \"x\"\n    },\n    \"a.example\": { \"auth\": \"eA==\" },\n    \
                    \"ghcr.io\": {}\n  },\n  \"credHelpers\": {\"gcr.io\":\"gcloud\"}\n}";
        let expected = "{\n  \"z\": {\"b\":1,  \"a\":[1.50, 1e2]},\n  \"auths\": {\n    \"ghcr.io\": {\n      \
                        \"auth\": \"bTpw\"\n    },\n    \"a.example\": { \"auth\": \"eA==\" }\n  },\n  \
                        \"credHelpers\": {\"gcr.io\":\"gcloud\"}\n}";
        assert_eq!(set(text, "ghcr.io", "ghcr.io"), expected);
        let mut document = Document::parse(expected).unwrap();
        assert!(!document.remove("quay.io").unwrap());
        assert_eq!(document.text().unwrap(), expected);
        assert!(document.remove("ghcr.io").unwrap() && document.remove("a.example").unwrap());
        let left = document.text().unwrap();
        assert!(left.contains("\"auths\": {},\n") && left.contains("1.50, 1e2"), "{left}");
    }

    #[test]
    fn docker_hub_goes_by_its_url() {
        let text = set(
            r#"{"auths":{"docker.io":{},"index.docker.io":{}}}"#,
            "docker.io",
            "https://index.docker.io/v1/",
        );
        assert_eq!(text.matches("docker.io").count(), 1, "{text}");
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for text in ["[]", "nothing", r#"{"auths": }"#] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        assert!(Document::parse(r#"{"auths": []}"#).unwrap().set("a", "a", None).is_err());
    }
}
