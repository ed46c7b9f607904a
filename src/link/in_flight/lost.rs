//! What becomes of requests whose replies do not come in time, or not at all.

use std::collections::VecDeque;

use bytes::Bytes;

use super::InFlightQueue;
use crate::link::entry::{InFlight, Unanswered};
use crate::link::pending_reply::Failing;
use crate::protocol::Failure;
use crate::protocol::owned::{RawMeta, Words};
use crate::reply::slot::ReplySlot;

impl InFlightQueue {
    /// Abandons every request that is due. Returns their number. `is_mixed`: some may be due after later ones.
    pub fn expire(&mut self, is_mixed: bool, at: Failing<'_>) -> usize {
        if self
            .next_deadline(is_mixed)
            .is_none_or(|deadline| deadline > at.now)
        {
            return 0;
        }
        self.split_runs();
        let mut text = self.text.bytes();
        let mut expired = 0;
        for entry in &mut self.entries {
            let (own, rest) = text.split_at(entry.text_len());
            text = rest;
            let is_due = entry.deadline <= at.now;
            if !is_due && !is_mixed && entry.slot.is_some() {
                break;
            }
            if is_due && let Some(pending) = entry.take_pending() {
                entry.is_missed = pending.fail(entry.write(own), Failure::Timeout, true, at);
                expired += 1;
            }
        }
        self.abandoned += expired;
        expired
    }

    /// Fails every outstanding request with `failure`, because the connection is gone. Returns the keys of
    /// writes that the node may still execute, including those abandoned before.
    pub fn fail_all(&mut self, failure: Failure, at: Failing<'_>) -> Vec<Bytes> {
        self.split_runs();
        let InFlightQueue { entries, text, .. } = std::mem::take(self);
        at.shard.in_flight.sub(entries.len() as u64);
        let mut on_their_way = Vec::new();
        let mut text = text.take();
        for mut entry in entries {
            let own = text.split_to(entry.text_len());
            if let Some(pending) = entry.take_pending() {
                entry.is_missed = pending.fail(entry.write(&own), failure, true, at);
            }
            if entry.is_missed {
                on_their_way.push(own.slice(..usize::from(entry.key)));
            }
        }
        on_their_way
    }

    /// Takes all outstanding requests, oldest first, because the connection is gone.
    pub fn take_all(&mut self) -> Vec<Unanswered> {
        self.split_runs();
        let in_flight = std::mem::take(self);
        let (mut text, mut expected) = (in_flight.text.take(), in_flight.resp.expected);
        let unanswered = |mut entry: InFlight| {
            let raw = entry.is_meta.then_some(RawMeta {
                key: entry.raw_key,
                is_binary: entry.is_binary,
            });
            let words = Words::new(text.split_to(entry.text_len()), entry.key, raw);
            let pending = entry.take_pending();
            Unanswered {
                command: entry.command,
                words,
                expected: entry.expected,
                is_in_line: entry.is_in_line,
                answer: if entry.is_in_line {
                    None
                } else {
                    expected.pop_front()
                },
                pending,
                start_offset: entry.start_offset,
            }
        };
        in_flight.entries.into_iter().map(unanswered).collect()
    }

    /// Splits all runs into entries of a key each.
    #[cold]
    fn split_runs(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let runs = std::mem::take(&mut self.runs);
        let mut keys = runs.iter().copied();
        let mut split = VecDeque::with_capacity(self.entries.len() + runs.further());
        for entry in self.entries.drain(..) {
            match &entry.slot {
                Some(ReplySlot::Key(queue, _)) if entry.run > 0 => {
                    let own = keys.by_ref().take(entry.run.into());
                    split.extend(own.map(|key| InFlight {
                        slot: Some(ReplySlot::Key(queue.clone(), key.number)),
                        run: 0,
                        key: key.length,
                        ..entry
                    }));
                }
                _ => split.push_back(entry),
            }
        }
        self.entries = split;
    }
}
