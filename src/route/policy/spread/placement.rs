//! Which copies a key has: those whose nodes are not the node of the key, nor of another copy.
//!
//! The numbers from 1 on are tried in order, and a number is left out if the node of its name is taken. The
//! nodes are the primary ones, whatever their health, so all processes with the same configuration find the
//! same numbers. While the ring changes there are two answers, see [`Ring`].

use std::borrow::Cow;

use crate::protocol::{Command, MAX_KEY, Request};
use crate::route::handover::progress::Phase;
use crate::route::{Pool, Route};

/// The most copies of a key, without the key itself.
const MOST: usize = 15;

/// How many numbers are tried for each copy.
pub(super) const TRIES: usize = 8;

/// The longest suffix in bytes: that of the number `MOST * TRIES`.
pub(super) const MAX_SUFFIX: usize = 4;

/// The ring that gives names to nodes. Without a handover both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// The one before the handover that is going on.
    Old,
    /// The one after it.
    New,
}

/// The numbers of the copies of one key, in ascending order.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Numbers {
    numbers: [u8; MOST],
    count: usize,
}

impl Ring {
    /// Returns the ring whose copies of `key` are read along `to`: the one by which the pool serves the key.
    pub(super) fn of_reads(to: &Route, key: &[u8]) -> Ring {
        let handover = first_pool(to, key).and_then(|(pool, _)| pool.handover.as_deref());
        match handover.map(|handover| handover.progress.phase()) {
            Some(Phase::Prepare) => Ring::Old,
            _ => Ring::New,
        }
    }

    fn among(self, pool: &Pool) -> &Pool {
        match &pool.handover {
            Some(handover) if self == Ring::Old => &handover.old,
            _ => pool,
        }
    }
}

impl Numbers {
    /// Returns the numbers of the first copies of `key`, at most `count` of them. `tries` is the number of
    /// those that are tried.
    ///
    /// If a policy under `to` sends the names of one key to several pools, those in another pool than the key
    /// count as places of their own.
    pub(super) fn find(to: &Route, key: &[u8], ring: Ring, count: usize, tries: usize) -> Numbers {
        let mut places = Places::beginning_with(key, to, ring);
        let mut found = Numbers::default();
        for number in 1..=tries {
            if found.count == count {
                break;
            }
            if places.take(Name::new(key, number).bytes()) {
                found.numbers[found.count] = number as u8;
                found.count += 1;
            }
        }
        found
    }

    /// The numbers.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.numbers[..self.count]
    }
}

/// The nodes that have a name of one key.
struct Places<'r> {
    to: &'r Route,
    ring: Ring,
    /// The pool of the key.
    pool: Option<&'r Pool>,
    nodes: [usize; 1 + MOST],
    count: usize,
}

