//! A compiled pool: its nodes, and the ring of those that take keys now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{self, Address, Rejoin};
use crate::node::Node;
use crate::node::missed::copying::{Fallback, delete_embedded};
use crate::protocol::Request;
use crate::ring::{Member, Ring};
use crate::route::active::{active, most_down};
use crate::route::handover::progress::Progress;
use crate::route::handover::tally::HandoverTally;
use crate::route::toolkit::rewrite::{whole_seconds, with_max_expiry};

/// How long an item may outlive its expiry, counted from when it was sent.
const ROUNDING: Duration = Duration::from_secs(2);

/// Nodes under one ring.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: config::Pool,
    /// Maps keys to indices into `nodes`; it only picks those in `targets`.
    pub ring: Ring,
    /// The nodes in the ring, as indices into the snapshot's nodes.
    pub targets: Vec<usize>,
    /// All nodes of the pool, also those that are not in the ring.
    pub nodes: Vec<usize>,
    /// Whether all its nodes are memcached servers, which give values as lines that a classic client can read.
    pub gives_lines: bool,
    /// Whether it is the old ring of a handover: only its own requests go there.
    pub is_old: bool,
    /// The change of its ring that is going on.
    pub handover: Option<Box<Handover>>,
    /// What its handovers count, if the settings have them.
    pub tally: Option<Arc<HandoverTally>>,
    /// The ring of all nodes, if one of them is not in `ring`: it gives the primary node of a key.
    whole: Option<Box<Ring>>,
    /// Its number among all rings that were used; 0 before it is used.
    number: AtomicU64,
}

/// A change of a pool's ring while its keys are handed over.
#[derive(Debug)]
pub struct Handover {
    /// The pool with its old ring. Its nodes are those of the new ring, and [`Handover::leaving`].
    pub old: Arc<Pool>,
    /// The nodes that only the old ring has, as indices into the snapshot's nodes.
    pub leaving: Vec<usize>,
    /// How far it is; kept across snapshots.
    pub progress: Arc<Progress>,
    /// What it counts.
    pub tally: Arc<HandoverTally>,
    /// Whether one digest of a key gives its owners in both rings.
    pub(super) shares_digests: bool,
}

impl Handover {
    /// Returns the handover of `pool` from the `old` one, whose `leaving` nodes are not in `pool`.
    pub fn new(
        pool: &Pool,
        old: Arc<Pool>,
        leaving: Vec<usize>,
        progress: Arc<Progress>,
        tally: Arc<HandoverTally>,
    ) -> Handover {
        Handover {
            shares_digests: pool.ring.shares_digests(&old.ring),
            old,
            leaving,
            progress,
            tally,
        }
    }
}

impl Pool {
    /// Compiles the pool called `name` with these `nodes`, the first of which has the index `first` among
    /// those of the snapshot. `before`: what it, or a pool that resembles it, was compiled to before.
    pub fn compile(
        name: &str,
        settings: &config::Pool,
        first: usize,
        nodes: &[Arc<Node>],
        before: Option<&Pool>,
    ) -> Pool {
        let indices = (first..first + nodes.len()).collect();
        Pool::among(name, settings, indices, |index| &nodes[index - first], before)
    }

