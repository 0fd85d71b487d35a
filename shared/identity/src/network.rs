//! The network of a client, by which clients that are not signed in are told apart.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the IPv4 address, or the /64 of an IPv6 address: a network usually gives each of its users a /64 (RFC 7934,
/// section 3), so the rest of such an address costs nothing to change. Text that is no address is returned unchanged.
#[must_use]
pub fn network(address: &str) -> String {
    match address.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("not an address", "not an address"),
        ] {
            assert_eq!(network(address), expected, "{address}");
        }
    }
}
