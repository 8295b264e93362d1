//! The examples of `docs/spec.md` are valid.

use super::{Spec, build, request};
use crate::source::SourceFile;

#[test]
fn every_example_of_the_page_is_valid() {
    let page = include_str!("../../../docs/spec.md");
    let mut count = 0;
    for block in page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        count += 1;
        let text = if block.starts_with("- ") {
            let indented: String = block.lines().map(|line| format!("  {line}\n")).collect();
            format!("stages:\n web: {{from: scratch}}\n app:\n  from: debian\n  layers:\n{indented}")
        } else if block.starts_with("args:") {
            format!("{block}\nfrom: scratch\n")
        } else {
            block.to_owned()
        };
        Spec::parse(SourceFile::new("docs/spec.md", text.as_str())).expect(block);
        build(&text, &request());
    }
    assert!(count > 5);
}

#[test]
fn byte_order_marks_and_line_ends_of_windows_are_fine() {
    let recipe = build("\u{feff}from: scratch\r\nlayers:\r\n  - copy: a\r\n", &request());
    let location = recipe.stages[0].steps[0].location.clone().expect("a location");
    assert_eq!((location.line(), &location.file.text()[location.range]), (3, "a"));
}
