//! Users and groups.

use super::TestContext;

#[test]
fn users_and_groups_on_scratch() {
    let ctx = TestContext::new();
    let image = ctx.build(
        "from: scratch
layers:
  - group: {name: media, gid: 2000}
  - group: {name: sys, system: true}
  - user: {name: app, uid: 1500, groups: [media, sys], home: /home/app, createHome: true, comment: The app}
  - user: {name: daemon, system: true}
  - user: {name: guest, group: media, shell: /bin/rbash}
  - user: {name: numbered, group: 3000}
",
    );
    assert_eq!(image.member("home/app").line(), "home/app d 755 1500:1500");
    let passwd = "app:x:1500:1500:The app:/home/app:/bin/sh
daemon:x:998:998::/nonexistent:/usr/sbin/nologin
guest:x:1000:2000::/home/guest:/bin/rbash
numbered:x:1001:3000::/home/numbered:/bin/sh
";
    assert_eq!(image.member("etc/passwd").text(), passwd);
    let group = "media:x:2000:app\nsys:x:999:app\napp:x:1500:\ndaemon:x:998:\nnumbered:x:3000:\n";
    assert_eq!(image.member("etc/group").text(), group);
    assert_eq!(image.member("etc/passwd").line(), "etc/passwd f 644 0:0");
    assert!(!image.has("etc/shadow"));
}

#[test]
fn a_base_keeps_its_lines_and_the_attributes_of_its_files() {
    let ctx = TestContext::new();
    ctx.write("passwd", "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/bin/sh\n");
    ctx.write("group", "root:x:0:\nwww:x:33:\n").write("shadow", "root:*:1::::::\n").write("file", "x");
    ctx.spec(
        "from: scratch\nlayers:\n  - {copy: [passwd, group], to: /etc/}\n  \
         - {copy: shadow, to: /etc/, mode: '0640', owner: '0:42'}\n",
    );
    ctx.build_layout(&["-t", "base"]);
    let image = ctx.build(
        "from: base\nlayers:\n  - user: {name: app, groups: [www]}\n  - user: {name: app, groups: [www]}\n  \
         - {copy: file, to: /file, owner: www:app}\n",
    );
    let changed = &image.layers[2];
    let shadow = changed.iter().find(|m| m.path == b"etc/shadow").unwrap();
    assert_eq!(shadow.line(), "etc/shadow f 640 0:42");
    assert!(shadow.text().ends_with("app:!:::::::\n"));
    let passwd = changed.iter().find(|m| m.path == b"etc/passwd").unwrap();
    assert!(passwd.text().starts_with("root:x:0:0:root:/root:/bin/bash\nwww:"), "{}", passwd.text());
    // The second step finds everything in place.
    assert!(image.layers[3].is_empty(), "{:?}", image.layers[3]);
    assert_eq!(image.member("file").owner(), (33, 1000));
}

#[test]
fn conflicts_and_missing_groups_are_errors() {
    let ctx = TestContext::new();
    let table = [
        ("{name: app, uid: 2}", "it exists with the number 1"),
        ("{name: other, uid: 1}", "the number 1 is that of app"),
        ("{name: other, groups: [none]}", "\"none\""),
    ];
    for (user, expected) in table {
        let spec = format!("from: scratch\nlayers:\n  - user: {{name: app, uid: 1}}\n  - user: {user}\n");
        let (_, text) = ctx.fails(&spec, &[]);
        assert!(text.contains(expected) && text.contains("imgbuild.yaml:4"), "{text}");
    }
}

#[test]
fn root_is_root_also_on_scratch() {
    let ctx = TestContext::new();
    ctx.write("file", "x");
    let image = ctx.build(
        "from: scratch\nlayers:\n  - {copy: file, to: /a, owner: 'root:root'}\n  - user: app\n  - user: root\n  \
         - {copy: file, to: /b, owner: 'root:app'}\n",
    );
    assert_eq!((image.member("a").owner(), image.member("b").owner()), ((0, 0), (0, 1000)));
    assert!(image.member("etc/passwd").text().ends_with("root:x:0:0::/root:/bin/sh\n"));
}
