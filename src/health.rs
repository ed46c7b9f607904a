//! When a node counts as up or down: a pure state machine, driven by what happened to it.
//!
//! ```text
//!           failure                down_after failures in a row
//!   ┌─ Up ───────────▶ Suspect ──────────────────────────────▶ Down ◀───────┐ failure
//!   │   ▲ success         │                                      │ good probe │
//!   │   └─────────────────┘                                      ▼            │
//!   └───────────────────────── up_after good probes ──────── Probation ───────┘
//! ```

/// How a node is seen. Requests go to a node that is up or suspect; they fail at once on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It answers.
    Up,
    /// It failed lately; it still gets its requests.
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

    /// True where requests go to the node.
    pub fn takes_requests(self) -> bool {
        matches!(self, State::Up | State::Suspect)
    }
}

/// The state machine of one node.
#[derive(Debug)]
pub struct Health {
    state: State,
    down_after: u32,
    up_after: u32,
    in_a_row: u32,
}

impl Health {
    /// A node that nothing is known of counts as up.
    pub fn new(down_after: u32, up_after: u32) -> Health {
        Health {
            state: State::Up,
            down_after,
            up_after,
            in_a_row: 0,
        }
    }

    /// How the node is seen now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes new thresholds after a reload; the state stays.
    pub fn configure(&mut self, down_after: u32, up_after: u32) {
        self.down_after = down_after;
        self.up_after = up_after;
    }

    /// A connection, a request or a probe failed.
    pub fn failed(&mut self) {
        self.in_a_row = match self.state {
            State::Up | State::Probation => 1,
            State::Suspect | State::Down => self.in_a_row.saturating_add(1),
        };
        self.state = match self.state {
            State::Up | State::Suspect if self.in_a_row < self.down_after => State::Suspect,
            _ => State::Down,
        };
    }

    /// A request was answered. A late answer does not bring back a node that is down.
    pub fn answered(&mut self) {
        if self.state == State::Suspect {
            self.state = State::Up;
            self.in_a_row = 0;
        }
    }

    /// A probe was answered.
    pub fn probed(&mut self) {
        self.in_a_row = match self.state {
            State::Probation => self.in_a_row + 1,
            _ => 1,
        };
        self.state = match self.state {
            State::Down | State::Probation if self.in_a_row < self.up_after => State::Probation,
            _ => State::Up,
        };
        if self.state == State::Up {
            self.in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_goes_down_after_enough_failures_in_a_row_and_comes_up_after_enough_good_probes() {
        let mut health = Health::new(3, 2);
        health.failed();
        health.failed();
        assert_eq!(health.state(), State::Suspect);
        health.answered();
        assert_eq!(health.state(), State::Up, "an answer ends the row");
        (0..3).for_each(|_| health.failed());
        assert_eq!(health.state(), State::Down);
        health.answered();
        assert_eq!(health.state(), State::Down, "a late answer brings nothing back");
        health.probed();
        assert_eq!(health.state(), State::Probation);
        health.failed();
        assert_eq!(health.state(), State::Down, "probation ends at the first failure");
        health.probed();
        health.probed();
        assert_eq!(health.state(), State::Up);
    }

    #[test]
    fn thresholds_of_one_skip_the_states_between() {
        let mut health = Health::new(1, 1);
        health.failed();
        assert_eq!(health.state(), State::Down);
        health.probed();
        assert_eq!(health.state(), State::Up);
    }
}
