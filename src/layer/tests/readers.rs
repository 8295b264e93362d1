//! Layers through the readers of others, where this machine has them.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::*;

/// What the command prints when the blob is on its standard input; `None` where there is no such command.
fn pipe(command: &[&str], blob: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(blob).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}");
    Some(output.stdout)
}

#[test]
fn gzip_zstd_and_python_read_all_chunks() {
    let bench = Bench::new();
    let entries: Vec<Entry> = (0..6).map(|n| text(&format!("f{n}"), noise(900_000, n))).collect();
    let blob = |compression| {
        let written = bench.write_with(2, &entries, &Options { compression, ..Options::default() });
        assert!(written.chunks > 2);
        (
            fs::read(bench.store.blob_path(&written.layer.descriptor.digest)).unwrap(),
            bench.tar(&written.layer),
        )
    };
    let (gzip, tar) = blob(Compression::gzip());
    let python = "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    for command in [&["gzip", "-dc"][..], &["pigz", "-dc"], &["python3", "-c", python]] {
        if let Some(found) = pipe(command, &gzip) {
            assert!(found == tar, "{command:?}");
        }
    }
    if let Some(found) = pipe(&["zstd", "-dc"], &blob(Compression::zstd()).0) {
        assert!(found == tar);
    }
}

#[test]
fn python_and_gnu_tar_read_everything() {
    let bench = Bench::new();
    let entries = everything();
    let tar = bench.tar(&bench.write(&entries).layer);
    let script = r#"
import sys, tarfile
for m in tarfile.open(fileobj=sys.stdin.buffer, mode="r|"):
    print(m.type.decode(), ascii(m.name), oct(m.mode), m.uid, m.gid, int(m.mtime), ascii(m.linkname)[:20], m.devmajor, m.devminor, m.size)
"#;
    if let Some(list) = pipe(&["python3", "-c", script], &tar) {
        insta::assert_snapshot!(String::from_utf8(list).unwrap(), @r"
        5 'bin' 0o755 0 0 0 '' 0 0 0
        0 'bin/tool' 0o644 0 0 0 '' 0 0 10
        1 'bin/alias' 0o755 0 0 0 'bin/tool' 0 0 0
        2 'bin/link' 0o777 0 0 0 '../a//b/./tool' 0 0 0
        2 'bin/far' 0o777 0 0 0 'xxxxxxxxxxxxxxxxxxx 0 0 0
        0 '.wh.gone' 0o644 0 0 0 '' 0 0 0
        5 'dir' 0o1777 0 0 0 '' 0 0 0
        0 'dir/.wh.gone' 0o644 0 0 0 '' 0 0 0
        5 'opaque' 0o755 0 0 0 '' 0 0 0
        0 'opaque/.wh..wh..opq' 0o644 0 0 0 '' 0 0 0
        3 'dev-null' 0o666 0 0 0 '' 1 3 0
        4 'dev-disk' 0o660 0 0 0 '' 259 1048575 0
        6 'pipe' 0o600 0 0 0 '' 0 0 0
        0 'prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix' 0o644 0 0 0 '' 0 0 15
        0 'deep/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name' 0o644 0 0 0 '' 0 0 16
        0 '\xfcn\xefcode' 0o644 0 0 0 '' 0 0 1
        0 'raw-\udcff\udcfe' 0o644 0 0 0 '' 0 0 3
        0 'special' 0o4755 4000000000 2097152 -1 '' 0 0 1
        ");
    }
    if let Some(list) = pipe(&["tar", "--numeric-owner", "--quoting-style=escape", "-tf", "-"], &tar) {
        insta::assert_snapshot!(String::from_utf8(list).unwrap(), @r"
        bin/
        bin/tool
        bin/alias
        bin/link
        bin/far
        .wh.gone
        dir/
        dir/.wh.gone
        opaque/
        opaque/.wh..wh..opq
        dev-null
        dev-disk
        pipe
        prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix/prefix
        deep/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name/a-rather-long-directory-name
        ünïcode
        raw-\377\376
        special
        ");
    }
}
