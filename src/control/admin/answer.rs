//! Dispatches paths to their answers. Bodies of requests are never read.

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::response::{Answer, json, raw, text};
use super::{
    AdminContext, actions, explain, hotkeys, miss_ratio, nodes, page, pools, query, readiness, slow, status,
    tap,
};
use crate::config;
use crate::control::{exposition, handover};
use crate::state::State;

const INDEX: &str = "\
ringway admin

GET  /livez      the process runs
GET  /readyz     ready for traffic, or why not (also /healthz)
GET  /metrics    Prometheus metrics
GET  /status     all that the status page shows, JSON
GET  /nodes      every node of every pool, JSON
GET  /pools      every pool, and where its nodes come from, JSON
GET  /hotkeys    [?pool=P] [&by=requests or bytes] [&n=20]: the keys that nodes are asked for most, JSON
GET  /slow       [?pool=P] [&n=50]: the last slow requests, and where their time went, JSON
GET  /missratio  what more memory would bring, of pools with insight.miss_ratio, JSON
GET  /config     the running configuration, JSON
GET  /explain    ?key=K [&route=R or &listener=L] [&live=1]: where a key goes, step by step, JSON
POST /tap        [?seconds=10] [&one_in=1] [&prefix=T] [&pool=P] [&node=N] [&command=C]: watch requests; POST /tap/ID
                 takes what was seen since the last time, JSON
POST /reload     read the configuration file again
GET  /pools/NAME/handover: its handover as `ringway warm` needs it, JSON
POST /pools/NAME/accept: apply the change of its nodes that is held
POST /pools/NAME/handover/next?from=PHASE: go to the next phase of its handover at once
POST /nodes/NAME/drain, /undrain, /admit [?pool=P]: take a node out of the ring, and let it in again
";

/// Whether `path` is for probes, which are answered however busy the listener is.
pub fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz")
}

/// The fields that the query of a request may have; `None` if it is not looked at, since it chooses nothing.
fn fields(method: &Method, path: &str) -> Option<&'static [&'static str]> {
    match path {
        "/hotkeys" => Some(&["pool", "by", "n"]),
        "/slow" => Some(&["pool", "n"]),
        "/explain" => Some(&["key", "route", "listener", "live"]),
        "/tap" => Some(&["seconds", "one_in", "prefix", "pool", "node", "command"]),
        _ if *method != Method::POST => None,
        _ if actions::parse(path).is_some() => Some(&["pool"]),
        _ if matches!(pools::parse(path), Some((pools::Action::Next, _))) => Some(&["from"]),
        _ => Some(&[]),
    }
}

/// Answers one request.
pub async fn answer<B>(context: &AdminContext, request: &Request<B>) -> Answer {
    let action = actions::parse(request.uri().path());
    let pool_action = pools::parse(request.uri().path());
    let tap = tap::parse(request.uri().path());
    let allowed = match request.uri().path() {
        "/reload" => "POST",
        _ if matches!(pool_action, Some((pools::Action::Show, _))) => "GET, HEAD",
        _ if action.is_some() || pool_action.is_some() || tap.is_some() => "POST",
        "/" | "/livez" | "/readyz" | "/healthz" | "/metrics" | "/status" | "/nodes" | "/pools"
        | "/hotkeys" | "/slow" | "/missratio" | "/config" | "/explain" => "GET, HEAD",
        _ => return text(StatusCode::NOT_FOUND, "no such path; GET / lists them\n"),
    };
    let is_allowed = match *request.method() {
        Method::POST => allowed == "POST",
        // The server omits the body for HEAD.
        Method::GET | Method::HEAD => allowed != "POST",
        _ => false,
    };
    if !is_allowed {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("allowed: {allowed}\n"));
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
        return refusal;
    }
    let query = request.uri().query().unwrap_or_default();
    let known = fields(request.method(), request.uri().path());
    if let Some(Err(error)) = known.map(|known| query::check(query, known)) {
        return text(StatusCode::BAD_REQUEST, format!("{error}\n"));
    }
    if let Some((action, name)) = action {
        return actions::act(&context.state, action, name, query);
    }
    if let Some((action, pool)) = pool_action {
        return pools::act(&context.state, action, pool, query).await;
    }
    if let Some(id) = tap {
        return tap::answer(&context.state, id, query).await;
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" | "/healthz" => readiness::answer(&context.state),
        "/metrics" => raw(
            StatusCode::OK,
            exposition::CONTENT_TYPE,
            context.exposition.render(),
        ),
        "/status" => json(StatusCode::OK, &status::of(&context.state, &context.shares).await),
        "/nodes" => json(StatusCode::OK, &nodes::list(&context.state.snapshot.load())),
        "/pools" => json(
            StatusCode::OK,
            &pools::list(&context.state, &context.state.snapshot.load()),
        ),
        "/hotkeys" => hotkeys::answer(&context.state, query),
        "/slow" => slow::answer(&context.state, query),
        "/missratio" => miss_ratio::answer(&context.state),
        "/config" => running(&context.state),
        "/explain" => explain::answer(&context.state, query).await,
        "/reload" => reload(context).await,
        _ => page::answer(request.headers(), INDEX),
    }
}

fn running(state: &State) -> Answer {
    let config = &state.snapshot.load().config;
    let difference = &state.reloads.lock().expect("no holder panics").difference;
    let shown = json!({ "hash": config.hash(), "config": config::show(config), "last_reload": difference });
    json(StatusCode::OK, &shown)
}

async fn reload(context: &AdminContext) -> Answer {
    match context.reloader.reload().await {
        Ok(taken) => {
            handover::outlast_requests(&context.state.snapshot.load_full()).await;
            let mut body = if taken.changed {
                "taken\n"
            } else {
                "taken, nothing changed\n"
            }
            .to_owned();
            for setting in taken.requires_restart {
                body.extend(["`", setting, "` needs a restart\n"]);
            }
            for pool in taken.waiting {
                body += &format!("the ring of the pool {pool} changes once its handover has ended\n");
            }
            text(StatusCode::OK, body)
        }
        Err(refused) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{refused}\n")),
    }
}
