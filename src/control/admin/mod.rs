//! The HTTP listener: is it ready, what does it count, where does a key go, take the file again.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz`, `/healthz` | 200 where it is ready, else 503 with the reason |
//! | `GET /metrics` | Prometheus text |
//! | `GET /nodes` | JSON: every node of every pool |
//! | `GET /pools` | JSON: every pool, and where its nodes come from |
//! | `GET /config` | JSON: the running configuration and its hash, secrets masked |
//! | `GET /explain?key=K` | JSON: where the key goes, or 400; `&route=R` or `&listener=L` ask another route, `&live=1` the node too |
//! | `POST /pools/NAME/accept` | 200, or 409 if no change of its nodes is held |
//! | `POST /reload` | 200, or 422 with the mistakes |
//! | `GET /` | these paths |
//!
//! Anything else is 404, a wrong method 405, a foreign host or a foreign page 403 (`guard`). This file is the
//! server; what protects it stands beside it: which connections it holds (`places`), how long each may take
//! (`connection`, `progress`).

mod actions;
mod answer;
mod connection;
mod explain;
mod guard;
mod nodes;
mod places;
mod pools;
mod progress;
pub mod query;
mod response;
mod timestamp;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::exposition::Exposition;
use super::reload::Reloader;
use crate::log_limit::LogLimit;
use crate::state::State;
use connection::{ANSWER, LIFE, serve_connection};
use places::Places;

/// Before another try where no connection could be accepted.
const BACK_OFF: Duration = Duration::from_secs(1);

/// That connections make way for others is logged so often at most.
static DISPLACED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// Binds the HTTP listener. Apart from [`Server::new`], so that a process can tell at once that it
/// cannot, before it has a runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves from `listener`, until this future is dropped. Fails where the runtime cannot take the listener.
pub async fn serve(listener: TcpListener, state: Arc<State>, reloader: Arc<Reloader>) -> io::Result<()> {
    Server::new(listener, state, reloader)?.run().await;
    Ok(())
}

/// The HTTP server, ready to run.
#[derive(Debug)]
pub struct Server {
    listener: tokio::net::TcpListener,
    context: Arc<Context>,
    /// For a client to take an answer.
    limit: Duration,
}

/// What an answer is made from.
#[derive(Debug)]
struct Context {
    state: Arc<State>,
    reloader: Arc<Reloader>,
    exposition: Exposition,
}

impl Server {
    /// A server on a listener that [`bind`] gave. Must be called inside a runtime.
    pub fn new(listener: TcpListener, state: Arc<State>, reloader: Arc<Reloader>) -> io::Result<Server> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let exposition = Exposition::new(state.clone());
        let context = Context {
            state,
            reloader,
            exposition,
        };
        Ok(Server {
            listener,
            context: Arc::new(context),
            limit: ANSWER,
        })
    }

    /// Serves until this future is dropped; connections that are open then go on for their life.
    pub async fn run(self) {
        if let Ok(address) = self.listener.local_addr() {
            info!(%address, "admin listens");
        }
        let places = Arc::new(Places::default());
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => self.serve(stream, &places),
                Err(error) => {
                    warn!(%error, "admin cannot accept");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own; another may have to make way for it.
    fn serve(&self, stream: TcpStream, places: &Arc<Places>) {
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

#[cfg(test)]
mod tests;
