//! Deletes on each node the keys whose writes it missed, before they are read there again.
//!
//! [`crate::node::missed`] determines the keys, and when they may be deleted; this module manages the
//! connection for it, which is opened when something is missed and closed when nothing is. Deletes are sent
//! in batches, in the order in which the writes failed. While nothing may be deleted yet the node is asked
//! for its version a few times a second, because what a broken link left there settles only while it
//! answers. Nothing is tried on a node that is down; as soon as it answers a probe everything possible is
//! deleted, before it takes requests again.
//!
//! A node that was started after the last failure has nothing old, which its uptime proves. A node that
//! missed more than could be recorded is flushed; under `rejoin: manual` its keys count as missing until an
//! operator admits it, or it was restarted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::jitter::jittered;
use super::probe_client::ProbeConnection;
use crate::config::{Protection, Protocol, Rejoin};
use crate::control::per_node_tasks::{follow, remote};
use crate::health;
use crate::node::missed::{Due, Missed};
use crate::node::{Node, Remote};
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::is_bare;
use crate::protocol::resp::words::write_words;
use crate::protocol::{Command, Meta, Request};
use crate::state::State;

/// The maximum number of keys in one batch.
const BATCH: usize = 500;
/// The interval between questions to a node on which nothing may be deleted yet.
const PING: Duration = Duration::from_millis(250);
/// Failures come in bursts: the delay before the next one is looked for.
const GATHER: Duration = Duration::from_millis(10);
/// A node that was not asked for this long may have stopped meanwhile.
const UNWATCHED: Duration = Duration::from_secs(1);
/// memcached reports its uptime in whole seconds, up to three too many; others up to one too few.
const DOUBT: Duration = Duration::from_secs(1);

/// Clears every node of what it missed, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let each = {
        let state = state.clone();
        move |node| keep_replaying(state.clone(), node)
    };
    follow(state, each).await;
}

/// Does so for one node, for as long as its pool exists.
async fn keep_replaying(state: Arc<State>, node: Arc<Node>) {
    let Some(remote) = remote(&node) else {
        return;
    };
    let (mut replay, mut is_failing) = (Replay::default(), false);
    loop {
        if !node.missed.is_any() {
            replay = Replay::default();
            node.missed.wake.notified().await;
            continue;
        }
        let Some(settings) = settings(&state, &node) else {
            return;
        };
        match replay.step(&node, remote, &settings).await {
            Ok(true) => is_failing = false,
            Ok(false) => {
                sleep(GATHER).await;
                let _woken_or_not = timeout(PING - GATHER, node.missed.wake.notified()).await;
            }
            Err(error) => {
                replay.open = None;
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(pool = node.pool, node = node.label, %error, "missed writes cannot be deleted yet");
                }
                sleep(jittered(PING)).await;
            }
        }
    }
}

/// The pool's settings.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    connect: Duration,
    protection: Protection,
    answer: Duration,
    rejoin: Rejoin,
    protocol: Protocol,
    /// Whether the node is not down, or requests are tried although it is.
    is_tried: bool,
}

/// Returns the settings of `node`'s pool; `None` if the pool is gone.
pub fn settings(state: &State, node: &Node) -> Option<ReplaySettings> {
    let snapshot = state.snapshot.load();
    let compiled = snapshot.pools.get(&node.pool)?;
    let pool = &compiled.settings;
    Some(ReplaySettings {
        connect: pool.connect_timeout,
        protection: pool.protection.clone(),
        answer: pool.health.probe_timeout,
        rejoin: pool.rejoin,
        protocol: pool.protocol,
        is_tried: node.state() != health::State::Down || compiled.fails_open(&snapshot.nodes),
    })
}

/// Deletes on `connection` everything that may be deleted at once, on a node that is about to take requests
/// again. The rest is left to [`run`].
///
/// # Errors
/// The node's failure to answer as expected; nothing more can be asked on the connection.
pub async fn catch_up(
    node: &Node,
    connection: &mut ProbeConnection,
    settings: &ReplaySettings,
) -> io::Result<()> {
    if !node.missed.is_any() {
        return Ok(());
    }
    note_restart(node, connection, settings).await?;
    let version = connection.version(settings.answer).await?;
    let dialect = dialect(node, settings, &version);
    while clear(node, connection, dialect, None, settings).await? {}
    Ok(())
}

/// Forgets what `node` missed before it was started.
async fn note_restart(
    node: &Node,
    connection: &mut ProbeConnection,
    settings: &ReplaySettings,
) -> io::Result<()> {
    let asked_at = Instant::now();
    let Some(uptime) = connection.uptime(settings.answer).await? else {
        return Ok(());
    };
    if let Some(started) = asked_at.checked_sub(Duration::from_secs(uptime) + DOUBT) {
        node.missed.restarted(started);
    }
    Ok(())
}

fn dialect(node: &Node, settings: &ReplaySettings, version: &str) -> Dialect {
    match settings.protocol {
        _ if node.address.is_valkey() => Dialect::Resp,
        Protocol::Auto => Dialect::of_version(version),
        Protocol::Meta => Dialect::Meta,
        Protocol::Classic => Dialect::Classic,
    }
}

