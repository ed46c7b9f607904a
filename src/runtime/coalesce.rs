//! Adaptive batching: a busy worker sleeps briefly before it waits for events, so that one turn of its loop
//! handles several.
//!
//! This is what a network card does when it coalesces interrupts under load: a worker that wakes for each
//! event separately spends its time on waking, and writes to each node one request at a time. It waits only
//! if it is awake for more than `BUSY` of the time, if the wait is likely to gather `LEAST` reads, and
//! if earlier waits did. So the clients of an idle worker never wait for it, and a single client only once
//! in about `REST` turns, when waiting is tried again. A worker that is busy but not saturated trades
//! latency for throughput: its replies are delayed by its waits. A wait takes a tenth of the time in which
//! each client sends its next request, from `SHORTEST` to `USUAL`, or, if that is more, a quarter of
//! the time until replies arrive from nodes, up to `LONGEST`.
//!
//! A worker that is full has no time to wait: events gather while it works, and a wait would only take capacity away.
//! Whether it is full shows only while it does not wait, so from time to time it leaves waits out for a while.
//!
//! The state is per thread. Beside the worker's clock it reads the time twice a turn, and makes no
//! system call unless it waits.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The duration of waits, in seconds.
const SHORTEST: f32 = 60e-6;
const USUAL: f32 = 100e-6;
const LONGEST: f32 = 400e-6;
/// What Linux adds to each sleep: its default timer slack, which is subtracted from the wait.
const SLACK: Duration = Duration::from_micros(50);
/// A wait pays if it gathers this many reads.
const LEAST: f32 = 2.5;
/// A turn with this many reads needs no wait.
const ENOUGH: u32 = 32;
/// A worker that is awake for less than this share of the time needs no wait.
const BUSY: f32 = 0.4;
/// The number of turns without a wait after waits that gathered too little.
const REST: u32 = 1024;
/// The weight of past turns after each turn.
const PAST: f32 = 31.0 / 32.0;
/// The number of turns that count, by this weight.
const TURNS: f32 = 32.0;
/// A worker that is awake for this share of the time without waits, and gathers this many reads in a turn, is full.
const FULL: f32 = 0.9;
const GATHERS: f32 = 4.0;
/// What it may fall to until it is no longer full: a share of either.
const NEARLY: f32 = 0.9;
/// The number of turns without a wait after which it shows whether the worker is full.
const TRIAL: u32 = 128;
/// The time until the next trial, in seconds: if the last one showed that the worker is not full, and if it was full and
/// is no longer.
const PERIOD: f32 = 0.25;
const SOON: f32 = 0.02;

thread_local! {
    static PACE: RefCell<Pace> = const { RefCell::new(Pace::new()) };
}

/// Sets whether this thread may wait; it may by default.
pub fn allow(may_wait: bool) {
    PACE.with_borrow_mut(|pace| pace.is_forbidden = !may_wait);
}

/// Counts a new client.
pub fn enter() {
    PACE.with_borrow_mut(|pace| pace.clients += 1);
}

/// Counts a client that left.
pub fn leave() {
    PACE.with_borrow_mut(|pace| pace.clients -= 1);
}

/// Counts a read that returned bytes from a client.
#[inline]
pub fn read_requests() {
    PACE.with_borrow_mut(|pace| pace.asks += 1);
}

/// Counts a read that returned bytes from a node. `took` is the number of microseconds since the first of
/// the answered requests was read.
#[inline]
pub fn read_replies(took: Option<u64>) {
    PACE.with_borrow_mut(|pace| {
        pace.answers += 1;
        if let Some(micros) = took {
            pace.learn(micros as f32 * 1e-6);
        }
    });
}

/// Begins a turn of the event loop.
pub fn wake() {
    PACE.with_borrow_mut(|pace| pace.woke = Some(Instant::now()));
}

/// Called before the event loop waits for events: sleeps if that pays. Returns true if it did.
pub fn park() -> bool {
    let wait = PACE.with_borrow_mut(|pace| pace.end_turn(Instant::now()));
    if let Some(wait) = wait {
        std::thread::sleep(wait.saturating_sub(SLACK));
    }
    wait.is_some()
}

