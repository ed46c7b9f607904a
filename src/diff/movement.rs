//! The keys that move, pool by pool, and between which nodes.
//!
//! Nodes are the same if their addresses are, or otherwise their names: a key whose node keeps its name but
//! gets another address has not moved. All nodes count as up.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use super::percent;
use crate::config::{self, Config, twins};
use crate::ring::Ring;
use crate::ring::compare::movement;
use crate::route::Pool;

/// The number of moves that are listed, the largest ones.
const TOLD: usize = 20;

/// The keys of one pool that move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moves {
    /// The present pool.
    pub pool: String,
    /// The new pool: nearly always the same.
    pub to_pool: String,
    /// The share of all possible keys that move, from 0 to 1.
    pub moved: f64,
    /// False if it was estimated by sampling keys, to about a third of a percent.
    pub exact: bool,
    /// True if `moved` is that of keys with hash tags, or with the text of `hash_stop`: fewer move if others have none.
    pub at_most: bool,
    /// The handover that begins, as its phases; `None` if keys miss until they are filled again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<String>,
    /// The movement of the given keys, of which there is at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<MovedKeys>,
    /// The moves between nodes, the largest first. Of the given keys, if there are any.
    pub moves: Vec<Move>,
    /// All moves that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
}

/// The movement of the given keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MovedKeys {
    /// The number of keys.
    pub count: usize,
    /// The number of keys that move.
    pub moved: usize,
}

/// Keys that move from one node to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Move {
    /// The present node.
    pub from: String,
    /// The new node.
    pub to: String,
    /// Their share, from 0 to 1.
    pub share: f64,
}

/// The sum of many small moves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rest {
    /// The number of moves.
    pub count: usize,
    /// Their total share, from 0 to 1.
    pub share: f64,
}

impl Moves {
    /// The share that moves: of the given keys, if there are any, or otherwise of all.
    pub fn share(&self) -> f64 {
        match self.keys {
            Some(MovedKeys { count, moved }) => moved as f64 / count as f64,
            None => self.moved,
        }
    }

    /// What is said before a share that fewer keys may move than.
    pub fn up_to(&self) -> &'static str {
        match (self.at_most, &self.keys) {
            (true, None) => "up to ",
            _ => "",
        }
    }

    /// The pool, and the one that replaces it if that is another.
    pub fn name(&self) -> String {
        if self.pool == self.to_pool {
            self.pool.clone()
        } else {
            format!("{} → {}", self.pool, self.to_pool)
        }
    }
}

impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up_to, how) = match (self.at_most, self.exact) {
            (true, _) => (
                "up to ",
                "sampled: those that the old or the new hash tag or stop is in",
            ),
            (false, true) => ("", "exact"),
            (false, false) => ("", "sampled"),
        };
        let (name, moved) = (self.name(), percent(self.moved));
        writeln!(f, "{name}: {up_to}{moved} of all keys move ({how})")?;
        if let Some(handover) = &self.handover {
            writeln!(f, "{}: a handover begins: {handover}", self.name())?;
        }
        if let Some(MovedKeys { count, moved }) = self.keys {
            writeln!(
                f,
                "{}: {moved} of {count} keys move ({})",
                self.name(),
                percent(self.share())
            )?;
        }
        for Move { from, to, share } in &self.moves {
            writeln!(f, "  {from} → {to}: {}", percent(*share))?;
        }
        match &self.rest {
            Some(Rest { count, share }) => writeln!(f, "  {count} more: {}", percent(*share)),
            None => Ok(()),
        }
    }
}

/// Returns the moves of each pair of pools, and of `keys`, which are not empty.
pub fn between(old: &Config, new: &Config, keys: Option<&[Vec<u8>]>) -> Vec<Moves> {
    let pairs = pairs(old, new);
    pairs
        .into_iter()
        .map(|(from, to)| moves((from, &old.pools[from]), (to, &new.pools[to]), keys))
        .collect()
}

/// Returns the share of all keys that move if the settings of a pool change from `old` to `new`. `like`: a
/// ring that may resemble those of both.
pub fn moved(old: &config::Pool, new: &config::Pool, like: Option<&Ring>) -> f64 {
    let [old_ring, new_ring] = rings(old, new, like);
    let twins = twins(&old.nodes, &new.nodes);
    let shares = movement(&old_ring, &new_ring).shares.into_iter();
    let moved = shares.filter(|((from, to), _)| twins[*from] != Some(*to));
    total(moved.map(|(_, share)| share))
}

