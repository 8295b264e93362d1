//! Writing YAML, in the few shapes that a spec has, as a person would.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A text: in quotes where a reader would see something else in it.
    Text(String),
    /// A number or a boolean, written as it is.
    Word(String),
    /// No value.
    Null,
    /// A list, on one line where it fits.
    List(Vec<Yaml>),
    /// A map.
    Map(Vec<Field>),
    /// A map on one line where it fits.
    Flow(Vec<Field>),
    /// A list with an item on each line, with comments.
    Block(Vec<Item>),
}

/// A field of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The lines of comment above it.
    pub(super) comments: Vec<String>,
    pub(super) key: String,
    pub(super) value: Yaml,
}

/// An item of a list. One without a value is a comment alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The lines of comment above it.
    pub(super) comments: Vec<String>,
    pub(super) value: Option<Yaml>,
}

/// The longest line of what is put on one.
const WIDTH: usize = 110;

impl Yaml {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::List(texts.into_iter().map(|text| Self::Text(text.into())).collect())
    }

    /// One value alone, or the list of several.
    pub(super) fn one_or_many(mut values: Vec<Self>) -> Self {
        match values.len() {
            1 => values.remove(0),
            _ => Self::List(values),
        }
    }

    /// The document.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        if let Self::Map(fields) = self {
            block_map(fields, 0, &mut out);
        }
        out
    }

    /// On one line, if it can be.
    fn flow(&self, outside: bool) -> Option<String> {
        match self {
            Self::Text(text) => (!is_block(text) || !outside).then(|| scalar(text, !outside)),
            Self::Word(word) => Some(word.clone()),
            Self::Null => Some(String::new()),
            Self::List(values) => {
                let values = values.iter().map(|value| value.flow(false)).collect::<Option<Vec<_>>>()?;
                Some(format!("[{}]", values.join(", ")))
            }
            Self::Map(fields) | Self::Flow(fields) => {
                let mut all = Vec::new();
                for field in fields {
                    if !field.comments.is_empty() {
                        return None;
                    }
                    all.push(format!("{}: {}", scalar(&field.key, true), field.value.flow(false)?));
                }
                Some(format!("{{{}}}", all.join(", ")))
            }
            Self::Block(_) => None,
        }
    }

    /// Behind `key:`, with what belongs to it on the lines below, which are indented by more than `indent`.
    fn below_key(&self, indent: usize, column: usize, out: &mut String) {
        let fits = |text: &String| column + 1 + text.chars().count() <= WIDTH;
        let short = match self {
            Self::Text(_) | Self::Word(_) | Self::Null => self.flow(true),
            Self::List(values) if values.is_empty() => Some("[]".to_owned()),
            Self::List(_) | Self::Flow(_) => self.flow(true).filter(fits).filter(|_| !self.has_lines()),
            Self::Map(fields) if fields.is_empty() => Some("{}".to_owned()),
            Self::Map(_) | Self::Block(_) => None,
        };
        match (short, self) {
            (Some(text), _) if text.is_empty() => out.push('\n'),
            (Some(text), _) => out.push_str(&format!(" {text}\n")),
            (None, Self::Text(text)) => literal(text, indent + 2, out),
            (None, Self::Map(fields) | Self::Flow(fields)) => {
                out.push('\n');
                block_map(fields, indent + 2, out);
            }
            (None, Self::List(values)) => {
                out.push('\n');
                for value in values {
                    block_item(value, indent + 2, out);
                }
            }
            (None, Self::Block(items)) => {
                out.push('\n');
                for item in items {
                    comments(&item.comments, indent + 2, out);
                    if let Some(value) = &item.value {
                        block_item(value, indent + 2, out);
                    }
                }
            }
            (None, Self::Word(_) | Self::Null) => out.push('\n'),
        }
    }

    /// Whether a text of several lines is in it.
    fn has_lines(&self) -> bool {
        match self {
            Self::Text(text) => text.contains('\n'),
            Self::Word(_) | Self::Null => false,
            Self::List(values) => values.iter().any(Self::has_lines),
            Self::Map(fields) | Self::Flow(fields) => fields.iter().any(|field| field.value.has_lines()),
            Self::Block(_) => true,
        }
    }
}

fn comments(lines: &[String], indent: usize, out: &mut String) {
    for line in lines {
        out.push_str(format!("{:indent$}# {line}", "").trim_end());
        out.push('\n');
    }
}

fn block_map(fields: &[Field], indent: usize, out: &mut String) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 && matches!(&field.value, Yaml::Map(inner) if inner.iter().any(|f| f.key == "from")) {
            out.push('\n');
        }
        comments(&field.comments, indent, out);
        out.push_str(&" ".repeat(indent));
        field_line(field, indent, out);
    }
}

fn field_line(field: &Field, indent: usize, out: &mut String) {
    let key = scalar(&field.key, false);
    out.push_str(&key);
    out.push(':');
    field.value.below_key(indent, indent + key.chars().count() + 1, out);
}

