//! Every text knows its place, through continuations, comments and quotes.

use std::ops::Range;

use super::{parse, valid};
use crate::{
    dockerfile::{
        parse_trigger,
        syntax::{CommandLine, Dockerfile, FileSource, Instruction, NoteKind},
    },
    source::SourceFile,
};

const TEXT: &str = "# syntax=docker/dockerfile:1 x\n\
# Check = skip=A, B;error=true\n\
\n\
# the version\n\
ARG VERSION=1 \\\n  # why\n  OTHER=\"a b\"\n\
FROM --platform=$BUILDPLATFORM alpine:${VERSION} as base\n\
RUN --mount=type=cache,\"target=/x y\" \\\n\
\n\
    one \\\n\
  && two \\  \n\
  && three\n\
COPY <<A <<-'B' /dir/\n\
in $a\n\
A\n\
\tin b\n\
\tB\n\
CMD [\"a\", \"\\u0062\"]";

fn shown<'a>(dockerfile: &'a Dockerfile, span: &Range<usize>) -> &'a str {
    &dockerfile.file.text()[span.clone()]
}

#[test]
fn words_know_their_places() {
    let dockerfile = valid(TEXT);
    let at = |span: &Range<usize>| shown(&dockerfile, span);

    let directives = &dockerfile.directives;
    assert_eq!(directives.syntax.as_ref().map(|word| at(&word.span)), Some("docker/dockerfile:1"));
    let check = directives.check.as_ref().expect("a check directive");
    assert_eq!(check.skip.iter().map(|name| at(&name.span)).collect::<Vec<_>>(), ["A", "B"]);
    assert!(check.error && !check.skip_all);

    let arg = &dockerfile.args[0];
    assert_eq!(arg.comments.iter().map(|comment| at(&comment.span)).collect::<Vec<_>>(), ["the version"]);
    assert_eq!(arg.text, "ARG VERSION=1   OTHER=\"a b\"");
    assert_eq!(at(&arg.node.args[1].name.span), "OTHER");
    assert_eq!(at(&arg.node.args[1].value.as_ref().expect("a value").span), "\"a b\"");
    assert!(at(&arg.span).ends_with("OTHER=\"a b\""));

    let from = &dockerfile.stages[0].from;
    assert_eq!(at(&from.flags[0].span), "--platform=$BUILDPLATFORM");
    assert_eq!(at(&from.node.platform.as_ref().expect("a platform").span), "$BUILDPLATFORM");
    assert_eq!(at(&from.node.image.part(7..17)), "${VERSION}");
    assert_eq!(at(&from.node.as_keyword.as_ref().expect("as").span), "as");
    assert_eq!(at(&from.node.name.as_ref().expect("a name").span), "base");

    let instructions = &dockerfile.stages[0].instructions;
    let Instruction::Run(run) = &instructions[0].node else { panic!("a RUN") };
    let target = run.mounts[0].options[1].value.as_ref().expect("a target");
    assert_eq!((target.text.as_str(), at(&target.span)), ("/x y", "/x y"));
    let CommandLine::Shell(shell) = &run.command else { panic!("a shell line") };
    assert_eq!(shell.text(), "one && two && three");
    let two = shell.line.text.find("two").expect("two");
    assert_eq!(at(&shell.line.part(two..two + 3)), "two");
    assert_eq!(at(&shell.line.part(two..two + 12)), "two \\  \n&& three");
    assert_eq!(dockerfile.notes.len(), 1);
    assert_eq!(dockerfile.notes[0].kind, NoteKind::EmptyContinuation);
    assert_eq!(dockerfile.at(&dockerfile.notes[0].span).line(), 10);

    let Instruction::Copy(copy) = &instructions[1].node else { panic!("a COPY") };
    let heredocs: Vec<_> = copy
        .files
        .sources
        .iter()
        .map(|source| match source {
            FileSource::Heredoc(heredoc) => {
                (at(&heredoc.span), at(&heredoc.body_span), heredoc.text(), heredoc.expand)
            }
            FileSource::Path(path) => panic!("a heredoc, not {path:?}"),
        })
        .collect();
    assert_eq!(heredocs[0], ("<<A", "in $a\n", "in $a\n".into(), true));
    assert_eq!(heredocs[1], ("<<-'B'", "\tin b\n", "in b\n".into(), false));
    assert_eq!(instructions[1].text, "COPY <<A <<-'B' /dir/");
    assert!(at(&instructions[1].span).ends_with("\n\tB"));

    let Instruction::Cmd(CommandLine::Exec(words)) = &instructions[2].node else { panic!("a CMD") };
    assert_eq!(words.iter().map(|word| at(&word.span)).collect::<Vec<_>>(), ["\"a\"", "\"\\u0062\""]);
    assert_eq!(at(&words[0].part(0..1)), "a");
    // A string with escapes does not match the file byte by byte.
    assert_eq!(at(&words[1].part(0..1)), "\"\\u0062\"");
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
    let unix = valid(TEXT);
    let windows = TEXT.replace('\n', "\r\n");
    let windows =
        crate::dockerfile::parse_bytes("Dockerfile", format!("\u{feff}{windows}").as_bytes()).expect("valid");
    let texts = |dockerfile: &Dockerfile| {
        let statements = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
        statements.map(|statement| statement.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&unix), texts(&windows));
    assert_eq!(shown(&windows, &windows.stages[0].from.span), shown(&unix, &unix.stages[0].from.span));
}

