//! Copies by Docker's rules.

use super::*;
use crate::recipe::{Mkdir, Owner, OwnerName};

/// One copy after what is there before.
fn copied(files: &[&str], before: Vec<StepKind>, copy: Copy) -> Vec<String> {
    let mut steps = before;
    steps.push(StepKind::Copy(copy));
    Bench::new(files).run(vec![steps])
}

fn to(sources: &[&str], to: &str) -> Copy {
    docker_copy(sources, to)
}

fn owner(user: u64, group: u64) -> Option<Owner> {
    Some(Owner { user: OwnerName::Id(user), group: Some(OwnerName::Id(group)) })
}

#[test]
fn a_destination_is_what_it_is_in_buildkit() {
    type Case<'a> = (&'a str, &'a [&'a str], Vec<StepKind>, Copy, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        ("a file to a file", &["a"], vec![], to(&["a"], "x/b"), &["x d 755", "x/b f 644 = a"]),
        ("a file into a directory", &["a"], vec![], to(&["a"], "x/"), &["x d 755", "x/a f 644 = a"]),
        (
            "a file to a directory that is there, without a slash",
            &["a"],
            vec![write("x/y", "")],
            to(&["a"], "x"),
            &["x d 755", "x/a f 644 = a", "x/y f 644 = "],
        ),
        ("a file in the place of a file", &["a"], vec![write("x", "")], to(&["a"], "x"), &["x f 644 = a"]),
        (
            "through a link to a directory",
            &["a", "d/b"],
            vec![write("real/y", ""), link("x", "real")],
            to(&["a", "d"], "x/"),
            &["real d 755", "real/a f 644 = a", "real/b f 644 = d/b", "real/y f 644 = ", "x l 777 -> real"],
        ),
        (
            "to a link to a file",
            &["a"],
            vec![write("f", ""), link("x", "/f")],
            to(&["a"], "x"),
            &["f f 644 = a", "x l 777 -> /f"],
        ),
        (
            "to a link to nothing",
            &["a"],
            vec![link("x", "/new/f")],
            to(&["a"], "x"),
            &["new d 755", "new/f f 644 = a", "x l 777 -> /new/f"],
        ),
        (
            "a directory's content, its own mode left behind",
            &["d/:700", "d/b", "d/s/:750", "d/s/c"],
            vec![],
            to(&["d"], "x"),
            &["x d 755", "x/b f 644 = d/b", "x/s d 750", "x/s/c f 644 = d/s/c"],
        ),
        (
            "directories are merged, those below with the source's modes",
            &["d/s/:750", "d/s/c"],
            vec![write("x/s/old", ""), write("x/keep", "")],
            to(&["d"], "x"),
            &["x d 755", "x/keep f 644 = ", "x/s d 750", "x/s/c f 644 = d/s/c", "x/s/old f 644 = "],
        ),
        ("an empty directory", &["d/"], vec![], to(&["d"], "x/y"), &["x d 755", "x/y d 755"]),
        (
            "a directory in the place of a file",
            &["d/b"],
            vec![write("x", "")],
            to(&["d"], "x"),
            &["error: /x is no directory"],
        ),
        (
            "a file in the place of a directory, deep",
            &["d/s"],
            vec![write("x/s/old", "")],
            to(&["d"], "x"),
            &["error: /x/s is a directory already"],
        ),
        (
            "a file in the place of a link, deep",
            &["d/s"],
            vec![write("f", ""), link("x/s", "/f")],
            to(&["d"], "x"),
            &["f f 644 = ", "x d 755", "x/s f 644 = d/s"],
        ),
        (
            "a link that is named is followed, one that is found is not",
            &["d/b", "d/l->b", "n->d/b"],
            vec![],
            to(&["n", "d"], "x/"),
            &["x d 755", "x/b f 644 = d/b", "x/l l 777 -> b", "x/n f 644 = d/b"],
        ),
        ("a directory like /tmp", &["a"], vec![], to(&["a"], "tmp/"), &["tmp d 755", "tmp/a f 644 = a"]),
        (
            "an independent copy follows no links",
            &["a"],
            vec![write("real/y", ""), link("x", "real")],
            Copy { independent: true, ..to(&["a"], "x/") },
            &["real d 755", "real/y f 644 = ", "x d 755", "x/a f 644 = a"],
        ),
        (
            "what is made belongs to the owner",
            &["d/b", "d/s/c"],
            vec![write("home/y", "")],
            Copy { owner: owner(7, 8), ..to(&["d"], "home/u/x/") },
            &[
                "home d 755",
                "home/u d 755 7:8",
                "home/u/x d 755 7:8",
                "home/u/x/b f 644 7:8 = d/b",
                "home/u/x/s d 755 7:8",
                "home/u/x/s/c f 644 7:8 = d/s/c",
                "home/y f 644 = ",
            ],
        ),
        (
            "modes are for what is copied, not for the destination",
            &["d/b", "d/s/c"],
            vec![],
            Copy {
                modes: Modes {
                    files: Some("u=rw,go=".parse().unwrap()),
                    directories: Some("0700".parse().unwrap()),
                },
                ..to(&["d"], "x")
            },
            &["x d 755", "x/b f 600 = d/b", "x/s d 700", "x/s/c f 600 = d/s/c"],
        ),
    ];
    for (name, files, before, copy, expected) in cases {
        assert_eq!(copied(files, before, copy), expected, "{name}");
    }
}