impl<'r> Places<'r> {
    /// Returns the node of `key` itself.
    fn beginning_with(key: &[u8], to: &'r Route, ring: Ring) -> Places<'r> {
        let mut places = Places {
            to,
            ring,
            pool: first_pool(to, key).map(|(pool, _)| pool),
            nodes: [0; 1 + MOST],
            count: 0,
        };
        places.take(key);
        places
    }

    /// Takes the node of `name`. Returns false if another name has it.
    fn take(&mut self, name: &[u8]) -> bool {
        let Some((pool, name)) = first_pool(self.to, name) else {
            return true;
        };
        if !self.pool.is_some_and(|own| std::ptr::eq(own, pool)) {
            return true;
        }
        let pool = self.ring.among(pool);
        let taken = &self.nodes[..self.count];
        if taken.len() == pool.nodes.len() {
            return false;
        }
        let node = pool.primary(&name);
        if taken.contains(&node) {
            return false;
        }
        self.nodes[self.count] = node;
        self.count += 1;
        true
    }
}

/// The name of a copy.
struct Name {
    bytes: [u8; MAX_KEY],
    length: usize,
}

impl Name {
    /// Returns that of the copy of `key` with this number. The key has room for the longest suffix.
    fn new(key: &[u8], number: usize) -> Name {
        let mut bytes = [0; MAX_KEY];
        bytes[..key.len()].copy_from_slice(key);
        bytes[key.len()] = b'~';
        let mut length = key.len() + 1;
        for unit in [100, 10, 1] {
            if number >= unit {
                bytes[length] = b'0' + (number / unit % 10) as u8;
                length += 1;
            }
        }
        Name { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Returns the pool that a get of `key` reaches first along `route`, and the key as the pool knows it; `None` if
/// the route leads to no pool.
fn first_pool<'r, 'k>(route: &'r Route, key: &'k [u8]) -> Option<(&'r Pool, Cow<'k, [u8]>)> {
    let policy = match route {
        Route::Pool(pool) => return Some((pool, Cow::Borrowed(key))),
        Route::Policy(policy) => policy,
    };
    if let Some(to) = policy.kind.only_route(&Request::new(Command::Get, key)) {
        return first_pool(to, key);
    }
    let mut branches = policy.kind.branches_of(key).into_iter();
    let (branch, key) = branches.find(|(branch, _)| branch.answers)?;
    match key {
        Cow::Borrowed(key) => first_pool(branch.route, key),
        Cow::Owned(key) => {
            let (pool, key) = first_pool(branch.route, &key)?;
            Some((pool, Cow::Owned(key.into_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::route::testing::compile;

    fn nodes(to: &Route, key: &str, numbers: &Numbers) -> BTreeSet<usize> {
        let numbers = numbers.as_slice().iter();
        let names = numbers.map(|number| format!("{key}~{number}"));
        names
            .chain([key.to_owned()])
            .map(|name| {
                let (pool, name) = first_pool(to, name.as_bytes()).expect("a pool");
                pool.primary(&name)
            })
            .collect()
    }

    fn find(to: &Route, key: &str, count: usize) -> Numbers {
        Numbers::find(to, key.as_bytes(), Ring::New, count, TRIES * count)
    }

    #[test]
    fn a_key_and_its_copies_have_nodes_of_their_own() {
        for route in [
            "four",
            "{single_flight: four}",
            "{failover: [four, a]}",
            "{prefix: {k: {key: {to: four, add_prefix: x}}}, else: a}",
        ] {
            let (to, _) = compile(&format!("{{single_flight: {route}}}"));
            for number in 0..500 {
                let key = format!("k{number}");
                for count in [1, 2] {
                    let numbers = find(&to, &key, count);
                    assert_eq!(numbers.as_slice().len(), count, "{route} {key}");
                    assert_eq!(nodes(&to, &key, &numbers).len(), 1 + count, "{route} {key}");
                }
            }
        }
    }

    #[test]
    fn fewer_copies_begin_as_more_do() {
        let (to, _) = compile("{single_flight: four}");
        for number in 0..100 {
            let key = format!("k{number}");
            let three = find(&to, &key, 3);
            assert_eq!(find(&to, &key, 1).as_slice(), &three.as_slice()[..1]);
        }
    }

    #[test]
    fn there_are_no_more_copies_than_other_nodes() {
        let (to, _) = compile("{single_flight: four}");
        let full = (0..500).filter(|number| find(&to, &format!("k{number}"), 9).as_slice().len() == 3);
        assert_eq!(full.count(), 500);
        let (to, _) = compile("{single_flight: a}");
        assert!(find(&to, "k", 3).as_slice().is_empty());
    }

    #[test]
    fn names_in_several_pools_and_in_none_are_taken_in_order() {
        for route in ["{prefix: {k~: b}, else: a}", "{miss: {}}"] {
            let (to, _) = compile(route);
            assert_eq!(find(&to, "k", 2).as_slice(), [1, 2], "{route}");
        }
    }

    #[test]
    fn a_name_has_its_number_in_decimal() {
        for number in [1, 9, 10, 99, 100, MOST * TRIES] {
            let name = Name::new(b"k", number);
            assert_eq!(name.bytes(), format!("k~{number}").as_bytes());
            assert!(name.bytes().len() <= 1 + MAX_SUFFIX);
        }
    }
}
