//! `limit`: no more than so many requests a second, and no more than so many at once.
//!
//! | command | over a limit |
//! |---|---|
//! | get, gat, mg, me | a miss, counted |
//! | all others | a failure, counted: the client reads what it reads of a busy node |
//! | flush_all | goes on |
//!
//! The limits hold for all workers together. A reload begins them anew.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::config;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply, Request};
use crate::route::counters::{Event, Shard};
use crate::route::{Call, Route};

/// What may come.
#[derive(Debug)]
pub struct Limit {
    rate: Option<Rate>,
    in_flight: Option<u64>,
    /// Requests on their way.
    now_in_flight: AtomicU64,
}

/// So many a second, and some more at once: when the next may come is moved on by each that comes.
#[derive(Debug)]
struct Rate {
    /// Nanoseconds for each request.
    each: u64,
    /// Nanoseconds that the next may lie ahead.
    ahead: u64,
    /// What times are counted from.
    origin: Instant,
    /// When the next may come, in nanoseconds.
    next: AtomicU64,
}

impl Limit {
    /// As it is configured.
    pub fn new(typed: &config::Limit) -> Limit {
        Limit {
            rate: typed.rate.map(|rate| Rate::new(rate, typed.burst)),
            in_flight: typed.in_flight,
            now_in_flight: AtomicU64::new(0),
        }
    }

    /// True where it is to be known when a request ends.
    pub fn counts_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The refusal of `request` where it comes too fast.
    pub fn judge(&self, request: &Request<'_>, now: Instant, counters: &Shard) -> Option<Reply> {
        let is_over = self.rate.as_ref().is_some_and(|rate| !rate.admits(now));
        is_over.then(|| refusal(request, counters))
    }

    fn enter(&self) -> Option<Guard<'_>> {
        let guard = Guard(&self.now_in_flight);
        let before = self.now_in_flight.fetch_add(1, Relaxed);
        self.in_flight.is_none_or(|most| before < most).then_some(guard)
    }
}

impl Rate {
    fn new(rate: u64, burst: u64) -> Rate {
        let each = 1_000_000_000 / rate;
        Rate {
            each,
            ahead: each.saturating_mul(burst.max(1) - 1),
            origin: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    fn admits(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.origin).as_nanos() as u64;
        let moved = self.next.fetch_update(Relaxed, Relaxed, |next| {
            (next <= now + self.ahead).then(|| next.max(now) + self.each)
        });
        moved.is_ok()
    }
}

/// One request on its way.
struct Guard<'a>(&'a AtomicU64);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Carries out `request`, which did not come too fast.
pub async fn run(limit: &Limit, to: &Route, request: &Request<'_>, call: &Call, counters: &Shard) -> Reply {
    match limit.enter() {
        Some(_guard) => call.send(to, request).await,
        None => refusal(request, counters),
    }
}

fn refusal(request: &Request<'_>, counters: &Shard) -> Reply {
    counters.count(Event::Limited);
    if Operation::of(request).is_read() {
        Reply::NotFound
    } else {
        Reply::Failed(Failure::Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::protocol::Command;
    use crate::route::testing::{Fake, ask, run, value};

    #[test]
    fn a_rate_lets_a_burst_through_and_then_so_many_a_second() {
        run(async {
            let fake = Fake::new("{limit: {to: a, rate: 10, burst: 5}}", |_, _| Some(Reply::Done));
            for (wait, passes) in [(0, 5), (100, 1), (99, 0), (1, 1), (10_000, 5)] {
                advance(Duration::from_millis(wait)).await;
                for _ in 0..20 {
                    fake.ask(&ask(Command::Get, "k")).await;
                }
                assert_eq!(fake.seen().len(), passes, "after {wait} ms");
            }
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
            assert_eq!(
                fake.ask(&ask(Command::Set, "k")).await,
                Reply::Failed(Failure::Busy)
            );
            assert_eq!(fake.count(Event::Limited), 100 - 12 + 2);
        });
    }

    #[test]
    fn no_more_are_in_flight_than_may_be_and_a_reply_makes_room() {
        run(async {
            let fake = Fake::new("{limit: {to: a, in_flight: 2}}", |_, _| None);
            let get = ask(Command::Get, "k");
            let (one, two) = (fake.ask(&get), fake.ask(&get));
            assert_eq!(fake.ask(&get).await, Reply::NotFound);
            fake.answer("a", value(&get, "v", 0));
            assert_eq!(one.await, value(&get, "v", 0));
            let three = fake.ask(&get);
            fake.answer("a", Reply::NotFound);
            fake.answer("a", Reply::NotFound);
            assert_eq!((two.await, three.await), (Reply::NotFound, Reply::NotFound));
            assert_eq!(fake.seen().len(), 3);
        });
    }

    #[test]
    fn a_request_whose_reader_went_away_still_counts_until_its_reply() {
        run(async {
            let fake = Fake::new("{limit: {to: a, in_flight: 1}}", |_, _| None);
            let get = ask(Command::Get, "k");
            drop(fake.ask(&get));
            assert_eq!(fake.ask(&get).await, Reply::NotFound);
            fake.answer("a", Reply::NotFound);
            tokio::task::yield_now().await;
            let _passes = fake.ask(&get);
            assert_eq!(fake.seen().len(), 2);
        });
    }
}
