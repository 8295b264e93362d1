//! What is known of single registries beforehand. What can be found out by asking is not here.

/// What a registry wants or does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Whether it takes an upload in several requests.
    pub(super) chunked: bool,
    /// The most bytes it takes in one `PATCH`; `None`: no limit of its own.
    pub(super) largest_chunk: Option<u64>,
    /// The largest blob that it takes; `None`: no limit that is known.
    pub(super) largest_blob: Option<u64>,
}

const DEFAULT: Policy = Policy { chunked: true, largest_chunk: None, largest_blob: None };

/// By host, or by a host's ending where the name starts with a dot. Docker Hub, Quay, GitLab, Harbor, Artifactory, Nexus
/// and Gitea have no row: what they do in their own way is met by what is done anyway. A blob that is not mounted is
/// uploaded, a token is asked for again when it ends, tags are listed page by page, 1000 at the most at a time.
const TABLE: &[(&str, Policy)] = &[
    // A PATCH over 4 MiB is answered with 416: https://github.com/oras-project/rust-oci-client/issues/35
    // 10 GB for each layer: https://docs.github.com/en/packages/working-with-a-github-packages-registry
    ("ghcr.io", Policy { largest_chunk: Some(4 << 20), largest_blob: Some(10_000_000_000), ..DEFAULT }),
    // No chunked uploads at all: https://github.com/kitops-ml/kitops/pull/777,
    // https://github.com/oras-project/rust-oci-client/issues/177
    (".pkg.dev", Policy { chunked: false, ..DEFAULT }),
    ("gcr.io", Policy { chunked: false, ..DEFAULT }),
    (".gcr.io", Policy { chunked: false, ..DEFAULT }),
    // A PATCH is answered with 201 and the closing PUT is refused: https://github.com/regclient/regclient
    // (scheme/reg/blob.go). Layers: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
    (".amazonaws.com", Policy::ECR),
    (".amazonaws.com.cn", Policy::ECR),
    (".on.aws", Policy::ECR),
    ("public.ecr.aws", Policy { largest_blob: Some(10_000 << 20), ..Policy::ECR }),
    // Layers of at most 200 GiB: https://learn.microsoft.com/azure/container-registry/container-registry-skus
    (".azurecr.io", Policy { largest_blob: Some(200 << 30), ..DEFAULT }),
];

impl Policy {
    /// That of ECR's private registries.
    pub(super) const ECR: Self = Self { chunked: false, largest_blob: Some(52_000 << 20), ..DEFAULT };

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
        const GB: u64 = 1_000_000_000;
        const GIB: u64 = 1 << 30;
        for (registry, chunked, largest_chunk, largest_blob) in [
            ("docker.io", true, None, None),
            ("ghcr.io", true, Some(4 << 20), Some(10 * GB)),
            ("ghcr.io:443", true, Some(4 << 20), Some(10 * GB)),
            ("europe-docker.pkg.dev", false, None, None),
            ("eu.gcr.io", false, None, None),
            ("gcr.io", false, None, None),
            ("gcr.io.example", true, None, None),
            ("notgcr.io", true, None, None),
            ("1.dkr.ecr.eu-west-1.amazonaws.com", false, None, Some(52_000 << 20)),
            ("1.dkr.ecr.cn-north-1.amazonaws.com.cn", false, None, Some(52_000 << 20)),
            ("1.dkr-ecr.eu-west-1.on.aws", false, None, Some(52_000 << 20)),
            ("public.ecr.aws", false, None, Some(10_000 << 20)),
            ("me.jfrog.io", true, None, None),
            ("me.azurecr.io", true, None, Some(200 * GIB)),
            ("quay.io", true, None, None),
            ("registry.gitlab.com", true, None, None),
            ("harbor.example", true, None, None),
            ("localhost:5000", true, None, None),
        ] {
            let expected = Policy { chunked, largest_chunk, largest_blob };
            assert_eq!(Policy::of(registry), expected, "{registry}");
        }
    }
}
