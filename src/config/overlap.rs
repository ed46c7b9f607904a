//! Compares addresses: two nodes, two listeners, a listener and a node.

use std::net::{IpAddr, Ipv4Addr};

use super::{Address, Bind};

/// Normalises a node's address; `None` for an embedded node, which has none.
pub fn canonical(address: &Address) -> Option<Address> {
    match address {
        Address::Embedded(_) | Address::Undiscovered => None,
        Address::Unix { path, server } => Some(Address::Unix {
            path: path.components().collect(),
            server: server.canonical(),
        }),
        Address::Tcp { host, port, server } => {
            let host = match host.parse::<IpAddr>() {
                Ok(ip) => ip.to_canonical().to_string(),
                Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
            };
            Some(Address::Tcp {
                host,
                port: *port,
                // Two names of one server, and with it the same items.
                server: server.canonical(),
            })
        }
    }
}

/// Whether the system would refuse to bind both: the same address, or the same port under a wildcard.
pub fn collide(one: &Bind, other: &Bind) -> bool {
    let (Bind::Tcp(one), Bind::Tcp(other)) = (one, other) else {
        return one == other;
    };
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let wild = a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified());
    one.port() != 0 && one.port() == other.port() && (a == b || wild)
}

/// Whether connecting to the node's `address` reaches the listener that binds `bind`.
pub fn reaches(address: &Address, bind: &Bind) -> bool {
    match (address, bind) {
        (Address::Unix { path, .. }, Bind::Unix(bound)) => path == bound,
        (Address::Tcp { host, port, .. }, Bind::Tcp(bound)) if *port == bound.port() => {
            let ip = match host.as_str() {
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
            };
            let bound = bound.ip().to_canonical();
            ip.is_some_and(|ip| ip == bound || (bound.is_unspecified() && ip.is_loopback()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::{listener, node};
    use super::*;

    #[test]
    fn spellings_of_one_address_are_known_as_one() {
        let same = [
            ("Cache.Example.COM:1", "cache.example.com.:1"),
            ("[::1]:1", "[0:0::1]:1"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1"),
            ("unix:/a//b", "unix:/a/./b"),
        ];
        for (one, other) in same {
            let [one, other] = [one, other].map(|raw| canonical(&node(raw).expect(raw)));
            assert_eq!(one, other);
        }
    }

    #[test]
    fn binds_collide_where_the_system_would_refuse_the_second() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("unix:/a", "unix:/a", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("unix:/a", "127.0.0.1:1", false),
        ];
        for (one, other, expected) in cases {
            let [one, other] = [one, other].map(|raw| listener(raw).expect(raw));
            assert_eq!(collide(&one, &other), expected, "{one} {other}");
            assert_eq!(collide(&other, &one), expected, "{other} {one}");
        }
    }
}
