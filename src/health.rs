//! When a node counts as up or down: a pure state machine, driven by what happened to it and when.
//!
//! ```text
//!           failure                down_after failures in a row
//!   ┌─ Up ───────────▶ Suspect ──────────────────────────────▶ Down ◀───────┐ failed probe
//!   │   ▲ success         │                                      │ good probe │
//!   │   └─────────────────┘                                      ▼            │
//!   └──────────────────────── enough good probes ─────────── Probation ───────┘
//! ```
//!
//! A node that stays down is probed less and less often. One that goes down again soon after it came up
//! *flaps*, and has to answer more probes each time before it gets requests again.
//!
//! Times are counted from any moment that the caller keeps to.

use std::time::Duration;

/// A node that goes down so soon after it came up flaps.
pub const FLAP_WINDOW: Duration = Duration::from_secs(60);
/// Each flap doubles the good probes that are needed, so many times at most.
const MOST_DOUBLINGS: u32 = 4;

/// How a node is seen. Requests go to a node that is up or suspect; they fail at once on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It answers.
    Up,
    /// It failed lately, or is far slower than its peers; it still gets its requests.
    Suspect,
    /// It gets no requests, only probes.
    Down,
    /// It answered a probe after it was down; it gets no requests yet.
    Probation,
}

impl State {
    /// The state's name in `/nodes` and in the logs.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Suspect => "suspect",
            State::Down => "down",
            State::Probation => "probation",
        }
    }

    /// Whether requests go to the node.
    pub fn takes_requests(self) -> bool {
        matches!(self, State::Up | State::Suspect)
    }
}

/// What an operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that take a node down, at least 1.
    pub down_after: u32,
    /// Good probes in a row that bring it up again, at least 1.
    pub up_after: u32,
    /// Between two probes.
    pub probe_interval: Duration,
    /// Between two probes of a node that has been down for long; `probe_interval` where that is longer.
    pub max_probe_interval: Duration,
}

/// The state machine of one node.
#[derive(Debug)]
pub struct Health {
    limits: Limits,
    state: State,
    /// Failures, or good probes in probation.
    in_a_row: u32,
    /// Since it went down.
    failed_probes: u32,
    /// Times that it went down soon after it came up.
    flaps: u32,
    came_up: Option<Duration>,
    is_slow: bool,
}

impl Health {
    /// A node that nothing is known of counts as up.
    pub fn new(limits: Limits) -> Health {
        Health {
            limits,
            state: State::Up,
            in_a_row: 0,
            failed_probes: 0,
            flaps: 0,
            came_up: None,
            is_slow: false,
        }
    }

    /// How the node is seen now.
    pub fn state(&self) -> State {
        match self.state {
            State::Up if self.is_slow => State::Suspect,
            state => state,
        }
    }

    /// Whether it failed lately and the next answer makes it good.
    pub fn is_failing(&self) -> bool {
        self.state == State::Suspect
    }

