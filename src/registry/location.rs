//! Where registries point to: resolving a `Location`, and which of them are not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::error::public_url;

/// Whether two URLs have one scheme, host and port: only then do credentials go along.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Resolves a `Location` against the URL that was asked, and refuses what a registry has no business to point to.
///
/// A registry on the internet could otherwise let us talk to services of the local network or to a cloud's metadata
/// service. `trusting` holds for registries that are themselves reached without verified TLS.
pub(super) fn resolve(from: &Url, location: &str, trusting: bool) -> Result<Url, String> {
    let to = from.join(location).map_err(|error| format!("the location it gave is no URL: {error}"))?;
    check(from, &to, trusting)?;
    Ok(to)
}

/// The rule of [`resolve`] for a URL at hand.
pub(super) fn check(from: &Url, to: &Url, trusting: bool) -> Result<(), String> {
    if !matches!(to.scheme(), "http" | "https") {
        return Err(format!("it points to a {} URL", to.scheme()));
    }
    if to.scheme() == "http" && from.scheme() == "https" && !trusting {
        return Err(format!("it points from HTTPS to plain HTTP at {}", public_url(to)));
    }
    if same_origin(from, to) || from.host() == to.host() {
        return Ok(());
    }
    match reach(to) {
        Reach::Public => Ok(()),
        Reach::Private if reach(from) != Reach::Public || trusting => Ok(()),
        Reach::Private => Err(format!("it points to the private address {}", public_url(to))),
        Reach::LinkLocal => Err(format!("it points to the link-local address {}", public_url(to))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    LinkLocal,
}

fn reach(url: &Url) -> Reach {
    match url.host() {
        Some(Host::Ipv4(address)) => reach_v4(address),
        Some(Host::Ipv6(address)) => reach_v6(address),
        Some(Host::Domain(name)) if is_localhost(name) => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let octets = address.octets();
    if address.is_link_local() {
        Reach::LinkLocal
    } else if address.is_private()
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_broadcast()
        // RFC 6598: carriers' and clouds' inner networks.
        || octets[0] == 100 && octets[1] & 0xc0 == 64
    {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(v4) = address.to_ipv4_mapped() {
        return reach_v4(v4);
    }
    if address.is_unicast_link_local() {
        Reach::LinkLocal
    } else if address.is_loopback() || address.is_unspecified() || address.is_unique_local() {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a registry's name (`HOST[:PORT]`) means this machine.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.split(':').next().unwrap_or(registry),
    };
    is_localhost(host) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(from: &str, location: &str) -> Result<String, String> {
        resolve(&from.parse().unwrap(), location, false).map(String::from)
    }

    #[test]
    fn locations_are_resolved() {
        let from = "https://r.example/v2/a/blobs/uploads/";
        for (location, expected) in [
            ("/v2/a/blobs/uploads/1?_state=x", "https://r.example/v2/a/blobs/uploads/1?_state=x"),
            ("1", "https://r.example/v2/a/blobs/uploads/1"),
            ("https://store.example/u?sig=1", "https://store.example/u?sig=1"),
            ("//store.example/u", "https://store.example/u"),
        ] {
            assert_eq!(go(from, location).as_deref(), Ok(expected), "{location}");
        }
    }

    #[test]
    fn registries_cannot_point_inside() {
        let from = "https://r.example/v2/";
        for location in [
            "http://store.example/",
            "https://127.0.0.1/",
            "https://localhost:8080/",
            "https://10.1.2.3/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://100.64.0.1/",
            "file:///etc/passwd",
        ] {
            assert!(go(from, location).is_err(), "{location}");
        }
        assert!(go("https://10.0.0.1/v2/", "https://10.0.0.2/x").is_ok());
        assert!(go("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/x").is_ok());
        assert!(go("http://127.0.0.1:5000/v2/", "http://169.254.169.254/").is_err());
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        let url = "https://me:pw@store.example/u?sig=1#x".parse().unwrap();
        assert_eq!(public_url(&url), "https://store.example/u");
    }

    #[test]
    fn loopback_hosts() {
        for (registry, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.1", true),
            ("[::1]:5000", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_loopback(registry), expected, "{registry}");
        }
    }
}
