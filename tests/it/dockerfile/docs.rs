//! The table of what is supported names tests that exist.

use std::{fs, path::Path};

/// The names of all test functions of the source.
fn tests(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                if matches!(line.trim(), "#[test]" | "#[tokio::test]") {
                    let function = lines.by_ref().find_map(|line| {
                        let line = line.trim().trim_start_matches("async ");
                        line.strip_prefix("fn ")
                    });
                    names.extend(function.and_then(|name| name.split('(').next()).map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn every_row_of_the_table_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = Vec::new();
    tests(&root.join("src"), &mut known);
    tests(&root.join("tests"), &mut known);
    let page = fs::read_to_string(root.join("docs/dockerfile.md")).unwrap();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let Some(last) = cells.last() else { continue };
        if *last == "test" || last.starts_with("---") {
            continue;
        }
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test in {line:?}");
        for name in named {
            assert!(known.iter().any(|test| test == name), "there is no test {name:?}: {line}");
        }
        rows += 1;
    }
    assert!(rows > 60, "{rows}");
    for rule in imgbuild::dockerfile::check::Rule::ALL {
        assert!(page.contains(&format!("`{}`", rule.name)), "{} is not on the page", rule.name);
    }
}
