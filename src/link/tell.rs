//! Tells of the requests to a node: counts keys, times requests, keeps the slow ones, and shows them to taps.
//!
//! All of it is about few requests. How long a request waits for its client's connection is not known yet when its reply
//! arrives, so the session finishes what is reported.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use crate::hot_keys::Access;
use crate::insight::miss_ratio::{Traced, Use, hash};
use crate::insight::{Event, Times, outcome};
use crate::link::note::{Note, Notes};
use crate::metrics::Class;
use crate::node::Node;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply, Request, fingerprint};
use crate::reply::slot::ReplySlot;
use crate::reply::unfinished::Unfinished;
use crate::runtime::local::Local;
use crate::runtime::taps::Asked;

/// The bytes of a storage command beside its key and its value, about.
const LINE: usize = 20;

/// Tells of the requests to one node.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// The node.
    pub node: &'a Arc<Node>,
    /// Of the worker.
    pub local: &'a Local,
}

/// A request that failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// Its words.
    pub write: Write<'a>,
    /// What it does.
    pub operation: Operation,
    /// Why it failed.
    pub failure: Failure,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Whether a byte of it was sent.
    pub is_sent: bool,
    /// Whether it was sent a second time.
    pub is_retry: bool,
}

impl Teller<'_> {
    /// The time from which on a request must be noted, in microseconds.
    #[inline]
    pub fn noted_from(&self) -> u64 {
        match self.local.is_tapped.get() {
            true => 0,
            false => self.node.slow_above.load(Relaxed),
        }
    }

    /// Shows a request for `key` to the taps.
    #[cold]
    pub fn offer(&self, key: &[u8], operation: Operation, event: impl Fn() -> Event) {
        let asked = Asked {
            pool: &self.node.pool,
            node: &self.node.label,
            operation,
            key,
        };
        self.local.taps.offer(asked, event);
    }

    /// Counts a sampled request now, if it writes; one that reads is counted when its reply arrives.
    #[cold]
    pub fn sample(&self, operation: Operation, request: &Request<'_>) {
        let access = Access::of(operation);
        if access == Access::Write {
            let hot_keys = &self.local.hot_keys;
            hot_keys.record(&self.node.pool, request.key, access, request.value.len());
        }
    }

    /// Tells of the requests in `notes`, whose replies arrived at `now`.
    #[inline]
    pub fn tell(&self, notes: &mut Notes, now: u64) {
        if !notes.is_empty() {
            notes.drain(|key, note| self.answered(key, note, now));
        }
    }

    /// Tells of the request for `key`, whose reply arrived at `now`.
    fn answered(&self, key: &[u8], note: Note, now: u64) {
        let access = Access::of(note.operation);
        if note.is_counted {
            let hot_keys = &self.local.hot_keys;
            hot_keys.record(&self.node.pool, key, access, note.read);
        }
        let Some(times) = note.times else {
            return;
        };
        if note.is_traced {
            self.trace(key, &note);
        }
        let class = Class::of(note.operation);
        let shard = self.node.shard(self.local.worker);
        if note.is_timed {
            shard.node_durations[class as usize].record(times.node);
        }
        let event = || Event {
            is_retry: note.is_retry,
            bytes: match access {
                Access::Read => note.read,
                Access::Write => note.sent,
            },
            ..self.event(key, note.operation, note.outcome, times)
        };
        if self.local.is_tapped.get() {
            self.offer(key, note.operation, event);
        }
        let is_slow = times.total() >= self.node.slow_above.load(Relaxed);
        let slow = is_slow.then(|| {
            shard.slow.add(1);
            event()
        });
        if !note.is_timed && slow.is_none() {
            return;
        }
        let number = note.slot.as_ref().map_or(0, |(_, number)| *number);
        let unfinished = Unfinished {
            number,
            replied: now,
            timed: note
                .is_timed
                .then(|| (self.node.clone(), class, times.own + times.queue)),
            slow,
        };
        let unfinished = match note.slot {
            Some((queue, _)) => queue.finish_later(unfinished),
            None => Some(unfinished),
        };
        if let Some(unfinished) = unfinished {
            unfinished.finish(now, self.local);
        }
    }

    /// Notes a use of a key that is followed.
    fn trace(&self, key: &[u8], note: &Note) {
        let done = match (note.operation, note.outcome) {
            (Operation::Delete, _) => Use::Delete,
            (operation, "hit") if Access::of(operation) == Access::Read => Use::Read(Some(note.read as u64)),
            (operation, "miss") if Access::of(operation) == Access::Read => Use::Read(None),
            (operation, "ok" | "hit") if operation.is_store() => {
                Use::Write(note.sent.saturating_sub(key.len() + LINE) as u64)
            }
            // It stored nothing, or what it changed is as large as before.
            _ => return,
        };
        self.local.traces.push(Traced {
            pool: fingerprint(self.node.pool.as_bytes()),
            hash: hash(key),
            key: key.len(),
            done,
        });
    }

    /// Tells of a request that failed: if it took long, and to taps.
    #[cold]
    pub fn failed(&self, failed: Failed<'_>) {
        let (queue, node) = match failed.is_sent {
            true => (0, failed.micros),
            false => (failed.micros, 0),
        };
        let times = Times { own: 0, queue, node };
        let (key, outcome) = (failed.write.key, failed.failure.name());
        let event = || Event {
            is_retry: failed.is_retry,
            ..self.event(key, failed.operation, outcome, times)
        };
        if self.local.is_tapped.get() {
            self.offer(key, failed.operation, event);
        }
        if failed.micros >= self.node.slow_above.load(Relaxed) {
            self.node.shard(self.local.worker).slow.add(1);
            self.local.slow.keep(event());
        }
    }

    /// Refuses a request (`write`, which may also be a read), of which nothing was sent to the node, as
    /// [`ReplySlot::refuse`] does, and shows that to the taps.
    #[cold]
    pub fn refuse(&self, write: Write<'_>, slot: ReplySlot, failure: Failure, is_fenced: bool) {
        let shard = self.node.shard(self.local.worker);
        if self.local.is_tapped.get() {
            let operation = Operation::of_command(write.command, write.flags);
            let event = || self.event(write.key, operation, failure.name(), Times::default());
            self.offer(write.key, operation, event);
        }
        slot.refuse(write, failure, is_fenced, shard, &self.node.missed);
    }

    /// Shows the taps a request to an embedded node, which takes no time.
    #[cold]
    pub fn embedded(&self, operation: Operation, request: &Request<'_>, reply: &Reply) {
        let event = || Event {
            bytes: match Access::of(operation) {
                Access::Read => reply.value_len(),
                Access::Write => request.value.len(),
            },
            ..self.event(
                request.key,
                operation,
                outcome(operation, reply),
                Times::default(),
            )
        };
        self.offer(request.key, operation, event);
    }

    /// Returns what is known of any request.
    fn event(&self, key: &[u8], operation: Operation, outcome: &'static str, times: Times) -> Event {
        Event {
            at: SystemTime::now(),
            pool: self.node.pool.clone(),
            node: self.node.label.clone(),
            operation,
            key: key.into(),
            bytes: 0,
            outcome,
            is_retry: false,
            times,
        }
    }
}
