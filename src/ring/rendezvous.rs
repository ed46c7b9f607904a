//! Weighted rendezvous: each node has a score for each hash, and the node with the highest score owns it.
//!
//! When a node comes or goes, only the hashes that it gains or loses move, and shares match weights
//! exactly. A look-up asks every node; [`super::slots`] does it ahead of time.

use xxhash_rust::xxh3::xxh3_64;

use super::names::RingMembers;

/// Nodes that compete by score.
#[derive(Debug, Clone)]
pub(super) struct Rendezvous {
    /// Nodes grouped by weight, the lightest first: within a group the highest number wins, so only the winners need
    /// weighing.
    groups: Box<[Box<[Contender]>]>,
}

/// A node that competes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contender {
    /// The hash of its name.
    pub(super) name: u64,
    /// Its weight.
    pub(super) weight: u32,
    /// Its index among the members.
    pub(super) index: u32,
}

impl Contender {
    /// Returns its score among nodes of its weight, for a hash that was mixed. Between equal ones the index decides.
    #[inline]
    fn score(&self, mixed_hash: u64) -> (u64, u32) {
        (mixed(self.name ^ mixed_hash), self.index)
    }

    /// Returns its score among nodes of any weight, from that among nodes of its weight.
    fn weighed(&self, score: u64) -> f64 {
        // Uniform in ]0, 1[: a float holds 53 of the 64 bits.
        let even = ((score >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        f64::from(self.weight) / -even.ln()
    }
}

impl Rendezvous {
    /// Groups the active `members`.
    pub(super) fn among(members: &RingMembers) -> Rendezvous {
        let contender = |index: usize| Contender {
            name: xxh3_64(members.names[index].as_bytes()),
            weight: members.weights[index],
            index: index as u32,
        };
        Rendezvous::of(members.active().map(contender).collect())
    }

    /// Groups `contenders`.
    pub(super) fn of(mut contenders: Vec<Contender>) -> Rendezvous {
        contenders.sort_by_key(|node| node.weight);
        let groups = contenders.chunk_by(|a, b| a.weight == b.weight);
        Rendezvous {
            groups: groups.map(Into::into).collect(),
        }
    }

    /// The nodes, in no particular order.
    pub(super) fn contenders(&self) -> impl Iterator<Item = &Contender> {
        self.groups.iter().flatten()
    }

    /// Returns the index of the member with the highest score for `hash`. There must be one.
    pub(super) fn highest(&self, hash: u64) -> usize {
        let hash = mixed(hash);
        if let [only] = &*self.groups {
            return winner(only, hash).0.index as usize;
        }
        let winners = self.groups.iter().map(|group| winner(group, hash));
        let weighed = winners.map(|(node, score)| (node.weighed(score), node.index));
        // Of equal ones the heaviest, which is the last.
        let highest = weighed.max_by(|a, b| a.0.total_cmp(&b.0));
        highest.expect("there is a node").1 as usize
    }

    /// Returns the index of the member with the highest score for `hash`, if `other` competes too.
    pub(super) fn highest_with(&self, hash: u64, other: &Contender) -> usize {
        let hash = mixed(hash);
        let mut best = (other, other.score(hash).0);
        for group in &self.groups {
            let rival = winner(group, hash);
            if is_higher(rival, best) {
                best = rival;
            }
        }
        best.0.index as usize
    }
}

/// Returns the node of `group`, all of one weight, with the highest score for a hash that was mixed, and the score.
fn winner(group: &[Contender], mixed_hash: u64) -> (&Contender, u64) {
    let (first, others) = group.split_first().expect("a group has a node");
    let (mut best, mut score) = (first, first.score(mixed_hash));
    for node in others {
        // Most nodes lose by their upper bits, so that their score need not be finished.
        if product(node.name ^ mixed_hash) >= upper_bits(score.0) {
            let rival = node.score(mixed_hash);
            if rival > score {
                (best, score) = (node, rival);
            }
        }
    }
    (best, score.0)
}

/// Whether the first node with its score wins over the second one.
fn is_higher(one: (&Contender, u64), other: (&Contender, u64)) -> bool {
    if one.0.weight == other.0.weight {
        return (one.1, one.0.index) > (other.1, other.0.index);
    }
    let [weighed, others] = [one, other].map(|(node, score)| node.weighed(score));
    weighed
        .total_cmp(&others)
        .then(one.0.weight.cmp(&other.0.weight))
        .is_gt()
}

/// Mixes the bits of `hash` so that each influences all others: SplitMix64's last steps.
#[inline]
pub(super) fn mixed(hash: u64) -> u64 {
    let product = product(hash);
    product ^ product >> 31
}

/// Takes all steps of [`mixed`] but the last.
#[inline]
fn product(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Returns the bits of a mixed number that its [`product`] has too; the others are 0.
#[inline]
fn upper_bits(mixed: u64) -> u64 {
    mixed >> 33 << 33
}