#[test]
fn sources_are_matched_as_go_does_it() {
    let files = ["a.txt", "b.txt", "b.md", "d/c.txt", "d/e/f.txt", "[x]"];
    let cases: [(&[&str], &[&str]); 8] = [
        (&["*.txt"], &["a.txt", "b.txt"]),
        (&["**/*.txt"], &["c.txt"]),
        (&["?.md"], &["b.md"]),
        (&["[a-b].*"], &["a.txt", "b.md", "b.txt"]),
        (&["[^b].txt"], &["a.txt"]),
        (&["d/e", "none*"], &["f.txt"]),
        (&["\\[x\\]"], &["[x]"]),
        (&["none*"], &[]),
    ];
    for (sources, expected) in cases {
        let got = copied(&files, vec![], to(sources, "/"));
        let names: Vec<&str> = got.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, expected, "{sources:?}: {got:?}");
    }
    let got = copied(&files, vec![], to(&["none", "a.txt"], "/"));
    assert!(got[0].starts_with("error: source \"none\" matches nothing"), "{got:?}");
    let strict = Copy { empty_globs: false, ..to(&["none*"], "/") };
    assert!(copied(&files, vec![], strict)[0].starts_with("error: "));
    let excluded = Copy { exclude: vec!["*.txt".into()], ..to(&["b*", "d"], "/") };
    assert_eq!(
        copied(&files, vec![], excluded),
        ["b.md f 644 = b.md", "e d 755", "e/f.txt f 644 = d/e/f.txt"]
    );
}

#[test]
fn modes_are_kept_but_for_what_a_umask_explains() {
    let modes = [
        ("664", "644"),
        ("775", "755"),
        ("2775", "2755"),
        ("660", "660"),
        ("666", "666"),
        ("777", "777"),
        ("600", "600"),
        ("4711", "4711"),
        ("1755", "1755"),
        ("640", "640"),
        ("500", "500"),
    ];
    for (on_disk, kept) in modes {
        let got = copied(&[&format!("d/a:{on_disk}")], vec![], to(&["d"], "/"));
        assert_eq!(got, [format!("a f {kept} = d/a")], "{on_disk}");
        let own = Copy { rules: Rules::Own, ..to(&["d"], "/") };
        let got = copied(&[&format!("d/a:{on_disk}")], vec![], own);
        assert!(got[0].contains("644") || got[0].contains("755"), "specs keep what git keeps: {got:?}");
    }
}

