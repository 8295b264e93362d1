//! YAML text → [`Node`].

use std::{collections::HashMap, ops::Range};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::node::{Key, Node, Value};
use crate::source::{Diagnostic, SourceFile};

/// The deepest nesting: a spec needs less than ten.
const MAX_DEPTH: usize = 64;
/// The most values a spec may have once its aliases are resolved: a bomb has millions.
const MAX_NODES: usize = 200_000;
/// The longest file.
const MAX_BYTES: usize = 4 << 20;

/// Reads the one document of a file.
pub(super) fn read(file: &SourceFile) -> Result<Node, Diagnostic> {
    let text = file.text();
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::new(format!("{} is larger than 4 MiB; that is no spec", file.name())));
    }
    if let Some(at) = text.find('\0') {
        return Err(Diagnostic::new("the file has a NUL byte; it is no text")
            .at(file.at(at..at + 1), "")
            .hint("a spec is YAML text in UTF-8"));
    }
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { file, parser, anchors: HashMap::new(), nodes: 0 };
    reader.document()
}

struct Reader<'a> {
    file: &'a SourceFile,
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    /// Finished nodes by their anchor's number.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Diagnostic> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    return Err(Diagnostic::new("the file has more than one YAML document")
                        .at(self.file.at(span), "a second document starts here")
                        .hint("put each spec in a file of its own"));
                }
                event => root = Some(self.node(event, span, 0)?.0),
            }
        }
        match root {
            Some(Node { value: Value::Null, .. }) | None => {
                Err(Diagnostic::new(format!("{} is empty", self.file.name()))
                    .hint("a spec needs at least `from:` and `layers:`"))
            }
            Some(root) => Ok(root),
        }
    }

    /// The next event that says something; comments do not.
    fn next(&mut self) -> Result<Option<(Event<'a>, Range<usize>)>, Diagnostic> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok(Some((event, bytes(&span)))),
                Some(Err(error)) => return Err(self.syntax_error(&error)),
            }
        }
    }

    /// The event that must come since a list or a map is open.
    fn more(&mut self) -> Result<(Event<'a>, Range<usize>), Diagnostic> {
        self.next()?.ok_or_else(|| Diagnostic::new(format!("{} ends in the middle", self.file.name())))
    }

    /// Builds the node that an event begins, with the number of nodes in it.
    fn node(
        &mut self,
        event: Event<'a>,
        span: Range<usize>,
        depth: usize,
    ) -> Result<(Node, usize), Diagnostic> {
        let before = self.nodes;
        self.count(1, &span)?;
        if depth > MAX_DEPTH {
            return Err(Diagnostic::new(format!("values are nested more than {MAX_DEPTH} deep"))
                .at(self.file.at(span), "too deep"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Value::Null
                } else {
                    Value::Scalar { text: text.into_owned(), plain }
                };
                (Node { value, span }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(span, depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(span, depth)?, anchor),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::new("an alias stands inside the value that it repeats")
                        .at(self.file.at(span), ""));
                };
                self.count(size, &span)?;
                return Ok((node, self.nodes - before));
            }
            _ => return Err(Diagnostic::new("unexpected YAML").at(self.file.at(span), "")),
        };
        let size = self.nodes - before;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn list(&mut self, mut span: Range<usize>, depth: usize) -> Result<Node, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.more()?;
            if event == Event::SequenceEnd {
                span.end = span.end.max(at.start);
                return Ok(Node { value: Value::List(items), span });
            }
            items.push(self.node(event, at, depth + 1)?.0);
        }
    }

    fn map(&mut self, mut span: Range<usize>, depth: usize) -> Result<Node, Diagnostic> {
        let mut fields: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, at) = self.more()?;
            if event == Event::MappingEnd {
                span.end = span.end.max(at.start);
                return Ok(Node { value: Value::Map(fields), span });
            }
            let (key, _) = self.node(event, at, depth + 1)?;
            let text = match key.value {
                Value::Scalar { text, .. } => text,
                Value::Null => "null".to_owned(),
                Value::List(_) | Value::Map(_) => {
                    return Err(Diagnostic::new("a key must be a word")
                        .at(self.file.at(first_line(self.file.text(), key.span)), "not a word")
                        .hint("put a text that starts with { or [ in quotes"));
                }
            };
            if text == "<<" {
                return Err(Diagnostic::new("merge keys (`<<`) are not supported")
                    .at(self.file.at(key.span), "")
                    .hint(
                        "repeat a whole value with an alias instead, or start both stages from a common one",
                    ));
            }
            if let Some(first) = seen.get(&text) {
                let line = self.file.at(*first..*first).line();
                return Err(Diagnostic::new(format!("`{text}` is given twice"))
                    .at(self.file.at(key.span), format!("first given on line {line}"))
                    .hint("remove one of the two"));
            }
            seen.insert(text.clone(), key.span.start);
            let (event, at) = self.more()?;
            let value = self.node(event, at, depth + 1)?.0;
            fields.push((Key { text, span: key.span }, value));
        }
    }

    fn count(&mut self, nodes: usize, span: &Range<usize>) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Diagnostic::new(format!("the spec has more than {MAX_NODES} values"))
                .at(self.file.at(span.clone()), "reached here")
                .hint("aliases (`*name`) of aliases multiply; write the values out"));
        }
        Ok(())
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let text = self.file.text();
        let marker = error.marker();
        let start = marker.byte_offset().unwrap_or_else(|| offset_of_line(text, marker.line()));
        // At the end of the text there is nothing to point at: show the last character.
        let start = floor_char(text, start.min(text.trim_end().len().saturating_sub(1)));
        let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
        let message = error.info();
        let diagnostic =
            Diagnostic::new(format!("this is not valid YAML: {message}")).at(self.file.at(start..end), "");
        let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let indent: &str = &text[line..][..text[line..].len() - text[line..].trim_start().len()];
        if indent.contains('\t') || text[start..end].contains('\t') {
            return diagnostic.hint("YAML is indented with spaces, never with tabs");
        }
        if text[line..].trim_start().starts_with('@') || text[start..end].contains(['@', '`', '%']) {
            return diagnostic.hint("put values that start with one of @ ` % in quotes");
        }
        if text[line..end].contains("${") {
            return diagnostic.hint("inside [ ] and { }, a text with `${…}` needs quotes");
        }
        diagnostic
            .hint("check the indentation, and put values with `: `, ` #` or leading *, &, {, [ in quotes")
    }
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

/// Where a line (from 1) begins.
fn offset_of_line(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The part of a range that is on its first line, without white space at its end.
pub(super) fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(part) = text.get(range.clone()) else { return range };
    let line = part.split('\n').next().unwrap_or_default().trim_end();
    range.start..range.start + line.len()
}
