//! `limit`: bounds requests per second and requests in flight.
//!
//! Over a limit a request fails as on a busy node, and is counted; flush_all is forwarded. A miss would not do for reads:
//! a policy above would take it for the node's, and keep it or copy an older value.
//!
//! The limits hold for all workers together. A reload resets them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::config;
use crate::protocol::{Failure, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

/// The limits.
#[derive(Debug)]
pub struct Limit {
    to: Route,
    rate: Option<Rate>,
    max_in_flight: Option<u64>,
    in_flight: AtomicU64,
}

/// A rate limiter (GCRA): stores the theoretical arrival time of the next request, which each request
/// advances by the interval. Requests may arrive before it by as much as a burst takes.
#[derive(Debug)]
struct Rate {
    /// Nanoseconds between two requests.
    interval: u64,
    /// Nanoseconds by which a request may arrive before its theoretical time.
    tolerance: u64,
    /// The origin of times.
    origin: Instant,
    /// The theoretical arrival time of the next request, in nanoseconds.
    next: AtomicU64,
}

impl Compile for config::Limit {
    type Policy = Limit;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Limit> {
        Some(Limit {
            to: scope.route(&self.to)?,
            rate: self.rate.map(|rate| Rate::new(rate, self.burst)),
            max_in_flight: self.in_flight,
            in_flight: AtomicU64::new(0),
        })
    }
}

impl Limit {
    fn enter(&self) -> Option<InFlightPermit<'_>> {
        let guard = InFlightPermit(&self.in_flight);
        let before = self.in_flight.fetch_add(1, Relaxed);
        self.max_in_flight.is_none_or(|max| before < max).then_some(guard)
    }
}

impl Policy for Limit {
    const EVENTS: &'static [Event] = &[Event::Limited];

    fn decide(
        &self,
        _request: &Request<'_>,
        counters: &PolicyShard,
        forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        let rate = self.rate.as_ref();
        if rate.is_some_and(|rate| !rate.admits(forwarder.now())) {
            return Decision::Reply(refusal(counters));
        }
        // Only an async function sees the end of a request.
        match self.max_in_flight {
            Some(_) => Decision::Run,
            None => Decision::Forward(&self.to),
        }
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        match self.enter() {
            Some(_guard) => context.call.send(&self.to, request).await,
            None => refusal(context.counters()),
        }
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }
}

impl Rate {
    fn new(rate: u64, burst: u64) -> Rate {
        let interval = 1_000_000_000 / rate;
        Rate {
            interval,
            tolerance: interval.saturating_mul(burst.max(1) - 1),
            origin: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    fn admits(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.origin).as_nanos() as u64;
        let moved = self.next.fetch_update(Relaxed, Relaxed, |next| {
            (next <= now + self.tolerance).then(|| next.max(now) + self.interval)
        });
        moved.is_ok()
    }
}

/// One request in flight.
struct InFlightPermit<'a>(&'a AtomicU64);

impl Drop for InFlightPermit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn refusal(counters: &PolicyShard) -> Reply {
    counters.count(Event::Limited);
    Reply::Failed(Failure::Busy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::protocol::Command;
    use crate::route::testing::{Fake, ask, run, value};

    #[test]
    fn a_rate_lets_a_burst_through_and_then_the_rate() {
        run(async {
            let fake = Fake::new("{limit: {to: a, rate: 10, burst: 5}}", |_, _| Some(Reply::Done));
            for (wait, passes) in [(0, 5), (100, 1), (99, 0), (1, 1), (10_000, 5)] {
                advance(Duration::from_millis(wait)).await;
                for _ in 0..20 {
                    fake.ask(&ask(Command::Get, "k")).await;
                }
                assert_eq!(fake.seen().len(), passes, "after {wait} ms");
            }
            for command in [Command::Get, Command::Set] {
                assert_eq!(fake.ask(&ask(command, "k")).await, Reply::Failed(Failure::Busy));
            }
            assert_eq!(fake.count(Event::Limited), 100 - 12 + 2);
        });
    }

    #[test]
    fn no_more_are_in_flight_than_may_be_and_a_reply_makes_room() {
        run(async {
            let fake = Fake::new("{limit: {to: a, in_flight: 2}}", |_, _| None);
            let get = ask(Command::Get, "k");
            let (one, two) = (fake.ask(&get), fake.ask(&get));
            assert_eq!(fake.ask(&get).await, Reply::Failed(Failure::Busy));
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
            assert_eq!(fake.ask(&get).await, Reply::Failed(Failure::Busy));
            fake.answer("a", Reply::NotFound);
            tokio::task::yield_now().await;
            let _passes = fake.ask(&get);
            assert_eq!(fake.seen().len(), 2);
        });
    }
}