/// Pairs pools of the same name, and pools behind the same listener if it leads to a single pool before and
/// after.
fn pairs<'a>(old: &'a Config, new: &'a Config) -> BTreeSet<(&'a str, &'a str)> {
    let same = old.pools.keys().filter(|name| new.pools.contains_key(*name));
    let mut pairs: BTreeSet<(&str, &str)> = same.map(|name| (name.as_str(), name.as_str())).collect();
    for before in &old.listeners {
        let after = new.listeners.iter().find(|listener| listener.bind == before.bind);
        let after = after.map(|after| new.pools_of(&after.route)).unwrap_or_default();
        if let ([before], [after]) = (&old.pools_of(&before.route)[..], &after[..]) {
            pairs.insert((*before, *after));
        }
    }
    pairs
}

fn moves(old: (&str, &config::Pool), new: (&str, &config::Pool), keys: Option<&[Vec<u8>]>) -> Moves {
    let rings = rings(old.1, new.1, None);
    let twins = twins(&old.1.nodes, &new.1.nodes);
    let moves = |(from, to): &(usize, usize)| twins[*from] != Some(*to);
    let all = movement(&rings[0], &rings[1]);
    let moving = all.shares.iter().filter(|(pair, _)| moves(pair));
    let moved = total(moving.map(|(_, share)| *share));
    let mut shares = all.shares;
    let mut counted = None;
    if let Some(keys) = keys {
        let counts = counts(&rings, keys);
        counted = Some(MovedKeys {
            count: keys.len(),
            moved: counts
                .iter()
                .filter(|(pair, _)| moves(pair))
                .map(|(_, count)| count)
                .sum(),
        });
        let share = |count: usize| count as f64 / keys.len() as f64;
        shares = counts
            .into_iter()
            .map(|(pair, count)| (pair, share(count)))
            .collect();
    }
    let mut told: Vec<Move> = shares
        .into_iter()
        .filter(|(pair, _)| moves(pair))
        .map(|((from, to), share)| Move {
            from: old.1.nodes[from].label(),
            to: new.1.nodes[to].label(),
            share,
        })
        .collect();
    told.sort_by(|one, other| {
        let by_share = other.share.total_cmp(&one.share);
        by_share.then_with(|| one.names().cmp(&other.names()))
    });
    let rest = told.split_off(told.len().min(TOLD));
    let handover = new.1.handover.as_ref();
    Moves {
        pool: old.0.to_owned(),
        to_pool: new.0.to_owned(),
        moved,
        exact: all.is_exact,
        at_most: all.is_at_most,
        handover: handover.filter(|_| old.0 == new.0 && moved > 0.0).map(phases),
        keys: counted,
        moves: told,
        rest: (!rest.is_empty()).then(|| Rest {
            count: rest.len(),
            share: total(rest.iter().map(|other| other.share)),
        }),
    }
}

/// Counts the keys of each pair of an old and a new node.
fn counts(rings: &[Ring; 2], keys: &[Vec<u8>]) -> HashMap<(usize, usize), usize> {
    let mut counts = HashMap::new();
    for key in keys {
        let pair = (rings[0].pick(key), rings[1].pick(key));
        *counts.entry(pair).or_default() += 1;
    }
    counts
}

/// Returns the rings of all nodes before and after. `like`: one that may resemble them.
fn rings(old: &config::Pool, new: &config::Pool, like: Option<&Ring>) -> [Ring; 2] {
    let old_ring = Pool::whole_ring(old, like);
    let new_ring = Pool::whole_ring(new, Some(&old_ring));
    [old_ring, new_ring]
}

fn phases(handover: &config::Handover) -> String {
    let [prepare, serve] = [handover.prepare, handover.serve].map(config::show_duration);
    format!("prepare {prepare}, serve {serve}, finish {prepare}")
}

/// Sums shares. For none it returns 0, unlike `sum()`, which returns -0 and would be displayed with its
/// sign.
fn total(shares: impl Iterator<Item = f64>) -> f64 {
    shares.fold(0.0, |sum, share| sum + share)
}

