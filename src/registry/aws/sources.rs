//! What the environment says of AWS.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use url::Url;

use crate::registry::Secret;

/// The variables that are about AWS, and where the home directory is.
#[derive(Clone, Default)]
pub(in crate::registry) struct Sources {
    variables: BTreeMap<String, Secret>,
}

// By hand: which variables there are says enough.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Sources {
    /// Those of an environment. Set to nothing counts as not set.
    pub(in crate::registry) fn new(variables: &BTreeMap<String, String>) -> Self {
        let about = |name: &str| name.starts_with("AWS_") || name == "HOME";
        let variables = variables
            .iter()
            .filter(|(name, value)| about(name) && !value.is_empty())
            .map(|(name, value)| (name.clone(), Secret::new(value)))
            .collect();
        Self { variables }
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.variables.get(name).cloned()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(Secret::expose)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A file that a variable names, else one below the home directory.
    pub(super) fn file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        self.path(variable).or_else(|| Some(self.path("HOME")?.join(below_home)))
    }

    /// The region, where nothing else says it.
    pub(super) fn region(&self) -> Option<&str> {
        self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION"))
    }

    /// Where a service is instead of at AWS's own address ("AWS SDKs and Tools reference", "Service-specific
    /// endpoints"): `ECR` for `AWS_ENDPOINT_URL_ECR`, else `AWS_ENDPOINT_URL`.
    pub(in crate::registry) fn endpoint(&self, service: &str) -> Option<Url> {
        if self.text("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some("true") {
            return None;
        }
        let text =
            self.text(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| self.text("AWS_ENDPOINT_URL"));
        text.and_then(|text| Url::parse(text).ok()).filter(Url::has_host)
    }
}
