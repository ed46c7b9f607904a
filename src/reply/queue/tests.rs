//! Tests of the queue of replies.

use super::*;
use crate::protocol::{Failure, Item, MetaReply};
use crate::reply::slot::ReplySlot;
use crate::runtime::memory::Memory;

fn origin(command: Command) -> RequestOrigin<'static> {
    RequestOrigin {
        command,
        mode: ReplyMode::Single,
        on_error: OnError::HIDE,
        format: WireFormat::Classic,
    }
}

/// The next reply that may be taken.
fn next(reply_queue: &ReplyQueue) -> Option<Reply> {
    reply_queue.take(|_, reply| reply)
}

/// All replies that may be taken.
fn rest(reply_queue: &ReplyQueue) -> Vec<Reply> {
    std::iter::from_fn(|| next(reply_queue)).collect()
}

#[test]
fn replies_leave_in_the_order_of_the_questions() {
    let reply_queue = Rc::new(ReplyQueue::default());
    let numbers: Vec<u32> = (0..3)
        .map(|_| reply_queue.push(origin(Command::Get), 1))
        .collect();
    ReplySlot::queued(&reply_queue, numbers[2]).fill(Reply::Number(2));
    ReplySlot::queued(&reply_queue, numbers[1]).fill(Reply::Number(1));
    assert_eq!(next(&reply_queue), None, "the front is still awaited");
    ReplySlot::queued(&reply_queue, numbers[0]).fill(Reply::Number(0));
    assert_eq!(
        rest(&reply_queue),
        [Reply::Number(0), Reply::Number(1), Reply::Number(2)]
    );
}

#[test]
fn the_parts_of_a_multi_get_leave_together() {
    let reply_queue = Rc::new(ReplyQueue::default());
    let part = RequestOrigin {
        mode: ReplyMode::MultiGetItem,
        ..origin(Command::Get)
    };
    let numbers: Vec<u32> = (0..2).map(|_| reply_queue.push(part, 1)).collect();
    let end = RequestOrigin {
        mode: ReplyMode::MultiGetEnd,
        ..origin(Command::Get)
    };
    reply_queue.push_filled(end, Reply::Done);
    ReplySlot::queued(&reply_queue, numbers[0]).fill(Reply::NotFound);
    assert_eq!(next(&reply_queue), None, "its end is not there");
    ReplySlot::queued(&reply_queue, numbers[1]).fill(Reply::NotFound);
    assert_eq!(rest(&reply_queue).len(), 3);
}

#[test]
fn a_slot_for_several_replies_waits_for_all_and_tells_of_the_first_failure() {
    let reply_queue = Rc::new(ReplyQueue::default());
    let number = reply_queue.push(origin(Command::FlushAll), 3);
    ReplySlot::queued(&reply_queue, number).fill(Reply::Done);
    ReplySlot::queued(&reply_queue, number).fill(Reply::Failed(Failure::Timeout));
    assert_eq!(next(&reply_queue), None);
    ReplySlot::queued(&reply_queue, number).fill(Reply::Done);
    assert_eq!(next(&reply_queue), Some(Reply::Failed(Failure::Timeout)));
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
    assert_eq!(rest(&reply_queue), [DROPPED, value(700_000), value(10)]);
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
    assert_eq!(rest(&reply_queue), [DROPPED, value(700_000), value(10)]);
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
    assert_eq!(rest(&reply_queue), [number, DROPPED]);
}

/// A multi-get of so many keys, without its end. Returns their numbers.
fn multi_get(reply_queue: &ReplyQueue, keys: usize) -> Vec<u32> {
    reply_queue.begin_multi_get(Command::Get, OnError::HIDE);
    let first = reply_queue.push_keys(keys as u32);
    let numbers = (first..first + keys as u32).collect();
    reply_queue.end_multi_get();
    numbers
}

fn end(reply_queue: &ReplyQueue) {
    let origin = RequestOrigin {
        mode: ReplyMode::MultiGetEnd,
        ..origin(Command::Get)
    };
    reply_queue.push_filled(origin, Reply::Done);
}

/// Fills the slot of a key with a value whose lines are of this length.
fn fill(reply_queue: &ReplyQueue, number: u32, length: usize) {
    fill_together(reply_queue, &[(number, length)]);
}

/// Fills the slots of keys with what arrived together: values, or misses with a length of 0.
fn fill_together(reply_queue: &ReplyQueue, keys: &[(u32, usize)]) {
    let lines: Vec<u8> = keys
        .iter()
        .flat_map(|&(number, length)| vec![number as u8; length])
        .collect();
    let arrived = |&(number, length): &(u32, usize)| ArrivedKey {
        number,
        length: length as u32,
    };
    let keys: Vec<ArrivedKey> = keys.iter().map(arrived).collect();
    reply_queue.fill_keys(lines.into(), &keys);
}

/// The lines that may be taken, and no bytes for each other reply but misses.
fn taken_lines(reply_queue: &ReplyQueue) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    loop {
        while next(reply_queue).is_some() {
            taken.push(Vec::new());
        }
        let is_over = !reply_queue.take_keys(|_, reply| match reply {
            TakenReply::Lines(lines) => taken.push(lines.bytes.to_vec()),
            TakenReply::Other(_) => taken.push(Vec::new()),
            TakenReply::Miss => {}
        });
        if is_over {
            return taken;
        }
    }
}