fn block_item(value: &Yaml, indent: usize, out: &mut String) {
    out.push_str(&format!("{:indent$}-", ""));
    match value {
        Yaml::Map(fields) if !fields.is_empty() => {
            out.push(' ');
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    comments(&field.comments, indent + 2, out);
                    out.push_str(&" ".repeat(indent + 2));
                }
                field_line(field, indent + 2, out);
            }
        }
        _ => value.below_key(indent, indent + 1, out),
    }
}

/// Whether a text is written as lines.
fn is_block(text: &str) -> bool {
    let plain = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_strange(c));
    let first = text.chars().next();
    text.trim_end_matches('\n').contains('\n')
        && !matches!(first, Some(' ' | '\n' | '\t'))
        && text.chars().all(plain)
        && !text.trim_end_matches('\n').is_empty()
}

/// What readers of YAML take for the end of a line, for a mark, or do not take at all.
fn is_strange(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    let chomp = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    out.push_str(&format!(" |{chomp}\n"));
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&format!("{:indent$}{line}", ""));
        }
        out.push('\n');
    }
}

/// A text on one line: as it is where every reader of YAML sees this text in it, else in quotes.
pub(super) fn scalar(text: &str, inside: bool) -> String {
    if is_plain(text, inside) {
        return text.to_owned();
    }
    if !text.contains('\'')
        && text.contains(['"', '\\'])
        && !text.chars().any(|c| c.is_control() || is_strange(c))
    {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() || is_strange(c) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn is_plain(text: &str, inside: bool) -> bool {
    /// What a plain text cannot begin with, and what some readers of YAML see a number in.
    const MARKS: &str = "?:,[]{}#&*!|>'\"%@`=~<+";
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    let begins = match (first, characters.next()) {
        ('-', second) => second.is_some_and(|c| !c.is_whitespace() && !c.is_ascii_digit() && c != '.'),
        ('.', second) => !second.is_some_and(|c| c.is_ascii_digit()),
        (first, _) => !MARKS.contains(first),
    };
    let special: &[char] = if inside { &[',', '[', ']', '{', '}', ':'] } else { &[] };
    begins
        && !text.starts_with("---")
        && !text.contains(special)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || is_strange(c))
        && !is_other(text)
}

/// Whether some version of YAML reads a number, a boolean, a time or nothing in it.
fn is_other(text: &str) -> bool {
    const WORDS: [&str; 11] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"];
    // Numbers in all their forms and times begin with a digit and have nothing but these; `1.2.3` is a text.
    let of_numbers = |c: char| c.is_ascii_hexdigit() || ".:_+-xo".contains(c);
    let version = text.matches('.').count() > 1 && !text.contains([':', '_']);
    let number = text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(of_numbers) && !version;
    number || WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\\n\\t]{0,12}",
            "\\PC{0,8}",
            "[0-9.:eExob_+-]{1,6}",
            "[a-z{}$:,#&*!|>'\"%@`?=\\[\\] \\n-]{0,10}",
            "( ?[a-c]{0,3} ?\\n){1,4}",
            Just("null".to_owned()),
            Just("~".to_owned()),
            Just("Yes".to_owned()),
            any::<String>(),
        ]
    }

    fn values() -> impl Strategy<Value = Yaml> {
        let leaf = texts().prop_map(Yaml::Text);
        leaf.prop_recursive(3, 16, 4, |inner| {
            let fields = prop::collection::btree_map(texts(), inner.clone(), 1..4)
                .prop_map(|map| {
                    let fields = map.into_iter();
                    fields.map(|(key, value)| Field { comments: Vec::new(), key, value }).collect::<Vec<_>>()
                })
                .boxed();
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Yaml::List),
                fields.clone().prop_map(Yaml::Map),
                fields.prop_map(Yaml::Flow),
                prop::collection::vec(inner, 1..3).prop_map(|values| {
                    let item = |value| Item { comments: vec!["a: b".to_owned()], value: Some(value) };
                    Yaml::Block(values.into_iter().map(item).collect())
                }),
            ]
        })
    }

    fn meant(value: &Yaml) -> Value {
        match value {
            Yaml::Text(text) | Yaml::Word(text) => Value::String(text.clone()),
            Yaml::Null => Value::Null,
            Yaml::List(values) => values.iter().map(meant).collect(),
            Yaml::Block(items) => items.iter().filter_map(|item| item.value.as_ref()).map(meant).collect(),
            Yaml::Map(fields) | Yaml::Flow(fields) => {
                fields.iter().map(|field| (field.key.clone(), meant(&field.value))).collect()
            }
        }
    }

    proptest! {
        /// By a reader that tells numbers and texts apart: whatever is no text is in quotes.
        #[test]
        fn what_is_written_is_read(value in values()) {
            let field = Field { comments: vec!["a comment".to_owned()], key: "key".to_owned(), value };
            let wanted = meant(&field.value);
            let text = Yaml::Map(vec![field]).document();
            let read: Value = serde_saphyr::from_str(&text)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(&read["key"], &wanted, "{}", text);
        }
    }
}
