//! The weighted ketama circle, as libmemcached and twemproxy build it: points of nodes on a circle of 32
//! bits; the first point at or after a key's hash owns the key, and after the last comes the first.
//!
//! Each MD5 of `name-0`, `name-1`, … gives four points. How many a node gets follows from its weight in
//! 32-bit floating point, and the rounding is part of the rule: 25 equal nodes get 156 points each, not
//! 160, and a ring computed in 64 bits would send more than two of a hundred keys elsewhere.
//!
//! ```text
//! hash ─▶ first[hash >> shift] ─▶ points[i], points[i+1], … the first one not below the hash
//! ```
//!
//! About one point falls to each entry of `first`, so that a look-up takes a step or two, whatever the
//! number of nodes.

use md5::{Digest, Md5};

use super::Member;
use super::names::Naming;

/// The points and an index over them.
#[derive(Debug)]
pub(super) struct Continuum {
    /// Sorted by value. The last one is no point of any node but the first one's owner again, at the
    /// highest value there is: no hash is above it, so every search ends, and ends rightly.
    points: Box<[Point]>,
    /// For each value of a hash's upper bits, where the first point with these bits or more is.
    first: Box<[u32]>,
    /// How many lower bits `first` leaves out, less than 32.
    shift: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    value: u32,
    owner: u32,
}

impl Continuum {
    /// The circle of `members`, named by `naming`.
    ///
    /// Where two nodes share a point, the one that the peer keeps first owns it. libmemcached sorts by
    /// value and index, so that is its rule. twemproxy sorts its nodes by name and its points by value
    /// alone; that the first by name wins is what glibc's `qsort`, a merge sort, makes of it.
    ///
    /// Only the points of the members in `standing` are on it. How many points each has comes of all members, so
    /// that a key of one that stands stays there.
    pub(super) fn build(naming: Naming, members: &[Member<'_>], standing: &[usize]) -> Continuum {
        let names: Vec<String> = members.iter().map(|member| naming.name(member)).collect();
        let order = naming.order(&names);
        let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();

        // Value above rank, in one number: sorted at once.
        let mut ranked: Vec<u64> = Vec::with_capacity(members.len() * 160);
        let mut stands = vec![false; members.len()];
        standing.iter().for_each(|&index| stands[index] = true);
        for (rank, &index) in order.iter().enumerate().filter(|&(_, &index)| stands[index]) {
            let words = words_of(members[index].weight, total, members.len());
            each_value(&names[index], words, |value| {
                ranked.push(u64::from(value) << 32 | rank as u64)
            });
        }
        ranked.sort_unstable();

        let mut points: Vec<Point> = ranked
            .iter()
            .map(|&point| Point {
                value: (point >> 32) as u32,
                owner: order[point as u32 as usize] as u32,
            })
            .collect();
        if points.is_empty() {
            // All that stand are too light for a point.
            points.push(Point {
                value: u32::MAX,
                owner: standing[0] as u32,
            });
        }
        Continuum::of(points)
    }

    /// The index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u32) -> usize {
        let mut at = self.first[(hash >> self.shift) as usize] as usize;
        // Two steps without a branch are enough most of the time.
        at += usize::from(self.points[at].value < hash);
        at += usize::from(self.points[at].value < hash);
        while self.points[at].value < hash {
            at += 1;
        }
        self.points[at].owner as usize
    }

    /// `points` are sorted by value.
    fn of(mut points: Vec<Point>) -> Continuum {
        let buckets = points.len().next_power_of_two().max(2);
        let shift = 32 - buckets.trailing_zeros();
        let bucket_of = |point: &Point| (point.value >> shift) as usize;

        let mut first = Vec::with_capacity(buckets);
        for (at, point) in points.iter().enumerate() {
            first.resize(first.len().max(bucket_of(point) + 1), at as u32);
        }
        first.resize(buckets, points.len() as u32);

        points.push(Point {
            value: u32::MAX,
            owner: points.first().map_or(0, |point| point.owner),
        });
        Continuum {
            points: points.into(),
            first: first.into(),
            shift,
        }
    }
}

/// How many MD5 words, of four points each, a node of `weight` among `count` nodes gets.
///
/// All of it in 32-bit floating point and in this order, as in libmemcached's `update_continuum` and
/// twemproxy's `ketama_update`: each step rounds, and so decides whether 40.0 or 39.999998 is rounded
/// down. (Their tiny addend is below the last bit of any result that matters.)
fn words_of(weight: u32, total: u64, count: usize) -> u32 {
    let share = weight as f32 / total as f32;
    (share * 160.0 / 4.0 * count as f32 + 0.000_000_000_1).floor() as u32
}

/// Calls `take` with the four points of each of `name-0`, `name-1`, … up to `words`.
fn each_value(name: &str, words: u32, mut take: impl FnMut(u32)) {
    let mut text = format!("{name}-").into_bytes();
    let stem = text.len();
    for word in 0..words {
        text.truncate(stem);
        text.extend_from_slice(itoa::Buffer::new().format(word).as_bytes());
        let digest: [u8; 16] = Md5::digest(&text).into();
        for four in digest.as_chunks::<4>().0 {
            take(u32::from_le_bytes(*four));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuum(points: &[(u32, u32)]) -> Continuum {
        Continuum::of(
            points
                .iter()
                .map(|&(value, owner)| Point { value, owner })
                .collect(),
        )
    }

    #[test]
    fn equal_nodes_get_160_points_but_where_the_rounding_says_156() {
        // Counted with the peers' formula in 32-bit floats.
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

    #[test]
    fn the_first_point_at_or_after_the_hash_owns_it_and_past_the_last_comes_the_first() {
        let circle = continuum(&[(10, 0), (20, 1), (20, 2), (0x8000_0000, 3), (0xffff_fff0, 4)]);
        let cases = [
            (0, 0),
            (10, 0),
            (11, 1),
            (20, 1),
            (21, 3),
            (0x8000_0000, 3),
            (0x8000_0001, 4),
            (0xffff_fff0, 4),
            (0xffff_fff1, 0),
            (u32::MAX, 0),
        ];
        for (hash, owner) in cases {
            assert_eq!(circle.owner(hash), owner, "{hash:#x}");
        }
    }

    #[test]
    fn points_at_both_ends_of_the_circle_own_their_own_value() {
        let circle = continuum(&[(0, 1), (u32::MAX, 2)]);
        assert_eq!([0, 1, u32::MAX].map(|hash| circle.owner(hash)), [1, 2, 2]);
    }

    #[test]
    fn a_circle_without_points_leads_to_the_first_member() {
        let circle = continuum(&[]);
        assert_eq!([0, 1, u32::MAX].map(|hash| circle.owner(hash)), [0, 0, 0]);
    }

    #[test]
    fn the_index_finds_what_a_search_from_the_start_finds() {
        let mut state = 7u32;
        for count in [1, 2, 3, 160, 1000] {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> (state & 7)
            };
            let mut points: Vec<(u32, u32)> = (0..count).map(|owner| (next(), owner)).collect();
            points.sort_unstable();
            let circle = continuum(&points);
            for hash in (0..2000)
                .map(|_| next())
                .chain(points.iter().map(|point| point.0))
            {
                let searched = points.iter().find(|point| point.0 >= hash).unwrap_or(&points[0]);
                assert_eq!(circle.owner(hash), searched.1 as usize);
            }
        }
    }
}
