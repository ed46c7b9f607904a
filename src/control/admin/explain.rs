//! `/explain`: where a key goes, with the same answer as `ringway explain`.

use hyper::StatusCode;
use thiserror::Error;

use super::query::{BadEscape, field};
use super::response::{Answer, json, text};
use crate::control::live_lookup;
use crate::route::Route;
use crate::route::explain::tree;
use crate::route::explain::{BadKey, explain};
use crate::snapshot::Snapshot;
use crate::state::State;

/// Why there is nothing to explain.
#[derive(Debug, Error)]
enum ExplainError {
    #[error("no key: ask for /explain?key=K")]
    NoKey,
    #[error("{field}: {source}")]
    Query { field: &'static str, source: BadEscape },
    #[error("no route or pool {0:?}")]
    NoRoute(String),
    #[error("no listener {0:?}")]
    NoListener(String),
    #[error(transparent)]
    Key(#[from] BadKey),
}

/// Answers for the key in `query`; with `live=1` also asks its node.
pub async fn answer(state: &State, query: &str) -> Answer {
    let snapshot = state.snapshot.load_full();
    let explained = key(query).and_then(|key| {
        let (name, route) = route(&snapshot, query)?;
        let explained = explain(&name, &route, &snapshot.nodes, &key)?;
        Ok((explained, key, route))
    });
    match explained {
        Ok((mut explanation, key, route)) => {
            let is_live = query.split('&').any(|field| field == "live=1");
            if let (true, Some((pool, key))) = (is_live, tree::first(&route, &key)) {
                let node = &snapshot.nodes[pool.pick(&key)];
                explanation
                    .steps
                    .push(live_lookup::ask(node, &pool.settings, &key).await);
            }
            json(StatusCode::OK, &explanation)
        }
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn key(query: &str) -> Result<Vec<u8>, ExplainError> {
    decoded(query, "key")?.ok_or(ExplainError::NoKey)
}

/// Returns the requested route: the named one, that of the named listener, or that of the first listener.
fn route(snapshot: &Snapshot, query: &str) -> Result<(String, Route), ExplainError> {
    if let Some(name) = name(query, "route")? {
        return match snapshot.route(&name) {
            Some(route) => Ok((name, route)),
            None => Err(ExplainError::NoRoute(name)),
        };
    }
    let wanted = name(query, "listener")?;
    let listener = match &wanted {
        None => snapshot.listeners.first(),
        Some(wanted) => {
            let is_wanted = |bind: String| bind == *wanted;
            snapshot
                .listeners
                .iter()
                .find(|listener| is_wanted(listener.settings.bind.to_string()))
        }
    };
    let listener = listener.ok_or_else(|| ExplainError::NoListener(wanted.unwrap_or_default()))?;
    Ok((listener.settings.route.label().to_owned(), listener.route.clone()))
}

fn name(query: &str, field: &'static str) -> Result<Option<String>, ExplainError> {
    let bytes = decoded(query, field)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn decoded(query: &str, name: &'static str) -> Result<Option<Vec<u8>>, ExplainError> {
    field(query, name).map_err(|source| ExplainError::Query { field: name, source })
}
