//! The address of a caller: that of its connection, or what trusted proxies say of it.
//!
//! Each proxy adds, at the right, whom it was asked by. So the list is read from the right, past the
//! proxies that are trusted: the first other address is the caller's, and whatever stands left of it
//! is what the caller wrote itself.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The most addresses that are read. No caller is behind more proxies.
const MAX_ENTRIES: usize = 32;

/// The caller's address in its plain form; `None`: nobody can tell. `peer` is the connection's. Header
/// values come in their order; one that is no text is `None`.
pub fn caller_address<'a>(
    peer: Option<IpAddr>,
    trusted: &[IpNet],
    x_forwarded_for: impl Iterator<Item = Option<&'a str>>,
    forwarded: impl Iterator<Item = Option<&'a str>>,
) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let listed = entries(x_forwarded_for).map(|all| walk(peer, trusted, all, plain));
    let standard = entries(forwarded).map(|all| walk(peer, trusted, all, of_element));
    match (listed, standard) {
        (None, None) => Some(peer),
        (Some(address), None) | (None, Some(address)) => address,
        // A proxy writes one of them and hands on the other as the caller sent it.
        (Some(one), Some(other)) if one == other => one,
        (Some(_), Some(_)) => None,
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The entries of all headers of a name, from the right; `None`: there is no such header. An entry that
/// is no text is none that can be read.
fn entries<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<&'a str>> {
    let mut entries: Vec<&str> = Vec::new();
    for value in values {
        match value {
            Some(value) => entries.extend(value.split(',')),
            None => entries.push(""),
        }
    }
    (!entries.is_empty()).then(|| entries.into_iter().rev().collect())
}

fn walk(
    peer: IpAddr,
    trusted: &[IpNet],
    entries: Vec<&str>,
    read: impl Fn(&str) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let mut last = peer;
    for entry in entries.into_iter().take(MAX_ENTRIES) {
        // What a trusted proxy calls `unknown`, and what is no address at all, is nobody's.
        last = read(entry.trim())?.to_canonical();
        if !is_trusted(last, trusted) {
            break;
        }
    }
    Some(last)
}

/// An address, perhaps with a port: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`.
fn plain(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    Some(IpAddr::V6(inner.parse().ok()?))
}

/// The `for` of an element of `Forwarded` (RFC 7239 section 4).
fn of_element(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        let value = value.trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let address = plain(quoted.unwrap_or(value))?;
        // Each name stands once in an element.
        if found.replace(address).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind proxies at 10.0.0.0/8 and fd00::/8.
    fn address(peer: &str, listed: &[&str], standard: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let found = caller_address(
            peer.parse().ok(),
            &trusted,
            listed.iter().map(|one| Some(*one)),
            standard.iter().map(|one| Some(*one)),
        );
        found.map(|address| address.to_string())
    }

    #[test]
    fn whoever_is_no_trusted_proxy_says_nothing_about_itself() {
        for headers in [&["10.1.1.1"][..], &["1.1.1.1, 10.0.0.1"], &["garbage"], &[]] {
            let found = address("9.9.9.9", headers, &[]);
            assert_eq!(found.as_deref(), Some("9.9.9.9"), "{headers:?}");
        }
        let standard = address("9.9.9.9", &[], &["for=10.1.1.1"]);
        assert_eq!(standard.as_deref(), Some("9.9.9.9"));
        assert_eq!(address("none", &["1.1.1.1"], &[]), None);
        let mapped = address("::ffff:9.9.9.9", &["1.1.1.1"], &[]);
        assert_eq!(mapped.as_deref(), Some("9.9.9.9"));
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_callers() {
        for (listed, expected) in [
            (&["2.2.2.2"][..], Some("2.2.2.2")),
            // What the caller has sent itself stands at the left.
            (&["1.1.1.1, 2.2.2.2"], Some("2.2.2.2")),
            (&["10.9.9.9, 2.2.2.2"], Some("2.2.2.2")),
            (&["2.2.2.2, 10.0.0.2, 10.0.0.3"], Some("2.2.2.2")),
            (&["1.1.1.1", "2.2.2.2", "10.0.0.2"], Some("2.2.2.2")),
            (&["garbage, 2.2.2.2"], Some("2.2.2.2")),
            (&["2.2.2.2:5060"], Some("2.2.2.2")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:2.2.2.2"], Some("2.2.2.2")),
            (&["2.2.2.2, fd00::1"], Some("2.2.2.2")),
            (&["10.0.0.5, 10.0.0.6"], Some("10.0.0.5")),
            (&[], Some("10.0.0.1")),
            // Nobody can tell.
            (&["2.2.2.2, unknown"], None),
            (&["2.2.2.2, garbage, 10.0.0.2"], None),
            (&["2.2.2.2,"], None),
            (&[""], None),
            (&["fe80::1%eth0"], None),
            (&["2.2.2.2:99999"], None),
            (&["[2.2.2.2]"], None),
            (&["02.2.2.2"], None),
            (&["for=2.2.2.2"], None),
        ] {
            let found = address("10.0.0.1", listed, &[]);
            assert_eq!(found.as_deref(), expected, "{listed:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_alike() {
        for (standard, expected) in [
            (&["for=2.2.2.2"][..], Some("2.2.2.2")),
            (&["for=1.1.1.1, for=2.2.2.2"], Some("2.2.2.2")),
            (
                &["for=1.1.1.1", "For=\"[2001:db8::1]:80\""],
                Some("2001:db8::1"),
            ),
            (
                &["for=2.2.2.2;proto=https;by=10.0.0.1, for=10.0.0.3"],
                Some("2.2.2.2"),
            ),
            (&["proto=https; for=\"2.2.2.2:80\""], Some("2.2.2.2")),
            (&["for=unknown"], None),
            (&["for=_hidden"], None),
            (&["proto=https"], None),
            (&["for=1.1.1.1;for=2.2.2.2"], None),
            (&["for=\"2.2.2.2"], None),
            (&["2.2.2.2"], None),
            (&["for=\"1.1.1.1,2.2.2.2\""], None),
        ] {
            let found = address("10.0.0.1", &[], standard);
            assert_eq!(found.as_deref(), expected, "{standard:?}");
        }
    }

    #[test]
    fn two_headers_that_differ_are_no_answer() {
        let both = |listed: &str, standard: &str| address("10.0.0.1", &[listed], &[standard]);
        assert_eq!(both("2.2.2.2", "for=2.2.2.2").as_deref(), Some("2.2.2.2"));
        assert_eq!(both("2.2.2.2", "for=10.0.0.9"), None);
        assert_eq!(both("garbage", "for=2.2.2.2"), None);
    }

    #[test]
    fn a_long_list_is_not_read_to_its_end() {
        let long = format!("2.2.2.2{}", ", 10.0.0.2".repeat(MAX_ENTRIES));
        let found = address("10.0.0.1", &[&long], &[]);
        assert_eq!(found.as_deref(), Some("10.0.0.2"));
    }
}
