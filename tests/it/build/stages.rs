//! Stages, targets and arguments.

use super::TestContext;

const SPEC: &str = "args: {NAME: one}
stages:
  last:
    from: middle
    layers:
      - write: {path: /last, text: '${NAME}'}
  unneeded:
    from: example.invalid/nowhere:1
    layers:
      - copy: missing
      - run: exit 1
  middle:
    from: first
    layers:
      - write: {path: /middle, text: middle}
  first:
    from: scratch
    layers:
      - write: {path: /first, text: first}
target: last
";

#[test]
fn only_what_the_target_needs_is_built_in_any_order() {
    let ctx = TestContext::new();
    assert_eq!(ctx.build(SPEC).paths(), ["first", "middle", "last"]);
    assert_eq!(ctx.build_with(SPEC, &["--target", "middle"]).paths(), ["first", "middle"]);
}

#[test]
fn an_unknown_target_has_a_suggestion() {
    let (code, text) = TestContext::new().fails(SPEC, &["--target", "midle"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("midle") && text.contains("middle"), "{text}");
}

#[test]
fn a_command_that_is_not_there_is_shown_where_it_is_written() {
    let ctx = TestContext::new();
    ctx.spec("from: scratch\nlayers:\n  - write: {path: /a, text: a}\n  - run: make\n");
    let done = ctx.run(&["build"]);
    let text = ctx.filter(&String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(text.contains("run make failed: exit status 127"), "{text}");
    assert!(text.contains("imgbuild.yaml:4") && text.contains("- run: make"), "{text}");
}

#[test]
fn an_argument_that_nobody_declares_is_a_warning() {
    let ctx = TestContext::new();
    ctx.spec(SPEC);
    let done = ctx.run(&["build", "--build-arg", "NAM=two", "--build-arg", "HTTP_PROXY=x"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{text}");
    assert!(text.contains("NAM") && text.contains("did you mean NAME?"), "{text}");
    assert!(!text.contains("HTTP_PROXY"), "{text}");
    let text = String::from_utf8_lossy(&ctx.run(&["build", "--build-arg", "NAME=two"]).stderr).into_owned();
    assert!(!text.contains("build argument"), "{text}");
}
