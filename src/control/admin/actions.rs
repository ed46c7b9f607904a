//! An operator's actions on a node: `POST /nodes/NAME/drain`, `/undrain` and `/admit`.
//!
//! They do not survive the process: after a restart they must be repeated, or the file edited.

use std::sync::Arc;

use hyper::StatusCode;
use thiserror::Error;
use tracing::info;

use super::query::{BadEscape, decode, field};
use super::response::{Answer, text};
use crate::config::Rejoin;
use crate::control::rehash;
use crate::control::rejoin::{admit, rejoin_embedded};
use crate::health;
use crate::node::Node;
use crate::snapshot::Snapshot;
use crate::state::State;

/// An action on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stop giving it new keys; outstanding requests are answered.
    Drain,
    /// Give it keys again, once it is cleared.
    Undrain,
    /// Give it keys again, with the items that it has.
    Admit,
}

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum ActionError {
    /// The name or the pool cannot be read.
    #[error(transparent)]
    Query(#[from] BadEscape),
    /// No node has the name.
    #[error("no such node; GET /nodes lists them")]
    NoNode,
    /// Nodes of several pools have it.
    #[error("several pools have it: add ?pool={first} or ?pool={second}")]
    Ambiguous {
        /// One of the pools.
        first: String,
        /// Another one.
        second: String,
    },
    /// Its pool would have no node.
    #[error("the pool has no other node that takes keys")]
    LastNode,
    /// A drained node is not admitted.
    #[error("it is drained: undrain it")]
    Drained,
    /// A node that does not answer is not admitted.
    #[error("it is {}, and does not answer yet", .0.name())]
    NotAnswering(health::State),
}

impl ActionError {
    fn status(&self) -> StatusCode {
        match self {
            ActionError::Query(_) | ActionError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            ActionError::NoNode => StatusCode::NOT_FOUND,
            ActionError::LastNode | ActionError::Drained | ActionError::NotAnswering(_) => {
                StatusCode::CONFLICT
            }
        }
    }
}

/// Returns the action in `path`, and the node's name as written there; `None` for any other path. The name
/// may contain slashes, as that of a unix socket does.
pub fn parse(path: &str) -> Option<(Action, &str)> {
    let (name, action) = path.strip_prefix("/nodes/")?.rsplit_once('/')?;
    let action = match action {
        "drain" => Action::Drain,
        "undrain" => Action::Undrain,
        "admit" => Action::Admit,
        _ => return None,
    };
    Some((action, name))
}

/// Performs `action` on the node called `name`, in the pool given in `query` if several pools have such a
/// node.
pub fn act(state: &State, action: Action, name: &str, query: &str) -> Answer {
    let snapshot = state.snapshot.load_full();
    let done = find(&snapshot, name, query).and_then(|node| match action {
        Action::Drain => drain(&snapshot, node),
        Action::Undrain => Ok(undrain(&snapshot, node)),
        Action::Admit => admit_node(node),
    });
    rehash::refresh(state);
    match done {
        Ok(done) => text(StatusCode::OK, format!("{done}\n")),
        Err(error) => text(error.status(), format!("{error}\n")),
    }
}

fn find<'a>(snapshot: &'a Snapshot, name: &str, query: &str) -> Result<&'a Arc<Node>, ActionError> {
    let name = decode(name.as_bytes())?;
    let pool = field(query, "pool")?;
    let is_meant = |node: &&Arc<Node>| {
        node.label.as_bytes() == name && pool.as_ref().is_none_or(|pool| node.pool.as_bytes() == pool)
    };
    let found: Vec<&Arc<Node>> = snapshot.nodes.iter().filter(is_meant).collect();
    match found[..] {
        [node] => Ok(node),
        [] => Err(ActionError::NoNode),
        [first, second, ..] => Err(ActionError::Ambiguous {
            first: first.pool.clone(),
            second: second.pool.clone(),
        }),
    }
}

fn drain(snapshot: &Snapshot, node: &Node) -> Result<&'static str, ActionError> {
    let pool = &snapshot.pools[&node.pool];
    let others = pool.own(&snapshot.nodes);
    let mut others = others.filter(|other| other.label != node.label);
    if others.all(|other| other.membership.is_drained()) {
        return Err(ActionError::LastNode);
    }
    node.membership.set_drained(true);
    info!(pool = node.pool, node = node.label, "node drained");
    Ok("drained: it takes no new keys")
}

fn undrain(snapshot: &Snapshot, node: &Node) -> &'static str {
    if !node.membership.is_drained() {
        return "it was not drained";
    }
    node.membership.set_drained(false);
    info!(pool = node.pool, node = node.label, "node no longer drained");
    let how = snapshot.pools[&node.pool].settings.rejoin;
    if how == Rejoin::Manual {
        // By the operator's decision.
        admit(node);
    }
    rejoin_embedded(node, how);
    if node.membership.may_stand() {
        "no longer drained: it takes keys again"
    } else {
        "no longer drained: it takes keys again once it answers and is cleared"
    }
}

fn admit_node(node: &Node) -> Result<&'static str, ActionError> {
    if node.membership.is_drained() {
        return Err(ActionError::Drained);
    }
    if node.membership.left_at().is_none() && !node.missed.is_all() {
        return Ok("it had not left the ring");
    }
    if !node.state().takes_requests() {
        return Err(ActionError::NotAnswering(node.state()));
    }
    node.missed.accept();
    admit(node);
    Ok("admitted: it takes keys again")
}