#[test]
fn parents_are_kept_with_their_modes() {
    let files = ["a/:750", "a/b/:700", "a/b/c.txt", "a/b/n.md", "a/d/e.txt", "f"];
    let parents = |sources: &[&str], exclude: &[&str]| Copy {
        parents: true,
        exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
        ..to(sources, "x/")
    };
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (
            &["a/b/c.txt", "f"],
            &[],
            &["x d 755", "x/a d 750", "x/a/b d 700", "x/a/b/c.txt f 644 = a/b/c.txt", "x/f f 644 = f"],
        ),
        (&["a/./b"], &["b/*.md"], &["x d 755", "x/b d 700", "x/b/c.txt f 644 = a/b/c.txt"]),
        (
            &["./a/./*/*.txt"],
            &[],
            &[
                "x d 755",
                "x/b d 700",
                "x/b/c.txt f 644 = a/b/c.txt",
                "x/d d 755",
                "x/d/e.txt f 644 = a/d/e.txt",
            ],
        ),
        (&["**/e.txt"], &[], &["x d 755", "x/a d 750", "x/a/d d 755", "x/a/d/e.txt f 644 = a/d/e.txt"]),
        (&["a/b/./*.md"], &[], &["x d 755", "x/n.md f 644 = a/b/n.md"]),
        (&["a/none*"], &[], &[]),
    ];
    for (sources, exclude, expected) in cases {
        assert_eq!(copied(&files, vec![], parents(sources, exclude)), expected, "{sources:?}");
    }
    let stage = vec![StepKind::Copy(to(&["."], "/"))];
    let from = Copy { from: CopySource::Stage(0), ..parents(&["a/./b/c.txt"], &[]) };
    assert_eq!(
        Bench::new(&files).run(vec![stage, vec![StepKind::Copy(from)]]),
        ["x d 755", "x/b d 700", "x/b/c.txt f 644 = a/b/c.txt"]
    );
}

#[test]
fn a_stage_gives_owners_special_bits_and_hard_links() {
    let bench = Bench::new(&["d/tool:4755", "d/t/:1777", "d/group/:2775", "d/one"]);
    fs::hard_link(bench.context().join("d/one"), bench.context().join("d/two")).unwrap();
    let stage = vec![StepKind::Copy(Copy { owner: owner(3, 4), ..to(&["d"], "/d") })];
    let gone = crate::recipe::Remove { paths: vec![EntryPath::new("d/t").unwrap()], must_exist: true };
    let from = |sources: &[&str]| Copy { from: CopySource::Stage(0), ..to(sources, "/x/") };
    assert_eq!(
        bench.run(vec![stage.clone(), vec![StepKind::Copy(from(&["d"]))]]),
        [
            "x d 755",
            "x/group d 2755 3:4",
            "x/one f 644 3:4 = d/one",
            "x/t d 1777 3:4",
            "x/tool f 4755 3:4 = d/tool",
            "x/two h 644 3:4 -> x/one",
        ]
    );
    let mut removed = stage.clone();
    removed.push(StepKind::Remove(gone));
    let got = bench.run(vec![removed, vec![StepKind::Copy(from(&["/d/t"]))]]);
    assert_eq!(got, ["error: /d/t matches nothing in the stage or image it is taken from"]);
}

#[test]
fn names_of_owners_are_looked_up_in_the_image() {
    let accounts = || {
        vec![
            write("etc/passwd", "root:x:0:0::/:/\napp:x:1000:1001::/:/\n"),
            write("etc/group", "app:x:1001:\nweb:x:33:\n"),
        ]
    };
    let name = |text: &str| OwnerName::Name(text.to_owned());
    let cases = [
        (Owner { user: name("app"), group: None }, "1000:1001"),
        (Owner { user: name("app"), group: Some(name("web")) }, "1000:33"),
        (Owner { user: OwnerName::Id(5), group: None }, "5:5"),
        (Owner { user: OwnerName::Id(5), group: Some(name("web")) }, "5:33"),
    ];
    for (owner, expected) in cases {
        for independent in [false, true] {
            let copy = Copy { owner: Some(owner.clone()), independent, ..to(&["a"], "x/") };
            let got = copied(&["a"], accounts(), copy);
            assert!(got.contains(&format!("x/a f 644 {expected} = a")), "{owner:?}: {got:?}");
            assert!(got.contains(&format!("x d 755 {expected}")), "{owner:?}: {got:?}");
        }
    }
    let copy = Copy { owner: Some(Owner { user: name("nobody"), group: None }), ..to(&["a"], "x/") };
    assert_eq!(copied(&["a"], accounts(), copy), ["error: there is no user \"nobody\" in the image"]);
}