    /// Compiles the pool called `name`, whose nodes have these `indices` in the snapshot, where `node` finds
    /// them. `before` as for [`Pool::compile`].
    pub fn among<'a>(
        name: &str,
        settings: &config::Pool,
        indices: Vec<usize>,
        node: impl Fn(usize) -> &'a Arc<Node>,
        before: Option<&Pool>,
    ) -> Pool {
        let own: Vec<&Arc<Node>> = indices.iter().map(|&index| node(index)).collect();
        let active = active(settings, &own);
        let same = before.filter(|before| before.has_ring(settings, &active));
        let ring = match same {
            Some(same) => same.ring.clone(),
            None => ring(settings, &active, before.map(|before| &before.ring)),
        };
        let whole = (active.len() < indices.len()).then(|| match same.and_then(|same| same.whole.clone()) {
            Some(whole) => whole,
            None => Box::new(Pool::whole_ring(settings, Some(&ring))),
        });
        Pool {
            name: name.to_owned(),
            settings: settings.clone(),
            ring,
            targets: active.iter().map(|&member| indices[member]).collect(),
            gives_lines: own
                .iter()
                .all(|node| node.is_remote() && !node.address.is_valkey()),
            is_old: false,
            handover: None,
            tally: None,
            whole,
            nodes: indices,
            number: AtomicU64::new(0),
        }
    }

    /// Whether its ring is that of a pool with these `settings`, whose members `active` take keys.
    fn has_ring(&self, settings: &config::Pool, active: &[usize]) -> bool {
        let mut targets = self.targets.iter().peekable();
        let is_active = |&member: &usize| targets.next_if_eq(&&self.nodes[member]).is_some();
        let is_same = (0..self.nodes.len()).filter(is_active).eq(active.iter().copied());
        is_same && settings.has_ring_of(&self.settings)
    }

    /// Returns true if the node with this index has `key` only because the key's primary node is out of the
    /// ring. Costs nothing while all nodes are in the ring.
    #[inline]
    pub fn is_fallback(&self, node: usize, key: &[u8]) -> bool {
        match &self.whole {
            None => false,
            Some(whole) => self.nodes[whole.pick(key)] != node,
        }
    }

    /// Returns `request` for a fallback node, where nothing lives longer than `fallback_expiry`. `room`
    /// takes new text that `request` cannot borrow.
    pub fn capped<'a>(&self, request: &Request<'a>, room: &'a mut Vec<u8>) -> Request<'a> {
        match self.settings.fallback_expiry {
            Some(cap) => with_max_expiry(request, room, whole_seconds(cap)),
            None => *request,
        }
    }

    /// Returns what must be recorded about a request that goes to a fallback node now.
    pub fn fallback(&self) -> Fallback {
        // A node counts whole seconds, from the moment at which it executes the request.
        let slack = self.settings.request_timeout + ROUNDING;
        Fallback {
            ring: self.number.load(Relaxed),
            expires: self
                .settings
                .fallback_expiry
                .map(|cap| Instant::now() + cap + slack),
        }
    }

    /// Activates the ring as number `number`: values that its nodes hold as fallbacks for nodes that are
    /// back, or for keys that moved on, become missed. `nodes` are those of the snapshot. A node that left
    /// and was not admitted, but takes keys all the same because there is no other, has no value that may
    /// be read; `stood` says whether it took keys before.
    pub fn begin(&self, number: u64, nodes: &[Arc<Node>], stood: impl Fn(&Arc<Node>) -> bool) {
        self.number.store(number, Relaxed);
        let old = self.handover.as_ref().map(|handover| &handover.old);
        if let Some(old) = old {
            old.number.store(number, Relaxed);
        }
        for index in self.all_nodes() {
            let node = &nodes[index];
            let is_owner =
                |key: &[u8]| self.pick(key) == index || old.is_some_and(|old| old.pick(key) == index);
            node.missed.sweep(number, is_owner);
            delete_embedded(node);
        }
        if self.settings.rejoin == Rejoin::Trust {
            return;
        }
        for node in self.targets.iter().map(|&index| &nodes[index]) {
            if node.membership.left_at().is_some() && !stood(node) {
                node.forget_items();
            }
        }
    }

    /// Whether it is a pool of the snapshot with this number, and not the old ring of a handover. Only the first snapshot
    /// that workers have is 0.
    #[inline]
    pub fn is_of(&self, number: u64) -> bool {
        !self.is_old && self.number.load(Relaxed) == number
    }

    /// Returns true if the ring has been activated.
    pub fn has_begun(&self) -> bool {
        self.number.load(Relaxed) > 0
    }

    /// Returns the ring of all nodes of `settings`, whether they take keys now or not. `like`: one that may
    /// resemble it.
    pub fn whole_ring(settings: &config::Pool, like: Option<&Ring>) -> Ring {
        let all: Vec<usize> = (0..settings.nodes.len()).collect();
        ring(settings, &all, like)
    }

    /// Returns the node that `key` goes to, as an index into the snapshot's nodes.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> usize {
        self.nodes[self.ring.pick(key)]
    }

    /// Stores in `nodes` those that `keys` go to, as indices into the snapshot's nodes.
    pub fn pick_all(&self, keys: &[&[u8]], nodes: &mut [usize]) {
        self.ring.pick_all(keys, nodes);
        for node in nodes {
            *node = self.nodes[*node];
        }
    }

    /// The pool's own nodes among those of the snapshot.
    pub fn own<'a>(&'a self, nodes: &'a [Arc<Node>]) -> impl Iterator<Item = &'a Arc<Node>> {
        self.nodes.iter().map(|&index| &nodes[index])
    }

    /// Its nodes and those that leave it, as indices into the snapshot's nodes.
    pub fn all_nodes(&self) -> impl Iterator<Item = usize> {
        let leaving = self.handover.iter().flat_map(|handover| &handover.leaving);
        self.nodes.iter().chain(leaving).copied()
    }

    /// The nodes that are not in its ring, or not in the old one, as indices into the snapshot's nodes.
    pub fn outsiders(&self) -> impl Iterator<Item = usize> {
        let old = self.handover.as_ref().map(|handover| &*handover.old);
        let outside = |pool: &Pool| {
            let is_out = |index: &usize| !pool.targets.contains(index);
            pool.nodes.iter().copied().filter(is_out).collect::<Vec<usize>>()
        };
        outside(self).into_iter().chain(old.into_iter().flat_map(outside))
    }

    /// Whether the nodes in the ring are not those that should be, given the snapshot's `nodes`.
    pub fn is_stale(&self, nodes: &[Arc<Node>]) -> bool {
        let own: Vec<&Arc<Node>> = self.own(nodes).collect();
        let active = active(&self.settings, &own);
        let is_old_stale = |handover: &Handover| handover.old.is_stale(nodes);
        !active
            .iter()
            .map(|&member| self.nodes[member])
            .eq(self.targets.iter().copied())
            || self.handover.as_deref().is_some_and(is_old_stale)
    }

    /// Whether more nodes are down than `max_down` allows. Then our own network is the likely cause, and
    /// requests to them are attempted.
    #[cold]
    pub fn fails_open(&self, nodes: &[Arc<Node>]) -> bool {
        let down = self.own(nodes).filter(|node| !node.state().takes_requests());
        down.count() > most_down(&self.settings)
    }

    /// Whether the node of `key` is a Valkey or Redis.
    pub fn is_valkey(&self, key: &[u8]) -> bool {
        self.settings.nodes[self.ring.pick(key)].address.is_valkey()
    }

    /// Returns the primary node of `key`, which has it while all nodes are in the ring, as an index into
    /// the snapshot's nodes.
    pub fn primary(&self, key: &[u8]) -> usize {
        self.nodes[self.whole.as_deref().unwrap_or(&self.ring).pick(key)]
    }
}

