//! Each instruction and flag.

use std::time::Duration;

use super::{instruction, valid};
use crate::{
    dockerfile::syntax::{
        CommandLine, FileSource, Files, Healthcheck, Instruction, Mount, MountKind, Network, Pairs, Run,
        Security, Timing, Word,
    },
    recipe::Sharing,
    source::SourceFile,
};

fn texts<'a>(words: impl IntoIterator<Item = &'a Word>) -> Vec<&'a str> {
    words.into_iter().map(|word| word.text.as_str()).collect()
}

fn text(word: Option<&Word>) -> Option<&str> {
    word.map(|word| word.text.as_str())
}

/// A command in short: `exec a|b`, `shell a`, `script a`; `malformed` where it seems to be.
fn command(command: &CommandLine) -> String {
    match command {
        CommandLine::Exec(words) => format!("exec {}", texts(words).join("|")),
        CommandLine::Shell(shell) if shell.malformed_json => format!("malformed {}", shell.text()),
        CommandLine::Shell(shell) => format!("shell {}", shell.text()),
        CommandLine::Script(heredoc) => format!("script {} {}", heredoc.name, heredoc.text()),
    }
}

#[test]
fn from() {
    for (text_, platform, image, name) in [
        ("FROM a", None, "a", None),
        ("from a AS b", None, "a", Some("b")),
        (
            "FROM --platform=linux/arm64 a:1@sha256:0 as B.c-d_1",
            Some("linux/arm64"),
            "a:1@sha256:0",
            Some("B.c-d_1"),
        ),
        ("FROM --platform=\"$P\" ${A:-b}", Some("$P"), "${A:-b}", None),
        ("FROM --platform= a", None, "a", None),
    ] {
        let from = valid(text_).stages.remove(0).from.node;
        assert_eq!(text(from.platform.as_ref()), platform, "{text_}");
        assert_eq!((from.image.text.as_str(), text(from.name.as_ref())), (image, name), "{text_}");
    }
}

#[test]
fn arg() {
    let args = |text_: &str| -> Vec<(String, Option<String>)> {
        let Instruction::Arg(arg) = instruction(text_) else { panic!("{text_}") };
        arg.args.into_iter().map(|arg| (arg.name.text, arg.value.map(|value| value.text))).collect()
    };
    let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    assert_eq!(args("ARG A"), [("A".to_owned(), None)]);
    assert_eq!(args("ARG A="), [some("A", "")]);
    assert_eq!(args("ARG A=b=c"), [some("A", "b=c")]);
    assert_eq!(
        args("ARG A=1 B C=\"x y\" D='z w'e F=\\ g"),
        [
            some("A", "1"),
            ("B".to_owned(), None),
            some("C", "\"x y\""),
            some("D", "'z w'e"),
            some("F", "\\ g")
        ]
    );
    let dockerfile = valid("ARG A=1\nARG B\nFROM $A\nARG A\n");
    assert_eq!((dockerfile.args.len(), dockerfile.stages[0].instructions.len()), (2, 1));
}

#[test]
fn env_and_label() {
    let pairs = |text_: &str| -> (Vec<(String, String)>, bool) {
        let (Instruction::Env(Pairs { pairs, legacy }) | Instruction::Label(Pairs { pairs, legacy })) =
            instruction(text_)
        else {
            panic!("{text_}")
        };
        (pairs.into_iter().map(|pair| (pair.name.text, pair.value.text)).collect(), legacy)
    };
    for (text_, expected, legacy) in [
        ("ENV a=b", vec![("a", "b")], false),
        ("ENV a=b c='d e' f=", vec![("a", "b"), ("c", "'d e'"), ("f", "")], false),
        ("ENV a=$b/c", vec![("a", "$b/c")], false),
        ("ENV a=b\\ c", vec![("a", "b\\ c")], false),
        ("ENV a \\\n b=c", vec![("a", "b=c")], true),
        ("ENV a b  c \"d\"", vec![("a", "b  c \"d\"")], true),
        ("ENV a\tb", vec![("a", "b")], true),
        ("ENV a=\"x \\\n y\"", vec![("a", "\"x  y\"")], false),
        ("LABEL a.b=c \"d e\"=f", vec![("a.b", "c"), ("\"d e\"", "f")], false),
        ("LABEL a b", vec![("a", "b")], true),
        ("ENV a=b\\", vec![("a", "b")], false),
    ] {
        let expected: Vec<(String, String)> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(pairs(text_), (expected, legacy), "{text_}");
    }
}

