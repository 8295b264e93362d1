//! Keys that sign entries, and keys that are trusted (Ed25519, RFC 8032).
//!
//! The files are what `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write.

use std::{fmt, fs, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};

use super::{CacheError, Result};

/// Goes in front of what is signed, so that no signature over something else counts.
const PURPOSE: &[u8] = b"imgbuild cache entry 1\n";

/// What comes in front of the 32 bytes of a public key (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key. It is never shown.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

/// A public key whose signatures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedKey([u8; 32]);

impl SigningKey {
    /// Reads a private key from a PEM file (`PRIVATE KEY`, PKCS #8).
    ///
    /// # Errors
    /// [`CacheError::Key`]: the file cannot be read, or holds no such key.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of_pem(&read(path)?, path)
    }

    /// Reads a private key from the text of such a file; `from` names it in errors.
    ///
    /// # Errors
    /// [`CacheError::Key`]: it holds no such key.
    pub fn of_pem(text: &[u8], from: &Path) -> Result<Self> {
        let wrong =
            || CacheError::Key { path: from.to_owned(), problem: "it holds no Ed25519 private key".into() };
        let der = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| wrong())?;
        // OpenSSL writes the form without the public key.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| wrong())?;
        Ok(Self(Arc::new(pair)))
    }

    /// A new private key, as the text of a PEM file.
    ///
    /// # Errors
    /// [`CacheError::Key`]: the host gives no random numbers; `path` names the key.
    pub fn generate(path: &Path) -> Result<Vec<u8>> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let wrong =
            |_| CacheError::Key { path: path.to_owned(), problem: "the host gives no random numbers".into() };
        Ok(pem("PRIVATE KEY", made.map_err(wrong)?.as_ref()).into_bytes())
    }

    /// The public key that goes with it.
    pub fn public(&self) -> TrustedKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        TrustedKey(key)
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&[PURPOSE, bytes].concat()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl TrustedKey {
    /// Reads the public keys of a PEM file (`PUBLIC KEY`): one or, while a key is being replaced, several.
    ///
    /// # Errors
    /// [`CacheError::Key`]: the file cannot be read, or something in it is no such key.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        Self::of_pem(&read(path)?, path)
    }

    /// Reads the public keys from the text of such a file; `from` names it in errors.
    ///
    /// # Errors
    /// [`CacheError::Key`]: something in it is no such key.
    pub fn of_pem(text: &[u8], from: &Path) -> Result<Vec<Self>> {
        let wrong =
            || CacheError::Key { path: from.to_owned(), problem: "it holds no Ed25519 public key".into() };
        let keys: Vec<Self> = SubjectPublicKeyInfoDer::pem_slice_iter(text)
            .map(|der| Self::of_der(&der.map_err(|_| wrong())?).ok_or_else(wrong))
            .collect::<Result<_>>()?;
        if keys.is_empty() { Err(wrong()) } else { Ok(keys) }
    }

    /// The text of a PEM file with this key.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[&PUBLIC_PREFIX[..], &self.0].concat())
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        Some(Self(der.strip_prefix(&PUBLIC_PREFIX)?.try_into().ok()?))
    }

    pub(super) fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(&[PURPOSE, bytes].concat(), &signature).is_ok()
    }
}

/// RFC 7468: lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| CacheError::Io { action: "read the key", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::{Entry, document},
        oci::Digest,
    };

    /// A key and the file of its public half, by way of files.
    fn key() -> (SigningKey, Vec<TrustedKey>) {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("key");
        fs::write(&at, SigningKey::generate(&at).unwrap()).unwrap();
        let key = SigningKey::read(&at).unwrap();
        fs::write(&at, key.public().to_pem()).unwrap();
        (key, TrustedKey::read(&at).unwrap())
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_believed() {
        let ((ours, trusted), (theirs, others)) = (key(), key());
        let entry = Entry {
            key: Digest::of(b"key"),
            content: Digest::of(b"content"),
            tar: None,
            layer: None,
            parts: Vec::new(),
        };
        let read = |bytes: &[u8], trusted: &[TrustedKey]| document::read::<Entry>(bytes, &entry.key, trusted);
        let signed = document::write(&entry, Some(&ours));
        assert_eq!(read(&signed, &trusted), Ok(Some(entry.clone())));
        assert_eq!(read(&signed, &[others[0], trusted[0]]), Ok(Some(entry.clone())));
        assert_eq!(read(&signed, &[]), Ok(Some(entry.clone())), "whoever asks for no signature");
        assert!(read(&signed, &others).unwrap_err().contains("trusted"));
        assert!(read(&document::write(&entry, None), &trusted).unwrap_err().contains("not signed"));
        assert!(read(&document::write(&entry, Some(&theirs)), &trusted).is_err());

        // The same signature over another content.
        let other = Entry { content: Digest::of(b"other"), ..entry.clone() };
        let text = String::from_utf8(signed).unwrap();
        let forged = text.replace(&entry.content.to_string(), &other.content.to_string());
        assert_ne!(text, forged);
        assert!(read(forged.as_bytes(), &trusted).is_err());
    }

    #[test]
    fn files_of_openssl_are_read() {
        // `openssl genpkey -algorithm ed25519`, and `openssl pkey -pubout` of it.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let private = at(
            "private",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMcIXtKhzBwSU/r8I2eoJyyKTYUo22RoHIdh52/EQSxw\n-----END PRIVATE KEY-----\n",
        );
        let public = at(
            "public",
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAKYchtbXN4nc2nBlV8Fd8uxFVXy1s0KPatbRinB9E/aw=\n-----END PUBLIC KEY-----\n",
        );
        assert_eq!(TrustedKey::read(&public).unwrap(), [SigningKey::read(&private).unwrap().public()]);

        for wrong in [&public, &at("none", "nothing"), &folder.path().join("absent")] {
            SigningKey::read(wrong).unwrap_err();
        }
        for wrong in [&private, &at("none", "nothing"), &folder.path().join("absent")] {
            TrustedKey::read(wrong).unwrap_err();
        }
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", key().0), "SigningKey(***)");
    }
}