impl Move {
    fn names(&self) -> (&str, &str) {
        (&self.from, &self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(old: &str, new: &str, keys: Option<&[Vec<u8>]>) -> Vec<Moves> {
        let parse = |text: &str| config::parse(text, "f").expect("good");
        super::between(&parse(old), &parse(new), keys)
    }

    const FOUR: &str = "pools: {main: {nodes: [a:1, b:1, c:1, d:1]}}";
    const FIVE: &str = "pools: {main: {nodes: [a:1, b:1, c:1, d:1, e:1]}}";

    #[test]
    fn where_no_key_moves_the_share_has_no_sign() {
        let moves = &between(FOUR, FOUR, None)[0];
        assert_eq!(moves.to_string(), "main: 0.0% of all keys move (exact)\n");
        assert!(moves.moved.is_sign_positive());
    }

    #[test]
    fn a_node_more_takes_its_part_from_all_others() {
        let [moves] = &between(FOUR, FIVE, None)[..] else {
            panic!("one pool")
        };
        assert!(moves.exact && (0.15..0.25).contains(&moves.moved), "{moves}");
        assert_eq!(moves.moves.len(), 4, "{moves}");
        assert!(moves.moves.iter().all(|step| step.to == "e:1"), "{moves}");
        assert!(moves.to_string().starts_with("main: "), "{moves}");
    }

    #[test]
    fn another_hash_tag_moves_keys_and_begins_a_handover() {
        let with =
            |tag: &str| format!("pools: {{main: {{nodes: [a:1, b:1], handover: {{prepare: 1s}}{tag}}}}}");
        let tags = with(", hash_tag: '{}'");
        for (old, new) in [
            (&with(""), &tags),
            (&tags, &with(", hash_tag: '[]'")),
            (&tags, &with("")),
        ] {
            let moves = &between(old, new, None)[0];
            assert!(moves.at_most && (0.4..0.6).contains(&moves.moved), "{moves}");
            assert!(moves.to_string().starts_with("main: up to "), "{moves}");
            assert!(moves.handover.is_some(), "{moves}");
        }
        let keys: Vec<Vec<u8>> = (0..100).map(|n| format!("user:{n}").into_bytes()).collect();
        let moves = &between(&with(""), &tags, Some(&keys))[0];
        assert_eq!(moves.share(), 0.0, "keys without a tag stay: {moves}");
    }

    #[test]
    fn the_handover_that_begins_is_told_if_keys_move() {
        let with = |text: &str| text.replace("main: {", "main: {handover: {prepare: 1s}, ");
        let moves = &between(&with(FOUR), &with(FIVE), None)[0];
        let told = "main: a handover begins: prepare 1s, serve 10m, finish 1s\n";
        assert!(moves.to_string().contains(told), "{moves}");
        assert_eq!(between(&with(FOUR), &with(FOUR), None)[0].handover, None);
        assert_eq!(between(&with(FOUR), FIVE, None)[0].handover, None);
    }

    #[test]
    fn a_node_with_another_name_or_another_address_keeps_its_keys() {
        let named = "pools: {main: {nodes: [{address: a:1, name: x}, {address: b:1, name: y}]}}";
        let moved = "pools: {main: {nodes: [{address: a:1, name: x}, {address: c:1, name: y}]}}";
        assert_eq!(between(named, moved, None)[0].moved, 0.0);
        let renamed = "pools: {main: {nodes: [{address: a:1, name: p}, {address: b:1, name: q}]}}";
        let share = between(named, renamed, None)[0].moved;
        assert!(
            (0.3..0.7).contains(&share),
            "other names are other points: {share}"
        );
        let embedded = "pools: {main: {nodes: [{name: p, embedded: 64MiB}, {name: q, embedded: 64MiB}]}}";
        assert_eq!(between(embedded, embedded, None)[0].moved, 0.0);
    }

    #[test]
    fn the_keys_of_a_file_are_followed_one_by_one() {
        let keys: Vec<Vec<u8>> = (0..1000).map(|n| format!("user:{n}").into_bytes()).collect();
        let moves = &between(FOUR, FIVE, Some(&keys))[0];
        let MovedKeys { count, moved } = moves.keys.expect("counted");
        assert_eq!(count, 1000);
        assert!(
            (100..300).contains(&moved) && moves.share() == moved as f64 / 1000.0,
            "{moved}"
        );
        let told: f64 = moves.moves.iter().map(|step| step.share).sum();
        assert!((told - moves.share()).abs() < 1e-9);
    }

    #[test]
    fn a_listener_that_gets_another_pool_is_compared_with_it() {
        let old = "pools: {main: {nodes: [a:1, b:1]}}";
        let new = "pools: {cache: {nodes: [b:1, a:1]}}";
        let [moves] = &between(old, new, None)[..] else {
            panic!("one pair")
        };
        assert_eq!((moves.name().as_str(), moves.moved), ("main → cache", 0.0));
    }

    #[test]
    fn of_very_many_moves_the_largest_are_told() {
        let nodes =
            |hosts: std::ops::Range<u32>| hosts.map(|n| format!("h{n}:1")).collect::<Vec<_>>().join(", ");
        let text = |hosts| format!("pools: {{main: {{nodes: [{}]}}}}", nodes(hosts));
        let moves = &between(&text(0..30), &text(30..60), None)[0];
        assert!((moves.moved - 1.0).abs() < 1e-9);
        let rest = moves.rest.as_ref().expect("many");
        assert_eq!((moves.moves.len(), rest.count > 100), (TOLD, true));
        let told: f64 = moves.moves.iter().map(|step| step.share).sum();
        assert!((told + rest.share - 1.0).abs() < 1e-9);
        assert!(moves.moves.is_sorted_by(|one, other| one.share >= other.share));
    }
}
