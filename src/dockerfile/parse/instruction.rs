//! One instruction, by its keyword.

use super::{
    Context, arguments, files,
    flags::{self, Flags},
    healthcheck,
    reader::Raw,
    run, written,
};
use crate::{
    dockerfile::{
        split::Parts,
        syntax::{From, Instruction, Onbuild, Statement, Word},
    },
    source::suggest,
};

/// All keywords.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Any instruction.
#[derive(Debug)]
pub(super) enum Kind {
    From(From),
    Other(Instruction),
}

impl<T> Statement<T> {
    /// The same with another node.
    pub(super) fn with<U>(self, node: U) -> Statement<U> {
        self.split_with(node).0
    }

    /// The statement and its node apart.
    pub(super) fn split(self) -> (Statement<()>, T) {
        self.split_with(())
    }

    fn split_with<U>(self, node: U) -> (Statement<U>, T) {
        let Self { keyword, text, span, flags, comments, node: old } = self;
        (Statement { keyword, text, span, flags, comments, node }, old)
    }
}

/// An instruction with its parts understood; `None` if it is wrong, which is told.
pub(super) fn instruction(context: &mut Context<'_>, mut raw: Raw) -> Option<(Statement<()>, Kind)> {
    let before = context.errors.len();
    let kind = kind(context, &mut raw);
    let statement = Statement {
        text: raw.parts.line.text,
        keyword: raw.parts.keyword,
        span: raw.span,
        flags: raw.parts.flags,
        comments: raw.comments,
        node: (),
    };
    let kind = kind.filter(|_| context.errors.len() == before)?;
    Some((statement, kind))
}

/// An instruction that a trigger may be.
pub(super) fn trigger(context: &mut Context<'_>, raw: Raw) -> Option<Statement<Instruction>> {
    for refused in ["ONBUILD", "FROM", "MAINTAINER"] {
        if raw.parts.is(refused) {
            context.error(format!("{refused} cannot be an ONBUILD trigger"), &raw.parts.keyword.span, "");
            return None;
        }
    }
    match instruction(context, raw)? {
        (statement, Kind::Other(instruction)) => Some(statement.with(instruction)),
        (_, Kind::From(_)) => None,
    }
}

fn kind(context: &mut Context<'_>, raw: &mut Raw) -> Option<Kind> {
    let keyword = raw.parts.keyword.text.to_ascii_uppercase();
    if !KEYWORDS.contains(&keyword.as_str()) {
        unknown(context, &raw.parts.keyword);
        return None;
    }
    context.lost = false;
    let parts = &raw.parts;
    let flags = flags::checked(context, &keyword, parts);
    let args = &parts.args;
    let instruction = match keyword.as_str() {
        "FROM" => return from(context, parts, &flags).map(Kind::From),
        "ADD" => Instruction::Add(files::add(context, parts, &flags, &mut raw.heredocs)?),
        "COPY" => Instruction::Copy(files::copy(context, parts, &flags, &mut raw.heredocs)?),
        "RUN" => Instruction::Run(run::run(context, parts, &flags, &mut raw.heredocs)?),
        "ARG" => Instruction::Arg(arguments::arg(context, parts)?),
        "ENV" => Instruction::Env(arguments::pairs(context, parts)?),
        "LABEL" => Instruction::Label(arguments::pairs(context, parts)?),
        "CMD" => Instruction::Cmd(run::command(context, args)?),
        "ENTRYPOINT" => Instruction::Entrypoint(run::command(context, args)?),
        "EXPOSE" => Instruction::Expose(arguments::ports(context, parts)?),
        "HEALTHCHECK" => Instruction::Healthcheck(healthcheck::healthcheck(context, parts, &flags)?),
        "MAINTAINER" => Instruction::Maintainer(arguments::one(context, parts, "a name")?),
        "ONBUILD" => Instruction::Onbuild(onbuild(context, raw)?),
        "SHELL" => Instruction::Shell(run::shell(context, parts)?),
        "STOPSIGNAL" => Instruction::Stopsignal(arguments::one(context, parts, "a signal")?),
        "USER" => Instruction::User(arguments::one(context, parts, "a user")?),
        "VOLUME" => Instruction::Volume(arguments::volumes(context, parts)?),
        _ => Instruction::Workdir(arguments::one(context, parts, "a path")?),
    };
    written::check(context, &instruction);
    Some(Kind::Other(instruction))
}

fn unknown(context: &mut Context<'_>, keyword: &Word) {
    let near = suggest::closest(&keyword.text, KEYWORDS);
    if std::mem::replace(&mut context.lost, near.is_none()) && near.is_none() {
        return;
    }
    let shown: String = keyword.text.chars().take(40).collect();
    let message = format!("unknown instruction {shown:?}");
    let hint = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "if it belongs to the instruction before it, end the line before with `{}`",
            context.escape.character()
        ),
    };
    context.error_with_hint(message, &keyword.span, "", hint);
}

/// `FROM image [AS name]`.
fn from(context: &mut Context<'_>, parts: &Parts, flags: &Flags<'_>) -> Option<From> {
    let words = parts.args.split_at_any(crate::dockerfile::text::is_blank);
    let platform = flags.value("platform");
    match words.as_slice() {
        [] => {
            let hint = "write `FROM image` or `FROM image AS name`; `FROM scratch` begins with nothing";
            context.error_with_hint("FROM needs an image", &parts.keyword.span, "", hint);
            None
        }
        [image] => Some(From { platform, image: image.clone(), as_keyword: None, name: None }),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
            check_name(context, name);
            Some(From {
                platform,
                image: image.clone(),
                as_keyword: Some(keyword.clone()),
                name: Some(name.clone()),
            })
        }
        [_, keyword] if keyword.text.eq_ignore_ascii_case("as") => {
            context.error("the stage's name is missing", &keyword.span, "a name must follow");
            None
        }
        [_, extra, ..] => {
            let hint = "a FROM is `FROM [--platform=…] image [AS name]`";
            context.error_with_hint("FROM takes an image and `AS name`", &extra.span, "not expected", hint);
            None
        }
    }
}

/// Stage names: a letter, then letters, digits, `-`, `_` and `.` (BuildKit's `validStageName`).
fn check_name(context: &mut Context<'_>, name: &Word) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let valid = name.text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if !valid || !name.text.bytes().all(plain) {
        context.error_with_hint(
            format!("{:?} is no name for a stage", name.text),
            &name.span,
            "",
            "a name begins with a letter and has only letters, digits, `-`, `_` and `.`",
        );
    }
}

/// `ONBUILD instruction`.
fn onbuild(context: &mut Context<'_>, raw: &mut Raw) -> Option<Onbuild> {
    if raw.parts.args.text.is_empty() {
        context.error_with_hint(
            "ONBUILD needs an instruction",
            &raw.parts.keyword.span,
            "",
            "as in `ONBUILD RUN make`",
        );
        return None;
    }
    let mut text = raw.parts.args.text.clone();
    for heredoc in &raw.heredocs {
        text.push('\n');
        text.push_str(&heredoc.body);
        text.push_str(&heredoc.name);
    }
    let inner = Raw {
        parts: Parts::new(raw.parts.args.clone()),
        heredocs: std::mem::take(&mut raw.heredocs),
        comments: Vec::new(),
        span: raw.parts.args.span.start..raw.span.end,
    };
    let instruction = Box::new(trigger(context, inner)?);
    Some(Onbuild { text, instruction })
}
