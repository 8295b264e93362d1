//! URLs in messages.

use url::Url;

/// A URL for people: without user, password and query, which may hold secrets and signatures.
pub fn public_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// A text for people: if it is a URL, as [`public_url`]; else as it is.
pub fn public_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => public_url(&url),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_off() {
        for (text, shown) in [
            ("https://me:pass@host/a.tgz?token=x#y", "https://host/a.tgz"),
            ("https://host:1/a", "https://host:1/a"),
            ("dist/a.tar.gz", "dist/a.tar.gz"),
            ("what: a?b", "what: a?b"),
        ] {
            assert_eq!(public_text(text), shown);
        }
    }
}