/// The lengths of lines that may be taken, and 0 for each other reply but misses.
fn taken(reply_queue: &ReplyQueue) -> Vec<usize> {
    taken_lines(reply_queue).iter().map(Vec::len).collect()
}

#[test]
fn the_keys_of_a_multi_get_leave_together_and_in_order() {
    let reply_queue = ReplyQueue::default();
    let numbers = multi_get(&reply_queue, 4);
    end(&reply_queue);
    let later = multi_get(&reply_queue, 1);
    end(&reply_queue);
    fill(&reply_queue, later[0], 9);
    for (key, length) in [(2, 3), (0, 1), (3, 0)] {
        fill(&reply_queue, numbers[key], length);
        assert_eq!(taken(&reply_queue), [0; 0], "one is awaited");
    }
    assert_eq!(reply_queue.len(), 9);
    reply_queue.fill_key(numbers[1], Reply::Failed(Failure::Timeout));
    assert_eq!(taken(&reply_queue), [1, 0, 3, 0, 9, 0]);
    assert!(reply_queue.is_empty());
}

#[test]
fn values_that_arrived_together_are_taken_in_the_order_of_the_keys() {
    let reply_queue = ReplyQueue::default();
    let one = multi_get(&reply_queue, 4);
    end(&reply_queue);
    let other = multi_get(&reply_queue, 3);
    end(&reply_queue);
    let value = |number: u32, length| vec![number as u8; length];
    fill_together(
        &reply_queue,
        &[(one[1], 2), (one[2], 0), (other[0], 5), (other[2], 7)],
    );
    fill_together(&reply_queue, &[(one[0], 1), (one[3], 4)]);
    let of_one = [value(one[0], 1), value(one[1], 2), value(one[3], 4), Vec::new()];
    assert_eq!(taken_lines(&reply_queue), of_one);
    fill_together(&reply_queue, &[(other[1], 6)]);
    let of_other = [
        value(other[0], 5),
        value(other[1], 6),
        value(other[2], 7),
        Vec::new(),
    ];
    assert_eq!(taken_lines(&reply_queue), of_other);
    assert!(reply_queue.is_empty());
}

#[test]
fn lines_that_arrived_together_are_freed_once_the_last_of_them_is_taken() {
    let reply_queue = ReplyQueue::default();
    let lines = Bytes::from(vec![b'v'; 3]);
    let keys = multi_get(&reply_queue, 2);
    let arrived = |index: usize, length| ArrivedKey {
        number: keys[index],
        length,
    };
    reply_queue.fill_keys(lines.clone(), &[arrived(0, 3)]);
    assert!(!lines.is_unique());
    reply_queue.fill_keys(lines.clone(), &[arrived(1, 0)]);
    assert_eq!(taken(&reply_queue), [3]);
    assert!(lines.is_unique());
}

#[test]
fn many_bytes_leave_though_their_multi_get_is_not_complete() {
    let reply_queue = Rc::new(ReplyQueue::default());
    let before = reply_queue.push(origin(Command::Get), 1);
    let numbers = multi_get(&reply_queue, 4);
    end(&reply_queue);
    for key in [0, 1, 3] {
        fill(&reply_queue, numbers[key], TOGETHER);
    }
    assert_eq!(taken(&reply_queue), [0; 0], "another reply is next");
    ReplySlot::queued(&reply_queue, before).fill(Reply::NotFound);
    assert_eq!(taken(&reply_queue), [0, TOGETHER, TOGETHER]);
    fill(&reply_queue, numbers[2], 0);
    assert_eq!(taken(&reply_queue), [TOGETHER, 0]);
}

#[test]
fn keys_that_are_answered_at_once_wait_for_those_that_follow() {
    let reply_queue = ReplyQueue::default();
    reply_queue.begin_multi_get(Command::Get, OnError::HIDE);
    for length in 1..4 {
        let number = reply_queue.push_keys(1);
        fill(&reply_queue, number, length);
    }
    reply_queue.end_multi_get();
    // It was interrupted: what is there need not wait for the rest.
    assert_eq!(taken(&reply_queue), [1, 2, 3]);
    let rest = multi_get(&reply_queue, 1);
    end(&reply_queue);
    fill(&reply_queue, rest[0], 4);
    assert_eq!(taken(&reply_queue), [4, 0]);
}

#[test]
fn a_value_of_a_key_that_memory_has_no_room_for_is_an_error_of_that_key() {
    let memory = Rc::new(Memory::default());
    memory.set_limit(1 << 20);
    let reply_queue = ReplyQueue::new(MemoryBudget::new(&memory));
    let numbers = multi_get(&reply_queue, 3);
    let keys: Vec<(u32, usize)> = numbers.into_iter().zip([800_000, 700_000, 10]).collect();
    fill_together(&reply_queue, &keys);
    assert_eq!(taken(&reply_queue), [0, 700_000, 10]);
    assert_eq!(reply_queue.take_dropped(), 1);
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
    let key = multi_get(&reply_queue, 1)[0];
    reply_queue.close();
    fill(&reply_queue, key, 1);
    ReplySlot::queued(&reply_queue, late).fill(Reply::NotFound);
    assert!(reply_queue.is_empty());
}
