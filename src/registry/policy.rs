//! What is known of single registries beforehand.

/// How a registry wants its uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Whether it takes an upload in several requests.
    pub(super) chunked: bool,
    /// The most bytes it takes in one `PATCH`; `None`: no limit of its own.
    pub(super) largest_chunk: Option<u64>,
}

const DEFAULT: Policy = Policy { chunked: true, largest_chunk: None };

/// By host, or by a host's ending where the name starts with a dot.
const TABLE: &[(&str, Policy)] = &[
    // A PATCH over 4 MiB is answered with 416: https://github.com/oras-project/rust-oci-client/issues/35
    ("ghcr.io", Policy { chunked: true, largest_chunk: Some(4 << 20) }),
    // No chunked uploads at all: https://github.com/kitops-ml/kitops/pull/777,
    // https://github.com/oras-project/rust-oci-client/issues/177
    (".pkg.dev", Policy { chunked: false, largest_chunk: None }),
    ("gcr.io", Policy { chunked: false, largest_chunk: None }),
    (".gcr.io", Policy { chunked: false, largest_chunk: None }),
];

impl Policy {
    /// The policy for a registry, by the name that references use.
    pub(super) fn of(registry: &str) -> Self {
        let host = registry.split(':').next().unwrap_or(registry);
        let matches = |name: &str| if name.starts_with('.') { host.ends_with(name) } else { host == name };
        TABLE.iter().find(|(name, _)| matches(name)).map_or(DEFAULT, |(_, policy)| *policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_whole_name() {
        for (registry, chunked, largest) in [
            ("docker.io", true, None),
            ("ghcr.io", true, Some(4 << 20)),
            ("ghcr.io:443", true, Some(4 << 20)),
            ("europe-docker.pkg.dev", false, None),
            ("eu.gcr.io", false, None),
            ("gcr.io", false, None),
            ("gcr.io.example", true, None),
            ("notgcr.io", true, None),
            ("localhost:5000", true, None),
        ] {
            assert_eq!(Policy::of(registry), Policy { chunked, largest_chunk: largest }, "{registry}");
        }
    }
}
