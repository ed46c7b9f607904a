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
//!
//! A multi-get of a plain pool has one slot, and a number for each of its keys: their replies are in
//! [`KeyReplies`], which takes a fraction of the memory of slots.

mod advance;
mod entry;
mod kept_format;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;

use crate::protocol::{Command, OnError, Reply};
use crate::reply::dropped::{DROPPED, may_be_dropped};
use crate::reply::keys::{ArrivedKey, KeyReplies, TakenReply};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use crate::reply::unfinished::Unfinished;
use crate::reply::wakeup::Wakeup;
use crate::runtime::byte_queue::ByteQueue;
use crate::runtime::memory::MemoryBudget;
use entry::QueueEntry;

/// The maximum number of bytes of values in a queue. Values beyond it are dropped and their requests fail,
/// except the one at the front; that is dropped only if the session's [`MemoryBudget`] has no room for it.
const MAX_HELD: usize = 64 << 20;
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
/// The capacity that empty client text keeps, in bytes.
const KEEP_TEXT: usize = 16 << 10;

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
    /// The replies to the keys of multi-gets, those of the first entry first.
    keys: KeyReplies,
    /// Client text that answers repeat, that of the first entry first.
    text: ByteQueue<KEEP_TEXT>,
    /// The number of the front entry.
    first: u32,
    /// The number of filled entries at the front.
    filled: usize,
    /// The number of those that may be taken.
    complete: usize,
    /// The number of keys of filled entries.
    filled_keys: usize,
    /// The number of keys that must have their replies before the first entry that is not filled is, if that is a
    /// multi-get.
    wanted_keys: usize,
    /// The number of keys of the first entry that is not filled that may be taken nevertheless.
    released_keys: usize,
    /// Whether the last entry is a multi-get that gets more keys.
    is_open: bool,
    values: Values,
    /// Bytes of the answers that Ringway itself gave.
    words: usize,
    /// Requests that are reported once their replies, which are next, are written.
    unfinished: Vec<Unfinished>,
    wakeup: Wakeup,
    is_closed: bool,
}

/// What is counted of values.
#[derive(Debug, Default)]
struct Values {
    /// Bytes of the values in the queue.
    held: usize,
    /// Dropped values that were not reported yet.
    dropped: u64,
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
    pub fn push(self: &Rc<ReplyQueue>, origin: RequestOrigin<'_>, replies: u32) -> u32 {
        let mut queue = self.queue.borrow_mut();
        let number = queue.first.wrapping_add(queue.entries.len() as u32);
        queue.push_entry(origin, replies, Reply::Done);
        number
    }

    /// Appends a slot that is already filled.
    pub fn push_filled(&self, origin: RequestOrigin<'_>, reply: Reply) {
        let queue = &mut *self.queue.borrow_mut();
        let size = reply.value_len();
        let index = queue.entries.len();
        let reply = match self.admits(origin.command, size, index, &mut queue.values) {
            true => reply,
            false => DROPPED,
        };
        queue.words += text_bytes(&reply);
        queue.push_entry(origin, 0, reply);
        queue.advance();
    }

    /// Appends a slot for the keys of a multi-get, which follow by [`ReplyQueue::push_keys`] until
    /// [`ReplyQueue::end_multi_get`]. Its values go to a classic client.
    pub fn begin_multi_get(&self, command: Command, on_error: OnError) {
        let queue = &mut *self.queue.borrow_mut();
        let origin = RequestOrigin {
            command,
            mode: ReplyMode::MultiGet,
            on_error,
            format: WireFormat::Classic,
        };
        queue.push_entry(origin, 0, Reply::Done);
        queue.is_open = true;
    }

    /// Appends `count` keys to the multi-get that was begun. Returns the number of the first; those of the others follow.
    pub fn push_keys(&self, count: u32) -> u32 {
        let queue = &mut *self.queue.borrow_mut();
        debug_assert!(queue.is_open, "a multi-get was begun");
        if let Some(entry) = queue.entries.back_mut() {
            entry.awaited += count;
        }
        queue.keys.push(count)
    }

    /// Ends the multi-get that was begun: it gets no more keys.
    pub fn end_multi_get(&self) {
        let queue = &mut *self.queue.borrow_mut();
        queue.is_open = false;
        queue.advance();
    }

