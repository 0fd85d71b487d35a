//! Tells public addresses from private and special ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns `true` if the address can belong to a public server.
///
/// IPv4: everything but the special-purpose blocks. IPv6: global unicast (2000::/3) without its special
/// blocks and without addresses that embed an IPv4 address. These are refused even if the embedded address is
/// public: this excludes networks that reach IPv4 through NAT64 only, but needs no assumptions about
/// translators.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !within(
            u32::from(ip).into(),
            32,
            V4_SPECIAL.iter().map(|(net, len)| (u32::from(*net).into(), *len)),
        ),
        IpAddr::V6(ip) => {
            let bits = u128::from(ip);
            within(bits, 128, std::iter::once((u128::from(GLOBAL_UNICAST.0), GLOBAL_UNICAST.1)))
                && !within(bits, 128, V6_SPECIAL.iter().map(|(net, len)| (u128::from(*net), *len)))
                && !is_isatap(ip)
        }
    }
}

/// IANA IPv4 Special-Purpose Address Registry, without the few blocks that contain ordinary servers.
const V4_SPECIAL: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT. Contains Alibaba Cloud's metadata service.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local: the metadata services of most clouds, and Lambda's own runtime.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // The 6to4 relay, withdrawn by RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // A public address, but Azure's platform service inside every virtual network.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Multicast, reserved, and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The block that IANA assigns to interfaces. It excludes loopback, the mapped, compatible and NAT64 forms,
/// unique local, link-local, site-local, segment routing and multicast.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The blocks of the IANA IPv6 Special-Purpose Address Registry that lie within global unicast.
const V6_SPECIAL: &[(Ipv6Addr, u32)] = &[
    // Protocol assignments: Teredo, benchmarking, ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation, RFC 9637.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Returns `true` for RFC 5214 addresses: the interface identifier embeds an IPv4 address, under any prefix.
fn is_isatap(ip: Ipv6Addr) -> bool {
    let [_, _, _, _, high, low, ..] = ip.segments();
    // The universal/local bit and the group bit may be set.
    high & !0x0300 == 0 && low == 0x5efe
}

fn within(bits: u128, width: u32, mut blocks: impl Iterator<Item = (u128, u32)>) -> bool {
    blocks.any(|(net, len)| (bits ^ net) >> (width - len) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The standard library's classification, and the blocks that it does not classify.
    fn surely_private(ip: Ipv4Addr) -> bool {
        let [a, b, c, _] = ip.octets();
        ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_broadcast()
            || ip.is_documentation()
            || ip.is_multicast()
            || a == 0
            || a >= 240
            || (a, b & 0xc0) == (100, 64)
            || (a, b & 0xfe) == (198, 18)
            || (a, b, c) == (192, 0, 0)
    }

    /// Every IPv6 form of an IPv4 address that some stack or translator understands.
    fn embedded(ip: Ipv4Addr, suffix: u32) -> [Ipv6Addr; 10] {
        let v4 = u128::from(u32::from(ip));
        let at = |prefix: u128, shift: u32| Ipv6Addr::from(prefix | (v4 << shift));
        [
            ip.to_ipv6_mapped(),
            at(0, 0),
            // IPv4-translated, RFC 2765.
            at(0xffff_0000 << 16, 0),
            // NAT64: the well-known prefix, and the local one with a /96 and a /64 layout.
            at(0x0064_ff9b << 96, 0),
            at(0x0064_ff9b_0001 << 80, 0),
            at(0x0064_ff9b_0001 << 80, 24),
            // 6to4, with any subnet.
            at((0x2002 << 112) | u128::from(suffix), 80),
            // Teredo: as the server, and inverted as the client.
            at((0x2001 << 112) | u128::from(suffix), 64),
            Ipv6Addr::from((0x2001 << 112) | u128::from(!u32::from(ip))),
            // ISATAP under a public prefix.
            at((0x2a00_1450 << 96) | (0x0200_5efe << 32), 0),
        ]
    }

    prop_compose! {
        fn private()(ip in prop_oneof![
            any::<u32>(),
            (0u32..1 << 24).prop_map(|low| (10 << 24) | low),
            (0u32..1 << 24).prop_map(|low| (127 << 24) | low),
            (0u32..1 << 20).prop_map(|low| (172 << 24) | (16 << 16) | low),
            (0u32..1 << 16).prop_map(|low| (192 << 24) | (168 << 16) | low),
            (0u32..1 << 16).prop_map(|low| (169 << 24) | (254 << 16) | low),
            (0u32..1 << 22).prop_map(|low| (100 << 24) | (64 << 16) | low),
            (0u32..1 << 17).prop_map(|low| (198 << 24) | (18 << 16) | low),
        ].prop_map(Ipv4Addr::from).prop_filter("not private", |ip| surely_private(*ip))) -> Ipv4Addr { ip }
    }

    proptest! {
        #[test]
        fn private_addresses_are_refused_in_every_form(ip in private(), suffix: u32) {
            prop_assert!(!is_public(ip.into()), "{ip}");
            for form in embedded(ip, suffix) {
                prop_assert!(!is_public(form.into()), "{ip} as {form}");
            }
        }

        #[test]
        fn embedded_addresses_are_refused_even_if_they_are_public(ip: u32, suffix: u32) {
            for form in embedded(ip.into(), suffix) {
                prop_assert!(!is_public(form.into()), "{form}");
            }
        }

        #[test]
        fn only_global_unicast_is_public(bits: u128) {
            let ip = Ipv6Addr::from(bits);
            let special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast()
                || ip.is_unique_local() || ip.is_unicast_link_local() || ip.to_ipv4().is_some();
            prop_assert!(!is_public(ip.into()) || (bits >> 125 == 1 && !special), "{ip}");
        }
    }

    #[test]
    fn the_edges_of_every_block() {
        let public = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "8.8.8.8",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::1",
            "2001:db9::",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "3ffe::1",
            "3fff:1000::1",
        ];
        for ip in public {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        let not_public = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff:ffff::",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2a00:1450::5efe:7f00:1",
        ];
        for ip in not_public {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
