//! The time, read at most once per turn of a worker's event loop.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// A long turn reads the time again after this many look-ups.
const LOOKS: u8 = 64;

thread_local! {
    static LEFT: Cell<u8> = const { Cell::new(0) };
}

/// Begins a turn of this thread's event loop, so that the next look-up reads the time.
pub fn turn() {
    LEFT.set(0);
}

/// A worker's clock: microseconds since it was made.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    micros: Cell<u64>,
}

impl Clock {
    /// Returns a clock that is at 0 now.
    pub fn new() -> Clock {
        Clock {
            origin: Instant::now(),
            micros: Cell::new(0),
        }
    }

    /// The microseconds since the clock was made, as of this turn.
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

    /// Reads the time, and returns the microseconds since the clock was made.
    #[cold]
    pub fn read(&self) -> u64 {
        turn();
        self.now()
    }

    /// Returns the moment at which [`Clock::now`] is `micros`.
    pub fn instant(&self, micros: u64) -> Instant {
        self.origin + Duration::from_micros(micros)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}
