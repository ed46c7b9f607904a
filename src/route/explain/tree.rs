//! The policies and pools that one key may go to, as a tree: for `ringway explain` and `/explain`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::show_duration;
use crate::node::Node;
use crate::route::explain::{InsteadOf, instead_of};
use crate::route::{PolicyRoute, Pool, Route};

/// A pool, or a policy with its branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedBranch {
    /// The label that distinguishes it from its siblings: the key of a setting, or a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The policy or pool.
    #[serde(flatten)]
    pub what: Here,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Here {
    /// A policy.
    Policy {
        /// Its name.
        policy: String,
        /// Its settings, as they would be written, without its routes.
        options: Value,
        /// How long a value that it keeps may still be read after another process has replaced it, such as `1s`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        staleness: Option<String>,
        /// The routes under it that the key may go to.
        routes: Vec<ExplainedBranch>,
    },
    /// A pool.
    Pool(PoolPlace),
}

/// Where a key is in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPlace {
    /// The pool's name.
    pub pool: String,
    /// The node's name, or its address if it has none.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The key's primary node, if that is another one.
    pub instead_of: Option<InsteadOf>,
}

impl ExplainedBranch {
    /// Returns where `key` may go under `route`, which picks among `nodes`, those of its snapshot.
    pub fn of(route: &Route, nodes: &[Arc<Node>], key: &[u8]) -> ExplainedBranch {
        let what = match route {
            Route::Pool(pool) => {
                let index = pool.pick(key);
                let node = &nodes[index];
                Here::Pool(PoolPlace {
                    pool: pool.name.clone(),
                    node: node.label.clone(),
                    address: node.address.to_string(),
                    instead_of: instead_of(pool, index, nodes, key),
                })
            }
            Route::Policy(policy) => Here::Policy {
                policy: policy.name.to_owned(),
                options: policy.settings.options(),
                staleness: policy.kind.staleness().map(show_duration),
                routes: under(policy, nodes, key),
            },
        };
        ExplainedBranch { of: None, what }
    }

    /// The first pool in the tree.
    pub fn first(&self) -> Option<&PoolPlace> {
        match &self.what {
            Here::Pool(place) => Some(place),
            Here::Policy { routes, .. } => routes.iter().find_map(ExplainedBranch::first),
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
                staleness,
                routes,
            } => {
                write!(f, "{policy}")?;
                let is_empty = options.as_object().is_some_and(serde_json::Map::is_empty);
                if !is_empty {
                    write!(f, " {options}")?;
                }
                if let Some(staleness) = staleness {
                    write!(f, ", values up to {staleness} old")?;
                }
                routes.iter().try_for_each(|route| route.write(depth + 1, f))
            }
        }
    }
}

/// Lines, each indented and preceded by a line feed.
impl fmt::Display for ExplainedBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(1, f)
    }
}

impl fmt::Display for PoolPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pool, self.node)?;
        match &self.instead_of {
            Some(InsteadOf { node, state }) => write!(f, " instead of {node}, {state}"),
            None => Ok(()),
        }
    }
}

/// Returns the first pool that a read of `key` goes to under `route`, and the key as the pool knows it.
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

fn under(policy: &PolicyRoute, nodes: &[Arc<Node>], key: &[u8]) -> Vec<ExplainedBranch> {
    let branches = policy.kind.branches_of(key).into_iter();
    branches
        .map(|(branch, key)| ExplainedBranch {
            of: branch.label.map(str::to_owned),
            ..ExplainedBranch::of(branch.route, nodes, &key)
        })
        .collect()
}
