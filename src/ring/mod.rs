//! Chooses the node of a key.
//!
//! A [`Ring`] is built once for a pool and answers [`Ring::pick`] without a lock and without allocating. It
//! does not know health: nodes that must not be picked are left out when it is built.
//!
//! A [`Distribution`] says which client's or proxy's rules apply. Those rules are reproduced exactly,
//! accidents included: a fleet that moves here keeps a warm cache only if *every* key stays on its node.
//!
//! ```text
//! key ─▶ hash_input: the hashed part ─▶ hashes: a number ─▶ circle, jump, modula, …: the node that owns the number
//!                                                           └ it is out ─▶ fallback: another one
//!
//! distribution: presets by name, and their changes ─▶ which hash, which names, which kind of ring
//! ```
//!
//! | kind of ring | file | a key whose node is out |
//! |---|---|---|
//! | circles | ketama, consistent | goes to the next point of an active node |
//! | scores of each node, or slots assigned by score | scores, rendezvous, slots | goes to the node with the next best score |
//! | slots in turns | maglev | goes to the slot's fallback node, chosen by score |
//! | numbers | jump, modula, furc | goes to a fallback node, by score or by the peer's rehash rule: fallback |

mod circle;
pub mod compare;
mod consistent;
mod distribution;
mod fallback;
mod furc;
mod hash_input;
mod hashes;
mod jump;
mod ketama;
mod maglev;
mod modula;
mod names;
mod presets;
mod rendezvous;
mod scores;
mod slots;
mod tag;

pub use distribution::{Distribution, Part};
pub use hashes::Hash;
pub use names::Naming;

use circle::{Circle, Tie};
use fallback::{FallbackNodes, RehashRule};
use hash_input::HashInput;
use ketama::Share;
use maglev::Maglev;
use modula::Modula;
use names::RingMembers;
use presets::{PresetKind, Rules};
use scores::{Mcrouter, Pymemcache};
use slots::SlotTable;

/// A node as the ring sees it.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The operator's name for the node, if any: the ring hashes it under every preset.
    pub name: Option<&'a str>,
    /// Host (an IPv6 address without brackets), path of a unix socket, or the name of an embedded node.
    pub host: &'a str,
    /// Port; `None` for unix sockets and embedded nodes.
    pub port: Option<u16>,
    /// The node's share, at least 1. Ignored if the distribution is unweighted.
    pub weight: u32,
}

/// A pool's ring.
#[derive(Debug, Clone)]
pub struct Ring {
    hash: Hash,
    seed: u64,
    hash_input: HashInput,
    placement: Placement,
    /// The fallback nodes, in rings that number their nodes, if any node is out.
    fallback: Option<Box<FallbackNodes>>,
}

/// How a key or its hash is mapped to a member.
#[derive(Debug, Clone)]
enum Placement {
    /// Points on a circle.
    Circle(Circle),
    /// One member takes all keys: nothing is hashed.
    Only(usize),
    /// Points on a circle, complemented: dalli's.
    Turned(Circle),
    Slots(SlotTable),
    Maglev(Maglev),
    /// Jump consistent hash with this number of buckets.
    Jump(usize),
    Modula(Modula),
    /// Furc with this number of leaves.
    Furc(usize),
    /// Furc, with the share of 2³² keys that each leaf accepts.
    WeightedFurc(Box<[u32]>),
    Mcrouter(Mcrouter),
    WeightedMcrouter(Mcrouter),
    Pymemcache(Pymemcache),
}

impl Placement {
    fn slots(&self) -> Option<&SlotTable> {
        match self {
            Placement::Slots(slots) => Some(slots),
            _ => None,
        }
    }
}

