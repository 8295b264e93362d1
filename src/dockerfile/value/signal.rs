//! Signals of `STOPSIGNAL`.

/// The names of Linux's signals (signal(7)); `RTMIN`, `RTMAX` and their sums come on top.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "UNUSED", "EMT",
];

/// A number, or a name with or without `SIG`, in any case (moby `signal.ParseSignal`).
pub(super) fn is_signal(text: &str) -> bool {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().is_ok_and(|number: u32| (1..=64).contains(&number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |rest: &str, sign: char| {
        let offset = rest.strip_prefix(sign).and_then(|offset| offset.parse::<u32>().ok());
        rest.is_empty() || offset.is_some_and(|offset| (1..=30).contains(&offset))
    };
    SIGNALS.contains(&name)
        || name.strip_prefix("RTMIN").is_some_and(|rest| real_time(rest, '+'))
        || name.strip_prefix("RTMAX").is_some_and(|rest| real_time(rest, '-'))
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals() {
        for good in ["SIGTERM", "TERM", "sigquit", "9", "64", "RTMIN+3", "SIGRTMAX-2", "SIGRTMIN"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "65", "SIGFOO", "SIG", "RTMIN-1", "9x", "-9"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
