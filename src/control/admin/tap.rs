//! `/tap`: single requests as they are answered, for a time.
//!
//! `POST /tap` opens one, `POST /tap/ID` takes what it saw since the last time, until it says that it is over. Both are
//! POSTs: they need the token where one is set, and no web page can send them.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::query::{QueryError, field, named, number, pool};
use super::response::{Answer, json, text};
use super::slow::Shown;
use crate::insight::{Event, Filter};
use crate::protocol::operation::Operation;
use crate::runtime::taps::{MAX_TAPS, Tap};
use crate::snapshot::Snapshot;
use crate::state::State;

/// The seconds that a tap is open by default, and at most.
const SECONDS: usize = 10;
const MAX_SECONDS: usize = 600;
/// The largest `one_in`.
const MAX_ONE_IN: usize = 1_000_000;
/// The events in one answer.
const AT_ONCE: usize = 1024;
/// How long an answer waits for the first event.
const WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize)]
struct Opened {
    id: u64,
    seconds: usize,
    /// Whether keys are shown by name.
    shows_keys: bool,
}

/// What a tap saw.
#[derive(Debug, Serialize)]
struct Seen {
    requests: Vec<Shown>,
    /// The requests that are missing before these, because they were not read in time.
    lost: u64,
    /// Whether no more requests come.
    over: bool,
}

/// Returns the number of the tap in `path`: 0 for `/tap` itself, `None` for any other path.
pub fn parse(path: &str) -> Option<u64> {
    match path.strip_prefix("/tap")? {
        "" => Some(0),
        rest => rest.strip_prefix('/')?.parse().ok().filter(|id| *id > 0),
    }
}

/// Opens a tap, or takes what the one called `id` saw.
pub async fn answer(state: &Arc<State>, id: u64, query: &str) -> Answer {
    match id {
        0 => match open(state, query) {
            Ok(answer) => answer,
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        id => match state.taps.find(id) {
            Some(tap) => take(&tap, state.snapshot.load().config.admin.show_keys).await,
            None => text(StatusCode::NOT_FOUND, "no such tap; POST /tap opens one\n"),
        },
    }
}

fn open(state: &Arc<State>, query: &str) -> Result<Answer, QueryError> {
    let snapshot = state.snapshot.load();
    let seconds = number(query, "seconds", 1..=MAX_SECONDS)?.unwrap_or(SECONDS);
    let one_in = number(query, "one_in", 1..=MAX_ONE_IN)?.unwrap_or(1);
    let filter = filter(query, &snapshot)?;
    let until = Instant::now() + Duration::from_secs(seconds as u64);
    let Some(tap) = state.taps.open(filter, one_in as u32, until) else {
        let reason = format!("{MAX_TAPS} taps are open, or were until a moment ago\n");
        return Ok(text(StatusCode::CONFLICT, reason));
    };
    info!(tap = tap.id, seconds, one_in, "tap opened");
    let id = tap.id;
    let state = state.clone();
    tokio::spawn(async move { state.taps.end(&tap).await });
    Ok(json(
        StatusCode::OK,
        &Opened {
            id,
            seconds,
            shows_keys: snapshot.config.admin.show_keys,
        },
    ))
}

fn filter(query: &str, snapshot: &Snapshot) -> Result<Filter, QueryError> {
    let prefix = field(query, "prefix").map_err(|source| QueryError::Escape {
        field: "prefix",
        source,
    })?;
    let node = named(query, "node")?;
    let is_node = |name: &String| snapshot.nodes.iter().any(|node| node.label == *name);
    if let Some(found) = node.as_ref().filter(|name| !is_node(name)) {
        return Err(QueryError::NoWord {
            field: "node",
            found: found.clone(),
            meant: "a node; GET /nodes lists them",
        });
    }
    let operation = match named(query, "command")? {
        None => None,
        Some(found) => {
            let operation = Operation::all().find(|operation| operation.name() == found);
            Some(operation.ok_or(QueryError::NoWord {
                field: "command",
                found,
                meant: "a command, such as get, set or delete",
            })?)
        }
    };
    Ok(Filter {
        prefix: prefix.unwrap_or_default(),
        pool: pool(query, snapshot)?,
        node,
        operation,
    })
}

async fn take(tap: &Tap, by_name: bool) -> Answer {
    let Ok(mut events) = tap.events.try_lock() else {
        return text(StatusCode::CONFLICT, "this tap is being read already\n");
    };
    // In this order: what was offered before it was over is still there.
    let over = tap.is_over();
    let mut taken: Vec<Event> = Vec::new();
    let wait = if over { Duration::ZERO } else { WAIT };
    if let Ok(Some(first)) = timeout(wait, events.recv()).await {
        taken.push(first);
    }
    while taken.len() < AT_ONCE
        && let Ok(event) = events.try_recv()
    {
        taken.push(event);
    }
    let seen = Seen {
        requests: taken.iter().map(|event| Shown::new(event, by_name)).collect(),
        lost: tap.begin_read(),
        over: over && events.is_empty(),
    };
    json(StatusCode::OK, &seen)
}