impl Ring {
    /// Builds the ring of `members`, which must not be empty.
    ///
    /// `hash_tag` holds the two bytes around the hashed part of a key, see [`Ring::hash`]. A member too
    /// light to get a point gets no key. 1000 members take some ten milliseconds, and those of rendezvous some eighty.
    pub fn build(distribution: &Distribution, hash_tag: Option<[u8; 2]>, members: &[Member<'_>]) -> Ring {
        let all: Vec<usize> = (0..members.len()).collect();
        Ring::among(distribution, hash_tag, members, &all)
    }

    /// Builds the ring of `members` in which only those with an index in `active`, which must not be empty,
    /// take keys. The keys of the other members go to active ones, and no key of an active member moves,
    /// whatever the weights.
    pub fn among(
        distribution: &Distribution,
        hash_tag: Option<[u8; 2]>,
        members: &[Member<'_>],
        active: &[usize],
    ) -> Ring {
        Ring::following(None, distribution, hash_tag, members, active)
    }

    /// Builds the ring that [`Ring::among`] builds, with less work if `previous` has most of its nodes: slots that are
    /// assigned by score change only as far as nodes do. It may be of other nodes and of another distribution.
    pub fn following(
        previous: Option<&Ring>,
        distribution: &Distribution,
        hash_tag: Option<[u8; 2]>,
        members: &[Member<'_>],
        active: &[usize],
    ) -> Ring {
        let rules = &distribution.rules;
        let members = RingMembers::new(rules.naming, rules.weighs, members, active);
        let (placement, rehash_rule) = match *active {
            [only] => (Placement::Only(only), None),
            _ => {
                let previous = previous.map(|previous| &previous.placement);
                placement(rules, &members, distribution.full_weight(), previous)
            }
        };
        Ring {
            hash: rules.hash,
            seed: distribution.seed_number(),
            hash_input: distribution.hash_input(hash_tag),
            placement,
            fallback: rehash_rule
                .and_then(|rehash_rule| FallbackNodes::of(&members, rehash_rule))
                .map(Box::new),
        }
    }

    /// Returns the index among the members of the node that owns `key`.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> usize {
        if let Placement::Only(member) = self.placement {
            return member;
        }
        self.hash_input.read(key, |key| self.place(key))
    }

    /// Whether one digest of a key gives its owners in this ring and in `other`.
    pub fn shares_digests(&self, other: &Ring) -> bool {
        self.hashes_like(other) && self.takes_digests() && other.takes_digests()
    }

    /// Whether both rings hash a key to the same number.
    fn hashes_like(&self, other: &Ring) -> bool {
        self.hash == other.hash && self.seed == other.seed && self.hash_input == other.hash_input
    }

    /// Returns the indices of the nodes that own `key` in this ring and in `other`, which share digests.
    #[inline]
    pub fn pick_in_both(&self, other: &Ring, key: &[u8]) -> (usize, usize) {
        let digest = self.hash_input.read(key, |key| self.digest(key));
        (self.owner(digest), other.owner(digest))
    }

    /// Stores in `members` the index of the node that owns each of `keys`.
    pub fn pick_all(&self, keys: &[&[u8]], members: &mut [usize]) {
        for (keys, members) in keys.chunks(8).zip(members.chunks_mut(8)) {
            match (self.digests_of_eight(keys), &self.placement) {
                (Some(digests), Placement::Circle(circle)) => {
                    let owners = digests.map(|digest| circle.owner(digest));
                    members.copy_from_slice(&owners[..keys.len()]);
                }
                _ => members
                    .iter_mut()
                    .zip(keys)
                    .for_each(|(member, key)| *member = self.pick(key)),
            }
        }
    }

    /// Stores in `members` what [`Ring::pick_in_both`] returns for each of `keys`, at most eight.
    pub fn pick_eight_in_both(&self, other: &Ring, keys: &[&[u8]], members: &mut [(usize, usize)]) {
        let members = members.iter_mut();
        match self.digests_of_eight(keys) {
            Some(digests) => members.zip(digests).for_each(|(owners, digest)| {
                *owners = (self.owner(digest.into()), other.owner(digest.into()));
            }),
            None => members
                .zip(keys)
                .for_each(|(owners, key)| *owners = self.pick_in_both(other, key)),
        }
    }

    /// Returns the digests of `keys`, at most eight, if this is a circle and that takes less work than one after the
    /// other.
    #[inline]
    fn digests_of_eight(&self, keys: &[&[u8]]) -> Option<[u32; 8]> {
        // Of fewer, each takes about as much by itself.
        let is_circle = matches!(self.placement, Placement::Circle(_));
        if !is_circle || self.hash_input.more.is_some() || keys.len() < 3 {
            return None;
        }
        let eight =
            std::array::from_fn(|index| self.hash_input.hashed_part(keys.get(index).unwrap_or(&keys[0])));
        self.hash.of_eight(eight)
    }

    /// Returns the number by which `key` is placed, for display. (A ring of one member does not compute
    /// it.)
    ///
    /// If the ring has a hash tag and the key has something between its first opening byte and the first
    /// closing byte after that, only that part is hashed.
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hash_input.read(key, |key| match &self.placement {
            Placement::Furc(_) | Placement::WeightedFurc(_) => hashes::murmur64a(key, furc::SEED),
            Placement::Mcrouter(_) | Placement::WeightedMcrouter(_) => Mcrouter::hash(key),
            Placement::Pymemcache(nodes) => u64::from(nodes.best(key).0),
            Placement::Circle(_) | Placement::Turned(_) => self.digest(key) & u64::from(u32::MAX),
            _ => self.digest(key),
        })
    }

    /// Returns the hashed part of `key`, without the salt.
    pub fn hashed_part<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        self.hash_input.hashed_part(key)
    }

