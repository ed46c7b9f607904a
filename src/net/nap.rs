//! A short sleep of a busy worker before it waits for events, so that one turn of its loop sees several.
//!
//! As a network card holds back its interrupts under load: a worker that wakes for each event by itself spends its
//! time on waking, and writes to each node one request at a time. It naps only where it is awake for more than
//! [`BUSY`] of the time, where the nap is likely to gather [`LEAST`] reads, and where naps before did. So the
//! clients of an idle worker never wait for it, and one client alone once in about [`REST`] turns, when it is tried
//! again. A worker that is busy and not yet full trades latency for work: its replies wait for its naps.
//!
//! The state is the thread's own. Beside the worker's clock it reads the time twice a turn, and calls nothing else
//! where there is no nap.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What a nap takes at least; Linux adds its timer slack, 50 µs where nobody changed it.
const NAP: Duration = Duration::from_micros(50);
/// A nap with the slack, in seconds.
const TAKES: f32 = 100e-6;
/// Worth a nap: so many reads in it.
const LEAST: f32 = 2.5;
/// A turn with so many reads needs none.
const ENOUGH: u32 = 32;
/// A worker that is awake for less than this share of the time needs none.
const BUSY: f32 = 0.4;
/// Turns without a nap after naps that gathered too little.
const REST: u32 = 1024;
/// How much of the past counts in the next turn.
const PAST: f32 = 31.0 / 32.0;

thread_local! {
    static PACE: RefCell<Pace> = const { RefCell::new(Pace::new()) };
}

/// Counts a read that brought bytes.
#[inline]
pub fn read() {
    PACE.with_borrow_mut(|pace| pace.reads += 1);
}

/// The event loop begins a turn.
pub fn wake() {
    PACE.with_borrow_mut(|pace| pace.woke = Some(Instant::now()));
}

/// The event loop is about to wait for events: naps where that pays.
pub fn park() {
    if PACE.with_borrow_mut(|pace| pace.end_turn(Instant::now())) {
        std::thread::sleep(NAP);
    }
}

/// What the last turns were like. Sums fade with [`PAST`]; times are in seconds.
#[derive(Debug)]
struct Pace {
    /// Reads of this turn.
    reads: u32,
    woke: Option<Instant>,
    parked: Option<Instant>,
    sum_reads: f32,
    awake: f32,
    total: f32,
    has_napped: bool,
    /// Reads in a turn after a nap, on average.
    gathered: f32,
    /// Turns until the next nap.
    rest: u32,
}

impl Pace {
    const fn new() -> Pace {
        Pace {
            reads: 0,
            woke: None,
            parked: None,
            sum_reads: 0.0,
            awake: 0.0,
            total: 0.0,
            has_napped: false,
            gathered: 2.0 * LEAST,
            rest: 0,
        }
    }

    /// The turn is over `now`. True where a nap pays.
    fn end_turn(&mut self, now: Instant) -> bool {
        let since = |then: Option<Instant>| then.map_or(0.0, |then| (now - then).as_secs_f32());
        let reads = std::mem::take(&mut self.reads);
        self.sum_reads = self.sum_reads * PAST + reads as f32;
        self.awake = self.awake * PAST + since(self.woke);
        self.total = self.total * PAST + since(self.parked);
        self.parked = Some(now);
        if self.has_napped {
            self.gathered += (reads as f32 - self.gathered) / 8.0;
            if self.gathered < LEAST {
                self.gathered = LEAST;
                self.rest = REST;
            }
        }
        self.rest = self.rest.saturating_sub(1);
        let is_busy = self.total > 0.0 && self.awake > BUSY * self.total;
        let is_dense = self.sum_reads * TAKES >= LEAST * self.total;
        self.has_napped = self.rest == 0 && reads < ENOUGH && is_busy && is_dense;
        self.has_napped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Naps in 10 000 turns of `awake` µs with one read each, `idle` µs apart, where a nap gathers `gathers`.
    fn naps(awake: u64, idle: u64, gathers: u32) -> usize {
        let mut pace = Pace::new();
        let mut now = Instant::now();
        let turns = (0..10_000).filter(|_| {
            pace.reads = if pace.has_napped { gathers } else { 1 };
            pace.woke = Some(now);
            now += Duration::from_micros(awake);
            let does = pace.end_turn(now);
            now += if does {
                Duration::from_secs_f32(TAKES)
            } else {
                Duration::from_micros(idle)
            };
            does
        });
        turns.count()
    }

    #[test]
    fn a_busy_worker_naps_an_idle_one_does_not_and_one_with_a_single_client_only_tries() {
        assert!(naps(15, 5, 5) > 500);
        assert_eq!(naps(15, 200, 5), 0, "idle");
        assert_eq!(naps(5, 20, 5), 0, "awake for a fifth of the time");
        assert!(naps(15, 10, 1) < 100, "nothing is gathered");
    }
}
