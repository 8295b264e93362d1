//! Texts with expressions: the part of Handlebars (<https://handlebarsjs.com/guide/>) that tags are written with.
//!
//! `{{name}}`, `{{name 'argument' key='value'}}`, `{{{name}}}` and `{{&name}}` without escaping, `{{!comment}}`,
//! `{{#if name}}…{{else}}…{{/if}}`, `{{#unless name}}…{{/unless}}`, `{{~name~}}` without the white space around it, and
//! `\{{` for braces that mean themselves.

use super::error::Problem;

/// A text with expressions, checked for its form alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Template {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    Value {
        call: Call,
        /// Whether characters that mean something in HTML are replaced.
        escaped: bool,
    },
    If {
        condition: Call,
        /// Whether it is an `unless`.
        not: bool,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// A name, and what is given to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) named: Vec<(String, String)>,
}

/// What gives names their values.
pub(super) trait Scope {
    fn value(&self, call: &Call) -> Result<String, Problem>;
}

/// How deep blocks may be nested.
const DEEPEST: usize = 16;

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut parser = Parser { rest: text, trim: false };
        let (nodes, end) = parser.nodes(0)?;
        match end {
            End::Text => Ok(Self { nodes }),
            End::Else => Err(Problem::new("`{{else}}` is in no block")),
            End::Close(name) => Err(Problem::new(format!("`{{{{/{name}}}}}` closes no block"))),
        }
    }

    pub(super) fn render(&self, scope: &dyn Scope) -> Result<String, Problem> {
        let mut text = String::new();
        render(&self.nodes, scope, &mut text)?;
        Ok(text)
    }

    /// Whether it is nothing but the one expression of this name.
    pub(super) fn is_only(&self, name: &str) -> bool {
        matches!(&self.nodes[..], [Node::Value { call, .. }] if call.name == name)
    }

    /// All names, in their order, those in blocks included.
    pub(super) fn calls(&self) -> Vec<&Call> {
        let mut all = Vec::new();
        calls(&self.nodes, &mut all);
        all
    }
}

fn calls<'a>(nodes: &'a [Node], all: &mut Vec<&'a Call>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Value { call, .. } => all.push(call),
            Node::If { condition, then, otherwise, .. } => {
                all.push(condition);
                calls(then, all);
                calls(otherwise, all);
            }
        }
    }
}

fn render(nodes: &[Node], scope: &dyn Scope, text: &mut String) -> Result<(), Problem> {
    for node in nodes {
        match node {
            Node::Text(plain) => text.push_str(plain),
            Node::Value { call, escaped } => {
                let value = scope.value(call)?;
                match escaped {
                    true => escape(&value, text),
                    false => text.push_str(&value),
                }
            }
            Node::If { condition, not, then, otherwise } => {
                let value = scope.value(condition)?;
                // The numbers of versions are numbers, and zero is nothing.
                let is_number = matches!(condition.name.as_str(), "major" | "minor" | "patch");
                let holds = !(value.is_empty() || is_number && value == "0");
                render(if holds != *not { then } else { otherwise }, scope, text)?;
            }
        }
    }
    Ok(())
}

/// Handlebars writes for HTML. In tags what it writes becomes `-` and letters, and tags are to stay what they were.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#x27;"),
            '`' => text.push_str("&#x60;"),
            '=' => text.push_str("&#x3D;"),
            _ => text.push(character),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// Whether the last expression takes the white space behind it.
    trim: bool,
}

/// What ended a run of nodes.
enum End {
    Text,
    Else,
    Close(String),
}

/// An expression as it stands between its braces.
struct Tag<'a> {
    body: &'a str,
    escaped: bool,
}

