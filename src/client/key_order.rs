//! The order of one session's requests to one key, where policies are at work on some of them.
//!
//! A request to a plain pool needs none of this: its link carries it before what comes later. A policy may ask a
//! second pool long after the first, and what the same client asked meanwhile of the same key must not overtake it.
//! So a request waits for those before it that a policy is still at work on: a write for all of its key, a read for
//! the writes, flush_all for everything. Reads do not wait for reads.
//!
//! What is at work stands in a queue, in the order of the requests; what is done leaves it from the front. While no
//! policy is at work nothing is looked up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::protocol::fingerprint;
use crate::protocol::meta::Names;
use crate::protocol::{Command, Request};

/// An empty queue keeps room for so many.
const KEEP: usize = 64;

/// What one session's policies are at work on.
#[derive(Debug, Default)]
pub struct KeyOrder(RefCell<Queue>);

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The number of the front entry.
    first: u64,
    /// Entries that are no reads and not done.
    changes: usize,
    /// Who waits, and for the end of which number.
    waiting: Vec<(u64, Waker)>,
}

/// A request, by the fingerprint of its key: two keys that share one wait for each other, which does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: u32,
    what: What,
    is_done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Reads its key.
    Read,
    /// Changes its key.
    Change,
    /// Changes all keys.
    All,
}

/// A request that a policy is at work on, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    key_order: Rc<KeyOrder>,
    number: u64,
}

impl KeyOrder {
    /// Whether no policy is at work.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().entries.is_empty()
    }

    /// Whether `request` has to wait for some that are at work.
    #[inline]
    pub fn must_wait(&self, request: &Request<'_>) -> bool {
        let queue = self.0.borrow();
        // Mostly all are reads: their keys need not be looked at.
        let may_meet = !queue.entries.is_empty() && (queue.changes > 0 || !is_read(request));
        may_meet && {
            let entry = Entry::of(request);
            queue.entries.iter().any(|before| before.holds_up(&entry))
        }
    }

    /// A policy begins to work on `request`, or will when those before it are done.
    #[inline]
    pub fn take_ticket(self: &Rc<KeyOrder>, request: &Request<'_>) -> Ticket {
        let mut queue = self.0.borrow_mut();
        let entry = Entry::of(request);
        queue.changes += usize::from(entry.what != What::Read);
        let number = queue.first + queue.entries.len() as u64;
        queue.entries.push_back(entry);
        Ticket {
            key_order: self.clone(),
            number,
        }
    }
}

impl Entry {
    fn of(request: &Request<'_>) -> Entry {
        let what = match request.command {
            Command::FlushAll => What::All,
            _ if is_read(request) => What::Read,
            _ => What::Change,
        };
        Entry {
            key: fingerprint(request.key),
            what,
            is_done: false,
        }
    }

    /// Whether `later` must wait for this one.
    fn holds_up(&self, later: &Entry) -> bool {
        let is_of_it = self.key == later.key || self.what == What::All || later.what == What::All;
        is_of_it && !self.is_done && !(self.what == What::Read && later.what == What::Read)
    }
}

/// Whether it changes nothing.
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
    /// Waits until none is at work any more that came before and holds this one up.
    pub async fn turn(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.key_order.0.borrow_mut();
        let index = (self.number - queue.first) as usize;
        let own = queue.entries[index];
        let before = queue.entries.range(..index);
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
        queue.changes -= usize::from(entry.what != What::Read);
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