/// Statistics of recent turns. Sums decay by [`PAST`]; times are in seconds.
#[derive(Debug)]
struct Pace {
    is_forbidden: bool,
    clients: u32,
    /// Reads in this turn, from clients and from nodes.
    asks: u32,
    answers: u32,
    woke: Option<Instant>,
    queued: Option<Instant>,
    sum_asks: f32,
    sum_answers: f32,
    awake: f32,
    total: f32,
    /// The 20th percentile of the reply times.
    quick: f32,
    has_waited: bool,
    /// Average number of reads in a turn after a wait.
    gathered: f32,
    /// Turns until the next wait is allowed.
    rest: u32,
    /// Turns since the last wait.
    unaided: u32,
    /// Seconds until waits are left out.
    due: f32,
}

impl Pace {
    const fn new() -> Pace {
        Pace {
            is_forbidden: false,
            clients: 0,
            asks: 0,
            answers: 0,
            woke: None,
            queued: None,
            sum_asks: 0.0,
            sum_answers: 0.0,
            awake: 0.0,
            total: 0.0,
            quick: 0.0,
            has_waited: false,
            gathered: 2.0 * LEAST,
            rest: 0,
            unaided: 0,
            due: PERIOD,
        }
    }

    /// Updates the estimate of the reply time. A low percentile and not the average, because waits must not
    /// grow when one node of many is slow. Rising by 1/64 and falling by 1/16 balances at one reply in
    /// five.
    #[inline]
    fn learn(&mut self, took: f32) {
        let step = if took < self.quick {
            -1.0 / 16.0
        } else {
            1.0 / 64.0
        };
        self.quick = (self.quick * (1.0 + step)).max(1e-6);
    }

    /// Returns the duration of a wait, if there is one.
    fn wait(&self) -> f32 {
        let round = self.total * self.clients as f32 / self.sum_asks.max(1.0);
        (round / 10.0)
            .clamp(SHORTEST, USUAL)
            .max(self.quick / 4.0)
            .min(LONGEST)
    }

    /// Ends a turn at `now`. Returns how long to wait, if waiting pays.
    fn end_turn(&mut self, now: Instant) -> Option<Duration> {
        let since = |then: Option<Instant>| then.map_or(0.0, |then| (now - then).as_secs_f32());
        let reads = self.asks + self.answers;
        self.sum_asks = self.sum_asks * PAST + std::mem::take(&mut self.asks) as f32;
        self.sum_answers = self.sum_answers * PAST + std::mem::take(&mut self.answers) as f32;
        self.awake = self.awake * PAST + since(self.woke);
        let turn = since(self.queued);
        self.total = self.total * PAST + turn;
        self.due = (self.due - turn).max(0.0);
        self.queued = Some(now);
        if self.has_waited {
            self.gathered += (reads as f32 - self.gathered) / 8.0;
            if self.gathered < LEAST {
                self.gathered = LEAST;
                self.rest = REST;
            }
        }
        self.rest = self.rest.saturating_sub(1);
        self.unaided = self.unaided.saturating_add(1);
        let is_busy = self.total > 0.0 && self.awake > BUSY * self.total;
        let wait = self.wait();
        let is_dense = (self.sum_asks + self.sum_answers) * wait >= LEAST * self.total;
        let pays = self.rest == 0 && reads < ENOUGH && is_busy && is_dense;
        self.has_waited = pays && !self.is_forbidden && !self.may_be_full();
        if self.has_waited {
            self.unaided = 0;
        }
        self.has_waited.then(|| Duration::from_secs_f32(wait))
    }

