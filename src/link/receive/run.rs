//! Receives values of a run (see `run_keys.rs`) that arrive one after the other: they are handed on together.

use bytes::{Bytes, BytesMut};

use super::Arrival;
use crate::link::entry::InFlight;
use crate::link::in_flight::InFlightQueue;
use crate::protocol::reply;
use crate::reply::keys::ArrivedKey;
use crate::reply::slot::ReplySlot;

/// How the lines of a value begin.
const VALUE: &[u8] = b"VALUE ";

impl InFlightQueue {
    /// Takes the values at the front of `buffer` that the oldest request, a run, awaits, and delivers them. Ends before
    /// anything else: a value that is incomplete, longer than `max_value`, or not of this run, a request that must be
    /// noted, any other reply. Returns true if there was a value.
    #[inline]
    pub(super) fn receive_values(
        &mut self,
        buffer: &mut BytesMut,
        max_value: usize,
        arrival: &Arrival<'_>,
    ) -> bool {
        // Once all keys of a line have their values, only its end may follow: the next run is of a later line.
        if self.left_in_line() == 0 || !buffer.starts_with(VALUE) {
            return false;
        }
        let is_run = |entry: &InFlight| entry.run > 0 && !arrival.notes(entry);
        if !self.front().is_some_and(is_run) {
            return false;
        }
        let length = self.match_values(buffer, max_value, arrival);
        if length > 0 {
            self.deliver_values(buffer.split_to(length).freeze(), arrival);
        }
        length > 0
    }

    /// Lists in `arrived` the keys of the oldest run whose replies are at the front of `buffer`. Returns the length of
    /// those.
    fn match_values(&mut self, buffer: &[u8], max_value: usize, arrival: &Arrival<'_>) -> usize {
        let run = self.front().map_or(0, |entry| entry.run);
        let mut text = self.text.bytes();
        // Offsets in what arrived together fit into 32 bits.
        let buffer = &buffer[..buffer.len().min(u32::MAX as usize)];
        let (mut total, mut matched) = (0, 0);
        for own in self.runs.first(run.into()) {
            let (key, rest) = text.split_at(own.length.into());
            text = rest;
            if !buffer[total..].starts_with(VALUE) || arrival.traces(key) {
                break;
            }
            // Nodes answer in the order of the keys, so a key is a miss if the next value is of a later one.
            let length = reply::length_of_value(&buffer[total..], key, max_value).unwrap_or(0);
            self.arrived.push(ArrivedKey {
                number: own.number,
                length: length as u32,
            });
            if length > 0 {
                total += length;
                matched = self.arrived.len();
            }
        }
        self.arrived.truncate(matched);
        total
    }

    /// Delivers `lines`, the values of the keys in `arrived`, and counts them.
    fn deliver_values(&mut self, lines: Bytes, arrival: &Arrival<'_>) {
        let Some(run) = self.front() else {
            return;
        };
        let count = self.arrived.len();
        let hits = self.arrived.iter().filter(|key| key.length > 0).count();
        let micros = arrival.now.saturating_sub(run.started);
        let shard = arrival.shard;
        shard.in_flight.sub(count as u64);
        shard.count_reads(run.operation, hits as u64, (count - hits) as u64, micros);
        if let Some(ReplySlot::Key(queue, _)) = &run.slot {
            queue.fill_keys(lines, &self.arrived);
        }
        self.arrived.clear();
        self.pass_keys(count as u16);
    }
}
