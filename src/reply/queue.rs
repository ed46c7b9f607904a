//! A session's queue of replies that are owed: whatever order nodes answer in, the client reads them in
//! the order in which it asked.
//!
//! ```text
//!   session pushes ─▶ [ get a: value ][ set b: … ][ get c: miss ][ incr d: … ] ─▶ session takes the front
//!                       slot 17         slot 18     slot 19        slot 20         while it is filled
//!                                          ▲                          ▲
//!                        link of node 1 ───┘       link of node 2 ────┘  fill by number
//! ```
//!
//! Slots are counted from the session's first; a link keeps a [`ReplySlot`](super::slot::ReplySlot) and fills it when the reply comes.
//! The session is woken once, when its front slots are filled so far that they make a whole answer. A
//! session that went away leaves its queue closed, and what is filled later is dropped.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;

use crate::protocol::{Command, OnError, Reply};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use crate::reply::wakeup::Wakeup;
use crate::runtime::memory::MemoryBudget;

/// Bytes of values that may wait in a queue; those that come on top are left out, and
/// their requests fail, but for the one whose turn it is. That one is left out too where the session's
/// [`MemoryBudget`] has no room for it.
const MAX_HELD: usize = 64 << 20;
/// What stands in the place of a value that was left out. It reads as a node's own error, so that each protocol
/// says it in its own way: a miss, or an error where the pool asks for that.
pub const DROPPED: Reply = Reply::Error(Bytes::from_static(b"SERVER_ERROR too much waits for this client"));
/// Bytes of values that are reason enough for a write, though the multi-get they belong to is not complete.
const TOGETHER: usize = 64 << 10;
/// Bytes of slots and words that a session may have however short memory is.
const MIN_OWED: usize = 32 << 10;
/// Bytes of typed words and of Ringway's own answers after which a session takes no more requests until some have
/// left: a whole `stats nodes` is many times as long as the line that asks for it.
const MAX_WORDS: usize = 512 << 10;
/// Bytes of values that are ready to be written after which a session takes no more requests until they are.
/// An embedded node answers at once, so a few short requests may bring as many bytes as a queue may hold.
const MAX_READY: usize = 256 << 10;
/// Slots that an empty queue keeps room for.
const KEEP: usize = 256;

/// The queue of one session.
#[derive(Debug, Default)]
pub struct ReplyQueue {
    queue: RefCell<Queue>,
    /// Of the session: what waits here, and what the session says it holds besides.
    budget: MemoryBudget,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The number of the front entry.
    first: u32,
    /// Entries at the front that are filled.
    filled: usize,
    /// Of those, the ones that may leave.
    complete: usize,
    /// Bytes of the values that wait.
    held: usize,
    /// Bytes of what requests typed, kept until their answers repeat it, and of answers that no node gave.
    words: usize,
    /// Values that were left out and not told of yet.
    dropped: u64,
    wakeup: Wakeup,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    reply: Reply,
    awaited: u32,
    /// The parts of [`RequestOrigin`], which take less room so.
    command: Command,
    mode: ReplyMode,
    on_error: OnError,
    format: WireFormat,
}

// One waits for each key of a multi-get, and each is looked for in memory when its reply comes.
const _: () = assert!(size_of::<Entry>() <= 96);

