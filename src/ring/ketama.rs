//! The weighted ketama circle, as libmemcached and twemproxy build it, and its variants in other clients.
//!
//! Each MD5 of `name-0`, `name-1`, … gives four points. A node's number of points follows from its weight
//! in 32-bit floating point, and the rounding is part of the rule: 25 equal nodes get 156 points each, not
//! 160, and a ring computed in 64 bits would send more than two of a hundred keys elsewhere.

use md5::{Digest, Md5};

use super::circle::{Circle, Points, Tie};
use super::names::RingMembers;

/// The number of points libmemcached gives a node of mean weight.
pub(super) const POINTS: u32 = 160;

/// How the number of a node's points is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// By the formula, even if all weights are equal.
    Weighed,
    /// By the formula, except that every node gets exactly `points` if all weights are 1.
    Even,
}

/// Returns the circle of the active `members`, with `points` for each on average.
///
/// If two nodes share a point, `tie` decides whether the first or the last in the peer's order owns it.
/// libmemcached sorts by value and index, so the first owns it. twemproxy sorts its nodes by name and its
/// points by value alone; the first by name wins because glibc's `qsort` is a merge sort.
///
/// The number of points of each member depends on all members, active or not, so that no key of an active
/// one moves.
pub(super) fn circle(members: &RingMembers, points: u32, share: Share, tie: Tie) -> Circle {
    let total = members.total();
    let is_even = share == Share::Even && members.is_unweighted();
    let mut all = Points::default();
    for index in members.active() {
        let words = match is_even {
            true => points / 4,
            false => words_of(members.weights[index], total, members.len(), points),
        };
        all.add(index, values(&members.names[index], words));
    }
    all.close(tie)
}

/// Returns the number of MD5 words, of four points each, for a node of `weight` among `count` nodes.
///
/// Everything is computed in 32-bit floating point and in this order, as in libmemcached's
/// `update_continuum` and twemproxy's `ketama_update`: each step rounds, and so decides whether 40.0 or
/// 39.999998 is rounded down. (Their tiny addend is below the last bit of any result that matters.)
fn words_of(weight: u32, total: u64, count: usize, points: u32) -> u32 {
    let share = weight as f32 / total as f32;
    (share * points as f32 / 4.0 * count as f32 + 0.000_000_000_1).floor() as u32
}

/// Returns the four points of each of `name-0`, `name-1`, … up to `words`.
fn values(name: &str, words: u32) -> impl Iterator<Item = u32> {
    let mut text = format!("{name}-").into_bytes();
    let stem = text.len();
    (0..words).flat_map(move |word| {
        text.truncate(stem);
        text.extend_from_slice(itoa::Buffer::new().format(word).as_bytes());
        let digest: [u8; 16] = Md5::digest(&text).into();
        let words = digest.as_chunks::<4>().0;
        [0, 1, 2, 3].map(|at: usize| u32::from_le_bytes(words[at]))
    })
}

#[cfg(test)]
mod tests {

    fn words_of(weight: u32, total: u64, count: usize) -> u32 {
        super::words_of(weight, total, count, 160)
    }

    #[test]
    fn equal_nodes_get_160_points_but_where_the_rounding_says_156() {
        // Computed with the peers' formula in 32-bit floats.
        let odd: Vec<usize> = (1..=200)
            .filter(|&count| words_of(1, count as u64, count) != 40)
            .collect();
        let expected = [
            25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142, 159, 163, 188, 193, 200,
        ];
        assert_eq!(odd, expected);
        assert!(odd.iter().all(|&count| words_of(1, count as u64, count) == 39));
        assert_eq!(
            (1..=512)
                .filter(|&count| words_of(1, count as u64, count) != 40)
                .count(),
            54
        );
    }

    #[test]
    fn weights_at_their_limits_give_points_in_proportion() {
        let most = u32::MAX;
        assert_eq!(words_of(1, 1, 1), 40);
        assert_eq!(words_of(most, u64::from(most) * 1000, 1000), 40);
        assert_eq!(words_of(most, u64::from(most) + 1, 2), 80);
        assert_eq!(words_of(1, u64::from(most) + 1, 2), 0);
        assert_eq!(words_of(0, 0, 2), 0);
    }
}