    /// Takes new limits after a reload; the state stays.
    pub fn configure(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A connection or a request failed. It says nothing new of a node that is down: what fails there was
    /// sent before, or is tried because the whole pool seems to be down.
    pub fn failed(&mut self, now: Duration) {
        if !self.state.takes_requests() {
            return;
        }
        self.in_a_row += 1;
        self.state = State::Suspect;
        if self.in_a_row >= self.limits.down_after {
            self.go_down(now);
        }
    }

    /// A request was answered. A late answer does not bring back a node that is down.
    pub fn answered(&mut self) {
        if self.state == State::Suspect {
            self.state = State::Up;
            self.in_a_row = 0;
        }
    }

    /// A probe failed.
    pub fn probe_failed(&mut self, now: Duration) {
        if self.state.takes_requests() {
            return self.failed(now);
        }
        self.state = State::Down;
        self.in_a_row = 0;
        self.failed_probes += 1;
    }

    /// A probe was answered.
    pub fn probed(&mut self, now: Duration) {
        if self.state.takes_requests() {
            return self.answered();
        }
        self.in_a_row += 1;
        self.state = State::Probation;
        if self.in_a_row >= self.needed() {
            self.state = State::Up;
            self.in_a_row = 0;
            self.came_up = Some(now);
        }
    }

    /// It is far slower than its peers, or no longer so.
    pub fn slow(&mut self, is_slow: bool) {
        self.is_slow = is_slow;
    }

    /// How long to wait for the next probe, before jitter.
    pub fn until_probe(&self) -> Duration {
        let Limits {
            probe_interval,
            max_probe_interval,
            ..
        } = self.limits;
        if self.state != State::Down {
            return probe_interval;
        }
        let factor = 1 << self.failed_probes.min(20);
        probe_interval
            .saturating_mul(factor)
            .min(max_probe_interval.max(probe_interval))
    }

    fn go_down(&mut self, now: Duration) {
        let is_flap = self
            .came_up
            .is_some_and(|came_up| now.saturating_sub(came_up) < FLAP_WINDOW);
        self.flaps = if is_flap {
            (self.flaps + 1).min(MOST_DOUBLINGS)
        } else {
            0
        };
        self.state = State::Down;
        self.in_a_row = 0;
        self.failed_probes = 0;
    }

    /// Good probes in a row that bring it up.
    fn needed(&self) -> u32 {
        self.limits.up_after.saturating_mul(1 << self.flaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn health(down_after: u32, up_after: u32) -> Health {
        Health::new(Limits {
            down_after,
            up_after,
            probe_interval: SECOND,
            max_probe_interval: 5 * SECOND,
        })
    }

    /// Takes the node down and up again. Returns how many good probes that took.
    fn bounce(health: &mut Health, now: Duration) -> u32 {
        while health.state() != State::Down {
            health.failed(now);
        }
        let mut probes = 0;
        while health.state() != State::Up {
            health.probed(now);
            probes += 1;
        }
        probes
    }

    #[test]
    fn a_node_goes_down_after_enough_failures_in_a_row_and_comes_up_after_enough_good_probes() {
        let (mut health, now) = (health(3, 2), SECOND);
        health.failed(now);
        health.probe_failed(now);
        assert_eq!(health.state(), State::Suspect);
        health.answered();
        assert_eq!(health.state(), State::Up, "an answer ends the row");
        (0..3).for_each(|_| health.failed(now));
        assert_eq!(health.state(), State::Down);
        health.answered();
        assert_eq!(health.state(), State::Down, "a late answer brings nothing back");
        health.probed(now);
        assert_eq!(health.state(), State::Probation);
        health.failed(now);
        assert_eq!(
            health.state(),
            State::Probation,
            "what fails late says nothing new"
        );
        health.probe_failed(now);
        assert_eq!(
            health.state(),
            State::Down,
            "probation ends at the first failed probe"
        );
        health.probed(now);
        health.probed(now);
        assert_eq!(health.state(), State::Up);
    }

    #[test]
    fn thresholds_of_one_skip_the_states_between() {
        let (mut health, now) = (health(1, 1), SECOND);
        health.failed(now);
        assert_eq!(health.state(), State::Down);
        health.probed(now);
        assert_eq!(health.state(), State::Up);
    }

    #[test]
    fn a_node_that_stays_down_is_probed_less_often_and_one_that_answers_at_the_usual_pace() {
        let (mut health, now) = (health(1, 2), SECOND);
        health.failed(now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            waits.push(health.until_probe().as_secs());
            health.probe_failed(now);
        }
        assert_eq!(waits[..5], [1, 2, 4, 5, 5]);
        assert_eq!(waits[39], 5);
        health.probed(now);
        assert_eq!(health.until_probe(), SECOND);
    }

    #[test]
    fn a_node_that_flaps_has_to_answer_more_probes_each_time_until_it_has_been_up_for_long() {
        let (mut health, start) = (health(2, 2), SECOND);
        let needed: Vec<u32> = (0..7).map(|n| bounce(&mut health, start + n * SECOND)).collect();
        assert_eq!(needed, [2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(bounce(&mut health, start + 6 * SECOND + FLAP_WINDOW), 2);
    }

    #[test]
    fn a_slow_node_is_suspect_until_it_is_no_longer_slow_and_answers_do_not_change_that() {
        let (mut health, now) = (health(2, 1), SECOND);
        health.slow(true);
        assert_eq!(health.state(), State::Suspect);
        health.answered();
        assert!(health.state() == State::Suspect && !health.is_failing());
        health.failed(now);
        assert_eq!(
            health.state(),
            State::Suspect,
            "slowness alone brings it no nearer to down"
        );
        health.answered();
        health.slow(false);
        assert_eq!(health.state(), State::Up);
    }
}
