//! The names by which rings know their nodes, and which rings hash.
//!
//! A name that the operator gave is used under every preset. Nodes without one are named after their
//! address, and there the peers differ.

use super::Member;

/// A peer's names for nodes that have no name of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `host` if the port is 11211, otherwise `host:port`; a unix socket is `path:0` (`update_continuum` in
    /// libmemcached's `src/libmemcached/hosts.cc`; there a socket has port 0).
    Libmemcached,
    /// As libmemcached, but a unix socket is `path:`, with the colon and nothing behind it
    /// (`conf_add_server` in twemproxy's `src/nc_conf.c`). twemproxy also sorts its nodes.
    Twemproxy,
    /// `host:port`, and the path of a unix socket.
    Address,
    /// `/host:port`, as in libmemcached's SPY form.
    Slash,
    /// `host/host:port`, as in EVCache.
    Twice,
    /// `host:port` with an IPv6 host in brackets, as in mcrouter.
    Brackets,
}

/// Each naming and its word in configurations.
const NAMED: [(&str, Naming); 6] = [
    ("libmemcached", Naming::Libmemcached),
    ("twemproxy", Naming::Twemproxy),
    ("address", Naming::Address),
    ("libmemcached-spy", Naming::Slash),
    ("evcache", Naming::Twice),
    ("mcrouter", Naming::Brackets),
];

/// Both peers leave this port out, so that lists from before they had ports keep their keys in place.
const DEFAULT_PORT: u16 = 11211;

impl Naming {
    /// The words that [`Naming::from_name`] knows.
    pub const NAMES: &[&str] = &{
        let mut names = [""; NAMED.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = NAMED[at].0;
            at += 1;
        }
        names
    };

    /// Returns the naming called `word`.
    pub fn from_name(word: &str) -> Option<Naming> {
        NAMED.iter().find(|named| named.0 == word).map(|named| named.1)
    }

    /// The naming's word in configurations.
    pub fn name(self) -> &'static str {
        NAMED[self as usize].0
    }

    /// Returns the name of `member`.
    pub(super) fn name_of(self, member: &Member<'_>) -> String {
        if let Some(name) = member.name {
            return name.to_owned();
        }
        let host = member.host;
        match (self, member.port) {
            (Naming::Libmemcached | Naming::Twemproxy, Some(DEFAULT_PORT)) => host.to_owned(),
            (Naming::Libmemcached, None) => format!("{host}:0"),
            (Naming::Twemproxy, None) => format!("{host}:"),
            (_, None) => host.to_owned(),
            (Naming::Slash, Some(port)) => format!("/{host}:{port}"),
            (Naming::Twice, Some(port)) => format!("{host}/{host}:{port}"),
            (Naming::Brackets, Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
            (_, Some(port)) => format!("{host}:{port}"),
        }
    }

    /// Returns the positions of `names` in the order of the peer. It decides who owns a point that two
    /// nodes share, and each node's number. twemproxy sorts by length first, then by bytes.
    fn order(self, names: &[String]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..names.len()).collect();
        if self == Naming::Twemproxy {
            order.sort_by_key(|&index| (names[index].len(), &names[index]));
        }
        order
    }
}

/// The members of a ring, while it is built.
#[derive(Debug)]
pub(super) struct RingMembers {
    /// The name of each member.
    pub(super) names: Vec<String>,
    /// The weight of each member; 1 if the rules ignore weights.
    pub(super) weights: Vec<u32>,
    /// The members in the peer's order.
    pub(super) order: Vec<usize>,
    /// Whether each member takes keys.
    pub(super) active: Vec<bool>,
}

impl RingMembers {
    /// Names and orders `members`, of which those with an index in `taking_keys` take keys.
    pub(super) fn new(
        naming: Naming,
        weighs: bool,
        members: &[Member<'_>],
        taking_keys: &[usize],
    ) -> RingMembers {
        let names: Vec<String> = members.iter().map(|member| naming.name_of(member)).collect();
        let mut active = vec![false; members.len()];
        taking_keys.iter().for_each(|&index| active[index] = true);
        RingMembers {
            order: naming.order(&names),
            names,
            weights: members
                .iter()
                .map(|member| if weighs { member.weight } else { 1 })
                .collect(),
            active,
        }
    }

    /// The number of members.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> u64 {
        self.weights.iter().map(|&weight| u64::from(weight)).sum()
    }

    /// Whether every weight is 1.
    pub(super) fn is_unweighted(&self) -> bool {
        self.weights.iter().all(|&weight| weight == 1)
    }

    /// Whether all members take keys.
    pub(super) fn is_whole(&self) -> bool {
        self.active.iter().all(|&active| active)
    }

    /// The indices of the members that take keys, in order.
    pub(super) fn active(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied().filter(|&index| self.active[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_as_its_peer_names_it() {
        let names = [
            "libmemcached",
            "twemproxy",
            "address",
            "libmemcached-spy",
            "evcache",
            "mcrouter",
        ];
        let cases = [
            (
                None,
                "10.0.0.1",
                Some(11211),
                [
                    "10.0.0.1",
                    "10.0.0.1",
                    "10.0.0.1:11211",
                    "/10.0.0.1:11211",
                    "10.0.0.1/10.0.0.1:11211",
                    "10.0.0.1:11211",
                ],
            ),
            (None, "h", Some(7), ["h:7", "h:7", "h:7", "/h:7", "h/h:7", "h:7"]),
            (
                None,
                "fe80::1",
                Some(11211),
                [
                    "fe80::1",
                    "fe80::1",
                    "fe80::1:11211",
                    "/fe80::1:11211",
                    "fe80::1/fe80::1:11211",
                    "[fe80::1]:11211",
                ],
            ),
            (
                None,
                "/run/mc",
                None,
                [
                    "/run/mc:0",
                    "/run/mc:",
                    "/run/mc",
                    "/run/mc",
                    "/run/mc",
                    "/run/mc",
                ],
            ),
            (Some("a"), "10.0.0.1", Some(11212), ["a"; 6]),
            (Some("a"), "/run/mc", None, ["a"; 6]),
            (Some("local"), "local", None, ["local"; 6]),
        ];
        for (name, host, port, expected) in cases {
            let member = Member {
                name,
                host,
                port,
                weight: 1,
            };
            let found = names.map(|word| Naming::from_name(word).expect("known").name_of(&member));
            assert_eq!(found, expected.map(str::to_owned));
        }
    }

    #[test]
    fn twemproxy_keeps_short_names_first_and_libmemcached_keeps_the_order_given() {
        let names = ["b", "aa", "c", "a"].map(str::to_owned);
        assert_eq!(Naming::Libmemcached.order(&names), [0, 1, 2, 3]);
        assert_eq!(Naming::Twemproxy.order(&names), [3, 0, 2, 1]);
    }

    #[test]
    fn every_word_leads_to_its_naming_and_back() {
        for word in Naming::NAMES {
            assert_eq!(Naming::from_name(word).expect("listed").name(), *word);
        }
        assert_eq!(Naming::from_name("host"), None);
    }
}
