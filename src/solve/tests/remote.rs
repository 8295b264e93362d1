//! Files from the web and from Git, and contexts that come as archives.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::Command,
    sync::Mutex,
    thread,
};

use super::{super::*, *};
use crate::{
    error::Kind as ErrorKind,
    oci::Digest,
    recipe::{Archive, GitSource, Unpack, UrlSource},
};

/// A web server of one file, which tells a version of it.
struct Web {
    root: String,
    file: Arc<Mutex<Vec<u8>>>,
    /// The statuses that it has answered with.
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Web {
    fn start(file: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let (file, answers) = (Arc::new(Mutex::new(file.into())), Arc::new(Mutex::new(Vec::new())));
        let (served, told) = (Arc::clone(&file), Arc::clone(&answers));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = String::new();
                for line in BufReader::new(&stream).lines() {
                    match line {
                        Ok(line) if !line.is_empty() => asked.push_str(&format!("{line}\n")),
                        _ => break,
                    }
                }
                let file = served.lock().unwrap().clone();
                let tag = format!("\"{}\"", Digest::of(&file).short());
                let same = asked.to_lowercase().contains(&format!("if-none-match: {tag}"));
                let (status, body) = if same { (304, &[][..]) } else { (200, &file[..]) };
                told.lock().unwrap().push(status);
                let head = format!(
                    "HTTP/1.1 {status} x\r\nETag: {tag}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            }
        });
        Self { root, file, answers }
    }

    fn answers(&self) -> Vec<u16> {
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

fn add(url: &str, to: &str) -> Copy {
    let source = UrlSource { url: url.to_owned(), checksum: None };
    Copy { from: CopySource::Url(source), ..docker_copy(&[], to) }
}

#[test]
fn a_file_of_the_web_is_named_by_its_url_and_is_its_owners_alone() {
    let web = Web::start("text");
    let bench = Bench::new(&[]);
    for (path, to, expected) in [
        ("a/b.txt?token=x", "in/", "in/b.txt f 600 = text"),
        ("a/b%20c", "in/", "in/b c f 600 = text"),
        ("a/b.txt", "name", "name f 600 = text"),
        ("", "in/", "in/__unnamed__ f 600 = text"),
        ("..%2f..%2fetc", "in/", "in/__unnamed__ f 600 = text"),
    ] {
        let got = bench.run(vec![vec![StepKind::Copy(add(&format!("{}/{path}", web.root), to))]]);
        assert_eq!(got.last().unwrap(), expected, "{path}");
    }
    let kept = Copy { timestamps: Timestamps::Preserve, ..add(&format!("{}/x", web.root), "/") };
    assert_eq!(bench.entries(vec![vec![StepKind::Copy(kept)]]).unwrap()[0].mtime, 784_111_777);
}

#[test]
fn what_has_not_changed_is_not_downloaded_again() {
    let web = Web::start("one");
    let bench = Bench::new(&[]);
    let url = format!("{}/x", web.root);
    let plain = || vec![vec![StepKind::Copy(add(&url, "/"))]];
    assert_eq!(bench.run(plain()), ["x f 600 = one"]);
    assert_eq!(web.answers(), [200]);
    assert_eq!(bench.run(plain()), ["x f 600 = one"]);
    assert_eq!(web.answers(), [304]);
    *web.file.lock().unwrap() = b"two".to_vec();
    assert_eq!(bench.run(plain()), ["x f 600 = two"]);
    assert_eq!(web.answers(), [200]);
    // What is known by its digest is not even asked for.
    for digest in [Digest::of(b"two"), Digest::of(b"one")] {
        let source = UrlSource { url: url.clone(), checksum: Some(digest) };
        let copy = Copy { from: CopySource::Url(source), ..add(&url, "/") };
        assert_eq!(bench.run(vec![vec![StepKind::Copy(copy)]]).len(), 1);
    }
    assert!(web.answers().is_empty());
    let source = UrlSource { url: url.clone(), checksum: Some(Digest::of(b"three")) };
    let failure = bench
        .entries(vec![vec![StepKind::Copy(Copy { from: CopySource::Url(source), ..add(&url, "/") })]])
        .unwrap_err();
    assert!(words(&failure).contains("should have the digest"), "{failure}");
}

#[test]
fn an_archive_of_the_web_is_downloaded_once() {
    let web = Web::start(copy::tar());
    let bench = Bench::new(&[]);
    let unpack = Unpack {
        archive: Archive::Url(format!("{}/a.tar", web.root)),
        digest: None,
        to: None,
        strip: 1,
        exclude: Vec::new(),
        owner: None,
        modes: Modes::default(),
    };
    for status in [200, 304] {
        assert_eq!(
            bench.run(vec![vec![StepKind::Unpack(unpack.clone())]]),
            ["f f 600 11:12 = text", "l l 777 11:12 -> f"]
        );
        assert_eq!(web.answers(), [status]);
    }
    let add = Copy { archives: Archives::Unpack, ..add(&format!("{}/a.tar", web.root), "in/") };
    assert_eq!(bench.run(vec![vec![StepKind::Copy(add)]])[2], "in/s/f f 600 11:12 = text");
}

fn repository(folder: &Path) -> GitSource {
    fs::create_dir_all(folder.join("d")).unwrap();
    fs::write(folder.join("d/f"), "text").unwrap();
    fs::write(folder.join("run"), "").unwrap();
    fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o775)).unwrap();
    for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "x"]] {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(folder)
            .status();
        assert!(status.unwrap().success());
    }
    GitSource {
        remote: format!("file://{}", folder.display()),
        reference: None,
        subdirectory: None,
        keep_git_dir: false,
        checksum: None,
        submodules: true,
    }
}