    /// Whether waits are left out, because the worker is full or to see whether it is.
    fn may_be_full(&mut self) -> bool {
        if self.due > 0.0 {
            return false;
        }
        // From the end of the trial on a short lull is no reason to wait.
        let least = if self.unaided > TRIAL { NEARLY } else { 1.0 };
        let is_full = self.awake > least * FULL * self.total
            && self.sum_asks + self.sum_answers > least * GATHERS * TURNS;
        match self.unaided {
            _ if is_full => {}
            ..TRIAL => {}
            TRIAL => self.due = PERIOD,
            // It was full until now, and probably is again after a disturbance.
            _ => self.due = SOON,
        }
        self.due <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the waits in 10 000 turns of `awake` µs with one read each, `idle` µs apart, if a wait
    /// gathers `gathers`.
    fn waits(pace: &mut Pace, awake: u64, idle: u64, gathers: u32) -> Vec<Duration> {
        let mut now = Instant::now();
        let turns = (0..10_000).filter_map(|_| {
            pace.asks = if pace.has_waited { gathers } else { 1 };
            pace.woke = Some(now);
            now += Duration::from_micros(awake);
            let wait = pace.end_turn(now);
            now += wait.unwrap_or(Duration::from_micros(idle));
            wait
        });
        turns.collect()
    }

    fn count(awake: u64, idle: u64, gathers: u32) -> usize {
        waits(&mut Pace::new(), awake, idle, gathers).len()
    }

    fn assert_near(wait: Option<&Duration>, expected: u128, why: &str) {
        let wait = wait.map_or(0, Duration::as_micros);
        assert!(wait.abs_diff(expected) * 10 < expected, "{wait} µs: {why}");
    }

    #[test]
    fn a_busy_worker_waits_an_idle_one_does_not_and_one_with_a_single_client_only_tries() {
        assert!(count(15, 5, 5) > 500);
        assert_eq!(count(15, 200, 5), 0, "idle");
        assert_eq!(count(5, 20, 5), 0, "awake for a fifth of the time");
        assert!(count(15, 10, 1) < 100, "nothing is gathered");
    }

    #[test]
    fn a_wait_takes_a_tenth_of_the_time_in_which_clients_come_round_within_limits() {
        for (clients, asks_a_second, expected) in [(50, 500_000, 60), (50, 62_500, 80), (1000, 100_000, 100)]
        {
            let mut pace = Pace::new();
            pace.clients = clients;
            pace.total = 1e-3;
            pace.sum_asks = asks_a_second as f32 * pace.total;
            let wait = Duration::from_secs_f32(pace.wait());
            assert_near(Some(&wait), expected, &format!("{clients} clients"));
        }
    }

    #[test]
    fn a_wait_grows_with_what_most_nodes_take_up_to_a_limit() {
        for (quick, slow, expected) in [
            (20, 20, 100),
            (1_000, 1_000, 250),
            (50_000, 50_000, 400),
            (80, 90_000, 100),
        ] {
            let mut pace = Pace::new();
            pace.clients = 10_000;
            for turn in 0..10_000 {
                pace.learn(if turn % 4 == 0 { slow } else { quick } as f32 * 1e-6);
            }
            let waits = waits(&mut pace, 15, 5, 16);
            assert_near(waits.last(), expected, &format!("nodes take {quick} µs"));
        }
    }

    /// Returns how often a worker waits in so many turns, in which one read comes each `apart` µs and a turn takes
    /// `turn` µs and `each` for every read.
    fn waits_of_worker(pace: &mut Pace, turns: usize, apart: f32, turn: f32, each: f32) -> u32 {
        pace.clients = 50;
        let (mut now, mut came, mut waits) = (Instant::now(), 0.0, 0);
        for _ in 0..turns {
            // The event loop sleeps until something has come.
            let idle = f32::max(1.0 - came, 0.0) * apart;
            now += Duration::from_secs_f32(idle * 1e-6);
            came = f32::max(came, 1.0);
            pace.asks = came as u32;
            came -= pace.asks as f32;
            pace.woke = Some(now);
            let awake = turn + each * pace.asks as f32;
            now += Duration::from_secs_f32(awake * 1e-6);
            let wait = pace.end_turn(now);
            waits += u32::from(wait.is_some());
            now += wait.unwrap_or_default();
            came += (awake + wait.unwrap_or_default().as_secs_f32() * 1e6) / apart;
        }
        waits
    }

    #[test]
    fn a_full_worker_waits_no_more_once_it_has_seen_that_it_is_full() {
        let waits = |apart, turn, each| waits_of_worker(&mut Pace::new(), 100_000, apart, turn, each);
        assert!(waits(20.0, 40.0, 15.0) < 3000, "eight reads gather in a turn");
        assert!(
            waits(20.0, 15.0, 10.0) > 80_000,
            "one read in a turn: it could do more"
        );
        assert!(waits(25.0, 10.0, 10.0) > 80_000, "idle for a fifth of the time");
    }

    #[test]
    fn a_worker_that_is_full_no_longer_waits_again() {
        let mut pace = Pace::new();
        pace.due = 0.0;
        assert_eq!(waits_of_worker(&mut pace, 10_000, 20.0, 40.0, 15.0), 0);
        assert!(waits_of_worker(&mut pace, 1000, 25.0, 10.0, 10.0) > 800);
    }

    #[test]
    fn a_worker_that_may_not_wait_does_not() {
        let mut pace = Pace::new();
        pace.is_forbidden = true;
        assert!(waits(&mut pace, 15, 5, 5).is_empty());
    }
}
