//! `/slow`: the last requests that took longer than their pool's threshold, and where their time went.

use std::sync::atomic::Ordering::Relaxed;

use hyper::StatusCode;
use serde::Serialize;

use super::query::{QueryError, number, pool};
use super::response::{Answer, json, text};
use super::shown_key::ShownKey;
use crate::config::rfc3339_millis;
use crate::insight::Event;
use crate::insight::slow_log::{KEPT, OFF};
use crate::snapshot::Snapshot;
use crate::state::State;

/// The requests in an answer if the query names no other number.
const SHOWN: usize = 50;
/// The requests on the status page.
const ON_PAGE: usize = 20;

#[derive(Debug, Serialize)]
struct SlowLog {
    /// Whether keys are shown by name.
    shows_keys: bool,
    thresholds: Vec<Threshold>,
    /// The newest first.
    requests: Vec<Shown>,
}

/// From when on a pool's requests are slow.
#[derive(Debug, Serialize)]
struct Threshold {
    pool: String,
    /// Null: never.
    seconds: Option<f64>,
}

/// One slow request.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// When its reply arrived, or when it failed, in UTC.
    at: String,
    pool: String,
    node: String,
    command: &'static str,
    #[serde(flatten)]
    key: ShownKey,
    /// Of the value that was read, or of the request that wrote.
    bytes: usize,
    outcome: &'static str,
    /// Whether it was sent a second time.
    retried: bool,
    seconds: f64,
    own_seconds: f64,
    queue_seconds: f64,
    node_seconds: f64,
}

impl Shown {
    /// Shows `event`, with its key by name if `by_name`.
    pub fn new(event: &Event, by_name: bool) -> Shown {
        let seconds = |micros: u64| micros as f64 / 1e6;
        Shown {
            at: rfc3339_millis(event.at),
            pool: event.pool.clone(),
            node: event.node.clone(),
            command: event.operation.name(),
            key: ShownKey::new(&event.key, by_name),
            bytes: event.bytes,
            outcome: event.outcome,
            retried: event.is_retry,
            seconds: seconds(event.times.total()),
            own_seconds: seconds(event.times.own),
            queue_seconds: seconds(event.times.queue),
            node_seconds: seconds(event.times.node),
        }
    }
}

/// Answers `query`.
pub fn answer(state: &State, query: &str) -> Answer {
    match list(state, query) {
        Ok(found) => json(StatusCode::OK, &found),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// The last slow requests of all pools, for the status page.
pub fn on_page(state: &State, snapshot: &Snapshot) -> Vec<Shown> {
    shown(state, snapshot, None, ON_PAGE)
}

fn list(state: &State, query: &str) -> Result<SlowLog, QueryError> {
    let snapshot = state.snapshot.load();
    let pool = pool(query, &snapshot)?;
    let count = number(query, "n", 1..=KEPT)?.unwrap_or(SHOWN);
    let is_wanted = |name: &&String| pool.as_ref().is_none_or(|pool| pool == *name);
    let thresholds = snapshot.pools.keys().filter(is_wanted);
    Ok(SlowLog {
        shows_keys: snapshot.config.admin.show_keys,
        thresholds: thresholds.map(|name| threshold(name, &snapshot)).collect(),
        requests: shown(state, &snapshot, pool.as_deref(), count),
    })
}

fn threshold(name: &str, snapshot: &Snapshot) -> Threshold {
    let nodes = snapshot.pools[name].own(&snapshot.nodes);
    let micros = nodes.map(|node| node.slow_above.load(Relaxed)).min();
    Threshold {
        pool: name.to_owned(),
        seconds: micros
            .filter(|micros| *micros != OFF)
            .map(|micros| micros as f64 / 1e6),
    }
}

fn shown(state: &State, snapshot: &Snapshot, pool: Option<&str>, count: usize) -> Vec<Shown> {
    let log = state.slow.lock().expect("no holder panics");
    let wanted = log
        .newest()
        .filter(|event| pool.is_none_or(|pool| event.pool == pool));
    let by_name = snapshot.config.admin.show_keys;
    wanted
        .take(count)
        .map(|event| Shown::new(event, by_name))
        .collect()
}
