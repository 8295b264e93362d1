//! Standard streams that nobody reads.

use std::process::Stdio;

use crate::support::cli::TestContext;

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let context = TestContext::new();
    for arguments in [&["validate"][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = context.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn errors_without_a_reader_keep_their_status() {
    let context = TestContext::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = context.command(&["inspect", "oci:none"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(3));
}
