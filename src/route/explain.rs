//! Says where a key goes, and why it goes there: for `ringway explain` and `/explain`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::steps::{self, Step};
use super::{Pool, Route};
use crate::node::Node;
use crate::protocol::MAX_KEY;
use crate::protocol::meta::is_unsayable;

/// Where one key goes. Shown as a line: key, route, pool, node, parted by spaces; then, where another node would
/// have it if all took keys, `instead of` that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// The name of the route or pool that was asked.
    pub route: String,
    /// The pool's name.
    pub pool: String,
    /// The node's name, or else its address.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node that would have the key if all took keys; `None` where it has it.
    pub instead_of: Option<InsteadOf>,
    /// The decision step by step.
    pub steps: Vec<Step>,
}

/// A node whose keys others have now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsteadOf {
    /// Its name, or else its address.
    pub node: String,
    /// `drained`, or how its health is seen.
    pub state: String,
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
            steps: _,
        } = self;
        write!(f, "{key} {route} {pool} {node}")?;
        match instead_of {
            Some(InsteadOf { node, state }) => write!(f, " instead of {node}, {state}"),
            None => Ok(()),
        }
    }
}

/// Why no memcached takes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKey {
    /// It has no bytes.
    Empty,
    /// It has more than [`MAX_KEY`] bytes.
    TooLong,
    /// It has a space or a control character in it.
    Control,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::Empty => write!(f, "the key is empty"),
            BadKey::TooLong => write!(f, "the key is longer than {MAX_KEY} bytes"),
            BadKey::Control => write!(f, "the key has a space or a control character in it"),
        }
    }
}

/// Where `key` goes under `route`, which is called `name` and picks among `nodes`, those of its snapshot.
pub fn explain(name: &str, route: &Route, nodes: &[Arc<Node>], key: &[u8]) -> Result<Explanation, BadKey> {
    check(key)?;
    let (pool, index) = route.pick(key);
    let node = &nodes[index];
    let instead_of = instead_of(pool, index, nodes, key);
    let mut steps = vec![Step::Route {
        name: name.to_owned(),
    }];
    steps.extend(steps::of_pool(pool, index, nodes, key));
    if let Some(InsteadOf { node, state }) = instead_of.clone() {
        steps.insert(steps.len() - 1, Step::Home { node, state });
    }
    Ok(Explanation {
        key: String::from_utf8_lossy(key).into_owned(),
        route: name.to_owned(),
        pool: pool.name.clone(),
        node: node.label.clone(),
        address: node.address.to_string(),
        instead_of,
        steps,
    })
}

fn instead_of(pool: &Pool, index: usize, nodes: &[Arc<Node>], key: &[u8]) -> Option<InsteadOf> {
    if pool.targets.len() == pool.nodes.len() {
        return None;
    }
    let home = pool.home(key);
    let node = &nodes[home];
    (home != index).then(|| InsteadOf {
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
        _ if is_unsayable(key) => Err(BadKey::Control),
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
            (b"\x7f", Err(BadKey::Control)),
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
            steps: Vec::new(),
        };
        assert_eq!(explanation.to_string(), "k default main cache-b");
        let moved = Explanation {
            instead_of: Some(InsteadOf {
                node: "cache-a".into(),
                state: "drained".into(),
            }),
            ..explanation
        };
        assert_eq!(
            moved.to_string(),
            "k default main cache-b instead of cache-a, drained"
        );
    }
}
