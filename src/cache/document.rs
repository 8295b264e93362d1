//! The document that carries an entry, or something else that stands under a key:
//! `{"version":1,"entry":{…},"signature":"…"}`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{SigningKey, TrustedKey};
use crate::{
    layer::Layer,
    oci::{Digest, canonical},
};

/// Counted up when a reader of before would misread a document. Readers take other versions for absent.
const VERSION: u32 = 1;

/// The largest document that is read: a hundred times what one needs.
pub(super) const LARGEST: usize = 64 << 10;

/// What can stand under a key of a cache.
pub(super) trait Kept: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The layers whose blobs are kept along with it.
    fn layers(&self) -> &[Layer];

    /// What is wrong with one that came from elsewhere, where this key was asked for; `None`: nothing that can be seen
    /// before its blobs are here.
    fn fault(&self, asked: &Digest) -> Option<String>;
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    entry: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Read<'a> {
    /// Its text, since a signature is over bytes.
    #[serde(borrow)]
    entry: &'a RawValue,
    #[serde(default)]
    signature: Option<String>,
}

/// The bytes of a document, signed if there is a key to sign with.
pub(super) fn write<T: Kept>(kept: &T, key: Option<&SigningKey>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&canonical(kept)).into_owned();
    let signature = key.map(|key| key.sign(text.as_bytes()));
    // What was just serialised is JSON.
    let entry = RawValue::from_string(text).expect("an entry is JSON");
    canonical(&Written { version: VERSION, entry: &entry, signature })
}

/// Reads the document that a cache has under a key; `None`: it is of another version of imgbuild. With trusted keys, it
/// must be signed by one of them.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read<T: Kept>(
    bytes: &[u8],
    asked: &Digest,
    trusted: &[TrustedKey],
) -> Result<Option<T>, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    if bytes.len() > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    let broken = |error: serde_json::Error| format!("it is not understood: {error}");
    let version: Version = serde_json::from_slice(bytes).map_err(broken)?;
    if version.version != VERSION {
        return Ok(None);
    }
    let document: Read<'_> = serde_json::from_slice(bytes).map_err(broken)?;
    if !trusted.is_empty() {
        let Some(signature) = &document.signature else { return Err("it is not signed".into()) };
        let text = document.entry.get().as_bytes();
        if !trusted.iter().any(|key| key.verifies(text, signature)) {
            return Err("it is not signed by a key that is trusted".into());
        }
    }
    let kept: T = serde_json::from_str(document.entry.get()).map_err(broken)?;
    match kept.fault(asked) {
        Some(fault) => Err(fault),
        None => Ok(Some(kept)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::cache::Entry;

    fn read(bytes: &[u8], asked: &Digest, trusted: &[TrustedKey]) -> Result<Option<Entry>, String> {
        super::read(bytes, asked, trusted)
    }

    fn valid() -> Value {
        let digest = Digest::of(b"x").to_string();
        json!({"version": 1, "entry": {
            "key": Digest::of(b"key").to_string(),
            "content": digest,
            "tar": {"diffId": digest, "size": 2048},
            "layer": {
                "descriptor": {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 100,
                },
                "diffId": digest, "size": 2048,
            },
        }})
    }

    #[test]
    fn what_is_written_is_read() {
        let text = serde_json::to_vec(&valid()).unwrap();
        let key = Digest::of(b"key");
        let entry = read(&text, &key, &[]).unwrap().unwrap();
        assert_eq!(read(&write(&entry, None), &key, &[]), Ok(Some(entry.clone())));
        let bare = Entry { tar: None, layer: None, ..entry };
        assert_eq!(read(&write(&bare, None), &key, &[]), Ok(Some(bare.clone())));
        let split = Entry { parts: vec![key; 64], ..bare };
        assert_eq!(read(&write(&split, None), &key, &[]), Ok(Some(split)));
    }

    #[test]
    fn nonsense_is_not_believed() {
        let cases: [(&str, Value, &str); 17] = [
            ("/entry/key", json!(Digest::of(b"other").to_string()), "another key"),
            ("/entry/key", json!("md5:00"), "algorithm"),
            ("/entry/content", json!(1), "not understood"),
            ("/entry/tar/size", json!(2049), "no tar has 2049 bytes"),
            ("/entry/tar/size", json!(4096), "not its layer's"),
            ("/entry/tar/diffId", json!(Digest::of(b"other").to_string()), "not its layer's"),
            ("/entry/layer/size", json!(0), "no layer has 100 bytes, 0 unpacked"),
            ("/entry/layer/size", json!(1u64 << 60), "no layer has"),
            ("/entry/layer/size", json!(-1), "not understood"),
            ("/entry/layer/descriptor/size", json!(0), "no layer has 0 bytes"),
            ("/entry/layer/descriptor/size", json!(u64::MAX), "no layer has"),
            ("/entry/layer/descriptor/size", json!(1u64 << 40), "no layer has"),
            ("/entry/layer/descriptor/mediaType", json!("text/html"), "no type of layer"),
            ("/entry/layer/descriptor/urls", json!(["http://10.0.0.1/"]), "more than a type"),
            ("/entry/parts", json!([Digest::of(b"part").to_string()]), "a layer beside them"),
            ("/entry/parts", json!(["part"]), "not understood"),
            ("/entry", json!([]), "not understood"),
        ];
        for (at, value, words) in cases {
            let mut document = valid();
            let (parent, name) = at.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value;
            let bytes = serde_json::to_vec(&document).unwrap();
            let error = read(&bytes, &Digest::of(b"key"), &[]).expect_err(at);
            assert!(error.contains(words), "{at}: {error}");
        }
        for bytes in [&b""[..], b"{}", b"[]", b"{\"version\":1}", b"\xff", &vec![b' '; LARGEST + 1]] {
            assert!(read(bytes, &Digest::of(b"key"), &[]).is_err());
        }
    }

    #[test]
    fn other_versions_are_absent() {
        let bytes = br#"{"version":2,"something":"else"}"#;
        assert_eq!(read(bytes, &Digest::of(b"key"), &[]), Ok(None));
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        let mut document = valid();
        document["entry"]["cost"] = json!(7);
        document["more"] = json!("x");
        let bytes = serde_json::to_vec(&document).unwrap();
        assert!(read(&bytes, &Digest::of(b"key"), &[]).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, at in 0usize..500, with: u8) {
            let _ = read(&bytes, &Digest::of(b"key"), &[]);
            let mut document = serde_json::to_vec(&valid()).unwrap();
            let at = at % document.len();
            document[at] = with;
            if let Ok(Some(entry)) = read(&document, &Digest::of(b"key"), &[]) {
                prop_assert_eq!(entry.key, Digest::of(b"key"));
            }
        }
    }
}