impl<'a> Parser<'a> {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, End), Problem> {
        if depth > DEEPEST {
            return Err(Problem::new("blocks are nested too deep"));
        }
        let mut nodes = Vec::new();
        loop {
            self.text(&mut nodes);
            if self.rest.is_empty() {
                return Ok((nodes, End::Text));
            }
            let tag = self.tag(&mut nodes)?;
            let body = tag.body.trim();
            if let Some(name) = body.strip_prefix('/') {
                return Ok((nodes, End::Close(name.trim().to_owned())));
            } else if body == "else" || body == "^" {
                return Ok((nodes, End::Else));
            } else if let Some(block) = body.strip_prefix('#') {
                nodes.push(self.block(block, depth)?);
            } else if !body.starts_with('!') {
                let (body, escaped) = match body.strip_prefix('&') {
                    Some(body) => (body, false),
                    None => (body, tag.escaped),
                };
                nodes.push(Node::Value { call: Call::parse(body)?, escaped });
            }
        }
    }

    fn block(&mut self, head: &str, depth: usize) -> Result<Node, Problem> {
        let (kind, condition) = head.trim().split_once(char::is_whitespace).unwrap_or((head.trim(), ""));
        let not = match kind {
            "if" => false,
            "unless" => true,
            _ => {
                let problem = Problem::new(format!("there is no block `{{{{#{kind}}}}}`"));
                return Err(problem.hint("blocks are {{#if NAME}} and {{#unless NAME}}"));
            }
        };
        let condition = Call::parse(condition)?;
        let (then, mut end) = self.nodes(depth + 1)?;
        let mut otherwise = Vec::new();
        if matches!(end, End::Else) {
            (otherwise, end) = self.nodes(depth + 1)?;
        }
        match end {
            End::Close(name) if name == kind => Ok(Node::If { condition, not, then, otherwise }),
            _ => Err(Problem::new(format!("`{{{{#{kind}}}}}` is not closed by `{{{{/{kind}}}}}`"))),
        }
    }

    /// Takes the text up to the next expression.
    fn text(&mut self, nodes: &mut Vec<Node>) {
        let mut text = String::new();
        loop {
            let Some(at) = self.rest.find("{{") else {
                text.push_str(self.rest);
                self.rest = "";
                break;
            };
            let (before, expression) = self.rest.split_at(at);
            if let Some(before) = before.strip_suffix("\\\\") {
                // A backslash that means itself.
                text.push_str(before);
                text.push('\\');
                self.rest = expression;
                break;
            }
            let Some(before) = before.strip_suffix('\\') else {
                text.push_str(before);
                self.rest = expression;
                break;
            };
            // Braces that mean themselves.
            text.push_str(before);
            text.push_str("{{");
            self.rest = &expression[2..];
        }
        let text = if std::mem::take(&mut self.trim) { text.trim_start().to_owned() } else { text };
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
    }

    /// Takes an expression, which is next.
    fn tag(&mut self, nodes: &mut [Node]) -> Result<Tag<'a>, Problem> {
        let (open, close) = if self.rest.starts_with("{{{") { ("{{{", "}}}") } else { ("{{", "}}") };
        let inside = &self.rest[open.len()..];
        let comment = inside.trim_start_matches('~').starts_with("!--");
        let end = match comment {
            true => ["--", "--~"]
                .into_iter()
                .find_map(|end| Some(inside.find(&format!("{end}{close}"))? + end.len())),
            false => end_of(inside, close),
        };
        let Some(end) = end else {
            return Err(Problem::new(format!("the braces of `{}` are not closed", start_of(self.rest))));
        };
        let (mut body, rest) = (&inside[..end], &inside[end + close.len()..]);
        if let Some(trimmed) = body.strip_prefix('~') {
            body = trimmed;
            if let Some(Node::Text(text)) = nodes.last_mut() {
                text.truncate(text.trim_end().len());
            }
        }
        if let Some(trimmed) = body.strip_suffix('~') {
            body = trimmed;
            self.trim = true;
        }
        self.rest = rest;
        Ok(Tag { body, escaped: open.len() == 2 })
    }
}

/// Where an expression ends: braces in its quotes do not count.
fn end_of(inside: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in inside.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None if inside[at..].starts_with(close) => return Some(at),
            None => {}
        }
    }
    None
}

/// Enough of a text to find it by.
fn start_of(text: &str) -> String {
    text.chars().take(30).collect()
}

impl Call {
    fn parse(body: &str) -> Result<Self, Problem> {
        let wrong = |problem: &str| {
            let problem = Problem::new(format!("`{{{{{}}}}}`: {problem}", start_of(body.trim())));
            problem.hint("expressions are written as in {{version}} or {{date 'YYYYMMDD' tz='UTC'}}")
        };
        let mut rest = body.trim();
        let mut call = Self::default();
        while !rest.is_empty() {
            let (key, value) =
                match rest.find(|c: char| c == '=' || c == '\'' || c == '"' || c.is_whitespace()) {
                    Some(at) if at > 0 && rest[at..].starts_with('=') => (Some(&rest[..at]), &rest[at + 1..]),
                    _ => (None, rest),
                };
            let (text, is_name, tail) = operand(value).ok_or_else(|| wrong("a quote is not closed"))?;
            let is_first = call.name.is_empty();
            match key {
                Some(_) if is_first || text.is_empty() && is_name => {
                    return Err(wrong("it does not begin with a name"));
                }
                Some(key) => call.named.push((key.to_owned(), text)),
                None if is_first && is_name && is_a_name(&text) => {
                    call.name = text.strip_prefix("this.").unwrap_or(&text).to_owned();
                }
                None if is_first => return Err(wrong("it does not begin with a name")),
                None => call.arguments.push(text),
            }
            rest = tail.trim_start();
        }
        if call.name.is_empty() { Err(wrong("there is no name in it")) } else { Ok(call) }
    }
}

/// A quoted text or a word, whether it is a word, and what follows. `None`: a quote is not closed.
fn operand(text: &str) -> Option<(String, bool, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    match quote {
        Some(quote) => {
            let (inside, tail) = text[1..].split_once(quote)?;
            Some((inside.to_owned(), false, tail))
        }
        None => {
            let end = text.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).unwrap_or(text.len());
            Some((text[..end].to_owned(), true, &text[end..]))
        }
    }
}

fn is_a_name(text: &str) -> bool {
    let text = text.strip_prefix("this.").unwrap_or(text);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
