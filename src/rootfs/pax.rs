//! PAX extended headers (POSIX `pax`, "pax Extended Header").

use std::collections::BTreeMap;

/// The most bytes the value of an extended attribute may have (`XATTR_SIZE_MAX` of Linux).
const MAX_XATTR: usize = 64 << 10;

/// The records that mean something here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Whole seconds, rounded down.
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The `GNU.sparse.*` records, in order: key without that prefix, value.
    pub(super) sparse: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Takes in the content of an `x` header. An error is a phrase that says what is wrong.
    pub(super) fn parse(mut rest: &[u8]) -> Result<Self, String> {
        let mut pax = Self::default();
        while !rest.is_empty() {
            // Some writers pad the last record with NULs.
            if rest.iter().all(|b| *b == 0) {
                break;
            }
            let (key, value, after) = record(rest).ok_or("a PAX record is malformed")?;
            pax.apply(key, value)?;
            rest = after;
        }
        Ok(pax)
    }

    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let text = || {
            if value.contains(&0) {
                return Err(format!("the PAX record {:?} holds a NUL", String::from_utf8_lossy(key)));
            }
            // An empty value takes an earlier record back.
            Ok((!value.is_empty()).then(|| value.to_vec()))
        };
        match key {
            b"path" => self.path = text()?,
            b"linkpath" => self.linkpath = text()?,
            b"size" => self.size = number(key, value)?,
            b"uid" => self.uid = number(key, value)?,
            b"gid" => self.gid = number(key, value)?,
            b"mtime" => self.mtime = seconds(value)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    if name.is_empty() || name.contains(&0) {
                        return Err("an extended attribute has no valid name".into());
                    }
                    if value.len() > MAX_XATTR {
                        return Err("an extended attribute has more than 64 KiB".into());
                    }
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Splits off one record: `"%d %s=%s\n"`, where the number counts the whole record.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    if length <= space + 1 || length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], rest))
}

fn number(key: &[u8], value: &[u8]) -> Result<Option<u64>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed
        .map(Some)
        .ok_or_else(|| format!("the PAX record {:?} is not a number", String::from_utf8_lossy(key)))
}

fn seconds(value: &[u8]) -> Result<Option<i64>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = || "the PAX record \"mtime\" is not a time".to_owned();
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole_seconds: i64 = whole.parse().map_err(|_| wrong())?;
    let below = whole.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    whole_seconds.checked_sub(i64::from(below)).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_skips_the_rest() {
        let pax = Pax::parse(
            b"11 path=a/b\n12 uid=70000\n20 mtime=1700000000.5\n22 SCHILY.xattr.user=v\n16 comment=hello\n",
        );
        // Lengths that are wrong by design of the sample are refused, not guessed.
        assert!(pax.is_err());
        let mut bytes = Vec::new();
        for (key, value) in [
            ("path", "a/b"),
            ("uid", "70000"),
            ("mtime", "-1.5"),
            ("SCHILY.xattr.user.x", "v=\n"),
            ("comment", "c"),
        ] {
            bytes.extend(super::super::samples::pax_record(key, value.as_bytes()));
        }
        let pax = Pax::parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.uid, Some(70000));
        assert_eq!(pax.mtime, Some(-2));
        assert_eq!(pax.xattrs[&b"user.x"[..]], b"v=\n");
    }

    #[test]
    fn refuses_malformed_records() {
        for bad in [
            &b"x"[..],
            b"5 a=b",
            b"99 a=b\n",
            b"0 a=b\n",
            b"6 =ab\n",
            b"7 uid=x\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert!(Pax::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Pax::parse(b"12 path=a\0b\n").is_err());
    }
}
