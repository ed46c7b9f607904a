//! `/hotkeys`: the keys and prefixes that nodes are asked for most, by requests or by bytes.
//!
//! Keys are data of the application: with `show_keys: false` each is shown as a hash, made with a secret that
//! lives and ends with this process. The same key then has the same hash in every answer.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hyper::StatusCode;
use serde::Serialize;
use thiserror::Error;

use super::query::{BadEscape, field};
use super::response::{Answer, json, text};
use crate::hot_keys::{HotKey, Order};
use crate::protocol::fingerprint;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The keys in an answer if the query names no other number.
const SHOWN: usize = 20;
/// The maximum number of keys in an answer.
const MAX_SHOWN: usize = 256;
/// The keys on the status page.
const ON_PAGE: usize = 10;

/// The secret of the hashes.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Why there is no answer.
#[derive(Debug, Error)]
enum QueryError {
    #[error("{field}: {source}")]
    Escape { field: &'static str, source: BadEscape },
    #[error("no pool {0:?}; GET /pools lists them")]
    NoPool(String),
    #[error("by: {0:?} is not an order, choose requests or bytes")]
    NoOrder(String),
    #[error("n: {0:?} is not a number from 1 to {MAX_SHOWN}")]
    NoNumber(String),
}

#[derive(Debug, Serialize)]
struct HotKeys {
    by: &'static str,
    /// Null: all pools.
    pool: Option<String>,
    /// Whether keys are shown by name.
    shows_keys: bool,
    keys: Vec<Shown>,
    prefixes: Vec<Shown>,
}

/// One key or prefix. Rates are those of the last seconds.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Null if keys are not shown.
    key: Option<String>,
    /// Null if keys are shown.
    hash: Option<String>,
    pool: String,
    /// The node that the pool's ring gives the key to now; null for a prefix.
    node: Option<String>,
    requests_per_second: f64,
    reads_per_second: f64,
    writes_per_second: f64,
    bytes_per_second: f64,
    read_bytes_per_second: f64,
    written_bytes_per_second: f64,
    /// The part of its pool's requests, or of their bytes, from 0 to 1.
    share: f64,
}

/// Answers `query`.
pub fn answer(state: &State, query: &str) -> Answer {
    match list(state, query) {
        Ok(found) => json(StatusCode::OK, &found),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// The keys with the most requests, of all pools, for the status page.
pub fn on_page(state: &State, snapshot: &Snapshot) -> Vec<Shown> {
    let ranking = state.hot_keys.ranking.load();
    let keys = ranking.keys(Order::Requests, None);
    let shown = keys
        .into_iter()
        .filter_map(|hot| show(hot, Order::Requests, snapshot, true));
    shown.take(ON_PAGE).collect()
}

fn list(state: &State, query: &str) -> Result<HotKeys, QueryError> {
    let snapshot = state.snapshot.load();
    let (order, by) = match named(query, "by")? {
        None => Order::ALL[0],
        Some(name) => {
            let order = Order::ALL.into_iter().find(|(_, known)| *known == name);
            order.ok_or(QueryError::NoOrder(name))?
        }
    };
    let pool = named(query, "pool")?;
    if let Some(name) = pool.as_ref().filter(|name| !snapshot.pools.contains_key(*name)) {
        return Err(QueryError::NoPool(name.clone()));
    }
    let count = match named(query, "n")? {
        None => SHOWN,
        Some(text) => {
            let number = text
                .parse()
                .ok()
                .filter(|number| (1..=MAX_SHOWN).contains(number));
            number.ok_or(QueryError::NoNumber(text))?
        }
    };
    let ranking = state.hot_keys.ranking.load();
    let shown = |keys: Vec<&HotKey>, is_key| {
        let shown = keys
            .into_iter()
            .filter_map(|hot| show(hot, order, &snapshot, is_key));
        shown.take(count).collect()
    };
    Ok(HotKeys {
        by,
        shows_keys: snapshot.config.admin.show_keys,
        keys: shown(ranking.keys(order, pool.as_deref()), true),
        prefixes: shown(ranking.prefixes(order, pool.as_deref()), false),
        pool,
    })
}

/// Returns `hot` as shown; `None` if its pool is gone since.
fn show(hot: &HotKey, order: Order, snapshot: &Snapshot, is_key: bool) -> Option<Shown> {
    let is_pool = |name: &&String| fingerprint(name.as_bytes()) == hot.pool;
    let pool = &snapshot.pools[snapshot.pools.keys().find(is_pool)?];
    let has_node = is_key && !pool.nodes.is_empty();
    let shows_keys = snapshot.config.admin.show_keys;
    Some(Shown {
        key: shows_keys.then(|| readable(&hot.key)),
        hash: (!shows_keys).then(|| format!("{:016x}", HASHES.hash_one(&hot.key))),
        pool: pool.name.clone(),
        node: has_node.then(|| snapshot.nodes[pool.pick(&hot.key)].label.clone()),
        requests_per_second: rounded(hot.rate.requests()),
        reads_per_second: rounded(hot.rate.reads),
        writes_per_second: rounded(hot.rate.writes),
        bytes_per_second: rounded(hot.rate.bytes()),
        read_bytes_per_second: rounded(hot.rate.read_bytes),
        written_bytes_per_second: rounded(hot.rate.write_bytes),
        share: (hot.share(order) * 1e4).round() / 1e4,
    })
}

/// A key that is not UTF-8 is shown with `\xNN` for what is not ASCII.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => key.escape_ascii().to_string(),
    }
}

/// Two digits behind the point: the rest would be noise.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

fn named(query: &str, name: &'static str) -> Result<Option<String>, QueryError> {
    let found = field(query, name).map_err(|source| QueryError::Escape { field: name, source })?;
    Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
