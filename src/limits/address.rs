//! Which addresses are counted as one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 address, or the /64 of an IPv6 address: whoever has one address of it has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressGroup {
    /// One address.
    V4(Ipv4Addr),
    /// The upper half.
    V6(u64),
}

impl AddressGroup {
    /// The group of an address. IPv4 in IPv6 clothes (`::ffff:192.0.2.1`) is IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => AddressGroup::V4(address),
            IpAddr::V6(address) => AddressGroup::V6((u128::from(address) >> 64) as u64),
        }
    }
}

impl fmt::Display for AddressGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressGroup::V4(address) => address.fmt(f),
            AddressGroup::V6(half) => Ipv6Addr::from(u128::from(*half) << 64).fmt(f),
        }
    }
}

impl FromStr for AddressGroup {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let group = |text: &str| text.parse::<AddressGroup>().unwrap();
        assert_eq!(group("2001:db8::1"), group("2001:db8::ffff:1"));
        assert_ne!(group("2001:db8::1"), group("2001:db8:0:1::1"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
        for text in ["192.0.2.1", "2001:db8:0:1::"] {
            assert_eq!(group(text).to_string(), text);
        }
    }
}
