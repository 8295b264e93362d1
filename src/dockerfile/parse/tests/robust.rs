//! Whatever is in a file: no panic, places inside the file, time in step with its size.

use proptest::prelude::*;

use super::{parse, render, valid};
use crate::{
    dockerfile::{
        parse_bytes,
        syntax::{CommandLine, FileSource, Instruction, Statement, Word},
    },
    source::SourceFile,
};

const PIECES: [&str; 64] = [
    "FROM ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "CMD ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "SHELL ",
    "VOLUME ",
    "EXPOSE ",
    "USER ",
    "WORKDIR ",
    "alpine",
    " AS b",
    "--mount=",
    "type=cache,",
    "target=/x",
    ",",
    "--from=",
    "--chown=",
    "--link ",
    "--",
    "=",
    "a",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\\\n",
    "\\",
    "`",
    "\"",
    "'",
    "[",
    "]",
    "[\"a\"]",
    "{}",
    "1",
    "$",
    "${",
    "}",
    ":-",
    "<<EOF",
    "<<-'E'",
    "\nEOF\n",
    "\n\tE\n",
    "<<",
    "3<<",
    "#",
    "# escape=`\n",
    "# syntax=x\n",
    "# check=skip=a\n",
    "CMD ",
    "NONE",
    "--interval=5s ",
    "é",
    "\u{feff}",
    "\u{85}",
    "\u{0}",
    "𝄞",
    "--exclude=",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(0..PIECES.len(), 0..40)
        .prop_map(|pieces| pieces.into_iter().map(|piece| PIECES[piece]).collect())
}

/// Lines that are likely right, so that what is behind the checks is seen too.
fn likely() -> impl Strategy<Value = String> {
    let line = (0..15_usize, prop::collection::vec(15..PIECES.len(), 1..8)).prop_map(|(keyword, pieces)| {
        let rest: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        format!("{}{rest}\n", PIECES[keyword])
    });
    prop::collection::vec(line, 1..4).prop_map(|lines| format!("FROM alpine\n{}", lines.concat()))
}

fn words<'a>(statement: &'a Statement<Instruction>, found: &mut Vec<&'a Word>) {
    found.push(&statement.keyword);
    found.extend(&statement.comments);
    for flag in &statement.flags {
        found.push(&flag.name);
        found.extend(&flag.value);
    }
    let mut command = |command: &'a CommandLine| match command {
        CommandLine::Exec(words) => found.extend(words),
        CommandLine::Shell(shell) => found.push(&shell.line),
        CommandLine::Script(_) => {}
    };
    match &statement.node {
        Instruction::Cmd(line) | Instruction::Entrypoint(line) => command(line),
        Instruction::Run(run) => {
            command(&run.command);
            let options = run.mounts.iter().flat_map(|mount| &mount.options);
            found.extend(options.flat_map(|option| std::iter::once(&option.key).chain(&option.value)));
        }
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            found.extend(pairs.pairs.iter().flat_map(|pair| [&pair.name, &pair.value]));
        }
        Instruction::Expose(words) | Instruction::Volume(words) | Instruction::Shell(words) => {
            found.extend(words)
        }
        Instruction::Copy(copy) => {
            found.extend(copy.files.sources.iter().filter_map(|source| match source {
                FileSource::Path(path) => Some(path),
                FileSource::Heredoc(_) => None,
            }));
            found.push(&copy.files.destination);
        }
        Instruction::Onbuild(onbuild) => words(&onbuild.instruction, found),
        _ => {}
    }
}

