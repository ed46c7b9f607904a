//! `/pools`: every pool with its nodes, where they come from, and its handover; and `POST /pools/NAME/accept` and
//! `/handover/next`.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::query::{QueryError, decode, named};
use super::response::{Answer, json, text};
use crate::control::handover::{self, CannotSkip};
use crate::control::kept_handovers::{KeptHandover, config_of};
use crate::discovery::status::{Held, Status};
use crate::route::Handover;
use crate::route::handover::progress::Phase;
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
    /// Null while its ring does not change.
    handover: Option<ShownHandover>,
}

#[derive(Debug, Serialize)]
struct ShownHandover {
    phase: &'static str,
    ends_in_seconds: u64,
    /// The share of all keys that move, from 0 to 1.
    moved: f64,
    /// Reads of moved keys that the new owner answered.
    read_new: u64,
    /// Reads of moved keys that only the old owner could answer.
    read_old: u64,
    /// Values copied to their new owners.
    copied: u64,
    /// Of the moved keys that were found in the last half minute, the share that only the old owner had, from 0 to 1.
    /// Null if there were none.
    still_old: Option<f64>,
    /// Whether another change of the ring waits for its end.
    is_awaited: bool,
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
            handover: pool.handover.as_deref().and_then(shown_handover),
        }
    });
    shown.collect()
}

fn shown_handover(handover: &Handover) -> Option<ShownHandover> {
    let progress = &handover.progress;
    let counts = progress.counts(&handover.tally);
    Some(ShownHandover {
        phase: progress.phase().name()?,
        ends_in_seconds: progress.left().as_secs_f64().ceil() as u64,
        moved: progress.moved,
        read_new: counts.new,
        read_old: counts.old,
        copied: counts.copied,
        still_old: progress.still_old(&handover.tally),
        is_awaited: progress.is_awaited(),
    })
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

/// What `ringway warm` needs to go on with a handover.
#[derive(Debug, Serialize)]
struct Whole {
    /// The running configuration of the pool, in which every node is listed.
    config: Value,
    ends_in_seconds: u64,
    /// For each old node, whether it missed a write, so that its values may be old.
    missed: Vec<bool>,
    #[serde(flatten)]
    handover: KeptHandover,
}

fn whole(name: &str, snapshot: &Snapshot) -> Option<Whole> {
    let pool = snapshot.pools.get(name)?;
    let handover = pool.handover.as_deref()?;
    let old = handover.old.own(&snapshot.nodes);
    Some(Whole {
        config: config_of(name, &pool.settings),
        ends_in_seconds: handover.progress.left().as_secs_f64().ceil() as u64,
        missed: old.map(|node| node.missed.is_any()).collect(),
        handover: KeptHandover::of(name, handover, &pool.settings)?,
    })
}

/// An action on a pool, or a question about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Apply the change that is held.
    Accept,
    /// Go to the next phase of the handover.
    Next,
    /// Show the handover.
    Show,
}

/// Returns the action in `path`, and the pool's name as written there; `None` for any other path.
pub fn parse(path: &str) -> Option<(Action, &str)> {
    let rest = path.strip_prefix("/pools/")?;
    let actions = [
        ("/accept", Action::Accept),
        ("/handover/next", Action::Next),
        ("/handover", Action::Show),
    ];
    let mut actions = actions.into_iter();
    actions.find_map(|(end, action)| Some((action, rest.strip_suffix(end)?)))
}

/// Performs `action` on the pool called `name`.
pub async fn act(state: &State, action: Action, name: &str, query: &str) -> Answer {
    let Ok(name) = decode(name.as_bytes()) else {
        return text(
            StatusCode::BAD_REQUEST,
            "% must be followed by two hexadecimal digits\n",
        );
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    let snapshot = state.snapshot.load_full();
    if !snapshot.pools.contains_key(&name) {
        return text(StatusCode::NOT_FOUND, "no such pool; GET /pools lists them\n");
    }
    match action {
        Action::Accept => accept(state, &name),
        Action::Next => next(&snapshot, &name, query).await,
        Action::Show => match whole(&name, &snapshot) {
            Some(shown) => json(StatusCode::OK, &shown),
            None => text(StatusCode::CONFLICT, format!("{}\n", CannotSkip::None)),
        },
    }
}

/// Goes to the next phase of the handover of the pool called `name`: from the phase that `query` names in `from`, if it
/// does, so that a request that is sent twice skips nothing.
async fn next(snapshot: &Snapshot, name: &str, query: &str) -> Answer {
    let from = match phase(query) {
        Ok(from) => from,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match handover::next(snapshot, name, from).await {
        Ok(phase) => text(StatusCode::OK, format!("{phase}\n")),
        Err(refused) => text(StatusCode::CONFLICT, format!("{refused}\n")),
    }
}

/// Returns the phase that `query` names in `from`.
fn phase(query: &str) -> Result<Option<Phase>, QueryError> {
    let Some(found) = named(query, "from")? else {
        return Ok(None);
    };
    let unknown = || QueryError::NoWord {
        field: "from",
        found: found.clone(),
        meant: "prepare, serve or finish",
    };
    Phase::named(&found).map(Some).ok_or_else(unknown)
}

/// Lets the change apply that is held for the pool called `name`.
fn accept(state: &State, name: &str) -> Answer {
    let mut statuses = state.discovery.lock().expect("no holder panics");
    match statuses.get_mut(name).filter(|status| status.held.is_some()) {
        Some(status) => {
            status.is_accepted = true;
            text(StatusCode::OK, "accepted: it is applied within a few seconds\n")
        }
        None => text(StatusCode::CONFLICT, "no change of this pool is held\n"),
    }
}
