//! Certificates as Java keeps them: a key store in JKS format, which every Java reads whatever it writes itself.
//!
//! The format has no specification but its source, `sun.security.provider.JavaKeyStore`: numbers are big endian, texts
//! have their length in two bytes in front.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// What a store in this format begins with: the mark and the version.
const HEAD: [u8; 8] = [0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2];
/// The kind of an entry that is a trusted certificate.
const TRUSTED: [u8; 4] = [0, 0, 0, 2];
/// The password that all of Java's own stores of public certificates have. Java asks for none to read them.
const PASSWORD: &str = "changeit";
/// What Java hashes behind the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The bytes of the digest that a store ends with.
const DIGEST: usize = 20;

/// A store with these certificates, and with those of `existing` if that is a store in this format.
pub(super) fn key_store(existing: &[u8], certificates: &[Vec<u8>]) -> Vec<u8> {
    let (known, entries) = entries(existing).unwrap_or_default();
    let count = known.saturating_add(certificates.len() as u32);
    let mut store = [&HEAD[..], &count.to_be_bytes(), entries].concat();
    for (number, certificate) in certificates.iter().enumerate() {
        store.extend(TRUSTED);
        text(&mut store, &format!("imgbuild-{number}"));
        store.extend([0; 8]); // When it was added: the epoch.
        text(&mut store, "X.509");
        store.extend((certificate.len() as u32).to_be_bytes());
        store.extend(certificate);
    }
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(WHITENER);
    digest.update(&store);
    store.extend(digest.finalize());
    store
}

/// How many entries a store has, and their bytes.
fn entries(store: &[u8]) -> Option<(u32, &[u8])> {
    let rest = store.strip_prefix(&HEAD)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let entries = rest.get(..rest.len().checked_sub(DIGEST)?)?;
    Some((u32::from_be_bytes(*count), entries))
}

fn text(store: &mut Vec<u8>, text: &str) {
    store.extend((text.len() as u16).to_be_bytes());
    store.extend(text.as_bytes());
}

/// The certificates of a PEM bundle, as DER. What is none is left out: other tools are to say so.
pub(super) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.filter_map(|block| Some(block.split_once("-----END CERTIFICATE-----")?.0));
    bodies.filter_map(|body| STANDARD.decode(body.split_whitespace().collect::<String>()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_added_to_those_that_are_there() {
        let pem = b"# one\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\nnoise\n\
            -----BEGIN CERTIFICATE-----\nBAU=\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n?\n";
        let found = certificates(pem);
        assert_eq!(found, [vec![1, 2, 3], vec![4, 5]]);
        let one = key_store(b"", &found[..1]);
        let both = key_store(&one, &found[1..]);
        assert_eq!(entries(&both).unwrap().0, 2);
        assert!(entries(&both).unwrap().1.starts_with(entries(&one).unwrap().1));
        // Neither another format nor a piece of one is taken for a store.
        for other in [&b"0\x82"[..], &HEAD, &both[..30]] {
            assert_eq!(entries(&key_store(other, &found)).unwrap().0, 2, "{other:?}");
        }
    }
}