    /// Counts a value of `size` bytes, the reply to `command`, as held or, if too many bytes wait, as dropped. Returns
    /// true if it is held. `index` is that of its entry or key.
    #[inline(always)]
    fn admits(&self, command: Command, size: usize, index: usize, values: &mut Values) -> bool {
        let is_too_much = || index > 0 && values.held >= MAX_HELD || !self.budget.has_room(size);
        if may_be_dropped(command, size) && is_too_much() {
            values.dropped += 1;
            return false;
        }
        values.held += size;
        self.budget.add(size);
        true
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
            let size = reply.value_len();
            if self.admits(entry.command, size, index as usize, &mut queue.values) {
                queue.words += text_bytes(&reply);
                entry.reply = reply;
            } else {
                entry.reply = DROPPED;
            }
        }
        if entry.awaited == 0 && index as usize == queue.filled && queue.advance() {
            queue.wakeup.wake();
        }
    }

    /// Fills the slot of the key with this `number`.
    pub fn fill_key(&self, number: u32, reply: Reply) {
        if let Reply::Value(item) = &reply
            && let Some(lines) = item.lines()
        {
            let length = lines.len() as u32;
            return self.fill_keys(lines.clone(), &[ArrivedKey { number, length }]);
        }
        let queue = &mut *self.queue.borrow_mut();
        if queue.is_closed {
            return;
        }
        let (size, index) = (reply.value_len(), queue.keys.index(number));
        let reply = match self.admits(Command::Get, size, index, &mut queue.values) {
            true => reply,
            false => DROPPED,
        };
        if queue.keys.fill(number, reply) && queue.advance_keys() {
            queue.wakeup.wake();
        }
    }

    /// Fills the slots of `keys`, whose replies arrived together: `lines` are those of their values.
    #[inline]
    pub fn fill_keys(&self, lines: Bytes, keys: &[ArrivedKey]) {
        let queue = &mut *self.queue.borrow_mut();
        if queue.is_closed {
            return;
        }
        let values = &mut queue.values;
        let may_keep = |index, size| self.admits(Command::Get, size, index, values);
        if queue.keys.fill_together(lines, keys, may_keep) && queue.advance_keys() {
            queue.wakeup.wake();
        }
    }

    /// Passes the front reply to `write` if it has arrived, unless it is that of keys, which [`ReplyQueue::take_keys`]
    /// takes. The values of a multi-get are released together unless they are many bytes: nodes answer one after the
    /// other, and a write for each costs more than the client gains.
    #[inline]
    pub fn take<T>(&self, write: impl FnOnce(&RequestOrigin<'_>, Reply) -> T) -> Option<T> {
        let queue = &mut *self.queue.borrow_mut();
        if queue.complete == 0 || queue.entries.front()?.mode == ReplyMode::MultiGet {
            return None;
        }
        let entry = queue.pop()?;
        queue.values.held -= entry.reply.value_len();
        queue.words -= text_bytes(&entry.reply);
        let written = write(&entry.origin(&queue.text), entry.reply);
        entry.format.pass(&mut queue.text);
        Some(written)
    }

    /// Passes the replies to the keys of the multi-get in front to `write`, as many as may be taken, with the origin
    /// of its keys. Returns false if there is nothing to take.
    pub fn take_keys(&self, mut write: impl FnMut(&RequestOrigin<'_>, TakenReply<'_>)) -> bool {
        let queue = &mut *self.queue.borrow_mut();
        let Some(front) = queue
            .entries
            .front_mut()
            .filter(|front| front.mode == ReplyMode::MultiGet)
        else {
            return false;
        };
        let is_complete = queue.complete > 0;
        let count = match is_complete {
            true => front.awaited as usize,
            false => queue.released_keys,
        };
        front.awaited -= count as u32;
        let origin = RequestOrigin {
            command: front.command,
            mode: ReplyMode::MultiGetItem,
            on_error: front.on_error,
            format: WireFormat::Classic,
        };
        for _ in 0..count {
            queue.keys.take(|reply| {
                queue.values.held -= reply.size();
                write(&origin, reply);
            });
        }
        queue.wanted_keys = queue.wanted_keys.saturating_sub(count);
        match is_complete {
            true => {
                queue.filled_keys -= count;
                queue.pop();
            }
            false => queue.released_keys = 0,
        }
        is_complete || count > 0
    }

    /// Returns the number of values dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.queue.borrow_mut().values.dropped)
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

    /// The number of replies that are owed.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
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
        let words = queue.words();
        queue.len() >= max
            || queue.bytes() + words >= budget.max(MIN_OWED)
            || words >= MAX_WORDS
            || queue.values.held >= MAX_READY && (queue.complete > 0 || queue.released_keys > 0)
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
        let entries = queue.entries.capacity() * size_of::<QueueEntry>() + queue.keys.memory();
        let words = queue.text.held() + queue.words;
        self.budget.set(entries + words + queue.values.held + others);
    }

    /// Frees the memory of an empty queue.
    pub fn trim(&self) {
        let queue = &mut *self.queue.borrow_mut();
        if queue.entries.is_empty() {
            queue.entries = VecDeque::new();
            queue.keys.trim(0);
            queue.text.trim(0);
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

/// The number of bytes of text that Ringway answers itself; 0 for any other reply.
#[inline]
fn text_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Text(text) => text.len(),
        _ => 0,
    }
}

impl Queue {
    /// Appends an entry.
    #[inline]
    fn push_entry(&mut self, origin: RequestOrigin<'_>, awaited: u32, reply: Reply) {
        let entry = QueueEntry::new(origin, awaited, reply, &mut self.text);
        self.entries.push_back(entry);
    }

    /// The number of replies that are owed.
    #[inline]
    fn len(&self) -> usize {
        self.entries.len() + self.keys.len()
    }

    /// The number of bytes of slots and keys.
    #[inline]
    fn bytes(&self) -> usize {
        self.entries.len() * size_of::<QueueEntry>() + self.keys.bytes()
    }

    /// The number of bytes of client text and of Ringway's own answers.
    #[inline]
    fn words(&self) -> usize {
        self.text.len() + self.words
    }

    /// Removes the front entry, which may be taken.
    #[inline]
    fn pop(&mut self) -> Option<QueueEntry> {
        let entry = self.entries.pop_front()?;
        self.filled -= 1;
        self.complete -= 1;
        self.first = self.first.wrapping_add(1);
        if self.entries.is_empty() && self.entries.capacity() > KEEP {
            self.entries = VecDeque::new();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
