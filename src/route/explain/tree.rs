//! The policies and pools that one key may come to, as a tree: for `ringway explain` and `/explain`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config;
use crate::node::Node;
use crate::route::explain::{InsteadOf, instead_of};
use crate::route::{Policy, Pool, Route, What};

/// A policy with what is under it, or a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Of what requests it is the way, where its policy chooses by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What stands there.
    #[serde(flatten)]
    pub what: Here,
}

/// What stands in one place of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Here {
    /// A policy.
    Policy {
        /// Its name.
        policy: String,
        /// Its settings, as they are typed, without its routes.
        options: Value,
        /// The routes under it, those that the key cannot come to left out.
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
    /// The node that would have the key if all took keys; `None` where it has it.
    pub instead_of: Option<InsteadOf>,
}

impl Branch {
    /// What `key` may come to under `route`, which picks among `nodes`, those of its snapshot.
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
                options: options(&policy.settings),
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

/// Lines, each begun by a line end and indented.
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
    match &policy.what {
        What::Prefix(prefix) => first(prefix.choose(key), key),
        What::Key(change, to) => first(to, &change.change(key)),
        what => what.children().into_iter().find_map(|child| first(child, key)),
    }
}

fn under(policy: &Policy, nodes: &[Arc<Node>], key: &[u8]) -> Vec<Branch> {
    let named = |(word, route): (&str, &Route)| Branch {
        of: Some(word.to_owned()),
        ..Branch::of(route, nodes, key)
    };
    match &policy.what {
        What::Prefix(prefix) => vec![Branch::of(prefix.choose(key), nodes, key)],
        What::Key(change, to) => vec![Branch::of(to, nodes, &change.change(key))],
        What::ByCommand(routes, otherwise) => {
            let routes = routes.iter().map(|(which, route)| (which.word(), route));
            routes.chain([("else", otherwise)]).map(named).collect()
        }
        What::LazyFill(fill) => [("to", &fill.to), ("from", &fill.from)].map(named).into(),
        What::Layers(layers) => [("near", &layers.near), ("far", &layers.far)].map(named).into(),
        What::Shadow(shadow) => [("of", &shadow.of), ("to", &shadow.to)].map(named).into(),
        what => {
            let children = what.children();
            children
                .iter()
                .map(|child| Branch::of(child, nodes, key))
                .collect()
        }
    }
}

/// The keys of settings behind which routes stand.
const ROUTES: &[&str] = &["to", "of", "from", "near", "far"];

/// The settings of a policy without its routes.
fn options(settings: &config::Policy) -> Value {
    let mut shown = settings.show();
    if shown.get("else").is_some() {
        let strip = shown.get("strip").filter(|strip| **strip == Value::Bool(true));
        return strip.map_or_else(|| serde_json::json!({}), |_| serde_json::json!({ "strip": true }));
    }
    let mut options = shown[settings.name()].take();
    if let Some(options) = options.as_object_mut() {
        options.retain(|key, _| !ROUTES.contains(&key.as_str()));
    }
    options
}