impl Entry {
    #[inline]
    fn new(origin: RequestOrigin, awaited: u32, reply: Reply) -> Entry {
        Entry {
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
    /// An empty queue of a session with this `budget`.
    pub fn new(budget: MemoryBudget) -> ReplyQueue {
        ReplyQueue {
            queue: RefCell::default(),
            budget,
        }
    }

    /// A new slot at the end that awaits `replies` replies; with none it is filled with [`Reply::Done`].
    #[inline]
    pub fn push(self: &Rc<ReplyQueue>, origin: RequestOrigin, replies: u32) -> u32 {
        let mut queue = self.queue.borrow_mut();
        let number = queue.first.wrapping_add(queue.entries.len() as u32);
        queue.words += origin.format.bytes();
        queue.entries.push_back(Entry::new(origin, replies, Reply::Done));
        number
    }

    /// A new slot at the end that is filled already.
    pub fn push_filled(&self, origin: RequestOrigin, reply: Reply) {
        let mut queue = self.queue.borrow_mut();
        queue.words += origin.format.bytes() + text_bytes(&reply);
        queue.entries.push_back(Entry::new(origin, 0, reply));
        queue.advance();
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
            entry.reply = match value_bytes(&reply) {
                size if may_be_left_out(entry.command, size)
                    && (index > 0 && queue.held >= MAX_HELD || !self.budget.has_room(size)) =>
                {
                    queue.dropped += 1;
                    DROPPED
                }
                size => {
                    queue.held += size;
                    queue.words += text_bytes(&reply);
                    self.budget.add(size);
                    reply
                }
            };
        }
        if entry.awaited == 0 && index as usize == queue.filled && queue.advance() {
            queue.wakeup.wake();
        }
    }

    /// Takes the front reply, if it is there. The values of a multi-get leave together, unless they are
    /// many bytes: nodes answer one after the other, and a write for each costs more than the client gains.
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

    /// Values that were left out since the last call.
    pub fn take_left_out(&self) -> u64 {
        std::mem::take(&mut self.queue.borrow_mut().dropped)
    }

    /// Slots in the queue.
    pub fn len(&self) -> usize {
        self.queue.borrow().entries.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the session may hold in all, as long as others hold what they do.
    #[inline]
    pub fn budget(&self) -> usize {
        self.budget.most()
    }

    /// Whether the session must wait before it takes more requests: its queue has `max` slots, or takes `budget`
    /// bytes where that is more than every session may have, or holds words that are many bytes, or many bytes of
    /// values could leave it.
    #[inline]
    pub fn is_full(&self, max: usize, budget: usize) -> bool {
        let queue = self.queue.borrow();
        let length = queue.entries.len();
        length >= max
            || length * size_of::<Entry>() + queue.words >= budget.max(MIN_OWED)
            || queue.words >= MAX_WORDS
            || queue.complete > 0 && queue.held >= MAX_READY
    }

    /// Whether the session may hold so many bytes more; with 0, if it holds no more than it may.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.budget.has_room(bytes)
    }

    /// Tells the session's account what waits here, and that the session holds `others` bytes besides.
    #[inline]
    pub fn update_budget(&self, others: usize) {
        let queue = self.queue.borrow();
        let entries = queue.entries.capacity() * size_of::<Entry>();
        self.budget.set(entries + queue.held + queue.words + others);
    }

    /// Gives back the memory of an empty queue.
    pub fn trim(&self) {
        let entries = &mut self.queue.borrow_mut().entries;
        if entries.is_empty() {
            *entries = VecDeque::new();
        }
    }

    /// Wakes the session, whatever it waits for.
    pub fn wake(&self) {
        self.queue.borrow_mut().wakeup.wake();
    }

    /// The session's turn begins: until its end it looks for itself what was filled, and is not woken.
    #[inline]
    pub fn hold(&self) {
        self.queue.borrow_mut().wakeup.hold();
    }

    /// The session's turn is over: notes whom to wake from now on.
    #[inline]
    pub fn register(&self, cx: &Context<'_>) {
        self.queue.borrow_mut().wakeup.register(cx);
    }

    /// The session goes away: replies that come later are dropped.
    pub fn close(&self) {
        *self.queue.borrow_mut() = Queue {
            is_closed: true,
            ..Queue::default()
        };
        self.budget.set(0);
    }
}

/// Whether a value of so many bytes, which answers `command`, may be left out for want of room. The number that
/// ma made of one takes hardly any, and without it the client could not tell that it was made.
#[inline]
pub fn may_be_left_out(command: Command, size: usize) -> bool {
    size > 0 && command != Command::MetaArithmetic
}

/// Bytes of a text that Ringway answers itself; 0 for every other reply.
#[inline]
fn text_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Text(text) => text.len(),
        _ => 0,
    }
}

/// Bytes of the value in `reply`; 0 if it holds none.
#[inline]
pub fn value_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Value(item) => item.size(),
        Reply::Meta(reply) => reply.data().map_or(0, <[u8]>::len),
        _ => 0,
    }
}

impl Queue {
    /// Counts what is filled at the front. Returns true if more may leave than before.
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
        // The end of a multi-get may not be asked yet: it goes on when there is room again.
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
        assert_eq!(reply_queue.take_left_out(), 1);
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