/// A tar with a root entry, a directory, a file of somebody else's, and a link.
pub(super) fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = |path: &str, kind: tar::EntryType, mode: u32, data: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(11);
        header.set_gid(12);
        header.set_size(data.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        tar.append_data(&mut header, path, data).unwrap();
    };
    header("./", tar::EntryType::Directory, 0o700, b"", "");
    header("s/", tar::EntryType::Directory, 0o750, b"", "");
    header("s/f", tar::EntryType::Regular, 0o600, b"text", "");
    header("s/l", tar::EntryType::Symlink, 0o777, b"", "f");
    tar.into_inner().unwrap()
}

#[test]
fn archives_are_told_by_their_content() {
    use std::io::Write as _;
    let plain = tar();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&plain).unwrap();
    let forms = [
        ("plain.txt", plain.clone()),
        ("x.gz", gzip.finish().unwrap()),
        ("x.bz2", bzip.finish().unwrap()),
        ("x.zst", zstd::encode_all(&plain[..], 1).unwrap()),
    ];
    for (name, bytes) in forms {
        let bench = Bench::new(&["other"]);
        fs::write(bench.context().join(name), bytes).unwrap();
        let add = |owner| {
            let copy = Copy { archives: Archives::Unpack, owner, ..to(&[name, "other"], "in/here/") };
            bench.run(vec![vec![StepKind::Copy(copy)]])
        };
        // The root entry says nothing of the destination.
        let expected = [
            "in d 755",
            "in/here d 755",
            "in/here/other f 644 = other",
            "in/here/s d 750 11:12",
            "in/here/s/f f 600 11:12 = text",
            "in/here/s/l l 777 11:12 -> f",
        ];
        assert_eq!(add(None), expected, "{name}");
        assert_eq!(add(owner(1, 2))[4], "in/here/s/f f 600 1:2 = text", "{name}");
        assert_eq!(add(owner(1, 2))[0], "in d 755 1:2", "{name}");
    }
}

#[test]
fn what_only_looks_like_an_archive_is_copied() {
    let bench = Bench::new(&["a.tar.gz"]);
    fs::write(bench.context().join("zeros.tar"), [0; 10240]).unwrap();
    fs::write(bench.context().join("half.gz"), &zstd::encode_all(&tar()[..], 1).unwrap()[..20]).unwrap();
    let add = |name: &str| {
        let copy = Copy { archives: Archives::Unpack, ..to(&[name], "/") };
        let entries = bench.entries(vec![vec![StepKind::Copy(copy)]]);
        entries.map(|entries| entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>())
    };
    for name in ["a.tar.gz", "zeros.tar", "half.gz"] {
        assert_eq!(add(name).unwrap(), [name]);
    }
    // A tar that breaks off is no other file by that: it is broken.
    fs::write(bench.context().join("cut.tar"), &tar()[..1100]).unwrap();
    assert!(words(&add("cut.tar").unwrap_err()).contains("cut.tar"));
}

#[test]
fn a_working_directory_is_made_once() {
    let mkdir = |path: &str| {
        StepKind::Mkdir(Mkdir {
            path: EntryPath::new(path).unwrap(),
            owner: owner(5, 5),
            owner_from: None,
            mode: None,
            rules: Rules::Docker,
        })
    };
    let bench = Bench::new(&[]);
    assert_eq!(
        bench.run(vec![vec![write("a/f", ""), link("l", "a"), mkdir("a"), mkdir("l/b/c"), mkdir("l")]]),
        ["a d 755", "a/b d 755 5:5", "a/b/c d 755 5:5", "a/f f 644 = ", "l l 777 -> a"]
    );
    assert_eq!(bench.run(vec![vec![write("f", ""), mkdir("f")]]), ["error: /f is no directory"]);
}
