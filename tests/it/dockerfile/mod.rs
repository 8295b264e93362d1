//! Dockerfiles through the program: a small file, and the image that comes out of it.

mod arguments;
mod bases;
mod check;
mod config;
mod contexts;
mod convert;
mod copy;
mod docs;
mod files;

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use super::support::{
    cli::TestContext,
    image::{self, Image, image as image_in, members},
};

impl TestContext {
    /// Builds a Dockerfile into a new layout.
    #[track_caller]
    fn image_of_dockerfile(&self, text: &str, arguments: &[&str]) -> Image {
        let mut images = self.images_of_dockerfile(text, arguments);
        assert_eq!(images.len(), 1);
        images.remove(0)
    }

    #[track_caller]
    fn images_of_dockerfile(&self, text: &str, arguments: &[&str]) -> Vec<Image> {
        self.write("Dockerfile", text);
        let out = self.project().with_file_name("layout");
        let _ = std::fs::remove_dir_all(&out);
        let output = format!("type=oci,dest={}", out.display());
        let done = self.run(&[&["build", "-o", &output], arguments].concat());
        assert!(done.status.success(), "{}", self.describe(&done));
        image::images(&out)
    }

    /// Builds a Dockerfile that is wrong: the exit status and what it said.
    #[track_caller]
    fn refused(&self, text: &str, arguments: &[&str]) -> (i32, String) {
        self.write("Dockerfile", text);
        let done = self.run(&[&["build"], arguments].concat());
        assert!(!done.status.success(), "{}", self.describe(&done));
        (done.status.code().unwrap_or(-1), self.filter(&String::from_utf8_lossy(&done.stderr)))
    }

    /// Runs the program with this on its standard input.
    fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// What the history says, and `-` before entries without a layer.
fn history(image: &Image) -> Vec<String> {
    let entries = image.config["history"].as_array().unwrap();
    let words = |entry: &serde_json::Value| {
        let said = entry["created_by"].as_str().unwrap();
        match entry["empty_layer"].as_bool() {
            Some(true) => format!("- {said}"),
            _ => said.to_owned(),
        }
    };
    entries.iter().map(words).collect()
}

/// Builds the project's Dockerfile.
#[track_caller]
fn built(context: &TestContext, arguments: &[&str]) -> Image {
    let output = build(context, arguments);
    assert!(output.status.success(), "{}", context.describe(&output));
    image_in(&context.project().join("out"))
}

/// The words of a build that fails.
#[track_caller]
fn refused(context: &TestContext, arguments: &[&str]) -> String {
    let output = build(context, arguments);
    assert!(!output.status.success(), "{}", context.describe(&output));
    context.filter(&String::from_utf8_lossy(&output.stderr))
}

fn build(context: &TestContext, arguments: &[&str]) -> Output {
    let _ = std::fs::remove_dir_all(context.project().join("out"));
    let mut all = vec!["build", "--progress", "plain", "-o", "type=oci,dest=out,tar=false"];
    all.extend(arguments);
    context.run(&all)
}

/// As [`built`], with something on standard input.
#[track_caller]
fn built_from(context: &TestContext, input: &[u8], arguments: &[&str]) -> Image {
    let _ = std::fs::remove_dir_all(context.project().join("out"));
    let mut all = vec!["build", "--progress", "plain", "-o", "type=oci,dest=out,tar=false"];
    all.extend(arguments);
    let mut child = context
        .command(&all)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", context.describe(&output));
    image_in(&context.project().join("out"))
}

/// A tar of these files, each with its path as the content.
fn tar(files: &[&str]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for path in files {
        append(&mut tar, path, path.as_bytes());
    }
    let bytes = tar.into_inner().unwrap();
    assert_eq!(members(&bytes).len(), files.len());
    bytes
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o640);
    header.set_uid(1234);
    header.set_gid(1234);
    tar.append_data(&mut header, path, content).unwrap();
}