/// Reads a text; what is read has places in it, and what is wrong can be shown.
fn check(text: &str) {
    let file = SourceFile::new("Dockerfile", text);
    let dockerfile = match parse(file.clone()) {
        Ok(dockerfile) => dockerfile,
        Err(errors) => {
            assert!(!render(&errors).is_empty());
            return;
        }
    };
    for statement in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        let mut found = Vec::new();
        words(statement, &mut found);
        for word in found {
            let span = &word.span;
            assert!(span.start <= span.end && span.end <= text.len(), "{span:?} in {text:?}");
            assert!(text.get(span.clone()).is_some(), "{span:?} splits a character of {text:?}");
            assert!(
                statement.span.start <= span.start && span.end <= statement.span.end
                    || statement.comments.contains(word),
                "{span:?} is outside of {:?} in {text:?}",
                statement.span
            );
            // Each character is where it says it is.
            if !word.pieces.is_empty() {
                for (at, character) in word.text.char_indices() {
                    let place = word.part(at..at + character.len_utf8());
                    assert_eq!(
                        text.get(place.clone()),
                        Some(&word.text[at..at + character.len_utf8()]),
                        "{word:?}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_pieces_are_read_or_refused(text in soup()) {
        check(&text);
    }

    #[test]
    fn likely_files_are_read_or_refused(text in likely()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(errors) = parse_bytes("Dockerfile", &bytes) {
            prop_assert!(!render(&errors).is_empty());
        }
    }

    /// Written anew from what was read, each instruction means the same.
    #[test]
    fn what_is_read_can_be_read_again(text in likely()) {
        let Ok(first) = parse(SourceFile::new("Dockerfile", text.as_str())) else { return Ok(()) };
        let mut again = String::from("FROM alpine\n");
        if first.directives.escape.character() != '\\' || first.stages.len() != 1 {
            return Ok(());
        }
        for statement in &first.stages[0].instructions {
            if text[statement.span.clone()].contains('\n') || statement.text.ends_with('\\') {
                return Ok(());
            }
            again.push_str(&statement.text);
            again.push('\n');
        }
        let second = valid(&again);
        let texts = |dockerfile: &crate::dockerfile::syntax::Dockerfile| -> Vec<String> {
            let statements = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
            statements.map(|statement| statement.text.clone()).collect()
        };
        prop_assert_eq!(texts(&first), texts(&second));
    }
}

/// None of these may take time that grows with the square of its size: at these sizes it would not end.
#[test]
fn large_files_are_read() {
    let heredoc = format!("FROM a\nRUN <<EOF\n{}EOF\n", "echo hello\n".repeat(1_000_000));
    let Instruction::Run(run) = &valid(&heredoc).stages[0].instructions[0].node else { panic!("a RUN") };
    assert!(matches!(&run.command, CommandLine::Script(script) if script.body.len() == 11_000_000));

    let continued = format!("FROM a\nENV {}z=z\n", "a=b \\\n".repeat(100_000));
    let Instruction::Env(pairs) = &valid(&continued).stages[0].instructions[0].node else { panic!("an ENV") };
    assert_eq!(pairs.pairs.len(), 100_001);

    let wide = format!("FROM a\nCOPY {} /x\n", "a ".repeat(1_000_000));
    let Instruction::Copy(copy) = &valid(&wide).stages[0].instructions[0].node else { panic!("a COPY") };
    assert_eq!(copy.files.sources.len(), 1_000_000);

    let heredocs = format!("FROM a\nCOPY {} /x\n{}", "<<a ".repeat(20_000), "a\n".repeat(20_000));
    let Instruction::Copy(copy) = &valid(&heredocs).stages[0].instructions[0].node else { panic!("a COPY") };
    assert!(copy.files.sources.iter().all(|source| matches!(source, FileSource::Heredoc(_))));

    for text in [
        format!("FROM a\nRUN {}", "x".repeat(15 << 20)),
        format!("FROM a\nCMD [{}", "\"a\",".repeat(1_000_000)),
        format!("FROM a\nCMD {}", "[".repeat(1_000_000)),
        format!("FROM a\nRUN {} a", "--mount=target=/x ".repeat(20_000)),
        format!("FROM a\nRUN --mount={} a", "target=/x,".repeat(100_000)),
        format!("FROM a\nCOPY {} b c", "--exclude=a ".repeat(20_000)),
        format!("FROM a\n{}", "ONBUILD ".repeat(1_000_000)),
        format!("FROM a\nONBUILD {}", "a ".repeat(1_000_000)),
        format!("FROM a\n{}", "#\n".repeat(200_000)),
        format!("FROM a\nRUN a\\\n{}", "#\n".repeat(200_000)),
        format!("FROM a\nRUN a\\\n{}", "\n".repeat(200_000)),
        "F\n".repeat(20_000),
        format!("FROM a\n{}", "RUN a\n".repeat(101_000)),
        format!("FROM a\n{}", "x".repeat(15 << 20)),
        "\\\n".repeat(200_000),
    ] {
        if let Err(errors) = parse(SourceFile::new("Dockerfile", text)) {
            let shown = render(&errors);
            assert!(shown.len() < 10_000, "{} bytes of message", shown.len());
        }
    }
}
