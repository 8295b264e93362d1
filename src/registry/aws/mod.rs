//! Who we are to AWS: the access key that its SDKs would find in the same place, and requests signed with it.
//!
//! The first source that knows a key decides, in the order of the SDKs ("AWS SDKs and Tools reference", "Standardized
//! credential providers"):
//!
//! 1. `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, with `AWS_SESSION_TOKEN`;
//! 2. a role by a token of OpenID: `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`;
//! 3. the profile of `AWS_PROFILE`, else `default`, in `~/.aws/credentials` and `~/.aws/config`: keys, roles, programs,
//!    single sign-on;
//! 4. the role of a container: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `…_FULL_URI`;
//! 5. the role of a machine, by its metadata service (IMDSv2).
//!
//! This room does not know what the key is for.

mod call;
mod chain;
mod error;
mod obtain;
mod origin;
mod profile;
mod sign;
mod sources;

pub use error::AwsError;
pub(crate) use sign::Key;
pub(super) use sources::Sources;

pub(super) use call::Request;
pub(super) use chain::Keys;
pub(crate) use chain::Reach;

type Result<T, E = AwsError> = std::result::Result<T, E>;
