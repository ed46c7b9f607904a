//! Lets a client in once it has authenticated, on a listener with `auth`. Only then does it get a session, so a listener
//! without `auth` pays nothing for it.
//!
//! What the client sends is read by [`crate::protocol::login`], what a failure costs is said by
//! [`crate::runtime::logins`]. A client has ten seconds, and its few kilobytes count as memory of its worker.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::stats;
use crate::config::Bind;
use crate::log_limit::LogLimit;
use crate::net::stream::Stream;
use crate::net::tls::counters::{self, Side};
use crate::net::tls::server::HANDSHAKE;
use crate::protocol::login::{self, Attempt, Event, Login};
use crate::runtime::logins::{Outcome, cost};
use crate::runtime::memory::MemoryBudget;
use crate::snapshot::Listener;
use crate::worker::context::WorkerContext;

/// The maximum time until a client has authenticated.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of bytes for which there is room in each read.
const READ: usize = 2048;

/// Rate-limits the log of clients that failed, or were too late.
static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// Waits until the client on `stream`, which the listener bound to `bind` accepted, has authenticated. Returns the bytes
/// that it sent behind that; `None` if the connection must close.
pub async fn wait(stream: &mut Stream, bind: &Bind, worker: &WorkerContext) -> Option<BytesMut> {
    let mut door = Door {
        bind,
        worker,
        login: Login::default(),
        failures: 0,
    };
    match timeout(PATIENCE, door.open(stream)).await {
        // A client that is gone needs no answer.
        Ok(opened) => opened.unwrap_or(None),
        Err(_) => {
            door.count(Outcome::Late);
            door.log(stream, "it did not authenticate in time");
            None
        }
    }
}

/// Where one client waits to be let in.
struct Door<'a> {
    bind: &'a Bind,
    worker: &'a WorkerContext,
    login: Login,
    failures: u32,
}

/// What follows what a client sent.
enum Next {
    Read,
    LetIn,
    Close,
}

impl Door<'_> {
    async fn open(&mut self, stream: &mut Stream) -> io::Result<Option<BytesMut>> {
        let budget = MemoryBudget::new(&self.worker.local.memory);
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ);
            budget.set(buffer.capacity() + stream.held());
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(None);
            }
            if self.login.is_binary().is_none() && buffer.first() == Some(&HANDSHAKE) {
                counters::count(Side::Client, counters::Outcome::Unexpected);
                self.log(stream, "it speaks TLS, and the listener has no `tls`");
                return Ok(None);
            }
            match self.take(&mut buffer, stream).await? {
                Next::Read => {}
                Next::LetIn => return Ok(Some(buffer)),
                Next::Close => return Ok(None),
            }
        }
    }

    /// Takes all that is complete in `buffer`.
    async fn take(&mut self, buffer: &mut BytesMut, stream: &mut Stream) -> io::Result<Next> {
        loop {
            let (event, length) = self.login.next(buffer);
            let next = match event {
                Event::Incomplete => return Ok(Next::Read),
                Event::Close => {
                    if self.login.is_binary() == Some(false) {
                        self.worker.shard().bad_requests.add(1);
                        self.worker.shard().long_lines.add(1);
                    }
                    Next::Close
                }
                Event::Attempt(attempt) => self.check(&attempt, stream).await?,
                Event::Answer(answer) => self.answer(&answer, stream).await?,
                Event::Version(head) => {
                    let version = self.version();
                    self.answer(&login::version(&head, &version), stream).await?
                }
                Event::Refuse(answer) => {
                    self.count(Outcome::Unauthenticated);
                    self.answer(&answer, stream).await?
                }
                Event::RefuseAndClose(answer) => {
                    self.count(Outcome::Unauthenticated);
                    self.answer(&answer, stream).await?;
                    Next::Close
                }
            };
            buffer.advance(length);
            if !matches!(next, Next::Read) {
                return Ok(next);
            }
        }
    }

    async fn answer(&self, answer: &[u8], stream: &mut Stream) -> io::Result<Next> {
        stream.write_all(answer).await?;
        stream.flush().await?;
        Ok(Next::Read)
    }

    async fn check(&mut self, attempt: &Attempt<'_>, stream: &mut Stream) -> io::Result<Next> {
        let now = || self.worker.state.started.elapsed();
        let wait = self.listener(|listener| listener.counters.logins.wait(now()));
        sleep(wait.unwrap_or_default()).await;
        let admits = |listener: &Listener| match (&listener.settings.auth, attempt.words) {
            (Some(users), Some((user, password))) => users.admit(user, password),
            // A reload has just opened the listener for all.
            (None, _) => true,
            (Some(_), None) => false,
        };
        let Some(is_admitted) = self.listener(admits) else {
            return Ok(Next::Close);
        };
        if is_admitted {
            self.count(Outcome::Accepted);
            self.answer(&attempt.answer(true), stream).await?;
            return Ok(Next::LetIn);
        }
        self.listener(|listener| listener.counters.logins.fail(now()));
        self.failures += 1;
        self.log(stream, "it gave a wrong user or password");
        sleep(cost(self.failures)).await;
        self.answer(&attempt.answer(false), stream).await
    }

    /// Looks at the listener as it is now; `None` if it is gone.
    fn listener<T>(&self, look: impl FnOnce(&Listener) -> T) -> Option<T> {
        let running = self.worker.current();
        running
            .snapshot
            .listener(self.bind)
            .map(|(_, listener)| look(listener))
    }

    fn version(&self) -> String {
        let running = self.worker.current();
        let route = running.route(self.bind);
        let line = route
            .map(|route| stats::version(&running, route))
            .unwrap_or_default();
        line.trim_start_matches("VERSION ").to_owned()
    }

    fn count(&self, outcome: Outcome) {
        self.listener(|listener| listener.counters.logins.count(outcome));
    }

    fn log(&self, stream: &Stream, reason: &str) {
        if let Some(held_back) = REFUSED.allow(self.worker.state.started.elapsed()) {
            let peer = stream.peer().map(tracing::field::display);
            warn!(bind = %self.bind, peer, reason, held_back, "client not let in");
        }
    }
}
