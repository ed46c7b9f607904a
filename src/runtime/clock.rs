//! The time, read at most once a turn of a worker's event loop.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// A turn with much to do reads the time again after so many looks at it.
const LOOKS: u8 = 64;

thread_local! {
    static LEFT: Cell<u8> = const { Cell::new(0) };
}

/// Says that this thread's event loop begins a turn, so that the next look reads the time anew.
pub fn turn() {
    LEFT.set(0);
}

/// Microseconds since the clock was made. One for each worker.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    micros: Cell<u64>,
}

impl Clock {
    /// A clock that stands at 0 now.
    pub fn new() -> Clock {
        Clock {
            origin: Instant::now(),
            micros: Cell::new(0),
        }
    }

    /// Microseconds since the clock was made, as of this turn.
    #[inline]
    pub fn now(&self) -> u64 {
        match LEFT.get() {
            0 => {
                LEFT.set(LOOKS);
                self.micros.set(self.origin.elapsed().as_micros() as u64);
            }
            left => LEFT.set(left - 1),
        }
        self.micros.get()
    }

    /// The moment when [`Clock::now`] will be `micros`.
    pub fn instant(&self, micros: u64) -> Instant {
        self.origin + Duration::from_micros(micros)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}
