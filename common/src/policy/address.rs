//! Addresses that no agent dials, whatever its file says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that is really meant: IPv4 in an IPv6 disguise comes out as IPv4. Mapped
/// (`::ffff:a.b.c.d`), translated (`::ffff:0:a.b.c.d`), compatible (`::a.b.c.d`), NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48` in the form that ends with the address), 6to4 (`2002::/16`)
/// and Teredo (`2001::/32`).
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(
            (u32::from(high) << 16) | u32::from(low),
        ))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0 | 1, ..] => v4(g, h),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, ..] => v4(!g, !h),
        _ => ip,
    }
}

/// Metadata services that are not link-local: whoever reaches one gets the host's credentials.
const METADATA: [(IpAddr, &str); 6] = [
    (
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        "metadata address 100.100.100.200",
    ),
    (
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        "metadata address 168.63.129.16",
    ),
    (
        IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
        "metadata address 192.0.0.192",
    ),
    (
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
        "metadata address fd00:ec2::254",
    ),
    (
        IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
        "metadata address fd20:ce::254",
    ),
    (
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
        "metadata address fd00:42::42",
    ),
];

/// Why nobody dials this address; `None` when that is for the policy to say.
#[must_use]
pub fn built_in_denial(ip: IpAddr) -> Option<&'static str> {
    let ip = canonical(ip);
    if let Some((_, rule)) = METADATA.iter().find(|(address, _)| *address == ip) {
        return Some(rule);
    }
    match ip {
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local 169.254.0.0/16"),
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => Some("unspecified 0.0.0.0/8"),
        IpAddr::V4(v4) if v4.is_multicast() => Some("multicast 224.0.0.0/4"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("broadcast 255.255.255.255"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local fe80::/10"),
        IpAddr::V6(v6) if v6.is_multicast() => Some("multicast ff00::/8"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("unspecified ::"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_addresses_are_forbidden_in_every_disguise_and_their_neighbours_are_not() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "ff02::1",
            "::",
            "::ffff:169.254.169.254",
            "::ffff:100.100.100.200",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::100.100.100.200",
            "2002:a9fe:a9fe::1",
            "2002:6464:64c8::",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "2001:0:1:2:3:4:5601:5601",
            "168.63.129.16",
            "192.0.0.192",
            "fd20:ce::254",
            "fd00:42::42",
        ] {
            assert!(built_in_denial(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "169.253.255.255",
            "169.255.0.0",
            "100.100.100.201",
            "fd00:ec2::255",
            "fec0::1",
            "1.0.0.0",
            "223.255.255.255",
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert_eq!(built_in_denial(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_disguise_comes_off() {
        for (text, is) in [
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("64:ff9b::a01:203", "10.1.2.3"),
            ("2002:a01:203::9", "10.1.2.3"),
            ("::1", "::1"),
            ("fd00::1", "fd00::1"),
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(canonical(address), is.parse::<IpAddr>().unwrap(), "{text}");
        }
    }
}
