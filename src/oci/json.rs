//! JSON as imgbuild writes it: no white space, fields in the order of the types, maps sorted by key.

use serde::Serialize;

/// A document that is not the JSON it should be.
#[derive(Debug, thiserror::Error)]
#[error("{what} is not valid: {source}")]
pub struct JsonError {
    /// What was read, for example `image config`.
    pub what: &'static str,
    /// What the parser found.
    #[source]
    pub source: serde_json::Error,
}

/// The bytes of a document: the same value gives the same bytes, always.
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialising our own document types cannot fail: their maps have string keys and no value refuses.
    serde_json::to_vec(value).expect("documents serialise to JSON")
}
