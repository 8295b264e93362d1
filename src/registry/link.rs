//! Pagination: the `Link` header (RFC 8288).

use reqwest::header::{HeaderMap, LINK};

/// The target of the link to the next page, as sent: it may be relative.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().find_map(|value| next(&String::from_utf8_lossy(value.as_bytes())))
}

fn next(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let (target, behind) = rest[start + 1..].split_once('>')?;
        // Parameters end where the next target begins. A comma within a quoted parameter does no harm: only `rel` is
        // looked for.
        let end = behind.find('<').unwrap_or(behind.len());
        let is_next = behind[..end].split([';', ',']).any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split_ascii_whitespace()
                        .any(|relation| relation.eq_ignore_ascii_case("next"))
            })
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = &behind[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_as_registries_send_them() {
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=2")),
            ("<https://r.example/v2/x>;rel=next", Some("https://r.example/v2/x")),
            ("<a>; rel=\"prev\", <b>; title=\"x, y\"; rel=\"last next\"", Some("b")),
            ("<a>; rel=\"prev\"", None),
            ("<a", None),
            ("", None),
        ] {
            assert_eq!(next(header).as_deref(), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_survived(header in "\\PC*") {
            next(&header);
        }
    }
}
