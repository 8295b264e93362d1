//! How the action gets the program: releases are served by the test.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Output,
};

use super::Job;
use crate::tools::{repository, run, told, tool};

/// Serves files by their paths, until the test ends.
fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let found = asked.split(' ').nth(1).and_then(|path| files.get(path));
            let (status, body) = found.map_or(("404 Not Found", &b""[..]), |body| ("200 OK", body));
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    url
}

fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" }
}

/// The archive of a release whose program tells this version.
fn archive(job: &Job, version: &str) -> Vec<u8> {
    let (folder, file) = (job.at("release"), job.at("archive.tar.gz"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("imgbuild"), format!("#!/bin/sh\necho imgbuild {version}\n")).unwrap();
    run(tool("chmod", "coreutils").arg("755").arg(folder.join("imgbuild")));
    run(tool("tar", "tar").arg("-czf").arg(&file).arg("-C").arg(&folder).arg("imgbuild"));
    fs::read(file).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    imgbuild::oci::Digest::of(bytes).to_string().replace("sha256:", "")
}

fn install(job: &Job, url: &str, inputs: &[(&str, &str)]) -> Output {
    let mut script = job.script("install", inputs);
    script.env("IMGBUILD_RELEASES", url).env("NO_PROXY", "127.0.0.1").output().unwrap()
}

#[test]
fn a_release_is_checked_and_put_into_the_path() {
    let job = Job::new();
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let own = manifest.split("\nversion = \"").nth(1).unwrap().split_once('"').unwrap().0.to_owned();
    let name = format!("imgbuild-{}-linux.tar.gz", machine());
    let archive = archive(&job, "of the release");
    let sums = format!("{}  other.tar.gz\n{}  {name}\n", "0".repeat(64), sha256(&archive));
    let mut files = BTreeMap::new();
    for version in [own.as_str(), "9.8.7-rc.1"] {
        files.insert(format!("/v{version}/{name}"), archive.clone());
        files.insert(format!("/v{version}/SHA256SUMS"), sums.clone().into_bytes());
    }
    let url = serve(files);
    for version in ["", "9.8.7-rc.1", "v9.8.7-rc.1"] {
        let output = install(&job, &url, &[("imgbuild-version", version)]);
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "imgbuild of the release\n", "{version:?}");
    }
    let path = fs::read_to_string(job.at("path")).unwrap();
    let bin = job.at("temporary/imgbuild/bin");
    assert_eq!(path, format!("{}\n", bin.display()).repeat(3));
    assert!(bin.join("imgbuild").is_file());
    let left = fs::read_dir(job.at("temporary")).unwrap().count();
    assert_eq!(left, 1, "the archive is not left behind");
}

#[test]
fn what_is_not_the_release_is_not_installed() {
    let job = Job::new();
    let name = format!("imgbuild-{}-linux.tar.gz", machine());
    let archive = archive(&job, "of somebody");
    let wrong = format!("{}  {name}\n", "1".repeat(64));
    let files = [
        (format!("/v1.0.0/{name}"), archive.clone()),
        ("/v1.0.0/SHA256SUMS".to_owned(), wrong.into_bytes()),
        (format!("/v2.0.0/{name}"), archive.clone()),
        ("/v2.0.0/SHA256SUMS".to_owned(), b"<html>".to_vec()),
        (format!("/v3.0.0/{name}"), archive.clone()),
    ];
    let url = serve(BTreeMap::from(files));
    let other = "2".repeat(64);
    let mut all = String::new();
    for inputs in [
        &[("imgbuild-version", "1.0.0")][..],
        &[("imgbuild-version", "2.0.0")],
        &[("imgbuild-version", "3.0.0"), ("sha256", &other)],
        &[("imgbuild-version", "3.0.0"), ("sha256", "none")],
        &[("imgbuild-version", "../../evil")],
        &[("imgbuild-version", "4.0.0")],
        &[("install", "magic")],
    ] {
        let output = install(&job, &url, inputs);
        assert_eq!(output.status.code(), Some(1), "{inputs:?} {}", told(&output));
        let told = String::from_utf8(output.stderr).unwrap();
        all.extend(told.lines().filter(|line| line.starts_with("::")).map(|line| format!("{line}\n")));
    }
    assert!(!job.at("temporary/imgbuild/bin").exists());
    assert_eq!(fs::read_to_string(job.at("path")).unwrap(), "");
    let all =
        all.replace(&sha256(&archive), "[FOUND]").replace(&url, "[URL]").replace(machine(), "[MACHINE]");
    insta::assert_snapshot!(all);
    // By its own checksum, the list is not needed.
    let output = install(&job, &url, &[("imgbuild-version", "3.0.0"), ("sha256", &sha256(&archive))]);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_program_that_is_there_is_used() {
    let job = Job::new();
    let output = job.run("install", &[("install", "none")]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("imgbuild "));
    assert_eq!(fs::read_to_string(job.at("path")).unwrap(), "");
}