#[test]
fn commands() {
    for (text_, expected) in [
        ("CMD", "shell "),
        ("CMD a  b", "shell a  b"),
        ("CMD [\"a\", \"b c\"]", "exec a|b c"),
        ("CMD []", "exec "),
        ("CMD [ ]", "exec "),
        ("CMD [\"a\\n\\u0041\"]", "exec a\nA"),
        ("CMD [\"a\", \\\n \"b\"]", "exec a|b"),
        ("CMD ['a', 'b']", "malformed ['a', 'b']"),
        ("CMD [\"a\",]", "malformed [\"a\",]"),
        ("CMD [\"a\"] b", "shell [\"a\"] b"),
        ("CMD [ \"$x\" = y ]", "shell [ \"$x\" = y ]"),
        ("CMD [ -f x ] && y", "shell [ -f x ] && y"),
        ("CMD [\"a\", \"b\"", "shell [\"a\", \"b\""),
        ("CMD -- --a", "shell --a"),
        ("ENTRYPOINT [\"a\"]", "exec a"),
        ("ENTRYPOINT a", "shell a"),
        ("ENTRYPOINT [\"C:\\dir\"]", "malformed [\"C:\\dir\"]"),
    ] {
        let (Instruction::Cmd(found) | Instruction::Entrypoint(found)) = instruction(text_) else {
            panic!("{text_}")
        };
        assert_eq!(command(&found), expected, "{text_}");
    }
}

fn run(text_: &str) -> Run {
    let Instruction::Run(run) = instruction(text_) else { panic!("{text_}") };
    run
}

#[test]
fn run_commands() {
    for (text_, expected) in [
        ("RUN make", "shell make"),
        ("RUN [\"make\", \"all\"]", "exec make|all"),
        ("RUN <<EOF\na\n\tb\nEOF", "script EOF a\n\tb\n"),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", "script EOF a\nb\n"),
        ("RUN <<\"E O F\"\na\nE O F", "script E O F a\n"),
        ("RUN <<EOF\nEOF", "script EOF "),
        ("RUN --network=none <<EOF\na\nEOF", "script EOF a\n"),
        ("RUN python3 <<EOF\nprint(1)\nEOF", "shell python3 <<EOF\nprint(1)\nEOF"),
        ("RUN <<A cat 3<<-B\na\nA\n\tb\n\tB", "shell <<A cat 3<<-B\na\nA\n\tb\nB"),
        ("RUN cat <<A > b && \\\n  c\na\nA", "shell cat <<A > b &&   c\na\nA"),
        ("RUN cat <<< here", "shell cat <<< here"),
        ("RUN echo $((1<<3))", "shell echo $((1<<3))"),
        ("RUN echo '<<EOF'", "shell echo '<<EOF'"),
        ("RUN echo \"<<EOF\" x", "shell echo \"<<EOF\" x"),
        ("RUN a<<EOF", "shell a<<EOF"),
        ("RUN a << EOF", "shell a << EOF"),
        ("RUN [\"a\", \"<<EOF\"]", "exec a|<<EOF"),
        ("RUN --mount=target=/a -- --b", "shell --b"),
    ] {
        assert_eq!(command(&run(text_).command), expected, "{text_}");
    }
}

#[test]
fn run_flags() {
    let found =
        run("RUN --network=host --security=insecure --device=a,required --device=b --mount=target=/x make");
    assert_eq!((found.network, found.security), (Some(Network::Host), Some(Security::Insecure)));
    assert_eq!(texts(&found.devices), ["a,required", "b"]);
    assert_eq!(found.mounts.len(), 1);
    let found = run("RUN --network=NONE --security=sandbox make");
    assert_eq!((found.network, found.security), (Some(Network::None), Some(Security::Sandbox)));
}

