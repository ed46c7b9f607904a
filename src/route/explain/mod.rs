//! Explains where a key goes, and why: for `ringway explain` and `/explain`.

pub mod steps;
pub mod tree;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Pool, Route};
use crate::node::Node;
use crate::protocol::MAX_KEY;
use crate::protocol::meta::is_bare;
use crate::route::explain::steps::Step;
use crate::route::explain::tree::ExplainedBranch;

/// Where one key goes. Rendered as a line: key, route, pool, node, separated by spaces; then, if the key's
/// primary node is out of the ring, `instead of` that one. Under policies these describe the first pool,
/// and lines with the tree of all pools follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// The name of the requested route or pool.
    pub route: String,
    /// The pool's name.
    pub pool: String,
    /// The node's name, or its address if it has none.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The key's primary node, if another node has the key now.
    pub instead_of: Option<InsteadOf>,
    /// Whether the node missed a write of the key, or holds an old copy of it: a miss until it is deleted
    /// there.
    #[serde(default)]
    pub missed: bool,
    /// The decision step by step; under policies, for the first pool.
    pub steps: Vec<Step>,
    /// All places that the key may go to, if policies decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<ExplainedBranch>,
}

/// A primary node whose keys other nodes have now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsteadOf {
    /// Its name, or its address if it has none.
    pub node: String,
    /// `drained`, or the state of its health.
    pub state: String,
}

impl Explanation {
    /// Marks the node's health as unknown, for a configuration that is not running.
    pub fn forget_health(&mut self) {
        for step in &mut self.steps {
            if let Step::Node { state, .. } = step {
                steps::UNKNOWN.clone_into(state);
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation {
            key,
            route,
            pool,
            node,
            address: _,
            instead_of,
            missed,
            steps: _,
            tree,
        } = self;
        write!(f, "{key} {route} {pool} {node}")?;
        if let Some(InsteadOf { node, state }) = instead_of {
            write!(f, " instead of {node}, {state}")?;
        }
        if *missed {
            write!(f, ", which missed a write of it")?;
        }
        match tree {
            Some(tree) => write!(f, "{tree}"),
            None => Ok(()),
        }
    }
}

/// Why memcached does not take a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It has no bytes.
    #[error("the key is empty")]
    Empty,
    /// It has more than [`MAX_KEY`] bytes.
    #[error("the key is longer than {MAX_KEY} bytes")]
    TooLong,
    /// It has a space, a line feed or a zero byte in it.
    #[error("the key has a space, a line feed or a zero byte in it")]
    Control,
}

/// Returns where `key` goes under `route`, which is called `name` and picks among `nodes`, those of its snapshot.
pub fn explain(name: &str, route: &Route, nodes: &[Arc<Node>], key: &[u8]) -> Result<Explanation, BadKey> {
    check(key)?;
    let mut steps = vec![Step::Route {
        name: name.to_owned(),
    }];
    let tree = ExplainedBranch::of(route, nodes, key);
    // A route that leads to no pool, such as `miss`.
    let nowhere = || "-".to_owned();
    let first = tree.first();
    let instead_of = first.and_then(|place| place.instead_of.clone());
    let mut missed = false;
    if let Some((pool, key)) = tree::first(route, key) {
        missed = nodes[pool.pick(&key)].missed.has(&key);
        steps.extend(steps::of_pool(pool, pool.pick(&key), nodes, &key));
        if let Some(InsteadOf { node, state }) = instead_of.clone() {
            let chosen = steps.iter().position(|step| matches!(step, Step::Node { .. }));
            let chosen = chosen.expect("a pool's way ends at a node");
            steps.insert(chosen, Step::Home { node, state });
        }
        steps.extend(missed.then_some(Step::Missed));
    }
    Ok(Explanation {
        key: String::from_utf8_lossy(key).into_owned(),
        route: name.to_owned(),
        pool: first.map_or_else(nowhere, |place| place.pool.clone()),
        node: first.map_or_else(nowhere, |place| place.node.clone()),
        address: first.map_or_else(nowhere, |place| place.address.clone()),
        instead_of,
        missed,
        steps,
        tree: matches!(route, Route::Policy(_)).then_some(tree),
    })
}

/// Returns the primary node of `key` in `pool`, if that is not the one with this index.
pub fn instead_of(pool: &Pool, index: usize, nodes: &[Arc<Node>], key: &[u8]) -> Option<InsteadOf> {
    if pool.targets.len() == pool.nodes.len() {
        return None;
    }
    let primary = pool.primary(key);
    let node = &nodes[primary];
    (primary != index).then(|| InsteadOf {
        node: node.label.clone(),
        state: if node.membership.is_drained() {
            "drained".to_owned()
        } else {
            node.state().name().to_owned()
        },
    })
}

fn check(key: &[u8]) -> Result<(), BadKey> {
    match key {
        [] => Err(BadKey::Empty),
        _ if key.len() > MAX_KEY => Err(BadKey::TooLong),
        _ if !is_bare(key) => Err(BadKey::Control),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_no_memcached_takes_are_refused() {
        let long = [b'k'; MAX_KEY + 1];
        let cases: &[(&[u8], Result<(), BadKey>)] = &[
            (b"k", Ok(())),
            (&long[1..], Ok(())),
            ("schlüssel".as_bytes(), Ok(())),
            (b"\xff\xfe", Ok(())),
            (b"", Err(BadKey::Empty)),
            (&long, Err(BadKey::TooLong)),
            (b"a b", Err(BadKey::Control)),
            (b"a\r\n", Err(BadKey::Control)),
            (b"\0", Err(BadKey::Control)),
            (b"a\tb\x7f\r", Ok(())),
        ];
        for (key, expected) in cases {
            assert_eq!(check(key), *expected, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn an_explanation_reads_as_a_line() {
        let explanation = Explanation {
            key: "k".into(),
            route: "default".into(),
            pool: "main".into(),
            node: "cache-b".into(),
            address: "10.0.0.2:11211".into(),
            instead_of: None,
            missed: false,
            steps: Vec::new(),
            tree: None,
        };
        assert_eq!(explanation.to_string(), "k default main cache-b");
        let moved = Explanation {
            instead_of: Some(InsteadOf {
                node: "cache-a".into(),
                state: "drained".into(),
            }),
            ..explanation.clone()
        };
        assert_eq!(
            moved.to_string(),
            "k default main cache-b instead of cache-a, drained"
        );
        let missed = Explanation {
            missed: true,
            ..explanation
        };
        assert_eq!(
            missed.to_string(),
            "k default main cache-b, which missed a write of it"
        );
    }
}