    /// False if one member takes all keys.
    pub fn is_hashed(&self) -> bool {
        !matches!(self.placement, Placement::Only(_))
    }

    /// The name of the function behind [`Ring::hash`].
    pub fn hash_name(&self) -> &'static str {
        match &self.placement {
            Placement::Furc(_)
            | Placement::WeightedFurc(_)
            | Placement::Mcrouter(_)
            | Placement::WeightedMcrouter(_) => "murmur64a",
            Placement::Pymemcache(_) => "murmur3",
            _ => self.hash.name(),
        }
    }

    /// Returns the point on the circle that owns `key`; `None` if the ring has no points.
    pub fn point(&self, key: &[u8]) -> Option<u32> {
        self.hash_input.read(key, |key| match &self.placement {
            Placement::Circle(circle) => Some(circle.point(self.digest(key) as u32)),
            Placement::Turned(circle) => Some(!circle.point(!(self.digest(key) as u32))),
            _ => None,
        })
    }

    #[inline]
    fn digest(&self, key: &[u8]) -> u64 {
        self.hash.seeded(key, self.seed)
    }

    /// Whether [`Ring::owner`] says where a key goes.
    fn takes_digests(&self) -> bool {
        use Placement::{Circle, Maglev, Only, Slots};
        matches!(self.placement, Circle(_) | Only(_) | Slots(_) | Maglev(_))
    }

    /// Maps the digest of a key to a member.
    #[inline]
    fn owner(&self, digest: u64) -> usize {
        match &self.placement {
            Placement::Circle(circle) => circle.owner(digest as u32),
            Placement::Only(member) => *member,
            Placement::Slots(slots) => slots.owner(digest),
            Placement::Maglev(maglev) => maglev.owner(digest),
            _ => unreachable!("these hash in other ways, or again"),
        }
    }

    /// Maps a hash input to a member.
    #[inline]
    fn place(&self, key: &[u8]) -> usize {
        let primary = match &self.placement {
            Placement::Mcrouter(nodes) => return nodes.owner(Mcrouter::hash(key)),
            Placement::WeightedMcrouter(nodes) => return nodes.weighted_owner(Mcrouter::hash(key)),
            Placement::Pymemcache(nodes) => return nodes.best(key).1,
            Placement::Furc(count) => furc::furc(key, *count),
            Placement::WeightedFurc(shares) => furc::weighted(key, shares),
            Placement::Turned(_) | Placement::Jump(_) | Placement::Modula(_) => {
                self.numbered(self.digest(key))
            }
            _ => return self.owner(self.digest(key)),
        };
        match &self.fallback {
            None => primary,
            Some(others) => others.instead(primary, key, self.hash, |hash| self.numbered(hash)),
        }
    }

    /// Maps `hash` to a member in rings with fallback nodes.
    #[inline]
    fn numbered(&self, hash: u64) -> usize {
        match &self.placement {
            Placement::Turned(circle) => circle.owner(!(hash as u32)),
            Placement::Jump(count) => jump::jump(hash, *count),
            Placement::Modula(modula) => modula.owner(hash),
            _ => unreachable!("only these hash again"),
        }
    }
}