#[test]
fn a_commit_is_copied_like_a_directory() {
    let bench = Bench::new(&[]);
    let source = repository(&bench.folder.path().join("r"));
    let copy = |git: GitSource, sources: &[&str]| {
        let copy = Copy { from: CopySource::Git(git), ..docker_copy(sources, "in/") };
        bench.run(vec![vec![StepKind::Copy(copy)]])
    };
    let all = ["in d 755", "in/d d 755", "in/d/f f 644 = text", "in/run f 755 = "];
    assert_eq!(copy(source.clone(), &[]), all);
    assert_eq!(copy(source.clone(), &["/"]), all);
    let part = GitSource { subdirectory: Some("d".into()), ..source.clone() };
    assert_eq!(copy(part, &[]), ["in d 755", "in/f f 644 = text"]);
    let kept = GitSource { keep_git_dir: true, ..source };
    assert!(copy(kept, &[]).iter().any(|line| line.starts_with("in/.git/HEAD f 644")));
}

#[test]
fn contexts_come_from_anywhere() {
    let bench = Bench::new(&[]);
    let web = Web::start(zstd::encode_all(&copy::tar()[..], 1).unwrap());
    let git = repository(&bench.folder.path().join("r"));
    let named = |source: ContextSource| {
        let from = CopySource::Context("named".into());
        let copy = StepKind::Copy(Copy { from, ..docker_copy(&["."], "in/") });
        match bench.entries_with(vec![vec![copy]], ("named", source)) {
            Ok(entries) => entries.iter().map(line).collect::<Vec<_>>(),
            Err(failure) => vec![words(&failure)],
        }
    };
    let url = ContextSource::Url(format!("{}/c.tar.zst", web.root));
    // An archive's owners count for nothing in a context; its modes do.
    let unpacked = ["in d 755", "in/s d 750", "in/s/f f 600 = text", "in/s/l l 777 -> f"];
    assert_eq!(named(url.clone()), unpacked);
    assert_eq!(named(url), unpacked);
    assert_eq!(web.answers(), [200, 304]);
    assert_eq!(named(ContextSource::Git(git))[1], "in/d d 755");
    *web.file.lock().unwrap() = b"FROM scratch".to_vec();
    let got = named(ContextSource::Url(format!("{}/Dockerfile", web.root)));
    assert_eq!(got, ["the build context \"named\" is one file, and no archive"]);
}

#[test]
fn a_stream_is_a_tar_or_a_file() {
    let bench = Bench::new(&[]);
    let stream = |bytes: &[u8]| context_of_stream(&bench.engine, bytes, "standard input");
    let found = stream(&copy::tar()).unwrap();
    let FetchedContext::Directory { path, committed: None } = &found else { panic!("a directory") };
    assert_eq!(fs::read_to_string(path.join("s/f")).unwrap(), "text");
    assert_eq!(stream(&copy::tar()).unwrap(), found);
    let FetchedContext::File { path, .. } = stream(b"FROM scratch\n").unwrap() else { panic!("a file") };
    assert_eq!(fs::read_to_string(path).unwrap(), "FROM scratch\n");
    // A tar that breaks off, and those that lead elsewhere.
    assert_eq!(stream(&copy::tar()[..1100]).unwrap_err().kind(), ErrorKind::Build);
    for (path, kind, link) in
        [("../x", tar::EntryType::Regular, ""), ("x", tar::EntryType::Link, "../../etc/passwd")]
    {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(0);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, &[][..]).unwrap();
        let got = stream(&tar.into_inner().unwrap());
        assert!(got.is_err(), "{path} {link}: {got:?}");
    }
    assert!(!bench.folder.path().join("home/v1/x").exists());
}
