//! Estimates the share of keys that move from one node to another if a ring replaces an older one.
//!
//! If both are circles that hash a key alike, the answer is exact: between two neighbouring points of the
//! two circles, each ring has one owner, and the length of the arc is its share of all keys. So it is if both
//! assign the same slots. Otherwise keys are sampled.
//!
//! If the rings have different hash tags, or different stops, how many keys move depends on the keys: those without a tag
//! may stay where those with one move. The sampled keys then have both tags and both stops, and their share is as a
//! rule the largest that may move.

use std::collections::HashMap;

use super::slots::SLOTS;
use super::{Hash, Placement, Ring};

/// The number of sampled keys: shares are accurate to about a third of a percent.
pub const DRAWN: u32 = 100_000;

/// Where the keys of each member of an older ring go in a newer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Movement {
    /// False if keys were sampled.
    pub is_exact: bool,
    /// Whether the rings hash different parts of a key, so that these shares are those of keys with both hash tags, and
    /// fewer may move, as a rule.
    pub is_at_most: bool,
    /// The share of all keys, from 0 to 1, by the index of the old member and of the new one. Includes keys
    /// that stay.
    pub shares: HashMap<(usize, usize), f64>,
}

/// Returns where the keys of `old` go in `new`.
pub fn movement(old: &Ring, new: &Ring) -> Movement {
    if let Some((old, new)) = arcs(old, new) {
        return exact(old, new);
    }
    if let Some(counts) = slots(old, new) {
        return Movement {
            is_exact: true,
            is_at_most: false,
            shares: shares_of(counts, SLOTS as f64),
        };
    }
    let marks = old.hash_input.differing_marks(&new.hash_input);
    let mut counts: HashMap<(usize, usize), u32> = HashMap::new();
    for number in 0..DRAWN {
        let key = sampled(number, &marks);
        let pair = (old.pick(&key), new.pick(&key));
        *counts.entry(pair).or_default() += 1;
    }
    Movement {
        is_exact: false,
        is_at_most: !marks.is_empty(),
        shares: shares_of(counts, f64::from(DRAWN)),
    }
}

/// Returns the sampled key of this `number`: `marks`, with a part of its own before each and behind the last.
fn sampled(number: u32, marks: &[&[u8]]) -> Vec<u8> {
    let part = |index: u32| format!("{:016x}", mixed(u64::from(index) << 32 | u64::from(number)));
    let mut key = part(0).into_bytes();
    for (index, mark) in (1..).zip(marks) {
        key.extend_from_slice(mark);
        key.extend(part(index).bytes());
    }
    key
}

fn shares_of(counts: HashMap<(usize, usize), u32>, all: f64) -> HashMap<(usize, usize), f64> {
    let counts = counts.into_iter();
    counts
        .map(|(pair, count)| (pair, f64::from(count) / all))
        .collect()
}

/// Returns the number of slots by their old and new owner; `None` if the rings do not assign the same slots, or keys do
/// not spread evenly over them.
fn slots(old: &Ring, new: &Ring) -> Option<HashMap<(usize, usize), u32>> {
    // Numbers of 32 bits, once mixed, fill slots by chance.
    let is_full = |ring: &Ring| !ring.is_hashed() || ring.hash == Hash::Xxh3;
    if !is_full(old) || !is_full(new) {
        return None;
    }
    match (&old.placement, &new.placement) {
        (Placement::Slots(from), Placement::Slots(to)) if old.hashes_like(new) => Some(from.moves(to)),
        (&Placement::Only(from), Placement::Slots(new)) => {
            let owners = new.moves(new).into_iter();
            Some(owners.map(|((to, _), count)| ((from, to), count)).collect())
        }
        (Placement::Slots(old), &Placement::Only(to)) => {
            let owners = old.moves(old).into_iter();
            Some(owners.map(|((from, _), count)| ((from, to), count)).collect())
        }
        _ => None,
    }
}

