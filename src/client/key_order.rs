//! Keeps one session's requests to the same key in order while policies process some of them.
//!
//! A request to a plain pool needs none of this: its link sends it before later ones. A policy may ask a
//! second pool long after the first, and a later request of the same client to the same key must not
//! overtake it. So a request waits for earlier ones that a policy is still processing: a write for all of
//! its key, a read for the writes, flush_all for everything. Reads do not wait for reads.
//!
//! The queue holds the requests in progress, in order; those that are done leave it from the front. While
//! no policy is at work nothing is looked up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::protocol::fingerprint;
use crate::protocol::meta::Names;
use crate::protocol::{Command, Request};

/// The capacity that an empty queue keeps.
const KEEP: usize = 64;

/// The requests of one session that policies are processing.
#[derive(Debug, Default)]
pub struct KeyOrder(RefCell<OrderedRequests>);

#[derive(Debug, Default)]
struct OrderedRequests {
    entries: VecDeque<OrderedRequest>,
    /// The number of the front entry.
    first: u64,
    /// The number of entries that are not reads and not done.
    changes: usize,
    /// Waiting requests, each with the number of the entry that it waits for.
    waiting: Vec<(u64, Waker)>,
}

/// A request, identified by the fingerprint of its key: if two keys share one, their requests wait for each
/// other, which is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrderedRequest {
    key: u32,
    what: Effect,
    /// The number of those that hold it in progress; it is done once there are none.
    holders: u32,
    /// The memory that it counts as.
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Reads its key.
    Read,
    /// Changes its key.
    Change,
    /// Changes all keys.
    All,
}

