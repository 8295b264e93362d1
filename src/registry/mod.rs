//! The wire protocol of registries (OCI distribution-spec 1.1 and what real registries make of it): resolving, pulling
//! and pushing manifests and blobs, and fetching files from the web.
//!
//! One HTTP stack and one source of tokens serve every reader and writer:
//!
//! | file | what it holds |
//! |---|---|
//! | `client` | the [`Client`], its hosts and their state |
//! | `host` | a registry as it is reached: scheme, certificates, what was learnt about it |
//! | `request` | one request with authentication, redirects, retries |
//! | `challenge`, `token` | what a registry asks for, and the tokens it gets |
//! | `credentials` | where passwords and identity tokens come from |
//! | `manifest`, `pull`, `fetch`, `download`, `file`, `upload`, `chunks`, `tagging` | what the client can do |
//! | `rate_limit` | what a registry says of its limits |
//! | `aws`, `ecr`, `repository` | keys of AWS, and what ECR is asked with them: passwords, new repositories |
//! | `policy` | quirks by registry |
//!
//! The client is our own and not `oci-client`'s. That one never retries and drops `Retry-After`, panics where no
//! system certificates are installed and where a registry answers the push of a manifest by digest without a
//! `Location`, knows one credential for each host, pings before every request of a registry without authentication,
//! throws a declined mount's upload session away, and uploads in serial chunks of 4 MiB. Two token caches for one host
//! would be the price of using it for reading alone. Its error envelope is sound and used here, and it serves as the
//! independent reader in the tests.
//!
//! This room knows bytes, digests and descriptors. It does not know what a manifest means, nor the graph.

mod answer;
mod aws;
mod challenge;
mod chunks;
mod client;
mod credentials;
mod download;
mod ecr;
mod error;
mod fetch;
mod file;
mod host;
mod identity;
mod link;
mod location;
mod login;
mod manifest;
mod passed;
mod policy;
mod pull;
mod rate_limit;
mod repository;
mod request;
mod retry;
mod secret;
mod settings;
mod tagging;
mod token;
mod upload;

pub use aws::AwsError;
pub(crate) use aws::{Key as AwsKey, Reach as AwsReach};
pub use client::Client;
pub use credentials::{Credential, CredentialError, Credentials, Found, Kept};
pub use download::{Downloaded, FileVersion};
pub use ecr::Ecr;
pub use error::RegistryError;
pub(crate) use error::transport_words;
pub use file::WebFile;
pub use login::Checked;
pub use manifest::{Manifested, Published};
pub use pull::BlobStream;
pub use rate_limit::RateLimit;
pub(crate) use retry::{Backoff, may_pass, retry_after};
pub use secret::Secret;
pub use settings::{HostSettings, Patience, Proxy, Settings};
pub use tagging::referrers_tag;
pub use upload::Blob;

/// The result of what this room does.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;
