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
use std::rc::Rc;
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
    is_done: bool,
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

/// A request's entry in the order, which is done when this is dropped.
#[derive(Debug)]
pub struct Ticket {
    key_order: Rc<KeyOrder>,
    number: u64,
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
            let entry = OrderedRequest::of(request);
            queue.entries.iter().any(|before| before.holds_up(&entry))
        }
    }

    /// Enters `request` into the order, whether a policy starts on it now or once it need no longer wait.
    #[inline]
    pub fn take_ticket(self: &Rc<KeyOrder>, request: &Request<'_>) -> Ticket {
        let mut queue = self.0.borrow_mut();
        let entry = OrderedRequest::of(request);
        queue.changes += usize::from(entry.what != Effect::Read);
        let number = queue.first + queue.entries.len() as u64;
        queue.entries.push_back(entry);
        Ticket {
            key_order: self.clone(),
            number,
        }
    }
}

impl OrderedRequest {
    fn of(request: &Request<'_>) -> OrderedRequest {
        let what = match request.command {
            Command::FlushAll => Effect::All,
            _ if is_read(request) => Effect::Read,
            _ => Effect::Change,
        };
        OrderedRequest {
            key: fingerprint(request.key),
            what,
            is_done: false,
        }
    }

    /// Whether `later` must wait for this one.
    fn holds_up(&self, later: &OrderedRequest) -> bool {
        let is_of_it = self.key == later.key || self.what == Effect::All || later.what == Effect::All;
        is_of_it && !self.is_done && !(self.what == Effect::Read && later.what == Effect::Read)
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

impl Ticket {
    /// Waits until every earlier request that this one must not overtake is done.
    pub async fn turn(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.key_order.0.borrow_mut();
        let index = (self.number - queue.first) as usize;
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

impl Drop for Ticket {
    fn drop(&mut self) {
        let queue = &mut *self.key_order.0.borrow_mut();
        let entry = &mut queue.entries[(self.number - queue.first) as usize];
        entry.is_done = true;
        queue.changes -= usize::from(entry.what != Effect::Read);
        // Entries leave only from the front, so that numbers stay indices; one that is done behind a
        // slow one stays, and is skipped by `holds_up`.
        while queue.entries.front().is_some_and(|entry| entry.is_done) {
            queue.entries.pop_front();
            queue.first += 1;
        }
        if queue.entries.is_empty() && queue.entries.capacity() > KEEP {
            queue.entries = VecDeque::new();
        }
        if !queue.waiting.is_empty() {
            let is_its = |waiting: &mut (u64, Waker)| waiting.0 == self.number;
            for (_, waker) in queue.waiting.extract_if(.., is_its) {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_for_all_of_their_key_and_reads_for_writes() {
        let key_order = Rc::new(KeyOrder::default());
        let (get, set) = (Request::new(Command::Get, b"k"), Request::new(Command::Set, b"k"));
        let flush = Request::new(Command::FlushAll, b"");
        let other = Request::new(Command::Set, b"other");
        let wait = || [&get, &set, &other, &flush].map(|request| key_order.must_wait(request));
        assert_eq!(wait(), [false; 4]);
        let reading = key_order.take_ticket(&get);
        assert_eq!(wait(), [false, true, false, true]);
        let writing = key_order.take_ticket(&set);
        assert_eq!(wait(), [true, true, false, true]);
        drop(reading);
        assert_eq!(wait(), [true, true, false, true]);
        drop(writing);
        assert!(key_order.is_empty(), "what is done is forgotten");
        let _flushing = key_order.take_ticket(&flush);
        assert_eq!(wait(), [true; 4]);
    }

    #[test]
    fn each_gets_its_turn_when_those_before_it_are_done() {
        let key_order = Rc::new(KeyOrder::default());
        let ticket =
            |command, key: &'static str| key_order.take_ticket(&Request::new(command, key.as_bytes()));
        let mut cx = Context::from_waker(Waker::noop());
        let first = ticket(Command::Set, "a");
        let other = ticket(Command::Set, "b");
        let (second, third) = (ticket(Command::Get, "a"), ticket(Command::Get, "a"));
        let last = ticket(Command::FlushAll, "");
        let mut waits =
            || [&first, &other, &second, &third, &last].map(|ticket| ticket.poll(&mut cx).is_pending());
        assert_eq!(waits(), [false, false, true, true, true]);
        drop(first);
        let mut waits = || [&other, &second, &third, &last].map(|ticket| ticket.poll(&mut cx).is_pending());
        assert_eq!(waits(), [false, false, false, true]);
        drop((second, third));
        assert!(last.poll(&mut cx).is_pending());
        drop(other);
        assert!(last.poll(&mut cx).is_ready());
    }
}
