//! The slow log: the last requests that took longer than their pool's threshold.
//!
//! A worker keeps what it saw in the present second and hands it over at its end, so a slow request takes no lock. Of
//! each second it keeps the first [`A_SECOND`]: when a node hangs, every request is slow, and telling of all would make
//! it worse. The counter counts them all.
//!
//! By default the threshold is [`TIMES`] times the median of the pool's last seconds, and at least [`LEAST`].

use std::cell::RefCell;
use std::collections::VecDeque;

use super::Event;
use crate::histogram::{BUCKETS, Histogram};

/// The slow requests of a second that one worker keeps.
const A_SECOND: usize = 64;
/// The slow requests that are kept of all workers.
pub const KEPT: usize = 256;
/// The threshold is the median times this.
const TIMES: f64 = 10.0;
/// The smallest threshold by default, in microseconds.
pub const LEAST: u64 = 10_000;
/// The threshold if nothing is slow.
pub const OFF: u64 = u64::MAX;
/// What remains of every count after a second: half of it after about 14 seconds.
const DECAY: f64 = 0.95;

/// The slow requests of one worker in the present second.
#[derive(Debug, Default)]
pub struct SlowRequests(RefCell<Vec<Event>>);

impl SlowRequests {
    /// Keeps a slow request, unless there were too many in this second.
    pub fn keep(&self, event: Event) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < A_SECOND {
            kept.push(event);
        }
    }

    /// Ends the second. Returns what was kept.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

/// The slow requests of all workers, the oldest first.
#[derive(Debug, Default)]
pub struct SlowLog(VecDeque<Event>);

impl SlowLog {
    /// Adds what a worker kept; of too many the oldest are dropped.
    pub fn add(&mut self, events: Vec<Event>) {
        self.0.extend(events);
        self.0.make_contiguous().sort_by_key(|event| event.at);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// The slow requests, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().rev()
    }
}

/// The usual durations of one pool: counts by bucket, of which the older ones weigh less.
#[derive(Debug, Default)]
pub struct Usual {
    counts: [f64; BUCKETS],
    /// All counts when they were last looked at.
    last: [u64; BUCKETS],
}

impl Usual {
    /// Learns from a second: `counts` are those of all requests so far.
    pub fn learn(&mut self, counts: [u64; BUCKETS]) {
        for ((usual, last), now) in self.counts.iter_mut().zip(&self.last).zip(counts) {
            // Counters of nodes that left are gone.
            *usual = *usual * DECAY + now.saturating_sub(*last) as f64;
        }
        self.last = counts;
    }

    /// The default threshold, in microseconds.
    pub fn threshold(&self) -> u64 {
        let median = self.median().unwrap_or(0.0);
        ((median * TIMES * 1e6) as u64).max(LEAST)
    }

    /// The median in seconds; `None` if nothing was asked in the last seconds. Within a bucket durations count as spread
    /// evenly.
    fn median(&self) -> Option<f64> {
        let mut left = self.counts.iter().sum::<f64>() / 2.0;
        if left < 0.01 {
            return None;
        }
        let mut low = 0.0;
        for (index, &count) in self.counts.iter().enumerate() {
            let high = Histogram::bound(index).unwrap_or(low);
            if left <= count {
                return Some(low + (high - low) * left / count);
            }
            left -= count;
            low = high;
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::insight::Times;
    use crate::protocol::operation::Operation;

    fn event(second: u64) -> Event {
        Event {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            pool: "main".into(),
            node: "a".into(),
            operation: Operation::Get,
            key: (*b"k").into(),
            bytes: 0,
            outcome: "hit",
            is_retry: false,
            times: Times::default(),
        }
    }

    #[test]
    fn a_worker_keeps_the_first_of_a_second_and_the_log_the_last_of_all() {
        let requests = SlowRequests::default();
        (0..1000).for_each(|_| requests.keep(event(5)));
        let kept = requests.take();
        assert_eq!((kept.len(), requests.take().len()), (A_SECOND, 0));

        let mut log = SlowLog::default();
        log.add(kept);
        log.add(vec![event(1), event(9)]);
        (0..100).for_each(|_| log.add(vec![event(7), event(8)]));
        let seconds: Vec<u64> = log
            .newest()
            .map(|event| event.at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
            .collect();
        assert_eq!((seconds.len(), seconds[0]), (KEPT, 9));
        assert!(seconds.is_sorted_by(|one, next| one >= next));
        assert!(!seconds.contains(&1), "the oldest are dropped");
    }

    #[test]
    fn the_threshold_follows_the_median_of_the_last_seconds_and_has_a_minimum() {
        let mut usual = Usual::default();
        assert_eq!(usual.threshold(), LEAST);
        let mut counts = [0; BUCKETS];
        counts[0] = 1000;
        usual.learn(counts);
        assert_eq!(usual.threshold(), LEAST, "ten times some microseconds");
        // Bucket 8 ends at 4096 µs: from now on nearly all requests take that long.
        for _ in 0..100 {
            counts[8] += 1000;
            usual.learn(counts);
        }
        let threshold = usual.threshold();
        assert!((20_480..=40_960).contains(&threshold), "{threshold}");
        for _ in 0..1000 {
            usual.learn(counts);
        }
        assert_eq!(usual.threshold(), LEAST, "idle for long");
        usual.learn([0; BUCKETS]);
        assert_eq!(usual.threshold(), LEAST, "its nodes are new");
    }
}
