//! A session's queue of outstanding replies: nodes answer in any order, the client reads in the order of
//! its requests.
//!
//! ```text
//!   session pushes ─▶ [ get a: value ][ set b: … ][ get c: miss ][ incr d: … ] ─▶ session takes the front
//!                       slot 17         slot 18     slot 19        slot 20         while it is filled
//!                                          ▲                          ▲
//!                        link of node 1 ───┘       link of node 2 ────┘  fill by number
//! ```
//!
//! Slots are numbered from the session's first; a link keeps a [`ReplySlot`](super::slot::ReplySlot) and
//! fills it when the reply arrives. The session is woken once, when the filled slots at the front make a
//! complete answer. A session that ends closes its queue, and later replies are dropped.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;

use crate::protocol::{Command, OnError, Reply};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use crate::reply::unfinished::Unfinished;
use crate::reply::wakeup::Wakeup;
use crate::runtime::memory::MemoryBudget;

/// The maximum number of bytes of values in a queue. Values beyond it are dropped and their requests fail,
/// except the one at the front; that is dropped only if the session's [`MemoryBudget`] has no room for it.
const MAX_HELD: usize = 64 << 20;
/// Replaces a dropped value. It reads as a node's own error, so each protocol presents it in its own way:
/// as a miss, or as an error if the pool is configured so.
pub const DROPPED: Reply = Reply::Error(Bytes::from_static(b"SERVER_ERROR too much waits for this client"));
/// The number of bytes of values that are worth a write although their multi-get is incomplete.
const TOGETHER: usize = 64 << 10;
/// A session may always have this many bytes of slots and words, even under memory pressure.
const MIN_OWED: usize = 32 << 10;
/// The number of bytes of client text and of Ringway's own answers above which a session takes no more
/// requests: a whole `stats nodes` is many times as long as the line that requests it.
const MAX_WORDS: usize = 512 << 10;
/// The number of bytes of values ready to be written above which a session takes no more requests. An
/// embedded node answers at once, so a few short requests could otherwise fill the queue.
const MAX_READY: usize = 256 << 10;
/// The maximum number of replies whose way to the client is timed at once.
const MAX_UNFINISHED: usize = 16;
/// The capacity that an empty queue keeps, in slots.
const KEEP: usize = 256;

/// The queue of one session.
#[derive(Debug, Default)]
pub struct ReplyQueue {
    queue: RefCell<Queue>,
    /// The session's memory: what waits here, and what the session reports that it holds besides.
    budget: MemoryBudget,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<QueueEntry>,
    /// The number of the front entry.
    first: u32,
    /// The number of filled entries at the front.
    filled: usize,
    /// The number of those that may be taken.
    complete: usize,
    /// Bytes of the values in the queue.
    held: usize,
    /// Bytes of client text kept until the answer repeats it, and of answers that Ringway itself gave.
    words: usize,
    /// Dropped values that were not reported yet.
    dropped: u64,
    /// Requests that are reported once their replies, which are next, are written.
    unfinished: Vec<Unfinished>,
    wakeup: Wakeup,
    is_closed: bool,
}

#[derive(Debug)]
struct QueueEntry {
    reply: Reply,
    awaited: u32,
    /// The fields of [`RequestOrigin`], inlined to save memory.
    command: Command,
    mode: ReplyMode,
    on_error: OnError,
    format: WireFormat,
}

// Each key of a multi-get has an entry, and each is a cache miss when its reply arrives.
const _: () = assert!(size_of::<QueueEntry>() <= 96);

impl QueueEntry {
    #[inline]
    fn new(origin: RequestOrigin, awaited: u32, reply: Reply) -> QueueEntry {
        QueueEntry {
            reply,
            awaited,
            command: origin.command,
            mode: origin.mode,
            on_error: origin.on_error,
            format: origin.format,
        }
    }

    #[inline]
    fn into_parts(self) -> (RequestOrigin, Reply) {
        let origin = RequestOrigin {
            command: self.command,
            mode: self.mode,
            on_error: self.on_error,
            format: self.format,
        };
        (origin, self.reply)
    }
}

impl ReplyQueue {
    /// Returns an empty queue for a session with this `budget`.
    pub fn new(budget: MemoryBudget) -> ReplyQueue {
        ReplyQueue {
            queue: RefCell::default(),
            budget,
        }
    }

    /// Appends a slot that awaits `replies` replies; with none it is filled with [`Reply::Done`]. Returns
    /// its number.
    #[inline]
    pub fn push(self: &Rc<ReplyQueue>, origin: RequestOrigin, replies: u32) -> u32 {
        let mut queue = self.queue.borrow_mut();
        let number = queue.first.wrapping_add(queue.entries.len() as u32);
        queue.words += origin.format.bytes();
        queue
            .entries
            .push_back(QueueEntry::new(origin, replies, Reply::Done));
        number
    }

