//! Which ignore file counts.

use super::TestContext;

const SPEC: &str = "from: scratch\nlayers:\n  - {copy: d, to: /x}\n";

#[test]
fn the_most_special_ignore_file_counts_alone() {
    let ctx = TestContext::new();
    for file in ["d/one", "d/two", "d/three", "d/four"] {
        ctx.write(file, file);
    }
    let files = || {
        let image = ctx.build(SPEC);
        image.layers[0].iter().filter(|m| m.kind == 'f').count()
    };
    assert_eq!(files(), 4);
    ctx.write(".dockerignore", "d/*\n!d/two\n!d/four\n!d/one\n");
    assert_eq!(files(), 3);
    ctx.write(".imgbuildignore", "**\n!d/two\n!d/one\n");
    assert_eq!(files(), 2);
    ctx.write("imgbuild.yaml.dockerignore", "# all but one\nd\n!d/three\n");
    assert_eq!(files(), 1);
}

#[test]
fn naming_an_excluded_file_tells_the_line_that_excludes_it() {
    let ctx = TestContext::new();
    ctx.write("secret.txt", "x").write(".dockerignore", "# private\n*.txt\n");
    let (code, text) = ctx.fails("from: scratch\nlayers:\n  - copy: secret.txt\n", &[]);
    assert_eq!(code, 2);
    assert!(text.contains(".dockerignore:2"), "{text}");
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
    assert!(text.contains("- copy: secret.txt"), "{text}");
}

#[test]
fn a_misspelt_source_has_a_suggestion() {
    let ctx = TestContext::new();
    ctx.write("requirements.txt", "x");
    let (_, text) = ctx.fails("from: scratch\nlayers:\n  - copy: requirement.txt\n", &[]);
    assert!(text.contains("did you mean") && text.contains("requirements.txt"), "{text}");
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
}
