//! The policies and pools that one key may come to, as a tree: for `ringway explain` and `/explain`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::node::Node;
use crate::route::explain::{InsteadOf, instead_of};
use crate::route::{PolicyRoute, Pool, Route};

/// A policy with what is under it, or a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The word that tells it from its siblings: the key of a setting, or a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The policy or pool.
    #[serde(flatten)]
    pub what: Here,
}

/// One place of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Here {
    /// A policy.
    Policy {
        /// Its name.
        policy: String,
        /// Its settings, as they could be written, without its routes.
        options: Value,
        /// The routes under it to which the key may come.
        routes: Vec<Branch>,
    },
    /// A pool.
    Pool(Place),
}

/// Where a key is in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The pool's name.
    pub pool: String,
    /// The node's name, or else its address.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node that would have the key if all took keys, if that is another one.
    pub instead_of: Option<InsteadOf>,
}

impl Branch {
    /// Returns what `key` may come to under `route`, which picks among `nodes`, those of its snapshot.
    pub fn of(route: &Route, nodes: &[Arc<Node>], key: &[u8]) -> Branch {
        let what = match route {
            Route::Pool(pool) => {
                let index = pool.pick(key);
                let node = &nodes[index];
                Here::Pool(Place {
                    pool: pool.name.clone(),
                    node: node.label.clone(),
                    address: node.address.to_string(),
                    instead_of: instead_of(pool, index, nodes, key),
                })
            }
            Route::Policy(policy) => Here::Policy {
                policy: policy.name.to_owned(),
                options: policy.settings.options(),
                routes: under(policy, nodes, key),
            },
        };
        Branch { of: None, what }
    }

    /// The first pool in it.
    pub fn first(&self) -> Option<&Place> {
        match &self.what {
            Here::Pool(place) => Some(place),
            Here::Policy { routes, .. } => routes.iter().find_map(Branch::first),
        }
    }

    fn write(&self, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{:width$}", "", width = 2 * depth)?;
        if let Some(of) = &self.of {
            write!(f, "{of}: ")?;
        }
        match &self.what {
            Here::Pool(place) => write!(f, "{place}"),
            Here::Policy {
                policy,
                options,
                routes,
            } => {
                write!(f, "{policy}")?;
                let is_empty = options.as_object().is_some_and(serde_json::Map::is_empty);
                if !is_empty {
                    write!(f, " {options}")?;
                }
                routes.iter().try_for_each(|route| route.write(depth + 1, f))
            }
        }
    }
}

/// Lines, each indented and preceded by a line feed.
impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(1, f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pool, self.node)?;
        match &self.instead_of {
            Some(InsteadOf { node, state }) => write!(f, " instead of {node}, {state}"),
            None => Ok(()),
        }
    }
}

/// The first pool that a read of `key` comes to under `route`, and the key as it is known there.
pub fn first<'a>(route: &'a Route, key: &[u8]) -> Option<(&'a Pool, Vec<u8>)> {
    let policy = match route {
        Route::Pool(pool) => return Some((pool, key.to_vec())),
        Route::Policy(policy) => policy,
    };
    let branches = policy.kind.branches_of(key).into_iter();
    branches
        .filter(|(branch, _)| branch.answers)
        .find_map(|(branch, key)| first(branch.route, &key))
}

fn under(policy: &PolicyRoute, nodes: &[Arc<Node>], key: &[u8]) -> Vec<Branch> {
    let branches = policy.kind.branches_of(key).into_iter();
    branches
        .map(|(branch, key)| Branch {
            of: branch.label.map(str::to_owned),
            ..Branch::of(branch.route, nodes, &key)
        })
        .collect()
}
