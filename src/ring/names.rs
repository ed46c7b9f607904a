//! What a ring hashes of a node: the name it is known by.
//!
//! A name that the operator gave is that name, whoever's rules hold. Nodes without one are named after
//! their address, and there the peers differ.

use super::Member;

/// Whose names nodes without a name of their own get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// `host` where the port is 11211, else `host:port`; a unix socket is `path:0`
    /// (`update_continuum` in libmemcached's `src/libmemcached/hosts.cc`; there a socket has port 0).
    Libmemcached,
    /// As libmemcached, but a unix socket is `path:`, with the colon and nothing behind it
    /// (`conf_add_server` in twemproxy's `src/nc_conf.c`).
    Twemproxy,
}

/// Both peers leave this port out, so that lists from before they knew ports keep their keys in place.
const DEFAULT_PORT: u16 = 11211;

impl Naming {
    /// The name of `member`.
    pub(super) fn name(self, member: &Member<'_>) -> String {
        if let Some(name) = member.name {
            return name.to_owned();
        }
        match (self, member.port) {
            (_, Some(DEFAULT_PORT)) => member.host.to_owned(),
            (_, Some(port)) => format!("{}:{port}", member.host),
            (Naming::Libmemcached, None) => format!("{}:0", member.host),
            (Naming::Twemproxy, None) => format!("{}:", member.host),
        }
    }

    /// The positions of `names` in the order in which the peer keeps its nodes, which decides who owns a
    /// point that two nodes share. twemproxy sorts by length first, then by bytes.
    pub(super) fn order(self, names: &[String]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..names.len()).collect();
        if self == Naming::Twemproxy {
            order.sort_by_key(|&index| (names[index].len(), &names[index]));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_as_its_peer_names_it() {
        let cases = [
            (None, "10.0.0.1", Some(11211), "10.0.0.1", "10.0.0.1"),
            (None, "10.0.0.1", Some(11212), "10.0.0.1:11212", "10.0.0.1:11212"),
            (None, "fe80::1", Some(11211), "fe80::1", "fe80::1"),
            (None, "fe80::1", Some(7), "fe80::1:7", "fe80::1:7"),
            (None, "/run/mc.sock", None, "/run/mc.sock:0", "/run/mc.sock:"),
            (Some("a"), "10.0.0.1", Some(11212), "a", "a"),
            (Some("a"), "/run/mc.sock", None, "a", "a"),
            (Some("local"), "local", None, "local", "local"),
        ];
        for (name, host, port, libmemcached, twemproxy) in cases {
            let member = Member {
                name,
                host,
                port,
                weight: 1,
            };
            assert_eq!(Naming::Libmemcached.name(&member), libmemcached);
            assert_eq!(Naming::Twemproxy.name(&member), twemproxy);
        }
    }

    #[test]
    fn twemproxy_keeps_short_names_first_and_libmemcached_keeps_the_order_given() {
        let names = ["b", "aa", "c", "a"].map(str::to_owned);
        assert_eq!(Naming::Libmemcached.order(&names), [0, 1, 2, 3]);
        assert_eq!(Naming::Twemproxy.order(&names), [3, 0, 2, 1]);
    }
}
