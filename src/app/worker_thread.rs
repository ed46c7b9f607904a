//! A worker: one thread that runs its sessions and links on one event loop.
//!
//! It has its own event loop, sessions, links and counters, and shares with other threads only the
//! snapshot, the nodes and the counters, which it accesses without blocking.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::listener::{Accepted, Client, Login};
use crate::client::login;
use crate::client::session::Session;
use crate::config::ListenerTls;
use crate::log_limit::LogLimit;
use crate::metrics::WorkerShard;
use crate::net::stream::Stream;
use crate::net::tls::counters::Side;
use crate::net::tls::server;
use crate::net::unix::UnixSocket;
use crate::runtime::memory::MemoryBudget;
use crate::runtime::{clock, coalesce};
use crate::state::{Phase, State};
use crate::worker::context::WorkerContext;

/// The number of tasks that run before the loop polls for new events: a burst of sessions is processed
/// before the links write, so that each link writes once.
const EVENT_INTERVAL: u32 = 256;

/// The interval at which failed handshakes are logged.
static NOT_ENCRYPTED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// Starts the worker with this index, which serves the clients sent to the returned channel.
///
/// # Errors
/// The thread or its event loop could not be created.
pub fn start(state: Arc<State>, index: usize) -> std::io::Result<UnboundedSender<Accepted>> {
    let (sender, receiver) = unbounded_channel();
    let shard = state.workers[index].clone();
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || match event_loop(shard) {
            Ok(runtime) => runtime.block_on(run(state, index, receiver)),
            Err(error) => tracing::error!(%error, worker = index, "cannot start the worker's event loop"),
        })?;
    Ok(sender)
}

/// Creates this thread's event loop. It counts its batching waits in `shard`.
fn event_loop(shard: Arc<WorkerShard>) -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .on_thread_unpark(|| {
            clock::turn();
            coalesce::wake();
        })
        .on_thread_park(move || shard.batching_waits.add(u64::from(coalesce::park())))
        .build_local(LocalOptions::default())
}

async fn run(state: Arc<State>, index: usize, mut accepted: UnboundedReceiver<Accepted>) {
    let worker = Rc::new(WorkerContext::new(state.clone(), index));
    let (mut changed, mut phase) = (state.changed.subscribe(), state.phase.subscribe());
    let mut second = state.hot_keys.second.subscribe();
    loop {
        tokio::select! {
            client = accepted.recv() => match client {
                Some(client) => serve(&worker, client),
                None => return,
            },
            Ok(()) = changed.changed() => {
                worker.current();
                worker.wake_sessions();
                worker.wake_links();
            }
            Ok(()) = second.changed() => worker.report(),
            Ok(()) = phase.changed() => {
                if *phase.borrow_and_update() >= Phase::Draining {
                    worker.is_draining.set(true);
                    worker.wake_sessions();
                }
            }
        }
    }
}

fn serve(worker: &Rc<WorkerContext>, accepted: Accepted) {
    let worker = worker.clone();
    if accepted.tls.is_some() || accepted.login == Login::Required {
        drop(tokio::task::spawn_local(serve_protected(worker, accepted)));
        return;
    }
    match connected(accepted.socket) {
        Ok(stream) => {
            let session = Session::new(stream, accepted.bind, worker, accepted.idle_timeout);
            let session = session
                .after(accepted.unread)
                .authenticated(accepted.login == Login::Done);
            let place = accepted.place;
            tokio::task::spawn_local(async move {
                session.run().await;
                drop(place);
            });
        }
        Err(error) => tracing::warn!(%error, bind = %accepted.bind, "cannot serve a client"),
    }
}

fn connected(socket: Client) -> io::Result<Stream> {
    match socket {
        Client::Tcp(socket) => TcpStream::from_std(socket).map(Stream::Tcp),
        Client::Unix(socket) => UnixSocket::new(socket).map(Stream::Unix),
    }
}

/// Serves a client once its handshake is done and it has authenticated, as its listener requires.
async fn serve_protected(worker: Rc<WorkerContext>, accepted: Accepted) {
    let Accepted {
        socket,
        bind,
        tls,
        login,
        idle_timeout,
        place,
        ..
    } = accepted;
    let mut stream = match encrypted(socket, tls, &worker).await {
        Ok(stream) => stream,
        Err(error) => {
            if let Some(held_back) = NOT_ENCRYPTED.allow(worker.state.started.elapsed()) {
                tracing::warn!(%bind, %error, held_back, "closed a client whose handshake failed");
            }
            return;
        }
    };
    let rest = match login {
        Login::Required => login::wait(&mut stream, &bind, &worker).await,
        Login::NotNeeded | Login::Done => Some(BytesMut::new()),
    };
    match rest {
        Some(rest) => {
            let session = Session::new(stream, bind, worker, idle_timeout);
            let session = session.after(rest).authenticated(login == Login::Required);
            session.run().await;
        }
        None => stream.end().await,
    }
    drop(place);
}

/// Encrypts the connection, if it has `tls`. What the handshake holds counts as memory of the worker.
async fn encrypted(
    socket: Client,
    tls: Option<Arc<ListenerTls>>,
    worker: &WorkerContext,
) -> io::Result<Stream> {
    match (connected(socket)?, tls) {
        (Stream::Tcp(stream), Some(tls)) => {
            let budget = MemoryBudget::new(&worker.local.memory);
            let may_hold = |bytes| {
                budget.set(bytes);
                !budget.is_over_quota()
            };
            let stream = server::accept(stream, &tls, Side::Client, may_hold).await?;
            Ok(Stream::Tls(Box::new(stream)))
        }
        (_, Some(_)) => Err(io::Error::other("TLS is for TCP only")),
        (stream, None) => Ok(stream),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Returns the number of waits after one busy turn with many reads, in which a worker waits if it ever does.
    fn batching_waits(may_wait: bool) -> u64 {
        let shard = Arc::new(WorkerShard::default());
        let runtime = event_loop(shard.clone()).unwrap();
        coalesce::allow(may_wait);
        runtime.block_on(async {
            let (mut near, mut far) = tokio::net::UnixStream::pair().unwrap();
            for _ in 0..20_000 {
                (0..20).for_each(|_| coalesce::read_requests());
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(20) {}
                // The reader waits before there is anything to read, so the loop must poll for events.
                let (mut byte, written) = ([0], near.write_all(b"x"));
                let (read, written) = tokio::join!(far.read_exact(&mut byte), written);
                written.unwrap();
                read.unwrap();
                if shard.batching_waits.get() > 0 {
                    break;
                }
            }
        });
        shard.batching_waits.get()
    }

    #[test]
    fn a_busy_worker_waits_to_gather_events_and_counts_it() {
        assert_eq!(batching_waits(true), 1);
        assert_eq!(batching_waits(false), 0);
    }
}
