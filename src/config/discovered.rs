//! Discovered nodes beside those that a configuration lists.

use std::net::SocketAddr;
use std::sync::Arc;

use super::error::{Problem, quote};
use super::{Address, Config, Discover, HandoverFrom, Node, Origin, Pool, address, nodes, overlap};

impl Node {
    /// The stand-in in the ring of a pool until its nodes are discovered: requests to it fail.
    pub fn undiscovered() -> Node {
        Node {
            name: None,
            address: Address::Undiscovered,
            weight: 1,
            origin: None,
        }
    }

    /// The name server that knows its name; `None`: those of this machine.
    pub fn resolver(&self) -> Option<SocketAddr> {
        self.origin.as_ref()?.resolver
    }

    /// Whether the configuration lists it.
    pub fn is_listed(&self) -> bool {
        self.origin.is_none() && self.address != Address::Undiscovered
    }
}

impl Pool {
    /// The nodes that were discovered.
    pub fn discovered(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.origin.is_some())
    }

    /// Takes `members` in place of those that were discovered before.
    pub fn set_discovered(&mut self, members: Vec<Node>) {
        self.nodes.retain(Node::is_listed);
        self.nodes.extend(members);
        if self.nodes.is_empty() {
            self.nodes.push(Node::undiscovered());
        }
    }

    /// Whether keys go where they go with `other`, as far as what is written says.
    pub fn has_ring_of(&self, other: &Pool) -> bool {
        let is_same = |(own, other): (&Node, &Node)| {
            (&own.name, &own.address, own.weight) == (&other.name, &other.address, other.weight)
        };
        self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(is_same)
            && self.distribution == other.distribution
            && self.hash_tag == other.hash_tag
    }

    /// Takes over from `other` all that decides which node a key goes to.
    pub fn keep_ring_of(&mut self, other: &Pool) {
        self.nodes = other.nodes.clone();
        self.distribution = other.distribution.clone();
        self.hash_tag = other.hash_tag;
    }

    /// Returns the pool with the ring that it had before the change that `from` describes.
    pub fn before(&self, from: &HandoverFrom) -> Pool {
        let mut before = self.clone();
        before.nodes.clone_from(&from.nodes);
        if let Some(distribution) = &from.distribution {
            before.distribution = distribution.clone();
        }
        if let Some(hash_tag) = from.hash_tag {
            before.hash_tag = hash_tag;
        }
        before
    }

    /// Whether a listed node has the name or the address of `node`.
    pub fn lists(&self, node: &Node) -> bool {
        let mut listed = self.nodes.iter().filter(|listed| listed.is_listed());
        let address = overlap::canonical(&node.address);
        listed.any(|listed| listed.label() == node.label() || overlap::canonical(&listed.address) == address)
    }
}

impl Config {
    /// The pools whose nodes are to be discovered and were not yet.
    pub fn undiscovered(&self) -> impl Iterator<Item = (&str, &Discover)> {
        let undiscovered = self.pools.iter();
        let undiscovered = undiscovered.filter(|(_, pool)| pool.discovered().next().is_none());
        undiscovered.filter_map(|(name, pool)| Some((name.as_str(), pool.discover.as_ref()?)))
    }

    /// Takes over the nodes that `running` discovered, for pools that discover theirs here, too.
    pub fn keep_discovered(&mut self, running: &Config) {
        for (name, pool) in &mut self.pools {
            let before = running.pools.get(name).filter(|_| pool.discover.is_some());
            let kept = before.into_iter().flat_map(Pool::discovered);
            let kept: Vec<Node> = kept.filter(|node| !pool.lists(node)).cloned().collect();
            if !kept.is_empty() {
                pool.set_discovered(kept);
            }
        }
    }

    /// Whether a connection to `node` reaches one of the own listeners: its requests would return forever.
    pub fn is_own_listener(&self, node: &Node) -> bool {
        let mut listeners = self.listeners.iter();
        listeners.any(|listener| overlap::reaches(&node.address, &listener.bind))
    }
}

/// The node that a list of `origin` has at `target`, a host:port, with a name and a weight if the list says so.
///
/// # Errors
/// The problem with its address, name or weight.
pub fn discovered(
    target: &str,
    name: Option<&str>,
    weight: Option<&str>,
    origin: &Arc<Origin>,
) -> Result<Node, Problem> {
    let address = address::node(target)?;
    if !matches!(address, Address::Tcp { .. }) {
        return Err(Problem::new(format!("{} is not a host:port", quote(target))));
    }
    Ok(Node {
        name: name.map(nodes::name).transpose()?,
        address,
        weight: weight.map(nodes::weight).transpose()?.unwrap_or(1),
        origin: Some(origin.clone()),
    })
}

/// Whether `host` may be the host of a node: a host name or an IP address, an IPv6 address without brackets.
pub fn is_host(host: &str) -> bool {
    match host.contains(':') {
        true => host.parse::<std::net::Ipv6Addr>().is_ok(),
        false => !host.is_empty() && address::check_host(host).is_ok(),
    }
}