    /// Appends a slot that is already filled.
    pub fn push_filled(&self, origin: RequestOrigin, reply: Reply) {
        let queue = &mut *self.queue.borrow_mut();
        let size = value_bytes(&reply);
        let reply = match self.must_drop(origin.command, size, queue.entries.len(), queue.held) {
            true => {
                queue.dropped += 1;
                DROPPED
            }
            false => {
                queue.held += size;
                self.budget.add(size);
                reply
            }
        };
        queue.words += origin.format.bytes() + text_bytes(&reply);
        queue.entries.push_back(QueueEntry::new(origin, 0, reply));
        queue.advance();
    }

    /// Whether a value of `size` bytes, the reply to `command`, must be dropped because too many bytes wait. `index` is
    /// that of its entry, `held` what all values take.
    #[inline(always)]
    fn must_drop(&self, command: Command, size: usize, index: usize, held: usize) -> bool {
        may_be_dropped(command, size) && (index > 0 && held >= MAX_HELD || !self.budget.has_room(size))
    }

    /// Fills slot `number`.
    #[inline]
    pub(super) fn fill(&self, number: u32, reply: Reply) {
        let queue = &mut *self.queue.borrow_mut();
        let index = number.wrapping_sub(queue.first);
        if queue.is_closed {
            return;
        }
        let Some(entry) = queue.entries.get_mut(index as usize) else {
            debug_assert!(false, "slot {number} was taken before it was filled");
            return;
        };
        debug_assert!(entry.awaited > 0, "slot {number} is filled twice");
        entry.awaited -= 1;
        if !matches!(
            entry.reply,
            Reply::Error(_) | Reply::Refused(_) | Reply::Failed(_)
        ) {
            let size = value_bytes(&reply);
            if self.must_drop(entry.command, size, index as usize, queue.held) {
                queue.dropped += 1;
                entry.reply = DROPPED;
            } else {
                queue.held += size;
                queue.words += text_bytes(&reply);
                self.budget.add(size);
                entry.reply = reply;
            }
        }
        if entry.awaited == 0 && index as usize == queue.filled && queue.advance() {
            queue.wakeup.wake();
        }
    }

    /// Takes the front reply if it has arrived. The values of a multi-get are released together unless they
    /// are many bytes: nodes answer one after the other, and a write for each costs more than the client
    /// gains.
    #[inline]
    pub fn take(&self) -> Option<(RequestOrigin, Reply)> {
        let mut queue = self.queue.borrow_mut();
        if queue.complete == 0 {
            return None;
        }
        let entry = queue.entries.pop_front()?;
        queue.filled -= 1;
        queue.complete -= 1;
        queue.first = queue.first.wrapping_add(1);
        queue.held -= value_bytes(&entry.reply);
        queue.words -= entry.format.bytes() + text_bytes(&entry.reply);
        if queue.entries.is_empty() && queue.entries.capacity() > KEEP {
            queue.entries = VecDeque::new();
        }
        Some(entry.into_parts())
    }

