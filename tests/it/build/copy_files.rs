//! Files that are not plain: links, long and strange names, attributes, sockets.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

use std::os::unix::{fs::PermissionsExt, process::CommandExt};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::TestContext;
use crate::tools::{run, tool};

const ALL: &str = "from: scratch\nlayers:\n  - {copy: d, to: /x}\n";

fn project() -> TestContext {
    let ctx = TestContext::new();
    ctx.write("d/file", "text");
    ctx
}

#[test]
fn hard_links_stay_links() {
    let ctx = project();
    let folder = ctx.project().join("d");
    fs::create_dir(folder.join("sub")).unwrap();
    fs::hard_link(folder.join("file"), folder.join("sub/again")).unwrap();
    fs::hard_link(folder.join("file"), folder.join("a")).unwrap();
    let image = ctx.build(ALL);
    assert_eq!((image.member("x/a").kind, image.member("x/a").text()), ('f', "text"));
    for other in ["x/file", "x/sub/again"] {
        let member = image.member(other);
        assert_eq!((member.kind, &member.link[..]), ('h', &b"x/a"[..]), "{other}");
    }
}

#[test]
fn hard_links_survive_a_copy_from_a_stage() {
    let ctx = project();
    let folder = ctx.project().join("d");
    fs::hard_link(folder.join("file"), folder.join("again")).unwrap();
    ctx.write("alone", "text");
    let image = ctx.build(
        "stages:
  first:
    from: scratch
    layers:
      - {copy: d, to: /x}
      - {copy: alone, to: /x/one}
      - {copy: alone, to: /x/two}
  last:
    from: scratch
    layers:
      - {copy: /x, from: first, to: /y}
",
    );
    assert_eq!(image.member("y/again").kind, 'f');
    assert_eq!((image.member("y/file").kind, &image.member("y/file").link[..]), ('h', &b"y/again"[..]));
    // Two copies of one file are two files.
    assert_eq!((image.member("y/one").kind, image.member("y/two").kind), ('f', 'f'));
}

#[test]
fn symbolic_links_are_kept_and_never_followed_out() {
    let ctx = project();
    ctx.write("../secret", "secret");
    let folder = ctx.project().join("d");
    let secret = ctx.project().with_file_name("secret");
    symlink("file", folder.join("inside")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    symlink(&secret, folder.join("outside")).unwrap();
    symlink("../../..", folder.join("above")).unwrap();
    let image = ctx.build(ALL);
    let table = [
        ("x/inside", b"file".to_vec()),
        ("x/dangling", b"nowhere".to_vec()),
        ("x/outside", secret.as_os_str().as_bytes().to_vec()),
        ("x/above", b"../../..".to_vec()),
    ];
    for (path, target) in table {
        let member = image.member(path);
        assert_eq!((member.kind, &member.link), ('l', &target), "{path}");
    }
    // Naming one, or going through one, does not lead out either.
    for source in ["d/outside", "d/above/secret", "d/outside/x"] {
        let spec = format!("from: scratch\nlayers:\n  - {{copy: {source}, to: /y/}}\n");
        ctx.spec(&spec);
        let out = format!("type=oci,dest={}", ctx.out().join("2").display());
        let done = ctx.run(&["build", "-o", &out]);
        if done.status.success() {
            let image = super::image::image(&ctx.out().join("2"));
            assert!(image.layers[0].iter().all(|member| member.content != b"secret"), "{source}");
        }
    }
}

#[test]
fn names_may_be_long_and_any_bytes() {
    let ctx = project();
    let folder = ctx.project().join("d");
    let strange = OsStr::from_bytes(b"caf\xe9 \x01");
    fs::write(folder.join(strange), "latin").unwrap();
    let name = "n".repeat(150);
    let long = [name.as_str(); 3].join("/");
    ctx.write(&format!("d/{long}"), "long");
    let target = "t".repeat(300);
    symlink(&target, folder.join("link")).unwrap();
    fs::write(folder.join("FILE"), "other case").unwrap();
    let image = ctx.build(ALL);
    assert_eq!(image.member(b"x/caf\xe9 \x01").text(), "latin");
    assert_eq!(image.member(format!("x/{long}")).text(), "long");
    assert_eq!(image.member("x/link").link, target.as_bytes());
    assert_eq!((image.member("x/FILE").text(), image.member("x/file").text()), ("other case", "text"));
}

#[test]
fn empty_directories_are_kept() {
    let ctx = project();
    fs::create_dir_all(ctx.project().join("d/empty/er")).unwrap();
    assert_eq!(ctx.build(ALL).member("x/empty/er").line(), "x/empty/er d 755 0:0");
}

#[test]
fn sockets_are_skipped_with_a_warning() {
    let ctx = project();
    let _socket = UnixListener::bind(ctx.project().join("d/socket")).unwrap();
    let done = ctx.spec(ALL).run(&["build"]);
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains("d/socket"), "{text}");
    assert!(!ctx.build(ALL).has("x/socket"));
}

#[test]
fn named_pipes_do_not_block() {
    let ctx = project();
    let pipe = ctx.project().join("d/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let image = ctx.build(ALL);
    if image.has("x/pipe") {
        assert_eq!(image.member("x/pipe").kind, 'p');
    }
}

#[test]
fn extended_attributes_of_users_and_capabilities_are_kept() {
    let ctx = project();
    let file = ctx.project().join("d/file");
    let set = |path: &Path, name: &str, value: &[u8]| lsetxattr(path, name, value, XattrFlags::empty());
    // cap_net_bind_service+ep, as setcap writes it (VFS_CAP_REVISION_2).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if set(&file, "user.note", b"a\0b").is_err() {
        // A file system without such attributes.
        return;
    }
    let privileged = set(&file, "security.capability", &capability).is_ok();
    let image = ctx.build(ALL);
    let xattrs = &image.member("x/file").xattrs;
    assert_eq!(xattrs.get("user.note").map(Vec::as_slice), Some(&b"a\0b"[..]));
    if privileged {
        assert_eq!(xattrs.get("security.capability").map(Vec::as_slice), Some(&capability[..]));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_path() {
    let ctx = project();
    fs::set_permissions(ctx.project().join("d/file"), fs::Permissions::from_mode(0o000)).unwrap();
    let root = ctx.project().parent().unwrap().to_owned();
    let mut command = ctx.spec(ALL).command(&["build"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything; nobody does not.
        run(tool("chown", "coreutils").args(["-R", "65534:65534"]).arg(&root));
        let program = root.join("imgbuild");
        fs::copy(env!("CARGO_BIN_EXE_imgbuild"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let envs: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.map(|v| v.to_owned()))).collect();
        command = std::process::Command::new(&program);
        command.arg("build").current_dir(ctx.project()).uid(65534).gid(65534);
        for (name, value) in envs {
            value.map(|value| command.env(name, value));
        }
    }
    let done = command.output().unwrap();
    let text = ctx.filter(&String::from_utf8_lossy(&done.stderr));
    assert!(!done.status.success() && text.contains("d/file") && text.contains("ermission denied"), "{text}");
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
}
