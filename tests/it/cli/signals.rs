//! Signals end the program at once, whatever it waits for.

use std::{fs, process::Stdio};

use imgbuild::oci::{Descriptor, Index, media_type};
use rustix::{
    fs::{CWD, FileType, Mode},
    process::{Pid, Signal, kill_process},
};

use crate::support::cli::TestContext;

#[test]
fn a_signal_ends_a_read_that_never_ends() {
    for (signal, status, said) in [(Signal::INT, 130, "interrupted\n"), (Signal::TERM, 143, "terminated\n")] {
        let context = TestContext::new();
        let blob = Descriptor::of(media_type::MANIFEST, b"never written");
        context.write("out/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        context.write("out/index.json", Index::new(vec![blob.clone()]).to_bytes());
        let folder = context.project().join("out/blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        let fifo = folder.join(blob.digest.hex());
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let child = context.command(&["validate", "oci:out"]).stderr(Stdio::piped()).spawn().unwrap();
        // Opens once the program has opened the other end: it is in the middle of its work now.
        let writer = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(status));
        assert_eq!(String::from_utf8_lossy(&ended.stderr), said);
        drop(writer);
    }
}