    /// Returns the number of values dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.queue.borrow_mut().dropped)
    }

    /// Keeps `unfinished` until its reply is written. Returns it if that is not next: it waits for others, and not for
    /// its session.
    pub fn finish_later(&self, unfinished: Unfinished) -> Option<Unfinished> {
        let queue = &mut *self.queue.borrow_mut();
        let index = unfinished.number.wrapping_sub(queue.first) as usize;
        if queue.is_closed || index >= queue.complete || queue.unfinished.len() >= MAX_UNFINISHED {
            return Some(unfinished);
        }
        queue.unfinished.push(unfinished);
        None
    }

    /// Whether requests are to be reported once their replies are written.
    #[inline]
    pub fn has_unfinished(&self) -> bool {
        !self.queue.borrow().unfinished.is_empty()
    }

    /// Takes a request that is to be reported and whose reply was taken, or any of them if the session ends.
    #[cold]
    pub fn pop_unfinished(&self, is_ending: bool) -> Option<Unfinished> {
        let queue = &mut *self.queue.borrow_mut();
        let (first, count) = (queue.first, queue.entries.len());
        let is_taken = |one: &Unfinished| is_ending || one.number.wrapping_sub(first) as usize >= count;
        let index = queue.unfinished.iter().position(is_taken)?;
        Some(queue.unfinished.swap_remove(index))
    }

    /// The number of slots in the queue.
    pub fn len(&self) -> usize {
        self.queue.borrow().entries.len()
    }

    /// Whether no reply is outstanding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes that the session may hold in all, given what others hold.
    #[inline]
    pub fn budget(&self) -> usize {
        self.budget.most()
    }

    /// Whether the session must take no more requests for now: its queue has `max` slots, or uses more than
    /// `budget` bytes and more than the guaranteed minimum, or holds too many bytes of words or of values
    /// that are ready.
    #[inline]
    pub fn is_full(&self, max: usize, budget: usize) -> bool {
        let queue = self.queue.borrow();
        let length = queue.entries.len();
        length >= max
            || length * size_of::<QueueEntry>() + queue.words >= budget.max(MIN_OWED)
            || queue.words >= MAX_WORDS
            || queue.complete > 0 && queue.held >= MAX_READY
    }

    /// Whether the session may hold `bytes` more; with 0, whether it is within its budget.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.budget.has_room(bytes)
    }

    /// Updates the session's budget with what waits here and `others` bytes that the session holds besides.
    #[inline]
    pub fn update_budget(&self, others: usize) {
        let queue = self.queue.borrow();
        let entries = queue.entries.capacity() * size_of::<QueueEntry>();
        self.budget.set(entries + queue.held + queue.words + others);
    }

    /// Frees the memory of an empty queue.
    pub fn trim(&self) {
        let entries = &mut self.queue.borrow_mut().entries;
        if entries.is_empty() {
            *entries = VecDeque::new();
        }
    }

    /// Wakes the session unconditionally.
    pub fn wake(&self) {
        self.queue.borrow_mut().wakeup.wake();
    }

    /// Begins the session's turn: until its end the session checks for replies itself and is not woken.
    #[inline]
    pub fn hold(&self) {
        self.queue.borrow_mut().wakeup.hold();
    }

    /// Ends the session's turn, and registers the task to wake from now on.
    #[inline]
    pub fn register(&self, cx: &Context<'_>) {
        self.queue.borrow_mut().wakeup.register(cx);
    }

    /// Closes the queue when its session ends: later replies are dropped.
    pub fn close(&self) {
        *self.queue.borrow_mut() = Queue {
            is_closed: true,
            ..Queue::default()
        };
        self.budget.set(0);
    }
}

/// Whether a value of `size` bytes that answers `command` may be dropped for lack of memory. The number
/// that ma returns is small, and without it the client could not know that it was changed.
#[inline]
pub fn may_be_dropped(command: Command, size: usize) -> bool {
    size > 0 && command != Command::MetaArithmetic
}

/// The number of bytes of text that Ringway answers itself; 0 for any other reply.
#[inline]
fn text_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Text(text) => text.len(),
        _ => 0,
    }
}

/// The number of bytes of the value in `reply`; 0 if there is none.
#[inline]
pub fn value_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Value(item) => item.size(),
        Reply::Meta(reply) => reply.data().map_or(0, <[u8]>::len),
        _ => 0,
    }
}

impl Queue {
    /// Advances over filled entries. Returns true if more may be taken than before.
    #[inline]
    fn advance(&mut self) -> bool {
        let before = self.complete;
        while let Some(entry) = self.entries.get(self.filled)
            && entry.awaited == 0
        {
            self.filled += 1;
            if entry.mode != ReplyMode::MultiGetItem {
                self.complete = self.filled;
            }
        }
        // If every slot so far is filled, the end of a multi-get may not even be sent yet: its keys
        // continue once there is room, so the values must not wait for it.
        if self.filled == self.entries.len() || self.held >= TOGETHER {
            self.complete = self.filled;
        }
        self.complete > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Failure, Item, MetaReply};
    use crate::reply::slot::ReplySlot;
    use crate::runtime::memory::Memory;

    fn origin(command: Command) -> RequestOrigin {
        RequestOrigin {
            command,
            mode: ReplyMode::Single,
            on_error: OnError::HIDE,
            format: WireFormat::Classic,
        }
    }

    #[test]
    fn replies_leave_in_the_order_of_the_questions() {
        let reply_queue = Rc::new(ReplyQueue::default());
        let numbers: Vec<u32> = (0..3)
            .map(|_| reply_queue.push(origin(Command::Get), 1))
            .collect();
        ReplySlot::queued(&reply_queue, numbers[2]).fill(Reply::Number(2));
        ReplySlot::queued(&reply_queue, numbers[1]).fill(Reply::Number(1));
        assert_eq!(reply_queue.take(), None, "the front is still awaited");
        ReplySlot::queued(&reply_queue, numbers[0]).fill(Reply::Number(0));
        let replies: Vec<Reply> = std::iter::from_fn(|| reply_queue.take())
            .map(|(_, reply)| reply)
            .collect();
        assert_eq!(replies, [Reply::Number(0), Reply::Number(1), Reply::Number(2)]);
    }