fn ring(settings: &config::Pool, active: &[usize], like: Option<&Ring>) -> Ring {
    let members: Vec<Member<'_>> = settings.nodes.iter().map(member).collect();
    Ring::following(like, &settings.distribution, settings.hash_tag, &members, active)
}

fn member(node: &config::Node) -> Member<'_> {
    let (host, port) = match &node.address {
        Address::Tcp { host, port, .. } => (host.as_str(), Some(*port)),
        Address::Unix { path, .. } => (path.to_str().unwrap_or_default(), None),
        Address::Embedded(_) | Address::Undiscovered => (node.name.as_deref().unwrap_or_default(), None),
    };
    Member {
        name: node.name.as_deref(),
        host,
        port,
        weight: node.weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_keys_of_a_node_that_is_out_move_whatever_the_weights() {
        for preset in ["ketama", "twemproxy"] {
            let weights = [3, 2, 5, 4, 10];
            let nodes: Vec<String> = (0..)
                .zip(weights)
                .map(|(n, weight)| format!("{{address: '127.0.0.1:{}', weight: {weight}}}", n + 1))
                .collect();
            let text = format!(
                "pools: {{main: {{distribution: {preset}, nodes: [{}]}}}}",
                nodes.join(", ")
            );
            let settings = config::parse(&text, "test").expect("good").pools["main"].clone();
            let whole = ring(&settings, &[0, 1, 2, 3, 4], None);
            for out in 0..weights.len() {
                let active: Vec<usize> = (0..weights.len()).filter(|&index| index != out).collect();
                let without = ring(&settings, &active, None);
                for number in 0..2000 {
                    let key = format!("key:{number}").into_bytes();
                    let (home, now) = (whole.pick(&key), without.pick(&key));
                    assert!(
                        now != out && (home == out || home == now),
                        "{preset}: {home} became {now}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_pool_compiled_after_another_one_has_the_rings_that_it_has_without_one() {
        let distributions = [
            "ketama",
            "twemproxy",
            "ringway",
            "{kind: maglev}",
            "{kind: jump}",
            "{kind: rendezvous}",
            "dalli",
            "pymemcache",
        ];
        let keys: Vec<Vec<u8>> = (0..500).map(|n| format!("key:{n}").into_bytes()).collect();
        let weighed = |ports: &[u16], weight| {
            let node = |port| match weight {
                1 => format!("'127.0.0.1:{port}'"),
                _ => format!("{{address: '127.0.0.1:{port}', weight: {weight}}}"),
            };
            ports.iter().map(node).collect::<Vec<_>>().join(", ")
        };
        let lists = [
            weighed(&[1, 2, 3, 4], 1),
            weighed(&[1, 2, 3, 4], 1),
            weighed(&[2, 4, 1], 1),
            weighed(&[2, 4, 1, 5, 6], 1),
            weighed(&[2, 4], 2) + ", " + &weighed(&[1, 5, 6], 1),
            weighed(&[9], 1),
            weighed(&[9, 8, 7], 3),
        ];
        let mut before: Option<Pool> = None;
        for (preset, list) in distributions
            .iter()
            .flat_map(|name| lists.iter().map(move |list| (name, list)))
        {
            let text = format!("pools: {{main: {{distribution: {preset}, nodes: [{list}]}}}}");
            let settings = match config::parse(&text, "test") {
                Ok(config) => config.pools["main"].clone(),
                // Some know no weights.
                Err(_) if list.contains("weight") => continue,
                Err(error) => panic!("{error}"),
            };
            let node = |node| Arc::new(Node::new("main", node, &settings.health, 1, &Arc::default()));
            let nodes: Vec<Arc<Node>> = settings.nodes.iter().map(node).collect();
            for out in [None, Some(0), Some(0), Some(nodes.len() - 1), None] {
                for (index, node) in nodes.iter().enumerate() {
                    node.membership.set_drained(out == Some(index));
                }
                let after = Pool::compile("main", &settings, 0, &nodes, before.as_ref());
                let alone = Pool::compile("main", &settings, 0, &nodes, None);
                assert_eq!(after.targets, alone.targets, "{preset}: {list}");
                for key in &keys {
                    let found = (after.pick(key), after.primary(key));
                    let expected = (alone.pick(key), alone.primary(key));
                    assert_eq!(found, expected, "{preset}: {list}, {out:?}");
                }
                before = Some(after);
            }
        }
    }
}