/// Builds the placement for `rules`, which follows `previous`; if it keeps nodes that are out, also returns its rehash
/// rule.
fn placement(
    rules: &Rules,
    members: &RingMembers,
    full_weight: Option<u32>,
    previous: Option<&Placement>,
) -> (Placement, Option<RehashRule>) {
    let Rules { hash, points, .. } = *rules;
    let full = full_weight.or(members.weights.iter().copied().max()).unwrap_or(1);
    let ketama = |share, tie| Placement::Circle(ketama::circle(members, points, share, tie));
    let by_hash = |hash, tie| Placement::Circle(consistent::circle(members, hash, points, tie));
    let consistent = |tie| by_hash(hash, tie);
    let placement = match rules.kind {
        PresetKind::Ketama(share) => ketama(share, Tie::First),
        PresetKind::Consistent => consistent(Tie::First),
        // proxy_ring_hash.c: `hash = mcp.dist_ring_hash.hash` changes the hash of keys and not that of points.
        PresetKind::MemcachedProxyRing => by_hash(Hash::Xxh3, Tie::First),
        PresetKind::LibmemcachedConsistent if members.is_unweighted() => consistent(Tie::First),
        PresetKind::LibmemcachedConsistent => Placement::Circle(ketama::circle(
            members,
            ketama::POINTS,
            Share::Weighed,
            Tie::First,
        )),
        PresetKind::Spymemcached if hash != Hash::Md5 && members.is_unweighted() => consistent(Tie::Last),
        PresetKind::Spymemcached => ketama(Share::Even, Tie::Last),
        PresetKind::Rendezvous => {
            let previous = previous.and_then(Placement::slots);
            Placement::Slots(SlotTable::build(members, previous))
        }
        PresetKind::Maglev => Placement::Maglev(Maglev::build(members)),
        PresetKind::McrouterRendezvous => Placement::Mcrouter(Mcrouter::build(members, full)),
        PresetKind::McrouterWeightedRendezvous => Placement::WeightedMcrouter(Mcrouter::build(members, full)),
        PresetKind::Pymemcache => Placement::Pymemcache(Pymemcache::build(members)),
        PresetKind::Dalli => {
            let circle = consistent::turned_circle_of_dalli(members, points);
            return (Placement::Turned(circle), Some(RehashRule::Dalli));
        }
        PresetKind::PythonMemcached => {
            return (
                Placement::Modula(Modula::build(members)),
                Some(RehashRule::Python),
            );
        }
        PresetKind::Modula => return (Placement::Modula(Modula::build(members)), Some(RehashRule::Never)),
        PresetKind::Jump => return (Placement::Jump(members.len()), Some(RehashRule::Never)),
        PresetKind::Furc => return (Placement::Furc(members.len()), Some(RehashRule::Never)),
        PresetKind::WeightedFurc => {
            let shares = members
                .weights
                .iter()
                .map(|&weight| furc::share(weight, full))
                .collect();
            return (Placement::WeightedFurc(shares), Some(RehashRule::Never));
        }
    };
    (placement, None)
}
