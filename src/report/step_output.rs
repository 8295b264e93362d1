//! Outputs of a step of GitHub Actions, which later steps and jobs read (GitHub's documentation, "Setting an output
//! parameter").

use crate::oci::Digest;

/// An output as the file of `GITHUB_OUTPUT` has it. The value may have any lines: the one that ends it is made of its
/// digest, which nothing holds of itself.
pub fn step_output(name: &str, value: &str) -> String {
    let end = format!("end_{}", Digest::of(value.as_bytes()).hex());
    format!("{name}<<{end}\n{value}\n{end}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_lines() {
        let read = |text: &str| {
            let (head, rest) = text.split_once('\n').unwrap();
            let (name, end) = head.split_once("<<").unwrap();
            let value = rest.strip_suffix(&format!("\n{end}\n")).unwrap();
            assert!(value.lines().all(|line| line != end));
            (name.to_owned(), value.to_owned())
        };
        for value in ["", "one", "two\nlines\n", "a=b<<end_\nend_\n", "\r\n\n"] {
            assert_eq!(read(&step_output("tags", value)), ("tags".to_owned(), value.to_owned()), "{value:?}");
        }
    }
}
