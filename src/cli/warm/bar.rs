//! A line on the terminal that shows how far the copies are; nothing if stderr is no terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::Counts;

/// Between two lines.
pub const EVERY: Duration = Duration::from_millis(200);
/// The width of the bar itself.
const WIDTH: u64 = 24;

/// The line.
pub struct Bar<'a> {
    name: &'a str,
    listed: u64,
    began: Instant,
    is_terminal: bool,
}

impl<'a> Bar<'a> {
    /// Returns the line for `listed` keys of the pool called `name`.
    pub fn new(name: &'a str, listed: u64) -> Bar<'a> {
        Bar {
            name,
            listed,
            began: Instant::now(),
            is_terminal: stderr().is_terminal(),
        }
    }

    /// Draws it in place of the last one. That nobody can see it is no failure.
    pub fn draw(&mut self, counts: &Counts) {
        if self.is_terminal {
            let line = line(self.name, self.listed, counts, self.began.elapsed());
            let _unseen = write!(stderr(), "\r{line}\x1b[K");
        }
    }

    /// Removes it.
    pub fn clear(&self) {
        if self.is_terminal {
            let _unseen = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn line(name: &str, listed: u64, counts: &Counts, elapsed: Duration) -> String {
    let done = counts.done();
    let full = done * WIDTH / listed.max(1);
    let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '.' }).collect();
    let left = match done {
        0 => String::new(),
        _ => {
            let seconds = elapsed.as_secs_f64() * (listed - done) as f64 / done as f64;
            format!(", {} left", clock(seconds as u64))
        }
    };
    format!(
        "{name} [{bar}] {done} of {listed} keys, {} copied{left}",
        counts.copied
    )
}

fn clock(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_is_done_and_how_long_the_rest_takes() {
        let counts = Counts {
            copied: 40,
            newer: 10,
            ..Counts::default()
        };
        assert_eq!(
            line("main", 200, &counts, Duration::from_secs(30)),
            "main [######..................] 50 of 200 keys, 40 copied, 1m30s left"
        );
        assert_eq!(
            line("main", 0, &Counts::default(), Duration::ZERO),
            "main [........................] 0 of 0 keys, 0 copied"
        );
    }
}