    #[test]
    fn the_parts_of_a_multi_get_leave_together() {
        let reply_queue = Rc::new(ReplyQueue::default());
        let part = RequestOrigin {
            mode: ReplyMode::MultiGetItem,
            ..origin(Command::Get)
        };
        let numbers: Vec<u32> = (0..2).map(|_| reply_queue.push(part.clone(), 1)).collect();
        let end = RequestOrigin {
            mode: ReplyMode::MultiGetEnd,
            ..origin(Command::Get)
        };
        reply_queue.push_filled(end, Reply::Done);
        ReplySlot::queued(&reply_queue, numbers[0]).fill(Reply::NotFound);
        assert_eq!(reply_queue.take(), None, "its end is not there");
        ReplySlot::queued(&reply_queue, numbers[1]).fill(Reply::NotFound);
        assert_eq!(std::iter::from_fn(|| reply_queue.take()).count(), 3);
    }

    #[test]
    fn a_slot_for_several_replies_waits_for_all_and_tells_of_the_first_failure() {
        let reply_queue = Rc::new(ReplyQueue::default());
        let number = reply_queue.push(origin(Command::FlushAll), 3);
        ReplySlot::queued(&reply_queue, number).fill(Reply::Done);
        ReplySlot::queued(&reply_queue, number).fill(Reply::Failed(Failure::Timeout));
        assert_eq!(reply_queue.take(), None);
        ReplySlot::queued(&reply_queue, number).fill(Reply::Done);
        assert_eq!(
            reply_queue.take().map(|(_, reply)| reply),
            Some(Reply::Failed(Failure::Timeout))
        );
    }

    fn value(size: usize) -> Reply {
        Reply::Value(Item::new("k".into(), 0, 0, vec![b'v'; size].into()))
    }

    #[test]
    fn a_value_that_memory_has_no_room_for_is_left_out_though_its_turn_has_come() {
        let memory = Rc::new(Memory::default());
        memory.set_limit(1 << 20);
        let reply_queue = Rc::new(ReplyQueue::new(MemoryBudget::new(&memory)));
        let numbers: Vec<u32> = (0..3)
            .map(|_| reply_queue.push(origin(Command::Get), 1))
            .collect();
        let sizes = [800_000, 700_000, 10];
        for (number, size) in numbers.into_iter().zip(sizes) {
            ReplySlot::queued(&reply_queue, number).fill(value(size));
        }
        let replies: Vec<Reply> = std::iter::from_fn(|| reply_queue.take())
            .map(|taken| taken.1)
            .collect();
        assert_eq!(replies, [DROPPED, value(700_000), value(10)]);
        assert_eq!(reply_queue.take_dropped(), 1);
    }

    #[test]
    fn a_value_that_needs_no_node_counts_as_one_that_a_node_sent() {
        let memory = Rc::new(Memory::default());
        memory.set_limit(1 << 20);
        let reply_queue = Rc::new(ReplyQueue::new(MemoryBudget::new(&memory)));
        for size in [800_000, 700_000, 10] {
            reply_queue.push_filled(origin(Command::Get), value(size));
        }
        let replies: Vec<Reply> = std::iter::from_fn(|| reply_queue.take())
            .map(|taken| taken.1)
            .collect();
        assert_eq!(replies, [DROPPED, value(700_000), value(10)]);
        reply_queue.close();
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn the_number_that_was_made_of_one_is_told_however_short_memory_is() {
        let memory = Rc::new(Memory::default());
        memory.set_limit(1);
        let reply_queue = Rc::new(ReplyQueue::new(MemoryBudget::new(&memory)));
        let number = Reply::Meta(MetaReply::new("VA 2", 0..0, Some("42".into())));
        let counted = ReplySlot::queued(&reply_queue, reply_queue.push(origin(Command::MetaArithmetic), 1));
        let read = ReplySlot::queued(&reply_queue, reply_queue.push(origin(Command::MetaGet), 1));
        counted.fill(number.clone());
        read.fill(number.clone());
        let replies: Vec<Reply> = std::iter::from_fn(|| reply_queue.take())
            .map(|taken| taken.1)
            .collect();
        assert_eq!(replies, [number, DROPPED]);
    }

    #[test]
    fn a_closed_queue_gives_its_memory_back_though_replies_are_still_to_come() {
        let memory = Rc::new(Memory::default());
        let reply_queue = Rc::new(ReplyQueue::new(MemoryBudget::new(&memory)));
        let _awaited = ReplySlot::queued(&reply_queue, reply_queue.push(origin(Command::Get), 1));
        ReplySlot::queued(&reply_queue, reply_queue.push(origin(Command::Get), 1)).fill(value(5000));
        reply_queue.update_budget(300);
        assert!(memory.total() >= 5300, "{}", memory.total());
        reply_queue.close();
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn a_closed_queue_drops_what_comes_late() {
        let reply_queue = Rc::new(ReplyQueue::default());
        let late = reply_queue.push(origin(Command::Get), 1);
        reply_queue.close();
        ReplySlot::queued(&reply_queue, late).fill(Reply::NotFound);
        assert!(reply_queue.is_empty());
    }
}