#[test]
fn mounts() {
    let base = Mount { read_only: true, ..Mount::default() };
    let some = |text_: &str| Some(text_.to_owned());
    let cache = Mount { kind: MountKind::Cache, read_only: false, ..base.clone() };
    let secret = Mount { kind: MountKind::Secret, id: some("a"), ..base.clone() };
    for (text_, expected) in [
        ("target=/x", Mount { target: some("/x"), ..base.clone() }),
        (
            "type=bind,source=a,dst=b,from=c,rw",
            Mount { source: some("a"), target: some("b"), from: some("c"), read_only: false, ..base.clone() },
        ),
        (
            "TYPE=Bind,src=a,destination=b,rw=false",
            Mount { source: some("a"), target: some("b"), ..base.clone() },
        ),
        (
            "type=cache,target=/x,id=i,sharing=LOCKED,mode=0755,uid=1,gid=2,ro=1",
            Mount {
                target: some("/x"),
                id: some("i"),
                sharing: Some(Sharing::Locked),
                mode: Some(0o755),
                uid: Some(1),
                gid: Some(2),
                read_only: true,
                ..cache.clone()
            },
        ),
        (
            "target=/x,sharing=private,type=cache",
            Mount { target: some("/x"), sharing: Some(Sharing::Private), ..cache },
        ),
        (
            "type=tmpfs,target=/x,size=1.5g",
            Mount {
                kind: MountKind::Tmpfs,
                target: some("/x"),
                size: Some(3 << 29),
                read_only: false,
                ..base.clone()
            },
        ),
        ("type=secret,id=a,required", Mount { required: true, ..secret.clone() }),
        (
            "type=secret,id=a,required=false,env=B,mode=0400",
            Mount { env: some("B"), mode: Some(0o400), ..secret },
        ),
        ("type=ssh", Mount { kind: MountKind::Ssh, ..base.clone() }),
        (
            "type=ssh,id=a,target=/s,required=true",
            Mount { kind: MountKind::Ssh, id: some("a"), target: some("/s"), required: true, ..base.clone() },
        ),
        ("type=bind,\\\"target=/a,b\\\"", Mount { target: some("/a,b"), ..base.clone() }),
        ("type=bind,'\"target=/a\"\"b\"'", Mount { target: some("/a\"b"), ..base.clone() }),
        ("type=bind,\"target=/a b\"", Mount { target: some("/a b"), ..base.clone() }),
    ] {
        let run = run(&format!("RUN --mount={text_} make"));
        let file = SourceFile::new("x", "");
        let mount = run.mounts[0].resolve(&file, &mut |word| Ok(word.text.clone())).expect(text_);
        assert_eq!(mount, expected, "{text_}");
    }
    // Values with variables are looked at when these are known.
    let run = run("RUN --mount=type=$T,target=$X,sharing=$S make");
    let file = SourceFile::new("x", "");
    let mount = run.mounts[0].resolve(&file, &mut |word| {
        Ok(match word.text.as_str() {
            "$T" => "cache",
            "$S" => "locked",
            _ => "/x",
        }
        .to_owned())
    });
    let mount = mount.expect("valid");
    assert_eq!(
        (mount.kind, mount.sharing, mount.target.as_deref()),
        (MountKind::Cache, Some(Sharing::Locked), Some("/x"))
    );
}

/// Sources (heredocs in braces) and destination.
fn paths(files: &Files) -> String {
    let sources = files.sources.iter().map(|source| match source {
        FileSource::Path(path) => path.text.clone(),
        FileSource::Heredoc(heredoc) => format!("{{{}:{}}}", heredoc.name, heredoc.text()),
    });
    format!("{} -> {}", sources.collect::<Vec<_>>().join(" "), files.destination.text)
}

#[test]
fn copy_and_add() {
    for (text_, expected) in [
        ("COPY a b", "a -> b"),
        ("COPY a* b? c/ /d/", "a* b? c/ -> /d/"),
        ("COPY [\"a b\", \"c\"]", "a b -> c"),
        ("COPY --from=x -- --a b", "--a -> b"),
        ("COPY a --from=x b", "a --from=x -> b"),
        ("COPY \"a b\" c", "\"a b\" -> c"),
        ("COPY <<EOF /x\nhi\nEOF", "{EOF:hi\n} -> /x"),
        (
            "COPY <<one.txt a <<-\"two.txt\" /x/\n1\none.txt\n\t2\ntwo.txt",
            "{one.txt:1\n} a {two.txt:2\n} -> /x/",
        ),
        ("COPY <<a <<a /x/\n1\na\n2\na", "{a:1\n} {a:2\n} -> /x/"),
        ("ADD https://x/y.tar /z", "https://x/y.tar -> /z"),
        ("ADD <<EOF /x\nEOF", "{EOF:} -> /x"),
    ] {
        let files = match instruction(text_) {
            Instruction::Copy(copy) => copy.files,
            Instruction::Add(add) => add.files,
            other => panic!("{other:?}"),
        };
        assert_eq!(paths(&files), expected, "{text_}");
    }
}

#[test]
fn copy_and_add_flags() {
    let Instruction::Copy(copy) = instruction(
        "COPY --from=base --chown=$U:1 --chmod=u=rwX --link --parents=TRUE --exclude=*.md --exclude=\"a b\" x y",
    ) else {
        panic!("COPY")
    };
    let files = &copy.files;
    assert_eq!(text(copy.from.as_ref()), Some("base"));
    assert_eq!((text(files.chown.as_ref()), text(files.chmod.as_ref())), (Some("$U:1"), Some("u=rwX")));
    assert!(files.link && files.parents);
    assert_eq!(texts(&files.exclude), ["*.md", "a b"]);

    let Instruction::Add(add) =
        instruction("ADD --checksum=sha256:0 --keep-git-dir --unpack=false --link=false --exclude=a x y")
    else {
        panic!("ADD")
    };
    assert_eq!(text(add.checksum.as_ref()), Some("sha256:0"));
    assert_eq!((add.keep_git_dir, add.unpack, add.files.link), (true, Some(false), false));
    let Instruction::Add(add) = instruction("ADD x y") else { panic!("ADD") };
    assert_eq!((add.keep_git_dir, add.unpack, add.files.chown), (false, None, None));
}

