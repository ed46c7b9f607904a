//! Counts the authentications of one listener's clients, and says how long failed ones cost.
//!
//! | who | waits |
//! |---|---|
//! | a client whose attempt failed | 100 ms for the answer, after each further failure twice as long, up to 3.2 s |
//! | any client, while more than 100 attempts a second fail on its listener | up to 1 s before its password is looked at |
//!
//! The first makes a client slow that guesses on one connection. The second does it for one that opens many: each of
//! `max_connections` guesses once a second at most, and those who know the password wait no longer than that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a failure adds to the debt of its listener.
const COST: Duration = Duration::from_millis(10);
/// The debt that costs nobody anything.
const FREE: Duration = Duration::from_secs(1);
/// The maximum time that a client waits for the failures of others.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The time that a client's first failure costs it.
const FIRST: Duration = Duration::from_millis(100);
/// How often that time is doubled.
const DOUBLINGS: u32 = 5;

/// The outcome of what a client sent before it was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was let in.
    Accepted,
    /// Its user or password was wrong.
    Failed,
    /// It sent a command, or nonsense, instead.
    Unauthenticated,
    /// It did not authenticate in time.
    Late,
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Outcome; 4] = [
        Outcome::Accepted,
        Outcome::Failed,
        Outcome::Unauthenticated,
        Outcome::Late,
    ];

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Failed => "failed",
            Outcome::Unauthenticated => "unauthenticated",
            Outcome::Late => "late",
        }
    }
}

/// The authentications of one listener's clients, shared by all workers.
#[derive(Debug, Default)]
pub struct Logins {
    counts: [AtomicU64; Outcome::ALL.len()],
    /// When the debt of all failures is paid, in microseconds since the start of the process.
    paid: AtomicU64,
}

impl Logins {
    /// Counts an `outcome`.
    pub fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].fetch_add(1, Relaxed);
    }

    /// How often there was this `outcome`.
    pub fn number(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize].load(Relaxed)
    }

    /// Counts a failure at `now`, which is measured from the start of the process.
    pub fn fail(&self, now: Duration) {
        self.count(Outcome::Failed);
        let now = now.as_micros() as u64;
        // Never more debt than makes others wait as long as they ever do.
        let most = now + (FREE + MAX_WAIT).as_micros() as u64;
        let add = |paid: u64| Some((paid.max(now) + COST.as_micros() as u64).min(most));
        let _always_updates = self.paid.fetch_update(Relaxed, Relaxed, add);
    }

    /// How long an attempt at `now` must wait for the failures of others.
    pub fn wait(&self, now: Duration) -> Duration {
        let paid = Duration::from_micros(self.paid.load(Relaxed));
        paid.saturating_sub(now).saturating_sub(FREE).min(MAX_WAIT)
    }
}

/// How long a client waits for the answer to its failure number `failures`, which begins with 1.
pub fn cost(failures: u32) -> Duration {
    FIRST * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_a_client_costs_twice_as_much_up_to_a_limit() {
        let costs = [1, 2, 3, 6, 7, u32::MAX].map(|failures| cost(failures).as_millis());
        assert_eq!(costs, [100, 200, 400, 3200, 3200, 3200]);
    }

    #[test]
    fn few_failures_cost_others_nothing_and_many_never_more_than_a_second() {
        let logins = Logins::default();
        let at = Duration::from_secs;
        (0..100).for_each(|_| logins.fail(at(5)));
        assert_eq!(logins.wait(at(5)), Duration::ZERO);
        logins.fail(at(5));
        assert_eq!(logins.wait(at(5)), COST);
        (0..100_000).for_each(|_| logins.fail(at(5)));
        assert_eq!(logins.wait(at(5)), MAX_WAIT);
        assert_eq!(logins.wait(at(6)), Duration::ZERO, "it is forgotten soon");
        assert_eq!(logins.number(Outcome::Failed), 100_101);
    }
}
