//! Archives.

use std::{
    io::{Cursor, Read, Write},
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::TestContext;
use crate::tools::{run, tool};

/// `pkg/bin/tool` (0755, of 3:4), `pkg/share/doc` and a link.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, text) in [("pkg/bin/tool", 0o755, "tool"), ("pkg/share/doc", 0o640, "doc")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(99);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    builder.append_link(&mut header, "pkg/link", "bin/tool").unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    imgbuild::oci::Digest::of(bytes).hex()
}

/// The archive in each form, in the project: a name each.
fn forms(ctx: &TestContext) -> Vec<&'static str> {
    let tar = archive();
    ctx.write("a.tar", &tar);
    ctx.write("a.tar.gz", gzip(&tar));
    ctx.write("a.tar.zst", zstd::encode_all(&tar[..], 1).unwrap());
    let shell = |script: &str| run(tool("sh", "dash").args(["-ec", script]).current_dir(ctx.project()));
    shell("xz -k a.tar && bzip2 -k a.tar");
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = |mode| zip::write::SimpleFileOptions::default().unix_permissions(mode);
    zip.start_file("pkg/bin/tool", options(0o755)).unwrap();
    zip.write_all(b"tool").unwrap();
    zip.start_file("pkg/share/doc", options(0o640)).unwrap();
    zip.write_all(b"doc").unwrap();
    zip.add_symlink("pkg/link", "bin/tool", options(0o777)).unwrap();
    ctx.write("a.zip", zip.finish().unwrap().into_inner());
    vec!["a.tar", "a.tar.gz", "a.tar.zst", "a.tar.xz", "a.tar.bz2", "a.zip"]
}

#[test]
fn every_form_of_archive() {
    let ctx = TestContext::new();
    for form in forms(&ctx) {
        let image =
            ctx.build(&format!("from: scratch\nlayers:\n  - {{unpack: {form}, to: /opt, strip: 1}}\n"));
        let program = image.member("opt/bin/tool");
        assert_eq!((program.mode, program.text()), (0o755, "tool"), "{form}");
        assert_eq!(image.member("opt/share/doc").mode, 0o640, "{form}");
        assert_eq!(image.member("opt/link").link, b"bin/tool", "{form}");
        if form != "a.zip" {
            assert_eq!((program.owner(), program.mtime), ((3, 4), 99), "{form}");
        }
    }
}

#[test]
fn options() {
    let ctx = TestContext::new();
    ctx.write("a.tar.gz", gzip(&archive()));
    let image = ctx.build(
        "from: scratch
workdir: /w
layers:
  - {unpack: a.tar.gz, exclude: [pkg/share, '**/link'], owner: 7, mode: {files: '0600', dirs: '0700'}}
",
    );
    assert_eq!(image.member("w/pkg/bin/tool").line(), "w/pkg/bin/tool f 600 7:7");
    assert!(!image.has("w/pkg/share/doc") && !image.has("w/pkg/link"));
    // Two levels cut off: what has no third is gone.
    let image = ctx.build("from: scratch\nlayers:\n  - {unpack: a.tar.gz, strip: 2, to: /}\n");
    assert_eq!(image.paths(), ["doc", "tool"]);
}

#[test]
fn from_a_stage() {
    let ctx = TestContext::new();
    ctx.write("a.tar.gz", gzip(&archive()));
    let spec = "stages:
  get:
    from: scratch
    layers:
      - {copy: a.tar.gz, to: /dl/a.tgz}
  last:
    from: scratch
    layers:
      - {unpack: /dl/a.tgz, from: get, to: /opt}
";
    assert_eq!(ctx.build(spec).member("opt/pkg/share/doc").text(), "doc");
    let (code, text) = ctx.fails(&spec.replace("/dl/a.tgz, from", "/dl/b.tgz, from"), &[]);
    assert_eq!(code, 3);
    assert!(text.contains("did you mean /dl/a.tgz?") && !text.contains("optional"), "{text}");
}

/// What the last build says once more, digests included.
fn said_again(ctx: &TestContext) -> String {
    String::from_utf8_lossy(&ctx.run(&["build"]).stderr).into_owned()
}

#[test]
fn another_digest_is_an_error_that_tells_the_right_one() {
    let ctx = TestContext::new();
    let bytes = gzip(&archive());
    ctx.write("a.tar.gz", &bytes);
    let spec = |digest: &str| format!("from: scratch\nlayers:\n  - unpack: a.tar.gz\n    sha256: {digest}\n");
    ctx.build(&spec(&sha256(&bytes)));
    let (code, text) = ctx.fails(&spec(&sha256(b"other")), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
    assert!(said_again(&ctx).contains(&sha256(&bytes)));
    // An archive known by its digest is not taken for another file of that name.
    ctx.write("b.tar.gz", "other");
    let spec = spec(&sha256(&bytes)).replace("a.tar.gz", "b.tar.gz");
    let (_, text) = ctx.fails(&spec, &[]);
    assert!(text.contains("b.tar.gz should have the digest"), "{text}");
}

#[test]
fn what_is_no_archive_is_an_error() {
    let ctx = TestContext::new();
    ctx.write("a.tar.gz", "no archive").write("cut.tar.gz", &gzip(&archive())[..60]);
    for file in ["a.tar.gz", "cut.tar.gz"] {
        let (_, text) = ctx.fails(&format!("from: scratch\nlayers:\n  - unpack: {file}\n"), &[]);
        assert!(text.contains(file) && text.contains("imgbuild.yaml:3"), "{text}");
    }
}

/// A server of one file that counts its requests. It ends with the test's process.
fn serve(bytes: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let found = !request.starts_with(b"GET /missing");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let body = if found { &bytes[..] } else { b"" };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    (format!("http://{address}"), count)
}

#[test]
fn from_the_web_once_where_the_digest_is_known() {
    let ctx = TestContext::new();
    let bytes = gzip(&archive());
    let (url, count) = serve(bytes.clone());
    let with =
        format!("from: scratch\nlayers:\n  - unpack: {url}/a.tar.gz\n    sha256: {}\n", sha256(&bytes));
    let first = ctx.build(&with);
    assert_eq!(first.member("pkg/bin/tool").text(), "tool");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(ctx.build(&with).layer_digests(), first.layer_digests());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let without = format!("from: scratch\nlayers:\n  - unpack: {url}/a.tar.gz\n");
    assert_eq!(ctx.build(&without).layer_digests(), first.layer_digests());
    let wrong = format!("{without}    sha256: {}\n", sha256(b"other"));
    let (code, text) = ctx.fails(&wrong, &[]);
    assert_eq!(code, 1);
    assert!(text.contains("should have the digest"), "{text}");
    assert!(said_again(&ctx).contains(&sha256(&bytes)));
    let (code, text) = ctx.fails(&without.replace("a.tar.gz", "missing"), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
    let left = ctx.store().join("tmp");
    assert!(!Path::new(&left).exists() || std::fs::read_dir(left).unwrap().next().is_none());
}
