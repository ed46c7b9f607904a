//! The bound of a turn: how much work a session or a link does before the other tasks of its worker run.
//!
//! One event loop runs all tasks of a worker, one after the other, so a task that always has more to do
//! must yield. Requests differ in cost by a factor of thousands, so their number alone is no bound. A turn
//! ends at the first of these:
//!
//! | bound | why this much |
//! |---|---|
//! | [`COST`] bytes read and written; a request counts as [`REQUEST`] of them, each key of a multi-get as [`KEY`], a read as [`READ`] | This is 1024 plain requests, about 1 ms of work. A client that pipelines less is never interrupted, and one that pipelines more pays for a turn of the event loop with each 1024 requests |
//! | [`TIME`], checked from the 128th request | Cost is an estimate, and does not include the work of an embedded node. From then on the clock is read after each 32 requests. Before that it is not read: most turns are over by then, and behave the same on a slow machine |
//! | a second answer about Ringway itself (`stats`) | It costs as much as hundreds of requests |
//!
//! A task whose turn ends is woken again after the event loop has polled for events, and continues behind
//! all other tasks that are ready.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use super::clock::{self, Clock};

/// The cost after which a turn ends, in bytes.
pub const COST: usize = 512 << 10;
/// The cost of a request beside its bytes.
pub const REQUEST: usize = 512;
/// The cost of each key of a multi-get.
pub const KEY: usize = REQUEST / 2;
/// The cost of a read from a socket beside its bytes, which may be few.
pub const READ: usize = 1 << 10;
/// The time after which a turn ends.
pub const TIME: Duration = Duration::from_micros(500);

/// The cost after which the clock is first read.
const FIRST_LOOK: usize = 128 * REQUEST;
/// The cost between later reads of the clock.
const LOOK: usize = 32 * REQUEST;

/// One turn of a session or a link.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    spent: usize,
    /// The cost at which the clock is read next.
    next_look: usize,
    /// The first time that the clock showed, in microseconds.
    began: Option<u64>,
}

impl Turn {
    /// Begins a turn. The clock is not read yet: most turns are over before that is needed.
    #[inline]
    pub fn begin() -> Turn {
        Turn {
            spent: 0,
            next_look: FIRST_LOOK,
            began: None,
        }
    }

    /// Adds to the cost.
    #[inline]
    pub fn spend(&mut self, cost: usize) {
        self.spent += cost;
    }

    /// Ends the turn regardless of its cost.
    #[inline]
    pub fn end(&mut self) {
        self.spent = self.spent.max(COST);
        self.next_look = 0;
    }

    /// Whether the task must yield.
    #[inline]
    pub fn is_over(&mut self, clock: &Clock) -> bool {
        self.spent >= self.next_look && self.look(clock)
    }

    #[cold]
    fn look(&mut self, clock: &Clock) -> bool {
        if self.spent < COST {
            clock::turn();
            let now = clock.now();
            let began = *self.began.get_or_insert(now);
            if now.saturating_sub(began) < TIME.as_micros() as u64 {
                self.next_look = self.spent + LOOK;
                return false;
            }
            self.end();
        }
        true
    }
}

/// Wakes the task of `cx` after the event loop has polled for events: its turn is over, and there may be
/// more to do.
pub fn go_on_later(cx: &mut Context<'_>) {
    clock::turn();
    let first = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(first.is_pending(), "it yields once");
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Returns the number of requests that fit into a turn if each takes `time`.
    async fn requests(time: Duration) -> usize {
        let clock = Clock::new();
        let mut turn = Turn::begin();
        let mut count = 0;
        while !turn.is_over(&clock) {
            turn.spend(REQUEST);
            advance(time).await;
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_after_its_cost_or_its_time_whichever_comes_first() {
        assert_eq!(requests(Duration::ZERO).await, COST / REQUEST);
        assert_eq!(
            requests(Duration::from_micros(10)).await,
            128 + 64,
            "50 take the time"
        );
        assert_eq!(
            requests(TIME).await,
            128 + 32,
            "the clock is read after the first 128 and after each 32"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_was_ended_stays_over() {
        let clock = Clock::new();
        let mut turn = Turn::begin();
        assert!(!turn.is_over(&clock));
        turn.end();
        assert!(turn.is_over(&clock) && turn.is_over(&clock));
    }
}
