//! Decides whether a node is up or down: a pure state machine, driven by events and their times.
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
//! *flaps*, and must answer more probes each time before it gets requests again.
//!
//! Times are measured from an arbitrary origin that the caller keeps constant.

use std::time::Duration;

/// A node that goes down within this time after it came up flaps.
pub const FLAP_WINDOW: Duration = Duration::from_secs(60);
/// The maximum number of flaps that each double the number of good probes needed.
const MAX_DOUBLINGS: u32 = 4;

/// The state of a node. Requests go to a node that is up or suspect; on other nodes they fail at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It answers.
    Up,
    /// It failed recently, or is far slower than its peers; it still gets its requests.
    Suspect,
    /// It gets no requests, only probes.
    Down,
    /// It answered a probe after it was down; it does not get requests yet.
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

/// The operator's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of consecutive failures that take a node down, at least 1.
    pub down_after: u32,
    /// The number of consecutive good probes that bring it up again, at least 1.
    pub up_after: u32,
    /// The interval between probes.
    pub probe_interval: Duration,
    /// The maximum interval between probes of a node that has been down for long; `probe_interval` if that
    /// is longer.
    pub max_probe_interval: Duration,
}

/// The state machine of one node.
#[derive(Debug)]
pub struct Health {
    limits: Limits,
    state: State,
    /// Consecutive failures; in probation, consecutive good probes.
    in_a_row: u32,
    /// Failed probes since the node went down.
    failed_probes: u32,
    /// The number of times that the node went down soon after it came up.
    flaps: u32,
    came_up: Option<Duration>,
    is_slow: bool,
}

impl Health {
    /// Returns the state of a new node, which counts as up.
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

    /// The present state.
    pub fn state(&self) -> State {
        match self.state {
            State::Up if self.is_slow => State::Suspect,
            state => state,
        }
    }

    /// Whether the node failed recently and the next answer makes it good.
    pub fn is_failing(&self) -> bool {
        self.state == State::Suspect
    }

    /// Sets new limits after a reload; the state stays.
    pub fn configure(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Records a failed connection or request. It is ignored for a node that is down: such a request was
    /// sent before, or is attempted because the whole pool seems to be down.
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

    /// Records an answered request. A late answer does not bring back a node that is down.
    pub fn answered(&mut self) {
        if self.state == State::Suspect {
            self.state = State::Up;
            self.in_a_row = 0;
        }
    }

    /// Records a failed probe.
    pub fn probe_failed(&mut self, now: Duration) {
        if self.state.takes_requests() {
            return self.failed(now);
        }
        self.state = State::Down;
        self.in_a_row = 0;
        self.failed_probes += 1;
    }

    /// Records an answered probe.
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

    /// Records whether the node is far slower than its peers.
    pub fn slow(&mut self, is_slow: bool) {
        self.is_slow = is_slow;
    }

    /// Returns the time until the next probe, before jitter.
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
            (self.flaps + 1).min(MAX_DOUBLINGS)
        } else {
            0
        };
        self.state = State::Down;
        self.in_a_row = 0;
        self.failed_probes = 0;
    }

    /// Returns the number of consecutive good probes that bring the node up.
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

    /// Takes the node down and up again. Returns the number of good probes that it took.
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
