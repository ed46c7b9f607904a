//! `/pools`: every pool with its nodes and where they come from; and `POST /pools/NAME/accept`.

use hyper::StatusCode;
use serde::Serialize;
use tracing::info;

use super::query::decode;
use super::response::{Answer, text};
use crate::discovery::status::{Held, Status};
use crate::snapshot::Snapshot;
use crate::state::State;

/// One pool as shown by `/pools`.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    distribution: &'static str,
    /// The names of its nodes, or their addresses if they have none.
    nodes: Vec<String>,
    /// Null if the configuration lists all nodes.
    discover: Option<Discovery>,
}

#[derive(Debug, Serialize)]
struct Discovery {
    from: String,
    /// Null until there was an answer.
    last_answer_age_seconds: Option<u64>,
    /// Why the last query had no answer; null if it had one.
    last_error: Option<String>,
    /// The number of discovered nodes.
    members: usize,
    /// Discovered nodes that do not take keys yet.
    joining: Vec<String>,
    /// Nodes that are no longer discovered, and still take keys.
    leaving: Vec<String>,
    held: Option<Held>,
}

/// All pools, by name.
pub fn list(state: &State, snapshot: &Snapshot) -> Vec<Shown> {
    let statuses = state.discovery.lock().expect("no holder panics");
    let shown = snapshot.pools.iter().map(|(name, pool)| {
        let discover = pool.settings.discover.as_ref();
        let status = statuses.get(name).cloned().unwrap_or_default();
        Shown {
            name: name.clone(),
            distribution: pool.settings.distribution.name(),
            nodes: pool.settings.nodes.iter().map(|node| node.label()).collect(),
            discover: discover.map(|discover| discovery(discover.from.to_string(), status)),
        }
    });
    shown.collect()
}

fn discovery(from: String, status: Status) -> Discovery {
    Discovery {
        from,
        last_answer_age_seconds: status.last_answer.map(|at| at.elapsed().as_secs()),
        last_error: status.last_error,
        members: status.members,
        joining: status.joining,
        leaving: status.leaving,
        held: status.held,
    }
}

/// Returns the pool's name in the path of an `accept`, as written there; `None` for any other path.
pub fn parse(path: &str) -> Option<&str> {
    path.strip_prefix("/pools/")?.strip_suffix("/accept")
}

/// Lets the change apply that is held for the pool called `name`.
pub fn accept(state: &State, name: &str) -> Answer {
    let Ok(name) = decode(name.as_bytes()) else {
        return text(
            StatusCode::BAD_REQUEST,
            "% must be followed by two hexadecimal digits\n",
        );
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    if !state.snapshot.load().pools.contains_key(&name) {
        return text(StatusCode::NOT_FOUND, "no such pool; GET /pools lists them\n");
    }
    let mut statuses = state.discovery.lock().expect("no holder panics");
    match statuses.get_mut(&name).filter(|status| status.held.is_some()) {
        Some(status) => {
            status.is_accepted = true;
            info!(pool = name, "held change accepted");
            text(StatusCode::OK, "accepted: it is applied within a few seconds\n")
        }
        None => text(StatusCode::CONFLICT, "no change of this pool is held\n"),
    }
}
