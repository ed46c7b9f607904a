//! `/hotkeys`: the keys and prefixes that nodes are asked for most, by requests or by bytes.

use hyper::StatusCode;
use serde::Serialize;

use super::query::{QueryError, named, number, pool};
use super::response::{Answer, json, text};
use super::shown_key::ShownKey;
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
    #[serde(flatten)]
    key: ShownKey,
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

/// The keys and the prefixes with the most requests, of all pools, for the status page.
pub fn on_page(state: &State, snapshot: &Snapshot) -> (Vec<Shown>, Vec<Shown>) {
    let ranking = state.hot_keys.ranking.load();
    let shown = |keys: Vec<&HotKey>, is_key| {
        let shown = keys
            .into_iter()
            .filter_map(|hot| show(hot, Order::Requests, snapshot, is_key));
        shown.take(ON_PAGE).collect()
    };
    let keys = shown(ranking.keys(Order::Requests, None), true);
    (keys, shown(ranking.prefixes(Order::Requests, None), false))
}

fn list(state: &State, query: &str) -> Result<HotKeys, QueryError> {
    let snapshot = state.snapshot.load();
    let (order, by) = match named(query, "by")? {
        None => Order::ALL[0],
        Some(name) => {
            let order = Order::ALL.into_iter().find(|(_, known)| *known == name);
            order.ok_or(QueryError::NoWord {
                field: "by",
                found: name,
                meant: "an order, choose requests or bytes",
            })?
        }
    };
    let pool = pool(query, &snapshot)?;
    let count = number(query, "n", 1..=MAX_SHOWN)?.unwrap_or(SHOWN);
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
    Some(Shown {
        key: ShownKey::new(&hot.key, snapshot.config.admin.show_keys),
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

/// Two digits behind the point: the rest would be noise.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}
