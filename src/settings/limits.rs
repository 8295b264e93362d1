//! What a command may use: flags to limits.

use std::time::Duration;

use super::{CommandFlags, SettingsError, pairs::Form};
use crate::sandbox::Limits;

pub(super) fn limits(flags: &CommandFlags) -> Result<Limits, SettingsError> {
    let size = |flag: &str, text: &Option<String>| match text {
        Some(text) => Ok(set(bytes(flag, text)?)),
        None => Ok::<_, SettingsError>(None),
    };
    let memory = size("--memory", &flags.memory)?;
    Ok(Limits {
        memory,
        swap: swap(memory, flags.memory_swap.as_deref())?,
        cpus: flags.cpus.as_ref().map(|text| cpus(text)).transpose()?,
        shm_size: size("--shm-size", &flags.shm_size)?,
        ulimits: flags.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        timeout: flags.step_timeout.as_ref().map(|text| duration("--step-timeout", text)).transpose()?,
    })
}

/// As docker takes it, 0 is no limit but the default.
fn set(size: u64) -> Option<u64> {
    Some(size).filter(|size| *size > 0)
}

/// How much may be swapped out, from what docker's flag takes: memory and swap together, or -1 for any amount.
fn swap(memory: Option<u64>, text: Option<&str>) -> Result<Option<u64>, SettingsError> {
    let wrong = |why: &str| SettingsError::new(format!("--memory-swap: {why}"));
    if text == Some("-1") {
        return Ok(None);
    }
    let both = text.map(|text| bytes("--memory-swap", text)).transpose()?.and_then(set);
    match (memory, both) {
        (None, None) => Ok(None),
        (Some(_), None) => Ok(Some(0)),
        (None, Some(_)) => Err(wrong("there is no --memory").hint("it is the sum of memory and swap")),
        (Some(memory), Some(both)) => {
            let swap = both.checked_sub(memory).map(Some);
            swap.ok_or_else(|| wrong("it is less than --memory").hint("it is the sum of memory and swap"))
        }
    }
}

/// A number of bytes with docker's units: powers of 1024.
fn bytes(flag: &str, text: &str) -> Result<u64, SettingsError> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.trim() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let size = shift.and_then(|shift| Some(number.parse::<f64>().ok()? * f64::from(2_u32).powi(shift)));
    // Sizes beyond 2⁵³ are no memory of anything, and a part of a byte is not 0, which stands for no limit.
    let size = size.filter(|size| *size == 0.0 || (1.0..9e15).contains(size)).map(|size| size as u64);
    size.ok_or_else(|| {
        SettingsError::new(format!("{flag} {text:?} is no number of bytes")).hint("write it as in 512m or 2g")
    })
}

/// Cores, in thousandths.
fn cpus(text: &str) -> Result<u64, SettingsError> {
    let cores = text.trim().parse::<f64>().ok().filter(|cores| (0.01..1e6).contains(cores));
    let wrong = || SettingsError::new(format!("--cpus {text:?} is no number of cores from 0.01"));
    Ok((cores.ok_or_else(wrong)? * 1000.0).round() as u64)
}

/// What the kernel calls limits, as docker's flag has it.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

const ULIMIT: Form = Form { flag: "--ulimit", form: "NAME=SOFT[:HARD]", example: "nofile=1024:2048" };

fn ulimit(text: &str) -> Result<(String, Option<u64>, Option<u64>), SettingsError> {
    let (name, values) = ULIMIT.pair(text)?;
    if !ULIMITS.contains(&name) {
        let error = SettingsError::new(format!("--ulimit: there is no limit {name:?}"));
        return Err(error.did_you_mean(name, ULIMITS).hint(format!("limits are {}", ULIMITS.join(", "))));
    }
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| SettingsError::new(format!("--ulimit {name}: {number:?} is no number"))),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    let above = match (soft, hard) {
        (Some(soft), Some(hard)) => soft > hard,
        (None, hard) => hard.is_some(),
        _ => false,
    };
    if above {
        return Err(SettingsError::new(format!("--ulimit {text}: the soft limit is above the hard one")));
    }
    Ok((name.to_owned(), soft, hard))
}

/// A time as Go writes it (`1h30m`, `90s`, `1.5m`), or seconds.
pub(super) fn duration(flag: &str, text: &str) -> Result<Duration, SettingsError> {
    let wrong =
        || SettingsError::new(format!("{flag} {text:?} is no duration")).hint("write it as in 90s or 10m");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" | "" => 1.0,
                "ms" => 0.001,
                _ => return Err(wrong()),
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;

    #[test]
    fn sizes_durations_and_limits_as_docker_has_them() {
        for (text, expected) in [
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("64KB", 64 << 10),
            ("100", 100),
            ("2GiB", 2 << 30),
            ("0", 0),
            ("0m", 0),
        ] {
            assert_eq!(bytes("--memory", text), Ok(expected), "{text}");
        }
        for text in ["", "m", "-1", "0.5", "0x", "1x", "1..2", "9999999999t"] {
            assert!(bytes("--memory", text).is_err(), "{text}");
        }
        let gib = 1 << 30;
        for (memory, text, expected) in [
            (None, None, None),
            (None, Some("-1"), None),
            (Some(gib), None, Some(0)),
            (Some(gib), Some("1g"), Some(0)),
            (Some(gib), Some("3g"), Some(2 * gib)),
            (Some(gib), Some("-1"), None),
            (None, Some("0"), None),
            (Some(gib), Some("0"), Some(0)),
        ] {
            assert_eq!(swap(memory, text), Ok(expected), "{memory:?} {text:?}");
        }
        for (memory, text) in [(None, "1g"), (Some(gib), "512m"), (Some(gib), "x")] {
            assert!(swap(memory, Some(text)).is_err(), "{memory:?} {text}");
        }
        for (text, millis) in
            [("90s", 90_000), ("1h30m", 5_400_000), ("1.5m", 90_000), ("5", 5000), ("7ms", 7)]
        {
            assert_eq!(duration("--wait", text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1d", "0s", "-1s", "1e400"] {
            assert!(duration("--wait", text).is_err(), "{text}");
        }
        assert_eq!((cpus("1.5"), cpus("0.05")), (Ok(1500), Ok(50)));
        assert!(["0", "-1", "x", ""].iter().all(|text| cpus(text).is_err()));
        assert_eq!(ulimit("nofile=1024:2048"), Ok(("nofile".into(), Some(1024), Some(2048))));
        assert_eq!(ulimit("core=-1"), Ok(("core".into(), None, None)));
        let hints = ulimit("nofiles=1").unwrap_err().hints();
        assert_eq!(hints[0], "did you mean `nofile`?");
        assert!(hints[1].starts_with("limits are core, cpu, data, "), "{hints:?}");
        assert!(["nofile", "nofile=2:1", "nofile=x", "nofile=-1:5"].iter().all(|text| ulimit(text).is_err()));
    }
}
