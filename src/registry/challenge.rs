//! What a registry asks for: `WWW-Authenticate` (RFC 9110 §11.6.1, distribution's token specification).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A challenge that can be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and a password with each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The token server's URL.
        realm: String,
        /// The name of the registry as the token server knows it.
        service: Option<String>,
        /// The scopes that the refused request needs, as sent: separated by spaces.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The challenge of a response; a bearer challenge is preferred where there are several.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            for challenge in parse(&String::from_utf8_lossy(value.as_bytes())) {
                match challenge {
                    Self::Bearer { .. } => return Some(challenge),
                    Self::Basic => basic = Some(challenge),
                }
            }
        }
        basic
    }
}

/// Parses the challenges of one header. Schemes other than the two are skipped, as is a bearer challenge without a
/// realm.
fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scheme: Option<(String, Vec<(String, String)>)> = None;
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let word_end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(word_end);
        let behind_space = behind.trim_start_matches([' ', '\t']);
        match behind_space.strip_prefix('=') {
            // A parameter of the scheme before it; or the padding of a token68, which is of no use to us.
            Some(value) if !word.is_empty() => {
                let (value, left) = parameter_value(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = &mut scheme {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = left;
            }
            Some(left) => rest = left,
            None => {
                found.extend(scheme.take().and_then(finish));
                scheme = Some((word.to_ascii_lowercase(), Vec::new()));
                rest = behind;
            }
        }
    }
    found.extend(scheme.and_then(finish));
    found
}

fn finish((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
        }
        _ => None,
    }
}

/// A token or a quoted string, and what is behind it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_as_registries_send_them() {
        for (header, expected) in [
            ("", vec![]),
            ("Basic realm=\"Registry Realm\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            ("Negotiate", vec![]),
            ("Negotiate abc==, Basic realm=x", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a/b:pull,push\"",
                vec![bearer(
                    "https://auth.example/token",
                    Some("registry.example"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            ("Bearer realm=https://x/t, service=y", vec![bearer("https://x/t", Some("y"), None)]),
            (
                "bearer realm = \"https://x/\" , error=\"invalid_token\"",
                vec![bearer("https://x/", None, None)],
            ),
            (
                "Bearer realm=\"a\\\"b\",service=\"s\", Basic realm=\"r\"",
                vec![bearer("a\"b", Some("s"), None), Challenge::Basic],
            ),
            ("Bearer service=\"no realm\"", vec![]),
            ("Bearer realm=\"open", vec![bearer("open", None, None)]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn bearer_is_preferred() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic realm=x".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=\"https://t\"".parse().unwrap());
        assert_eq!(Challenge::of(&headers), Some(bearer("https://t", None, None)));
    }

    proptest! {
        #[test]
        fn any_header_is_survived(header in "\\PC*") {
            parse(&header);
        }

        #[test]
        fn quoted_values_come_back(realm in "[ -~]{0,40}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let expected = vec![bearer(&realm, None, None)];
            prop_assert_eq!(parse(&format!("Bearer realm=\"{quoted}\"")), expected);
        }
    }
}
