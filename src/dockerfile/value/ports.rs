//! Ports of `EXPOSE`.

/// What is wrong with a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PortError {
    #[error("{0:?} names no port")]
    Missing(String),
    #[error("{0:?} is not a port or a range of ports")]
    Number(String),
    #[error("{0:?} is not a protocol; these are tcp, udp and sctp")]
    Protocol(String),
    #[error("{0:?} is not an address")]
    Address(String),
    #[error("{0:?} has ranges of different lengths")]
    Lengths(String),
}

/// `8000`, `53/udp`, `8000-8010/tcp`, and Docker's `[[ip:]hostport:]port`, of which the last part counts.
pub(super) fn parse_port(text: &str) -> Result<Vec<String>, PortError> {
    let (address, host, container) = parts(text);
    let (numbers, protocol) = container.split_once('/').unwrap_or((container, ""));
    if numbers.is_empty() {
        return Err(PortError::Missing(text.to_owned()));
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        other => return Err(PortError::Protocol(other.to_owned())),
    };
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(PortError::Address(address.to_owned()));
    }
    let (first, last) = range(numbers)?;
    if !host.is_empty() {
        let (start, end) = range(host)?;
        if end - start != last - first && first != last {
            return Err(PortError::Lengths(text.to_owned()));
        }
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Address, port of the host, port of the container.
pub(in crate::dockerfile) fn parts(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else { return ("", "", text) };
    match rest.rsplit_once(':') {
        Some((address, host)) => (address, host, container),
        None => ("", rest, container),
    }
}

fn range(text: &str) -> Result<(u16, u16), PortError> {
    let wrong = || PortError::Number(text.to_owned());
    let number = |text: &str| -> Result<u16, PortError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().ok_or_else(wrong)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err(wrong()) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::parse_port;

    #[test]
    fn ports() {
        for (text, expected) in [
            ("80", "80/tcp"),
            ("80/", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("8000-8002", "8000/tcp 8001/tcp 8002/tcp"),
            ("8080:80", "80/tcp"),
            ("127.0.0.1:80:80", "80/tcp"),
            ("[::1]:80:80/sctp", "80/sctp"),
            ("65535", "65535/tcp"),
        ] {
            assert_eq!(parse_port(text).map(|ports| ports.join(" ")), Ok(expected.to_owned()), "{text}");
        }
        for bad in ["", "/tcp", "x", "80/http", "70000", "2-1", "1-2-3", "x:80:80", "1-2:1-3", "-1", "80-"] {
            assert!(parse_port(bad).is_err(), "{bad}");
        }
    }
}
