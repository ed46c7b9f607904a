//! The HTTP listener: readiness, metrics, state, and an operator's actions.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz`, `/healthz` | 200 if it is ready, otherwise 503 with the reason |
//! | `GET /metrics` | Prometheus text |
//! | `GET /status` | JSON: all that the status page shows |
//! | `GET /nodes` | JSON: every node of every pool |
//! | `GET /pools` | JSON: every pool, and where its nodes come from |
//! | `GET /hotkeys` | JSON: the keys that nodes are asked for most; `?pool=P&by=requests\|bytes&n=20` choose |
//! | `GET /slow` | JSON: the last slow requests and where their time went; `?pool=P&n=50` choose |
//! | `GET /missratio` | JSON: what more memory would bring, of the pools that ask for it |
//! | `GET /config` | JSON: the running configuration and its hash, secrets masked |
//! | `GET /explain?key=K` | JSON: where the key goes, or 400; `&route=R` or `&listener=L` choose another route, `&live=1` asks the node too |
//! | `POST /nodes/NAME/drain`, `/undrain`, `/admit` | 200, or 404 or 409 with the reason |
//! | `GET /pools/NAME/handover` | JSON: its handover as `ringway warm` needs it, or 409 if none is going on |
//! | `POST /pools/NAME/accept` | 200, or 409 if no change of its nodes is held |
//! | `POST /pools/NAME/handover/next?from=PHASE` | 200, or 409 if no handover is in that phase |
//! | `POST /tap`, `POST /tap/ID` | JSON: opens a tap, or what it saw; 400, 404 or 409 with the reason |
//! | `POST /reload` | 200, or 422 with the errors |
//! | `GET /` | the status page for a browser, otherwise these paths |
//!
//! Any other path is 404, a wrong method 405, a foreign host or a foreign page 403 (`guard`). This file is
//! the server; what protects it is in files beside it: which connections it holds (`places`), and how long
//! each may take (`connection`, `progress`).

mod actions;
mod answer;
mod connection;
mod explain;
mod guard;
mod hotkeys;
mod miss_ratio;
mod nodes;
mod page;
mod places;
mod pools;
mod progress;
pub mod query;
mod readiness;
mod response;
mod shares;
mod shown_key;
mod slow;
mod socket;
mod status;
mod tap;
mod token;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::exposition::Exposition;
use super::reload::Reloader;
use crate::log_limit::LogLimit;
use crate::net::listen::Listening;
use crate::net::stream::Stream;
use crate::state::{Phase, State};
use connection::{ANSWER, LIFE, serve_connection};
use places::Places;
use socket::AdminSocket;

/// The pause after a failed accept.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Rate-limits the log of connections that make way for others.
static DISPLACED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// The HTTP server, ready to run.
#[derive(Debug)]
pub struct AdminServer {
    socket: AdminSocket,
    context: Arc<AdminContext>,
    /// The maximum time for a client to read an answer.
    limit: Duration,
}

/// The state that answers are made from.
#[derive(Debug)]
struct AdminContext {
    state: Arc<State>,
    reloader: Arc<Reloader>,
    exposition: Exposition,
    shares: shares::Known,
}

impl AdminServer {
    /// Returns a server on `socket`. Must be called inside a runtime.
    pub fn new(socket: Listening, state: Arc<State>, reloader: Arc<Reloader>) -> io::Result<AdminServer> {
        let socket = AdminSocket::new(socket)?;
        let exposition = Exposition::new(state.clone());
        let context = AdminContext {
            state,
            reloader,
            exposition,
            shares: shares::Known::default(),
        };
        Ok(AdminServer {
            socket,
            context: Arc::new(context),
            limit: ANSWER,
        })
    }

    /// Serves until this future is dropped, or a successor has the listener; connections that are open then continue for
    /// their lifetime.
    pub async fn run(self) {
        let mut phase = self.context.state.phase.subscribe();
        let succession = &self.context.state.succession;
        let is_over = |phase: &Phase| *phase >= Phase::Draining && succession.has_begun();
        tokio::select! {
            () = self.accept() => {}
            _ = phase.wait_for(is_over) => {}
        }
    }

    async fn accept(&self) {
        info!(address = %self.socket, "admin listens");
        let places = Arc::new(Places::default());
        loop {
            match self.socket.accept().await {
                Ok(stream) => self.serve(stream, &places),
                Err(error) => {
                    warn!(%error, "admin cannot accept");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own; another connection may be closed for it.
    fn serve(&self, stream: Stream, places: &Arc<Places>) {
        let counters = &self.context.state.admin;
        let Some((place, made_way)) = places.take(Instant::now()) else {
            counters.busy.fetch_add(1, Relaxed);
            return;
        };
        counters.displaced.fetch_add(made_way.into(), Relaxed);
        if made_way && let Some(held_back) = DISPLACED.allow(self.context.state.started.elapsed()) {
            warn!(
                held_back,
                "admin has many connections that are idle or slow: the oldest is closed"
            );
        }
        let id = place.id();
        let task = tokio::spawn(serve_connection(
            stream,
            self.context.clone(),
            place,
            LIFE,
            self.limit,
        ));
        places.serve(id, task.abort_handle());
    }
}

impl Drop for AdminServer {
    /// Removes the file of a unix socket, unless a successor has it.
    fn drop(&mut self) {
        if !self.context.state.succession.has_begun() {
            self.socket.remove_file();
        }
    }
}

#[cfg(test)]
mod tests;