/// The share of all keys that each member takes, from 0 to 1; those that take none are missing.
pub fn shares(ring: &Ring) -> HashMap<usize, f64> {
    let stay = movement(ring, ring).shares;
    stay.into_iter()
        .map(|((member, _), share)| (member, share))
        .collect()
}

/// Upper ends of arcs with their owners, sorted; the last one ends the circle.
type Arcs = Vec<(u32, usize)>;

/// Returns both rings as arcs of the same circle; `None` if they are not.
fn arcs(old: &Ring, new: &Ring) -> Option<(Arcs, Arcs)> {
    match (&old.placement, &new.placement) {
        (Placement::Only(_), Placement::Only(_)) => {}
        (Placement::Only(_), _) if is_even(new.hash) => {}
        (_, Placement::Only(_)) if is_even(old.hash) => {}
        (Placement::Circle(_), Placement::Circle(_)) | (Placement::Turned(_), Placement::Turned(_))
            if old.hashes_like(new) && is_even(old.hash) => {}
        _ => return None,
    }
    Some((of(&old.placement)?, of(&new.placement)?))
}

fn of(placement: &Placement) -> Option<Arcs> {
    match placement {
        Placement::Only(member) => Some(vec![(u32::MAX, *member)]),
        Placement::Circle(circle) | Placement::Turned(circle) => Some(circle.arcs().collect()),
        _ => None,
    }
}

/// Whether the hash spreads keys evenly over the circle, so that the length of an arc is its share.
fn is_even(hash: Hash) -> bool {
    !matches!(hash, Hash::Crc16 | Hash::Crc32 | Hash::Crc32Of31Bits | Hash::Java)
}

fn exact(old: Arcs, new: Arcs) -> Movement {
    let mut lengths: HashMap<(usize, usize), u64> = HashMap::new();
    let (mut at, mut begin) = ([0, 0], 0_u64);
    while at[0] < old.len() && at[1] < new.len() {
        let ends = [old[at[0]].0, new[at[1]].0];
        let end = u64::from(ends[0].min(ends[1])) + 1;
        *lengths.entry((old[at[0]].1, new[at[1]].1)).or_default() += end - begin;
        begin = end;
        for side in 0..2 {
            at[side] += usize::from(u64::from(ends[side]) + 1 == end);
        }
    }
    let whole = 2_f64.powi(32);
    let shares = lengths.into_iter().filter(|(_, length)| *length > 0);
    Movement {
        is_exact: true,
        is_at_most: false,
        shares: shares
            .map(|(pair, length)| (pair, length as f64 / whole))
            .collect(),
    }
}