#[test]
fn triggers_are_read_one_by_one() {
    let read = |text: &str| parse_trigger(&SourceFile::new("trigger 1 of alpine", text));
    let statement = read("COPY <<EOF /x\nhello\nEOF").expect("valid");
    assert!(matches!(statement.node, Instruction::Copy(_)));
    for (text, message) in [
        ("", "trigger 1 of alpine has no instruction"),
        ("ONBUILD RUN a", "trigger 1 of alpine:1: ONBUILD cannot be an ONBUILD trigger"),
        ("FROM a", "trigger 1 of alpine:1: FROM cannot be an ONBUILD trigger"),
        ("RUN a\nRUN b", "trigger 1 of alpine:2: a trigger is one instruction, this is a second one"),
    ] {
        assert_eq!(read(text).expect_err(text).to_string(), message);
    }
    // What an ONBUILD keeps can be read again.
    let dockerfile = valid("FROM a\nONBUILD COPY <<A <<-B \\\n  /x\na\nA\n\tb\n\tB\n");
    let Instruction::Onbuild(onbuild) = &dockerfile.stages[0].instructions[0].node else { panic!("ONBUILD") };
    assert_eq!(onbuild.text, "COPY <<A <<-B   /x\na\nA\n\tb\nB");
    let again = read(&onbuild.text).expect("valid");
    assert_eq!(again.text, onbuild.instruction.text);
}

#[test]
fn directives_are_at_the_top_only() {
    for (text, syntax, escape) in [
        ("# syntax=a b\n# escape=`\nFROM x", Some("a"), '`'),
        ("#syntax=a\n#ESCAPE = ` \nFROM x", Some("a"), '`'),
        ("#!/usr/bin/env build\n# syntax=a\nFROM x", Some("a"), '\\'),
        ("# unknown=1\n# syntax=a\nFROM x", None, '\\'),
        ("# a comment\n# escape=`\nFROM x", None, '\\'),
        ("\n# escape=`\nFROM x", None, '\\'),
        ("FROM x\n# escape=`\n", None, '\\'),
        ("# escape=\nFROM x", None, '\\'),
        ("# syntax=a=b\nFROM x", Some("a=b"), '\\'),
    ] {
        let directives = valid(text).directives;
        assert_eq!(directives.syntax.map(|word| word.text).as_deref(), syntax, "{text}");
        assert_eq!(directives.escape.character(), escape, "{text}");
    }
}

#[test]
fn another_escape_character_continues_lines() {
    let dockerfile = valid("# escape=`\nFROM x\nRUN dir C:\\\nRUN a `\n  b\nRUN c ``\n");
    let texts: Vec<&str> =
        dockerfile.stages[0].instructions.iter().map(|statement| statement.text.as_str()).collect();
    assert_eq!(texts, ["RUN dir C:\\", "RUN a   b", "RUN c ``"]);
}

#[test]
fn continuations_and_comments() {
    for (text, expected) in [
        ("RUN a \\\n b", "RUN a  b"),
        ("RUN a\\\nb", "RUN ab"),
        ("RUN a \\  \t\n b", "RUN a  b"),
        ("RUN a \\\n# no\n  # no \\\n b", "RUN a  b"),
        ("RUN a \\\n\n \n b", "RUN a  b"),
        ("RUN a \\\n b # yes", "RUN a  b # yes"),
        ("RUN a \\\\\n", "RUN a \\\\"),
        ("RUN a \\", "RUN a"),
        ("  RUN a  ", "RUN a"),
        ("\\\nRUN a", "RUN a"),
        ("run\ta", "run\ta"),
    ] {
        let dockerfile = valid(&format!("FROM x\n{text}"));
        let statements = &dockerfile.stages[0].instructions;
        assert_eq!((statements.len(), statements[0].text.as_str()), (1, expected), "{text:?}");
    }
}

#[test]
fn errors_in_files_that_are_too_large_come_first() {
    let large = "x".repeat(crate::dockerfile::MAX_SIZE + 1);
    let error = crate::dockerfile::parse_bytes("Dockerfile", large.as_bytes()).expect_err("too large");
    assert_eq!(error.to_string(), "Dockerfile is larger than 16 MiB");
    assert!(parse(SourceFile::new("Dockerfile", "FROM x")).is_ok());
}
