//! One connection of the HTTP listener, and its limits of time and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::AdminContext;
use super::answer;
use super::guard;
use super::places::Place;
use super::progress::{Progress, WatchedStream};
use super::response::{Answer, text};
use super::token;
use crate::log_limit::LogLimit;
use crate::net::stream::Stream;
use crate::net::tls::counters::Side;
use crate::net::tls::server;

/// The maximum time for a request's head, and between two requests of one connection. It is not a common
/// scrape interval, so that a connection is not closed at the very moment when the next scrape uses it.
const HEAD: Duration = Duration::from_secs(20);
/// The maximum time for the client to read an answer.
pub const ANSWER: Duration = Duration::from_secs(10);
/// After this time a connection takes no other request …
pub const LIFE: Duration = Duration::from_secs(300);
/// … and this much later it is closed, even in the middle of an answer.
const GRACE: Duration = Duration::from_secs(10);
/// The maximum size of a request's head in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The maximum number of header fields.
const MAX_FIELDS: usize = 64;

/// Rate-limits the log of refused hosts, pages and handshakes.
static REFUSALS: LogLimit = LogLimit::new(Duration::from_secs(10));

/// Serves one connection for `life`; the client has `limit` to read each answer.
pub async fn serve_connection(
    stream: Stream,
    context: Arc<AdminContext>,
    place: Place,
    life: Duration,
    limit: Duration,
) {
    let Some(stream) = encrypted(stream, &context).await else {
        return;
    };
    let progress = Arc::new(Progress::new());
    let service = {
        let (context, place, progress) = (&context, &place, &progress);
        service_fn(move |request| async move {
            place.begin(Instant::now());
            let answer = answer(context, place, &request).await;
            place.finish();
            progress.answered(Instant::now());
            Ok::<_, Infallible>(answer)
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(
            TokioIo::new(WatchedStream::new(stream, progress.clone())),
            service,
        );
    tokio::pin!(connection);
    let served = async {
        match timeout(life, connection.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        }
    };
    tokio::select! {
        ended = served => if let Err(error) = ended {
            debug!(%error, "admin connection ended");
        },
        () = progress.late(limit) => {
            context.state.admin.late.fetch_add(1, Relaxed);
            debug!("admin connection cut: its answer was not read");
        }
    }
}

/// Encrypts `stream` if the listener has `tls` now. Meanwhile its place counts as idle, and may be taken.
async fn encrypted(stream: Stream, context: &AdminContext) -> Option<Stream> {
    let tls = context.state.snapshot.load().config.admin.tls.clone();
    let (stream, tls) = match (stream, tls) {
        (Stream::Tcp(stream), Some(tls)) => (stream, tls),
        (stream, _) => return Some(stream),
    };
    match server::accept(stream, &tls, Side::Admin, |_| true).await {
        Ok(stream) => Some(Stream::Tls(Box::new(stream))),
        Err(error) => {
            if let Some(held_back) = REFUSALS.allow(context.state.started.elapsed()) {
                warn!(%error, held_back, "closed an admin connection whose handshake failed");
            }
            None
        }
    }
}

async fn answer(context: &AdminContext, place: &Place, request: &Request<Incoming>) -> Answer {
    let counters = &context.state.admin;
    let checked = guard::check(request, &context.state.snapshot.load().config.admin.hosts);
    if let Err((status, reason)) = checked {
        counters.foreign.fetch_add(1, Relaxed);
        if let Some(held_back) = REFUSALS.allow(context.state.started.elapsed()) {
            warn!(reason, held_back, "admin request refused");
        }
        return text(status, format!("{reason}\n"));
    }
    if let Err((status, reason)) = token::check(request, &context.state.snapshot.load().config.admin) {
        counters.unauthorized.fetch_add(1, Relaxed);
        if let Some(held_back) = REFUSALS.allow(context.state.started.elapsed()) {
            warn!(reason, held_back, "admin request refused");
        }
        let mut refusal = text(status, format!("{reason}\n"));
        let headers = refusal.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refusal;
    }
    if place.is_kept && !answer::is_probe(request.uri().path()) {
        counters.busy.fetch_add(1, Relaxed);
        let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n");
        let headers = refusal.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        return refusal;
    }
    answer::answer(context, request).await
}
