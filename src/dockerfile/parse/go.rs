//! Values as Go's standard library reads them.

use std::time::Duration;

/// `strconv.ParseBool`.
pub(in crate::dockerfile) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `time.ParseDuration`, without negative ones: numbers with units, as in `1h30m` and `1.5s`; or `0`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = tail;
    }
    let nanoseconds = i64::try_from(total).ok().filter(|_| !text.is_empty())?;
    Some(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

/// A decimal number times a unit, rounded down.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // Digits beyond the nanosecond's do not count.
    let fraction = &fraction[..fraction.len().min(15)];
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(part * unit / scale)
}

/// A size in bytes as Docker takes it (go-units `RAMInBytes`): `64m`, `1.5GiB`, `100`; the units are powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return None,
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    u64::try_from(scaled(number, 1 << (10 * power))?).ok()
}
