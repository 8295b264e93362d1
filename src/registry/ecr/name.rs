//! Which registries are of ECR, and where their API is.

use url::Url;

/// A registry of ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ecr {
    /// A private one.
    Private {
        /// The account (12 digits) that it is of; `None`: that of whoever asks.
        account: Option<String>,
        /// Its region: `eu-west-1`.
        region: String,
        /// Whether its API is asked at endpoints that are validated by FIPS 140.
        fips: bool,
        /// Whether its API is asked at endpoints that have addresses of IPv6 too.
        dual_stack: bool,
    },
    /// The public one, or what is spoken to like it.
    Public,
}

/// The domains of registries, and those of their regions' APIs.
const DOMAINS: [(&str, &str); 7] = [
    ("amazonaws.com", "amazonaws.com"),
    ("amazonaws.com.cn", "amazonaws.com.cn"),
    ("on.aws", "api.aws"),
    ("on.amazonwebservices.com.cn", "api.amazonwebservices.com.cn"),
    ("sc2s.sgov.gov", "sc2s.sgov.gov"),
    ("c2s.ic.gov", "c2s.ic.gov"),
    ("cloud.adc-e.uk", "cloud.adc-e.uk"),
];

/// The region of the public registry's API.
const PUBLIC_REGION: &str = "us-east-1";

impl Ecr {
    /// The registry of this name, if its name says that it is one:
    /// `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]`, `ACCOUNT.dkr-ecr[-fips].REGION.on.aws`, `public.ecr.aws`.
    pub fn of(host: &str) -> Option<Self> {
        if matches!(host, "public.ecr.aws" | "ecr-public.aws.com") {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        let (service, rest) = match rest.strip_prefix("dkr.") {
            Some(rest) => rest.split_once('.')?,
            None => rest.strip_prefix("dkr-")?.split_once('.')?,
        };
        let (region, domain) = rest.split_once('.')?;
        let known = DOMAINS.iter().any(|(name, _)| *name == domain);
        let fits = known && is_account(account) && is_region(region) && matches!(service, "ecr" | "ecr-fips");
        fits.then(|| Self::Private {
            account: Some(account.to_owned()),
            region: region.to_owned(),
            fips: service == "ecr-fips",
            dual_stack: domain.starts_with("on."),
        })
    }

    /// The region that is named in signatures.
    pub(super) fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } => region,
            Self::Public => PUBLIC_REGION,
        }
    }

    /// The API's name in signatures.
    pub(super) fn service(&self) -> &'static str {
        match self {
            Self::Private { .. } => "ecr",
            Self::Public => "ecr-public",
        }
    }

    /// What names of the API's actions start with.
    pub(super) fn target(&self) -> &'static str {
        match self {
            Self::Private { .. } => "AmazonEC2ContainerRegistry_V20150921",
            Self::Public => "SpencerFrontendService",
        }
    }

    /// The end of the variable that names another endpoint (botocore's names of services, in capitals).
    pub(super) fn endpoint_variable(&self) -> &'static str {
        match self {
            Self::Private { .. } => "ECR",
            Self::Public => "ECR_PUBLIC",
        }
    }

    /// Where its API is (<https://docs.aws.amazon.com/general/latest/gr/ecr.html>).
    pub(super) fn endpoint(&self) -> Option<Url> {
        let host = match self {
            Self::Public => format!("api.ecr-public.{PUBLIC_REGION}.amazonaws.com"),
            Self::Private { region, fips, dual_stack, .. } => {
                let registry = match (region.starts_with("cn-"), dual_stack) {
                    (false, false) => isolated(region).unwrap_or("amazonaws.com"),
                    (true, false) => "amazonaws.com.cn",
                    (false, true) => "on.aws",
                    (true, true) => "on.amazonwebservices.com.cn",
                };
                let domain = DOMAINS.iter().find(|(name, _)| *name == registry).map(|(_, api)| *api)?;
                match (fips, dual_stack) {
                    (false, false) => format!("api.ecr.{region}.{domain}"),
                    (true, _) => format!("ecr-fips.{region}.{domain}"),
                    (false, true) => format!("ecr.{region}.{domain}"),
                }
            }
        };
        Url::parse(&format!("https://{host}/")).ok()
    }

    /// The name that the API knows a repository by: the public registry's are without the alias in front.
    pub(super) fn repository<'a>(&self, path: &'a str) -> &'a str {
        match self {
            Self::Private { .. } => path,
            Self::Public => path.split_once('/').map_or(path, |(_, name)| name),
        }
    }
}

/// The domain of regions that are apart from the rest of AWS.
fn isolated(region: &str) -> Option<&'static str> {
    [("us-isob-", "sc2s.sgov.gov"), ("us-iso-", "c2s.ic.gov"), ("eu-isoe-", "cloud.adc-e.uk")]
        .into_iter()
        .find_map(|(prefix, domain)| region.starts_with(prefix).then_some(domain))
}

fn is_account(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_whole_name() {
        for (host, region, api) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "api.ecr.eu-west-1.amazonaws.com"),
            (
                "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
                "ecr-fips.us-east-1.amazonaws.com",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "api.ecr.cn-north-1.amazonaws.com.cn",
            ),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "ecr.eu-west-1.api.aws"),
            ("123456789012.dkr-ecr-fips.us-west-2.on.aws", "us-west-2", "ecr-fips.us-west-2.api.aws"),
            (
                "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
                "api.ecr.us-iso-east-1.c2s.ic.gov",
            ),
            ("public.ecr.aws", "us-east-1", "api.ecr-public.us-east-1.amazonaws.com"),
        ] {
            let ecr = Ecr::of(host).unwrap_or_else(|| panic!("{host}"));
            assert_eq!((ecr.region(), ecr.endpoint().unwrap().host_str().unwrap()), (region, api), "{host}");
        }
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.example",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
            "123456789012.dkr.ecr.eu-west-1.evil.com",
            "me.dkr.ecr.eu-west-1.amazonaws.com",
            "dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.s3.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu.west.amazonaws.com",
            "evil.public.ecr.aws",
            "ghcr.io",
        ] {
            assert_eq!(Ecr::of(host), None, "{host}");
        }
    }

    #[test]
    fn the_public_registrys_names_have_an_alias() {
        assert_eq!(Ecr::Public.repository("me/team/app"), "team/app");
    }
}