/// Returns numbers without a pattern, as keys that resemble no real ones (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::{Distribution, Member};
    use super::*;

    fn ring(hosts: &[&str], distribution: &Distribution) -> Ring {
        let members: Vec<Member<'_>> = hosts
            .iter()
            .map(|host| Member {
                name: None,
                host,
                port: Some(11211),
                weight: 1,
            })
            .collect();
        Ring::build(distribution, None, &members)
    }

    fn drawn(old: &Ring, new: &Ring) -> HashMap<(usize, usize), f64> {
        let mut shares = HashMap::new();
        const COUNT: u32 = 20_000;
        for number in 0..COUNT {
            let key = format!("{:016x}", mixed(u64::from(number) + 1_000_000));
            let pair = (old.pick(key.as_bytes()), new.pick(key.as_bytes()));
            *shares.entry(pair).or_default() += 1.0 / f64::from(COUNT);
        }
        shares
    }

    #[test]
    fn what_is_exact_is_what_keys_do() {
        let presets = [
            "ketama",
            "twemproxy",
            "libmemcached-consistent",
            "spymemcached",
            "dalli",
            "memcached-proxy-ring",
            "ringway",
        ];
        let pairs = [
            (&["a", "b", "c"][..], &["a", "b", "c", "d"][..]),
            (&["a", "b", "c", "d"], &["d", "a", "b"]),
            (&["a"], &["a", "b"]),
            (&["a", "b"], &["b"]),
            (&["a", "b"], &["x", "y", "z"]),
        ];
        for (preset, (old, new)) in presets.iter().flat_map(|preset| pairs.map(|pair| (preset, pair))) {
            let distribution = Distribution::preset(preset).expect("known");
            let (old, new) = (ring(old, &distribution), ring(new, &distribution));
            let movement = movement(&old, &new);
            assert!(movement.is_exact, "{preset}");
            let sum: f64 = movement.shares.values().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{preset}: {sum}");
            let drawn = drawn(&old, &new);
            for (pair, share) in &movement.shares {
                let seen = drawn.get(pair).copied().unwrap_or_default();
                assert!(
                    (seen - share).abs() < 0.02,
                    "{preset}, {pair:?}: {share} and {seen}"
                );
            }
            assert!(drawn.keys().all(|pair| movement.shares.contains_key(pair)));
        }
    }

    #[test]
    fn the_same_ring_moves_nothing() {
        let ring = ring(&["a", "b", "c"], &Distribution::default());
        let movement = movement(&ring, &ring);
        assert!(movement.shares.keys().all(|(old, new)| old == new));
    }

    #[test]
    fn another_tag_or_stop_moves_the_keys_that_have_one() {
        let tagged = |tag: Option<&[u8; 2]>, stop: &str| {
            let members = ["a", "b"].map(|host| Member {
                name: None,
                host,
                port: Some(11211),
                weight: 1,
            });
            let distribution = Distribution::default().with_hash_stop(stop);
            Ring::build(&distribution, tag.copied(), &members)
        };
        let cases = [
            (tagged(None, ""), tagged(Some(b"{}"), "")),
            (tagged(Some(b"{}"), ""), tagged(None, "")),
            (tagged(Some(b"{}"), ""), tagged(Some(b"[]"), "")),
            (tagged(Some(b"{}"), ""), tagged(Some(b"{)"), "")),
            (tagged(Some(b"$$"), ""), tagged(Some(b"$#"), "")),
            (tagged(None, ""), tagged(None, "|#|")),
            (tagged(None, "|#|"), tagged(None, "||")),
            (tagged(Some(b"{}"), ""), tagged(Some(b"{}"), "|#|")),
            (tagged(Some(b"{}"), ""), tagged(None, "|#|")),
        ];
        for (old, new) in &cases {
            let movement = movement(old, new);
            assert!(movement.is_at_most && !movement.is_exact);
            let moves = movement.shares.iter().filter(|((from, to), _)| from != to);
            let moved: f64 = moves.map(|(_, share)| share).sum();
            assert!(
                (0.4..0.6).contains(&moved),
                "{:?} {:?}: {moved}",
                old.hash_input,
                new.hash_input
            );
        }
        let same = movement(&cases[0].1, &cases[1].0);
        assert!(same.is_exact && !same.is_at_most);
    }

    #[test]
    fn keys_are_drawn_where_hashes_differ_or_do_not_fill_the_circle() {
        let ketama = Distribution::default();
        let hosts = ["a", "b", "c"];
        let other = ring(&hosts, &ketama.clone().with_hash(Hash::Murmur));
        let murmur = movement(&ring(&hosts, &ketama), &other);
        assert!(!murmur.is_exact);
        let stays: f64 = murmur
            .shares
            .iter()
            .filter(|((old, new), _)| old == new)
            .map(|(_, share)| share)
            .sum();
        assert!((0.2..0.5).contains(&stays), "two thirds move: {stays}");
        // crc32 leaves 15 bits, which all fall to very few points.
        let narrow = |hosts: &[&str]| ring(hosts, &ketama.clone().with_hash(Hash::Crc32));
        assert!(!movement(&narrow(&hosts), &narrow(&["a", "b"])).is_exact);
        assert!(!movement(&narrow(&["a"]), &narrow(&["a", "b"])).is_exact);
        let slots = Distribution::preset("ringway")
            .expect("known")
            .with_hash(Hash::Md5);
        assert!(!movement(&ring(&hosts, &slots), &ring(&["a", "b"], &slots)).is_exact);
    }
}
