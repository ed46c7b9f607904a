//! `/explain`: where a key goes, with the same answer as `ringway explain`.

use hyper::StatusCode;

use super::query::field;
use super::response::{Answer, json, text};
use crate::control::live_lookup;
use crate::route::Route;
use crate::route::explain::explain;
use crate::route::explain::tree;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Answers for the key in `query`; with `live=1` also asks its node.
pub async fn answer(state: &State, query: &str) -> Answer {
    let snapshot = state.snapshot.load_full();
    let explained = key(query).and_then(|key| {
        let (name, route) = route(&snapshot, query)?;
        let explained = explain(&name, &route, &snapshot.nodes, &key).map_err(|bad| bad.to_string())?;
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
        Err(reason) => text(StatusCode::BAD_REQUEST, format!("{reason}\n")),
    }
}

fn key(query: &str) -> Result<Vec<u8>, String> {
    let key = decoded(query, "key")?;
    key.ok_or_else(|| "no key: ask for /explain?key=K".to_owned())
}

/// Returns the requested route: the named one, that of the named listener, or that of the first listener.
fn route(snapshot: &Snapshot, query: &str) -> Result<(String, Route), String> {
    if let Some(name) = name(query, "route")? {
        let route = snapshot
            .route(&name)
            .ok_or_else(|| format!("no route or pool {name:?}"))?;
        return Ok((name, route));
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
    let listener = listener.ok_or_else(|| format!("no listener {:?}", wanted.unwrap_or_default()))?;
    Ok((listener.settings.route.label().to_owned(), listener.route.clone()))
}

fn name(query: &str, field: &str) -> Result<Option<String>, String> {
    let bytes = decoded(query, field)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn decoded(query: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
    field(query, name).map_err(|_| format!("{name}: % must be followed by two hexadecimal digits"))
}
