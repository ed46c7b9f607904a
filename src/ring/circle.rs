//! A circle of 32-bit points: the first point at or after a key's hash owns the key, and after the last
//! point comes the first.
//!
//! ```text
//! hash ─▶ first[hash >> shift] ─▶ points[i], points[i+1], … the first one not below the hash
//! ```
//!
//! On average one point falls to each entry of `first`, so a look-up takes a step or two, whatever the
//! number of nodes.

/// The points and an index over them.
#[derive(Debug, Clone)]
pub(super) struct Circle {
    /// Sorted by value. The last one is a sentinel with the highest possible value and the owner of the
    /// first point: no hash is above it, so every search ends at the right owner.
    points: Box<[Point]>,
    /// For each value of a hash's upper bits, the index of the first point with at least these bits.
    first: Box<[u32]>,
    /// The number of lower bits that `first` ignores, less than 32.
    shift: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    value: u32,
    owner: u32,
}

/// Which of several nodes with the same point owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// The one that was added first.
    First,
    /// The one that was added last.
    Last,
}

/// Collects the points, node by node.
#[derive(Debug, Default)]
pub(super) struct Points {
    /// The point's value above its owner's rank in one number, so that one sort orders both.
    ranked: Vec<u64>,
    /// The owner of each rank.
    owners: Vec<u32>,
}

impl Points {
    /// Adds the points `values` of the next node, the member with the index `owner`.
    pub(super) fn add(&mut self, owner: usize, values: impl Iterator<Item = u32>) {
        let rank = self.owners.len() as u64;
        self.owners.push(owner as u32);
        self.ranked
            .extend(values.map(|value| u64::from(value) << 32 | rank));
    }

    /// Builds the circle of all points; if there are none, all hashes lead to the first node.
    pub(super) fn close(mut self, tie: Tie) -> Circle {
        if tie == Tie::Last {
            let last = self.owners.len() as u64 - 1;
            self.owners.reverse();
            let turned = |point: u64| point >> 32 << 32 | (last - (point & 0xffff_ffff));
            self.ranked.iter_mut().for_each(|point| *point = turned(*point));
        }
        self.ranked.sort_unstable();
        let point = |&point: &u64| Point {
            value: (point >> 32) as u32,
            owner: self.owners[point as u32 as usize],
        };
        let mut points: Vec<Point> = self.ranked.iter().map(point).collect();
        if points.is_empty() {
            // All active members are too light for a point.
            points.push(Point {
                value: u32::MAX,
                owner: self.owners.first().copied().unwrap_or_default(),
            });
        }
        Circle::of(points)
    }
}

impl Circle {
    /// Returns the index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u32) -> usize {
        let mut at = self.first[(hash >> self.shift) as usize] as usize;
        // Two branchless steps are usually enough.
        at += usize::from(self.points[at].value < hash);
        at += usize::from(self.points[at].value < hash);
        while self.points[at].value < hash {
            at += 1;
        }
        self.points[at].owner as usize
    }

    /// Returns the point that owns `hash`.
    pub(super) fn point(&self, hash: u32) -> u32 {
        let points = &self.points[..self.points.len() - 1];
        let at = points.partition_point(|point| point.value < hash);
        points[at % points.len()].value
    }

    /// Returns the highest hash of each arc and the member that owns it, in order; the last arc ends at the
    /// highest hash.
    pub(super) fn arcs(&self) -> impl Iterator<Item = (u32, usize)> {
        self.points
            .iter()
            .map(|point| (point.value, point.owner as usize))
    }

    /// Builds the index; `points` must be sorted by value.
    fn of(mut points: Vec<Point>) -> Circle {
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
        Circle {
            points: points.into(),
            first: first.into(),
            shift,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle_of(points: &[(u32, u32)]) -> Circle {
        Circle::of(
            points
                .iter()
                .map(|&(value, owner)| Point { value, owner })
                .collect(),
        )
    }

    #[test]
    fn the_first_point_at_or_after_the_hash_owns_it_and_past_the_last_comes_the_first() {
        let circle = circle_of(&[(10, 0), (20, 1), (20, 2), (0x8000_0000, 3), (0xffff_fff0, 4)]);
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
        let points = [
            (0, 10),
            (10, 10),
            (11, 20),
            (0xffff_fff0, 0xffff_fff0),
            (u32::MAX, 10),
        ];
        for (hash, point) in points {
            assert_eq!(circle.point(hash), point, "{hash:#x}");
        }
    }

    #[test]
    fn of_two_nodes_with_one_point_the_first_or_the_last_owns_it() {
        for (tie, owner) in [(Tie::First, 7), (Tie::Last, 3)] {
            let mut points = Points::default();
            points.add(7, [20, 10].into_iter());
            points.add(5, [30].into_iter());
            points.add(3, [20].into_iter());
            let circle = points.close(tie);
            assert_eq!([10, 11, 21, 31].map(|hash| circle.owner(hash)), [7, owner, 5, 7]);
        }
    }

    #[test]
    fn points_at_both_ends_of_the_circle_own_their_own_value() {
        let circle = circle_of(&[(0, 1), (u32::MAX, 2)]);
        assert_eq!([0, 1, u32::MAX].map(|hash| circle.owner(hash)), [1, 2, 2]);
    }

    #[test]
    fn a_circle_without_points_leads_to_the_first_member() {
        let circle = circle_of(&[]);
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
            let circle = circle_of(&points);
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