/// Deletes one batch, or flushes the node. Returns false if nothing may be done now.
async fn clear(
    node: &Node,
    connection: &mut ProbeConnection,
    dialect: Dialect,
    calm_since: Option<Instant>,
    settings: &ReplaySettings,
) -> io::Result<bool> {
    let batch = DeleteBatch::take(node, calm_since);
    if !batch.due.is_empty() {
        let mut commands = Vec::new();
        let keys = batch.due.iter().map(|due| &due.key);
        let count = keys.filter(|key| put_delete(key, dialect, &mut commands)).count();
        connection.delete(&commands, count, settings.answer).await?;
        batch.deleted();
        return Ok(true);
    }
    let flush = node.missed.flush_due(calm_since);
    let Some(flush) = flush.filter(|flush| flush.is_asked || settings.rejoin != Rejoin::Manual) else {
        return Ok(false);
    };
    connection.flush(settings.answer).await?;
    node.missed.flushed(flush);
    info!(
        pool = node.pool,
        node = node.label,
        "node flushed in place of the writes that it missed"
    );
    Ok(true)
}

/// Keys whose deletes are in flight. If it is dropped before they are answered they stay recorded, even if
/// the node's task ends, because another node may take over what this one missed.
struct DeleteBatch<'a> {
    missed: &'a Missed,
    due: Vec<Due>,
}

impl<'a> DeleteBatch<'a> {
    fn take(node: &'a Node, calm_since: Option<Instant>) -> DeleteBatch<'a> {
        let missed = &*node.missed;
        DeleteBatch {
            missed,
            due: missed.take(calm_since, BATCH),
        }
    }

    fn deleted(mut self) {
        self.missed.deleted(&std::mem::take(&mut self.due));
    }
}

impl Drop for DeleteBatch<'_> {
    fn drop(&mut self) {
        if !self.due.is_empty() {
            self.missed.not_deleted(&self.due);
        }
    }
}

/// The connection to one node that missed something.
#[derive(Default)]
struct Replay {
    open: Option<OpenConnection>,
    /// Whether the node does not report its uptime.
    has_no_uptime: bool,
}

/// A connection, and how the node has answered on it.
struct OpenConnection {
    connection: ProbeConnection,
    dialect: Dialect,
    /// Since then it has answered every question at once.
    calm_since: Instant,
    last_answer: Instant,
}

impl Replay {
    /// Does what may be done now, if the node is tried at all. Returns true if there may be more.
    async fn step(&mut self, node: &Node, remote: &Remote, settings: &ReplaySettings) -> io::Result<bool> {
        if !settings.is_tried {
            self.open = None;
            return Ok(false);
        }
        let resolved = remote.resolved.load_full();
        let kept = self
            .open
            .take()
            .filter(|open| open.connection.leads_to(&resolved));
        let mut open = match kept {
            Some(open) => open,
            None => {
                let connection =
                    ProbeConnection::dial(&node.address, &resolved, &settings.protection, settings.connect)
                        .await?;
                self.begin(connection, node, settings).await?
            }
        };
        let is_more = open.step(node, settings).await?;
        self.open = Some(open);
        Ok(is_more)
    }

    async fn begin(
        &mut self,
        mut connection: ProbeConnection,
        node: &Node,
        settings: &ReplaySettings,
    ) -> io::Result<OpenConnection> {
        let version = connection.version(settings.answer).await?;
        if !self.has_no_uptime {
            let noted = note_restart(node, &mut connection, settings).await;
            self.has_no_uptime = noted.is_err();
            noted?;
        }
        let now = Instant::now();
        Ok(OpenConnection {
            connection,
            dialect: dialect(node, settings, &version),
            calm_since: now,
            last_answer: now,
        })
    }
}

impl OpenConnection {
    async fn step(&mut self, node: &Node, settings: &ReplaySettings) -> io::Result<bool> {
        let calm_since = Some(self.calm_since);
        let is_more = clear(node, &mut self.connection, self.dialect, calm_since, settings).await?;
        if !is_more {
            if self.last_answer.elapsed() < PING {
                return Ok(false);
            }
            self.connection.version(settings.answer).await?;
        }
        let now = Instant::now();
        if now - self.last_answer > UNWATCHED {
            self.calm_since = now;
        }
        self.last_answer = now;
        Ok(is_more)
    }
}

/// Appends the delete of `key`. Returns false if the node cannot have such a key, because no classic
/// command can name it.
fn put_delete(key: &[u8], dialect: Dialect, commands: &mut Vec<u8>) -> bool {
    let put = &mut |bytes: &[u8]| commands.extend_from_slice(bytes);
    if dialect == Dialect::Resp {
        write_words(&[b"DEL", key], put);
        return true;
    }
    if is_bare(key) {
        dialect.write_line(&Request::new(Command::Delete, key), put);
        return true;
    }
    if dialect == Dialect::Classic {
        return false;
    }
    let raw = STANDARD.encode(key);
    let meta = Meta {
        key: raw.as_bytes(),
        flags: b"b",
        is_binary: false,
    };
    let request = Request {
        meta: Some(meta),
        ..Request::new(Command::MetaDelete, key)
    };
    dialect.write_line(&request, put);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_deleted_in_the_words_that_the_node_knows() {
        for (key, dialect, expected) in [
            ("k", Dialect::Meta, "md k k\r\n"),
            ("k", Dialect::Classic, "delete k\r\n"),
            ("a b", Dialect::Meta, "md YSBi b\r\n"),
            ("a b", Dialect::Classic, ""),
            ("a b", Dialect::Resp, "*2\r\n$3\r\nDEL\r\n$3\r\na b\r\n"),
        ] {
            let mut commands = Vec::new();
            let is_put = put_delete(key.as_bytes(), dialect, &mut commands);
            let text = String::from_utf8_lossy(&commands).into_owned();
            assert_eq!(
                (is_put, text.starts_with(expected.trim_end())),
                (!expected.is_empty(), true),
                "{text}"
            );
        }
    }
}
