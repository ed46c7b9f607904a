//! Sends the keys of multi-gets from plain pools, many at once: those of one node go there together.

use std::sync::Arc;

use super::batch::Batch;
use super::dispatch::Dispatch;
use crate::metrics::ClientProtocol;
use crate::protocol::line::Keys;
use crate::protocol::meta::is_bare;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Request};
use crate::reply::slot::ReplySlot;
use crate::route::{Handover, Place, Pool, Route};

/// The maximum number of keys that are sent at once: as many as a set has bits.
const AT_ONCE: usize = u64::BITS as usize;

/// A multi-get from a plain pool, whose keys have one slot in the session's queue.
pub(super) struct MultiGet<'a> {
    dispatch: &'a Dispatch,
    batch: &'a Batch<'a>,
    pool: &'a Arc<Pool>,
    command: Command,
}

impl<'a> MultiGet<'a> {
    /// Begins a multi-get of many keys; `None` if each key needs a slot of its own, because a policy may decide about it,
    /// it may have to wait for an earlier request, or a node gives its value in another form.
    pub fn begin(dispatch: &'a Dispatch, batch: &'a Batch<'a>, command: Command) -> Option<MultiGet<'a>> {
        let Route::Pool(pool) = batch.route else {
            return None;
        };
        let is_get = matches!(command, Command::Get | Command::Gets);
        let may_wait =
            |handover: &Handover| !handover.old.gives_lines || dispatch.routed().may_hold_up_reads();
        if !is_get || !pool.gives_lines || pool.handover.as_deref().is_some_and(may_wait) {
            return None;
        }
        let on_error = pool.settings.on_error();
        dispatch.replies().begin_multi_get(command, on_error);
        Some(MultiGet {
            dispatch,
            batch,
            pool,
            command,
        })
    }

    /// Sends the next of `keys`, at most `most`, to their nodes. Returns their number; 0 if there is none.
    pub fn send(&self, keys: &mut Keys<'_>, most: usize) -> usize {
        let mut next: [&[u8]; AT_ONCE] = [b""; AT_ONCE];
        let mut count = 0;
        for (place, key) in next.iter_mut().zip(keys.take(most)) {
            *place = key;
            count += 1;
        }
        let next = &next[..count];
        let operation = Operation::of(&self.request(b""));
        let counters = self.batch.worker.shard();
        counters.count_many(ClientProtocol::Classic, operation, count as u64);
        let first = self.dispatch.replies().push_keys(count as u32);
        let mut nodes = [0; AT_ONCE];
        let nodes = &mut nodes[..count];
        let handed_over = match &self.pool.handover {
            None => {
                self.pool.pick_all(next, nodes);
                0
            }
            Some(handover) => self.hand_over(handover, next, nodes, first),
        };
        self.send_to_nodes(next, nodes, handed_over, first);
        count
    }

    /// Sends those of `keys` that move in `handover`, and returns their indices as a set. Stores the nodes of the others
    /// in `nodes`. The first key has the number `first` in the session's queue.
    #[cold]
    fn hand_over(&self, handover: &Handover, keys: &[&[u8]], nodes: &mut [usize], first: u32) -> u64 {
        let mut places = [Place::Node(0); AT_ONCE];
        self.pool.place_all(handover, keys, &mut places[..keys.len()]);
        let mut moving = 0u64;
        for (index, key) in keys.iter().enumerate() {
            match places[index] {
                Place::Node(node) => nodes[index] = node,
                Place::Moving(owners) => {
                    moving |= 1 << index;
                    let slot = self.slot(first.wrapping_add(index as u32));
                    let routed = self.dispatch.routed();
                    routed.hand_over(self.batch, self.pool, owners, &self.request(key), slot);
                }
            }
        }
        moving
    }

    /// Sends `keys` to `nodes`, one for each, except those whose indices are in `sent`. The first key has the number
    /// `first` in the session's queue.
    fn send_to_nodes(&self, keys: &[&[u8]], nodes: &[usize], sent: u64, first: u32) {
        // The indices of keys that can be sent together with others, and were not sent.
        let mut left = 0u64;
        for (index, (key, node)) in keys.iter().zip(nodes).enumerate() {
            if sent & 1 << index != 0 {
                continue;
            }
            if is_bare(key) && !self.pool.is_fallback(*node, key) {
                left |= 1 << index;
            } else {
                self.send_alone(*node, key, first.wrapping_add(index as u32));
            }
        }
        while left != 0 {
            let node = nodes[left.trailing_zeros() as usize];
            let same = Indices(left).filter(|&index| nodes[index] == node);
            let own = same.fold(0, |own, index| own | 1 << index);
            left &= !own;
            let own = Indices(own).map(|index| (keys[index], first.wrapping_add(index as u32)));
            self.send_together(node, own);
        }
    }

    /// Sends `keys`, with their numbers in the session's queue, to their node.
    fn send_together<'k>(&self, node: usize, keys: impl ExactSizeIterator<Item = (&'k [u8], u32)> + Clone) {
        let (queue, session) = (self.dispatch.replies(), self.dispatch.session());
        let (current, pool) = (self.batch.current, self.pool);
        if !current.send_keys(node, self.command, keys.clone(), queue, pool, session) {
            keys.for_each(|(key, number)| self.send_alone(node, key, number));
        }
    }

    #[cold]
    fn send_alone(&self, node: usize, key: &[u8], number: u32) {
        let (current, session) = (self.batch.current, self.dispatch.session());
        current.send(node, &self.request(key), self.slot(number), self.pool, session);
    }

    fn slot(&self, number: u32) -> ReplySlot {
        ReplySlot::Key(self.dispatch.replies().clone(), number)
    }

    fn request<'k>(&self, key: &'k [u8]) -> Request<'k> {
        Request {
            is_one_of_many: true,
            ..Request::new(self.command, key)
        }
    }
}

impl Drop for MultiGet<'_> {
    fn drop(&mut self) {
        self.dispatch.replies().end_multi_get();
    }
}

/// The indices of the bits that are set, the lowest first.
#[derive(Debug, Clone)]
struct Indices(u64);

impl Iterator for Indices {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as usize)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.0.count_ones() as usize;
        (count, Some(count))
    }
}

impl ExactSizeIterator for Indices {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indices_are_those_of_the_set_bits() {
        let all: Vec<usize> = (0..AT_ONCE).collect();
        for (bits, expected) in [
            (0, &all[..0]),
            (u64::MAX, &all),
            (1 << 63, &all[63..]),
            (0b110, &all[1..3]),
        ] {
            assert_eq!(Indices(bits).len(), expected.len());
            assert_eq!(Indices(bits).collect::<Vec<_>>(), expected);
        }
    }
}
