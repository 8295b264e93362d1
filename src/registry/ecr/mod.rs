//! Amazon's Elastic Container Registry, private and public: passwords are issued by an API of AWS, and repositories are
//! made by it.

mod api;
mod name;

pub(super) use api::Issued;
pub use name::Ecr;
