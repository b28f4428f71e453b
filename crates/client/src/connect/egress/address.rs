//! Which IP addresses are public, and which IPv4 address an IPv6 address leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is on the public internet: IANA's registries of special-purpose addresses (RFC 6890) call it
/// globally reachable or do not list it, and it is not multicast. IPv4 mapped in IPv6 counts as IPv4.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// The IPv4 address that an IPv6 address leads to through a translator or a tunnel.
pub(super) fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let s = ip.segments();
    let from = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match s {
        // NAT64: the well-known prefix (RFC 6052), and the one for local use (RFC 8215), which also has the address
        // at its end.
        [0x64, 0xff9b, 0 | 1, ..] => from(s[6], s[7]),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => from(high, low),
        // IPv4-translated (RFC 2765, section 2.1).
        [0, 0, 0, 0, 0xffff, 0, high, low] => from(high, low),
        // ISATAP (RFC 5214, section 6.1), with any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => from(high, low),
        // Teredo (RFC 4380) stores it inverted.
        [0x2001, 0, ..] => from(!s[6], !s[7]),
        // IPv4-compatible (RFC 4291, section 2.5.5.1, long deprecated), but not `::` and `::1`.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => from(high, low),
        _ => None,
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    // Azure's platform services, at an address inside the public range.
    const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let special = match ip.octets() {
        // This network, private, loopback.
        [0 | 10 | 127, ..] => true,
        // Shared by carriers (RFC 6598).
        [100, second, ..] => second & 0xc0 == 64,
        // Link-local, and with it the metadata services of most clouds.
        [169, 254, ..] => true,
        [172, second, ..] => second & 0xf0 == 16,
        // Protocol assignments and documentation.
        [192, 0, 0 | 2, _] => true,
        // The anycast address of 6to4 relays, deprecated (RFC 7526).
        [192, 88, 99, _] => true,
        [192, 168, ..] => true,
        // Benchmarks, documentation.
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !special && ip != AZURE
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // NAT64. The IPv4 address inside is checked separately.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
        // Protocol assignments (2001::/23, Teredo among them), documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast is 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}
