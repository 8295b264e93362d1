//! Files out of heredocs, stages and the context.

use super::TestContext;

#[test]
fn heredocs_become_files() {
    let ctx = TestContext::new();
    let image = ctx.image_of_dockerfile(
        "FROM scratch\nENV A=1\nCOPY --chmod=600 --chown=5:6 <<one <<-'two' /d/\n$A\none\n\t$A\ntwo\n\
         COPY <<EOF /d\nx\nEOF\nADD <<EOF /single\ny\nEOF\n",
        &[],
    );
    assert_eq!(image.member("d/one").line(), "d/one f 600 5:6");
    assert_eq!((image.member("d/one").text(), image.member("d/two").text()), ("1\n", "$A\n"));
    // The destination is a directory by now.
    assert_eq!(image.member("d/EOF").text(), "x\n");
    assert_eq!(image.member("single").line(), "single f 644 0:0");
}

#[test]
fn variables_stand_in_paths_owners_and_modes() {
    let ctx = TestContext::new();
    ctx.write("src/a b.txt", "x").write("src/.hidden", "");
    let image = ctx.image_of_dockerfile(
        "FROM scratch\nARG D=src\nENV OWNER=7:8 MODE=u=rwX,go= DEST=/out\n\
         COPY --chown=$OWNER --chmod=${MODE} [\"$D/a b.txt\", \"$DEST/$D/\"]\nCOPY --exclude=.h* $D/ /all/\n",
        &[],
    );
    assert_eq!(image.member("out/src/a b.txt").line(), "out/src/a b.txt f 600 7:8");
    assert!(image.has("all/a b.txt") && !image.has("all/.hidden"));
}

#[test]
fn stages_are_copied_from_by_name_and_number() {
    let ctx = TestContext::new();
    ctx.write("a", "1");
    let image = ctx.image_of_dockerfile(
        "FROM scratch AS Build\nCOPY --chown=3:4 a /x/a\nFROM scratch\nCOPY --from=build /x /y\nCOPY --from=0 /x/a /z\n",
        &[],
    );
    assert_eq!(image.member("y/a").line(), "y/a f 644 3:4");
    assert_eq!(image.member("z").text(), "1");
}

#[test]
fn a_million_lines_are_copied() {
    let ctx = TestContext::new();
    let text = format!("FROM scratch\nCOPY <<EOF /x\n{}EOF\n", "0123456\n".repeat(1_000_000));
    let image = ctx.image_of_dockerfile(&text, &[]);
    assert_eq!(image.member("x").text().len(), 8_000_000);
}

#[test]
fn a_line_of_any_length_is_refused_or_taken() {
    let ctx = TestContext::new();
    let (status, text) = ctx.refused(&format!("FROM scratch\nENV A={}\n", "x".repeat(100_000_000)), &[]);
    assert_eq!(status, 2);
    assert!(text.len() < 1000 && text.contains("MiB"), "{}", text.len());
}
