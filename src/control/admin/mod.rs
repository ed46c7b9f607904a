//! The HTTP listener: is it ready, what does it count, where does a key go, take the file again.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz`, `/healthz` | 200 where it is ready, else 503 with the reason |
//! | `GET /metrics` | Prometheus text |
//! | `GET /nodes` | JSON: every node of every pool |
//! | `GET /config` | JSON: the running configuration and its hash, secrets masked |
//! | `GET /explain?key=K` | JSON: where the key goes, or 400; `&route=R` or `&listener=L` ask another route, `&live=1` the node too |
//! | `POST /reload` | 200, or 422 with the mistakes |
//! | `GET /` | these paths |
//!
//! Anything else is 404, a wrong method 405. This file is the server and what protects it: a client can
//! hold neither a connection nor memory for ever. The answers stand beside it.

mod actions;
mod answer;
mod explain;
mod nodes;
pub mod query;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::exposition::Exposition;
use super::reload::Reloader;
use crate::state::State;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, and between two requests of one connection. No scrape interval in common use, so
/// that a connection is not closed at the very moment when the next scrape takes it.
const HEAD: Duration = Duration::from_secs(20);
/// After so long a connection takes no other request …
const LIFE: Duration = Duration::from_secs(300);
/// … and so much later it is cut, in the middle of an answer too.
const GRACE: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The most header fields of a request.
const MAX_FIELDS: usize = 64;
/// Before another try where no connection could be accepted.
const BACK_OFF: Duration = Duration::from_secs(1);

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
        })
    }

    /// Serves until this future is dropped; connections that are open then go on for their life.
    pub async fn run(self) {
        if let Ok(address) = self.listener.local_addr() {
            info!(%address, "admin listens");
        }
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let permit = permits.clone().acquire_owned().await.expect("never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let context = self.context.clone();
                    tokio::spawn(async move {
                        converse(stream, context, LIFE, GRACE).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "admin cannot accept");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Serves one connection for `life`, and `grace` for what it is at then.
async fn converse(stream: TcpStream, context: Arc<Context>, life: Duration, grace: Duration) {
    let service = service_fn(move |request| {
        let context = context.clone();
        async move { Ok::<_, std::convert::Infallible>(answer::answer(&context, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = match timeout(life, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "admin connection ended");
    }
}

#[cfg(test)]
mod tests;
