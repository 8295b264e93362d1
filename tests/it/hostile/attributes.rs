//! Extended attributes as large as the kernel has them. Many file systems (ext4) have no room for these.

use std::fs;

use rustix::{
    fs::{XattrFlags, lsetxattr},
    io::Errno,
};

use super::{layers::layout, run::SmallDisk};
use crate::support::cli::TestContext;

const NAME: &str = "user.big";
/// The most that the kernel takes.
const MOST: usize = 64 << 10;

/// A layer with `/file` that has an attribute of this size.
fn layer(size: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let value = vec![b'x'; size];
    builder.append_pax_extensions([(format!("SCHILY.xattr.{NAME}").as_str(), &value[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(7);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, "file", &b"content"[..]).unwrap();
    builder.into_inner().unwrap()
}

/// The base `big`: busybox, and such a layer.
fn base(ctx: &TestContext, size: usize) -> String {
    let at = ctx.home().join("big");
    layout(&at, &[super::deep::busybox(), layer(size)]);
    format!("big=oci-layout://{}:1", at.display())
}

const TEXT: &str = "FROM big
RUN mv /file /moved
FROM scratch
COPY --from=big /file /copy
COPY --from=0 /moved /moved
";

#[test]
fn they_are_kept_where_there_is_room() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts a file system");
    let ctx = TestContext::new();
    let store = ctx.store();
    let _disk = SmallDisk::new(&store, "64m");
    let base = base(&ctx, MOST);
    let (image, told) = ctx.builds(TEXT, &["--build-context", &base]);
    for path in ["copy", "moved"] {
        let value = image.member(path).xattrs.get(NAME);
        assert!(value.is_some_and(|value| *value == vec![b'x'; MOST]), "{path}: {told}");
    }
    let (image, _) = ctx.builds("FROM big\nRUN mv /file /moved\n", &["--build-context", &base]);
    assert_eq!(
        image.layers.last().unwrap().iter().find(|m| m.path == b"moved").unwrap().xattrs[NAME].len(),
        MOST
    );
}

/// Only the command does not see them then: the image's layers are as they were.
#[test]
fn they_are_left_out_with_a_warning_where_there_is_none() {
    let ctx = TestContext::new();
    let probe = ctx.home().join("probe");
    fs::write(&probe, "").unwrap();
    let room = match lsetxattr(&probe, NAME, &vec![b'x'; MOST], XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::NOSPC | Errno::TOOBIG) => false,
        Err(error) => panic!("this test needs a file system with attributes: {error}"),
    };
    let base = base(&ctx, MOST);
    let (image, told) = ctx.builds("FROM big\nRUN echo more > /more\n", &["--build-context", &base]);
    assert_eq!(image.member("file").xattrs[NAME].len(), MOST);
    let warning = format!("left out the attribute {NAME} of /file: the file system has no room for it");
    assert_eq!(told.contains(&warning), !room, "{told}");

    ctx.write("Dockerfile", "FROM big\n");
    let done = ctx.run(&["build", "-f", "Dockerfile", "--build-context", &base, "-o", "type=local,dest=out"]);
    let told = ctx.describe(&done);
    assert!(done.status.success(), "{told}");
    assert_eq!(told.contains(&warning), !room, "{told}");
    assert_eq!(fs::read_to_string(ctx.project().join("out/file")).unwrap(), "content");
}

#[test]
fn larger_ones_are_refused() {
    let ctx = TestContext::new();
    let base = base(&ctx, MOST + 1);
    let (done, told) = ctx.dockerfile("FROM big\nRUN true\n", &["--build-context", &base]);
    assert!(!done && told.contains("more than 64 KiB"), "{told}");
}