impl KeyOrder {
    /// Whether no request is in progress.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().entries.is_empty()
    }

    /// Whether a request in progress changes something.
    pub fn has_changes(&self) -> bool {
        self.0.borrow().changes > 0
    }

    /// Whether `request` must wait for others in progress.
    #[inline]
    pub fn must_wait(&self, request: &Request<'_>) -> bool {
        !self.is_empty() && self.is_held_up(request)
    }

    /// Whether a request in progress holds up `request`.
    #[inline(never)]
    fn is_held_up(&self, request: &Request<'_>) -> bool {
        let queue = self.0.borrow();
        // Usually all entries are reads: then a read needs no look at their keys.
        let may_meet = queue.changes > 0 || !is_read(request);
        may_meet && {
            let entry = OrderedRequest::of(request, 0);
            queue.entries.iter().any(|before| before.holds_up(&entry))
        }
    }

    /// Enters `request` into the order, whether a policy starts on it now or once it need no longer wait. Returns its
    /// number. It counts as this many `bytes`, and there is one that holds it.
    #[inline]
    pub fn enter(&self, request: &Request<'_>, bytes: usize) -> u64 {
        let mut queue = self.0.borrow_mut();
        let entry = OrderedRequest::of(request, bytes);
        queue.changes += usize::from(entry.what != Effect::Read);
        let number = queue.first + queue.entries.len() as u64;
        queue.entries.push_back(entry);
        number
    }

    /// One more holds the request with this `number`.
    #[inline]
    pub fn hold(&self, number: u64) {
        self.0.borrow_mut().entry(number).holders += 1;
    }

    /// One fewer holds the request with this `number`. If it is done now, returns its bytes.
    #[inline]
    pub fn release(&self, number: u64) -> Option<usize> {
        let queue = &mut *self.0.borrow_mut();
        let entry = queue.entry(number);
        entry.holders -= 1;
        if entry.holders > 0 {
            return None;
        }
        let (bytes, is_change) = (entry.bytes, entry.what != Effect::Read);
        queue.changes -= usize::from(is_change);
        queue.end(number);
        Some(bytes)
    }

    /// Waits until every earlier request that the one with this `number` must not overtake is done.
    pub async fn turn(&self, number: u64) {
        poll_fn(|cx| self.poll(number, cx)).await;
    }

    fn poll(&self, number: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.0.borrow_mut();
        let index = (number - queue.first) as usize;
        let own = queue.entries[index];
        let before = queue.entries.range(..index);
        // Waiting for the latest entry that holds this one up is usually enough, because earlier ones
        // are usually done first. When it is done this is polled again, and finds any other that is
        // not.
        match before.enumerate().rev().find(|(_, entry)| entry.holds_up(&own)) {
            None => Poll::Ready(()),
            Some((index, _)) => {
                let number = queue.first + index as u64;
                queue.waiting.push((number, cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl OrderedRequests {
    fn entry(&mut self, number: u64) -> &mut OrderedRequest {
        &mut self.entries[(number - self.first) as usize]
    }

    /// The request with this `number` is done.
    fn end(&mut self, number: u64) {
        // Entries leave only from the front, so that numbers stay indices; one that is done behind a
        // slow one stays, and is skipped by `holds_up`.
        while self.entries.front().is_some_and(|entry| entry.holders == 0) {
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > KEEP {
            self.entries = VecDeque::new();
        }
        if !self.waiting.is_empty() {
            let is_its = |waiting: &mut (u64, Waker)| waiting.0 == number;
            for (_, waker) in self.waiting.extract_if(.., is_its) {
                waker.wake();
            }
        }
    }
}

impl OrderedRequest {
    #[inline]
    fn of(request: &Request<'_>, bytes: usize) -> OrderedRequest {
        let what = match request.command {
            Command::FlushAll => Effect::All,
            _ if is_read(request) => Effect::Read,
            _ => Effect::Change,
        };
        OrderedRequest {
            key: fingerprint(request.key),
            what,
            holders: 1,
            bytes,
        }
    }

    /// Whether `later` must wait for this one.
    fn holds_up(&self, later: &OrderedRequest) -> bool {
        let is_of_it = self.key == later.key || self.what == Effect::All || later.what == Effect::All;
        is_of_it && self.holders > 0 && !(self.what == Effect::Read && later.what == Effect::Read)
    }
}

/// Whether the request changes nothing.
fn is_read(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get | Command::Gets | Command::MetaDebug => true,
        Command::MetaGet => {
            let names = Names::of(request.raw_flags());
            !b"NRT".iter().any(|&name| names.has(name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_for_all_of_their_key_and_reads_for_writes() {
        let key_order = KeyOrder::default();
        let (get, set) = (Request::new(Command::Get, b"k"), Request::new(Command::Set, b"k"));
        let flush = Request::new(Command::FlushAll, b"");
        let other = Request::new(Command::Set, b"other");
        let wait = || [&get, &set, &other, &flush].map(|request| key_order.must_wait(request));
        assert_eq!(wait(), [false; 4]);
        let reading = key_order.enter(&get, 7);
        assert_eq!(wait(), [false, true, false, true]);
        let writing = key_order.enter(&set, 0);
        assert_eq!(wait(), [true, true, false, true]);
        key_order.hold(reading);
        assert_eq!(key_order.release(reading), None, "something else holds it");
        assert_eq!(key_order.release(reading), Some(7));
        assert_eq!(wait(), [true, true, false, true]);
        key_order.release(writing);
        assert!(key_order.is_empty(), "what is done is forgotten");
        key_order.enter(&flush, 0);
        assert_eq!(wait(), [true; 4]);
    }

    #[test]
    fn each_gets_its_turn_when_those_before_it_are_done() {
        let key_order = KeyOrder::default();
        let enter = |command, key: &'static str| key_order.enter(&Request::new(command, key.as_bytes()), 0);
        let mut cx = Context::from_waker(Waker::noop());
        let first = enter(Command::Set, "a");
        let other = enter(Command::Set, "b");
        let (second, third) = (enter(Command::Get, "a"), enter(Command::Get, "a"));
        let last = enter(Command::FlushAll, "");
        let mut waits = |number| key_order.poll(number, &mut cx).is_pending();
        assert_eq!(
            [first, other, second, third, last].map(&mut waits),
            [false, false, true, true, true]
        );
        key_order.release(first);
        assert_eq!(
            [other, second, third, last].map(&mut waits),
            [false, false, false, true]
        );
        key_order.release(second);
        key_order.release(third);
        assert!(waits(last));
        key_order.release(other);
        assert!(!waits(last));
    }
}