#[test]
fn healthchecks() {
    assert_eq!(instruction("HEALTHCHECK none"), Instruction::Healthcheck(Healthcheck::None));
    let Instruction::Healthcheck(Healthcheck::Command { command: found, timing }) = instruction(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s --start-interval=1.5h --retries=3 cmd [\"a\"]",
    ) else {
        panic!("HEALTHCHECK")
    };
    assert_eq!(command(&found), "exec a");
    let expected = Timing {
        interval: Some(Duration::from_secs(90)),
        timeout: Some(Duration::from_millis(500)),
        start_period: None,
        start_interval: Some(Duration::from_secs(5400)),
        retries: Some(3),
    };
    assert_eq!(timing, expected);
    let Instruction::Healthcheck(Healthcheck::Command { command: found, .. }) =
        instruction("HEALTHCHECK --retries=0 \\\n  CMD curl -f x || exit 1")
    else {
        panic!("HEALTHCHECK")
    };
    assert_eq!(command(&found), "shell curl -f x || exit 1");
}

#[test]
fn durations_are_go_s() {
    use super::super::go::{bytes, duration};
    for (text_, expected) in [
        ("0", Some(0)),
        ("1ns", Some(1)),
        ("1us", Some(1_000)),
        ("1µs", Some(1_000)),
        ("1.5ms", Some(1_500_000)),
        (".5s", Some(500_000_000)),
        ("1.s", Some(1_000_000_000)),
        ("1h2m3s", Some(3_723_000_000_000)),
        ("+1s", Some(1_000_000_000)),
        ("1.00000000000000000001s", Some(1_000_000_000)),
        ("", None),
        ("1", None),
        ("s", None),
        (".s", None),
        ("-1s", None),
        ("1 s", None),
        ("1.2.3s", None),
        ("99999999999h", None),
    ] {
        assert_eq!(duration(text_), expected.map(Duration::from_nanos), "{text_}");
    }
    for (text_, expected) in [
        ("10", Some(10)),
        ("10b", Some(10)),
        ("1k", Some(1024)),
        ("1KB", Some(1024)),
        ("1 KiB", Some(1024)),
        ("0.5m", Some(1 << 19)),
        ("2G", Some(2 << 30)),
        ("", None),
        ("ib", None),
        ("1ib", None),
        ("1x", None),
        ("-1", None),
    ] {
        assert_eq!(bytes(text_), expected, "{text_}");
    }
}

#[test]
fn plain_instructions() {
    let word = |text_: &str| match instruction(text_) {
        Instruction::Workdir(word)
        | Instruction::User(word)
        | Instruction::Stopsignal(word)
        | Instruction::Maintainer(word) => word.text,
        other => panic!("{other:?}"),
    };
    assert_eq!(word("WORKDIR /a b/$c"), "/a b/$c");
    assert_eq!(word("USER a:b"), "a:b");
    assert_eq!(word("STOPSIGNAL SIGQUIT"), "SIGQUIT");
    assert_eq!(word("MAINTAINER Me <me@example.com>"), "Me <me@example.com>");
    let words = |text_: &str| match instruction(text_) {
        Instruction::Expose(words) | Instruction::Volume(words) | Instruction::Shell(words) => {
            texts(&words).join("|")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(words("EXPOSE 80 443/tcp \t $P"), "80|443/tcp|$P");
    assert_eq!(words("VOLUME /a /b"), "/a|/b");
    assert_eq!(words("VOLUME [\"/a b\", \" /c \"]"), "/a b|/c");
    assert_eq!(words("SHELL [\"/bin/bash\", \"-c\"]"), "/bin/bash|-c");
}

#[test]
fn onbuild() {
    let Instruction::Onbuild(onbuild) = instruction("onbuild  run --mount=target=/x make \\\n all") else {
        panic!("ONBUILD")
    };
    assert_eq!(onbuild.text, "run --mount=target=/x make  all");
    assert!(matches!(onbuild.instruction.node, Instruction::Run(_)));
    let Instruction::Onbuild(onbuild) = instruction("ONBUILD RUN <<EOF\na\nEOF") else { panic!("ONBUILD") };
    assert_eq!(onbuild.text, "RUN <<EOF\na\nEOF");
}

#[test]
fn descriptions_are_kept() {
    let dockerfile = valid(
        "# gone\n#\n# app the program\n\n# more\nFROM x AS app\nRUN a \\\n# inside\n b\n# two\nRUN b\n",
    );
    let stage = &dockerfile.stages[0];
    assert_eq!(texts(&stage.from.comments), ["app the program", "more"]);
    assert_eq!(texts(&stage.instructions[0].comments), Vec::<&str>::new());
    assert_eq!(texts(&stage.instructions[1].comments), ["two"]);
}
