//! Fixed load: batches fall due at times that were settled beforehand, whatever became of those before them. A
//! latency counts from when its batch was due, so that a contender that stalls pays for all who had to wait
//! meanwhile, also for those whose request could not even be sent.

use std::fs;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::connection::Run;

/// Times are settled in such steps. The runtime's own timer knows whole milliseconds only.
const TICK: Duration = Duration::from_micros(100);

/// What load is offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many requests a second.
    Fixed(f64),
    /// A share of what the slowest contender manages.
    Even,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "even" {
            return Ok(Rate::Even);
        }
        match text.parse() {
            Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(Rate::Fixed(rate)),
            _ => Err("neither `even` nor a number of requests a second".to_owned()),
        }
    }
}

/// Tells the connections in turn when their batches are due, `gap` after each other, until the run is stopped.
///
/// # Errors
/// No thread for the clock.
pub async fn run(connections: Vec<UnboundedSender<Instant>>, gap: Duration, run: Rc<Run>) -> Result<()> {
    let ticks = Arc::new(Notify::new());
    // Sleeps as short as asked, where the kernel lets us; a thread takes this over from the one that starts it.
    let _ = fs::write("/proc/self/timerslack_ns", "1");
    let weak = Arc::downgrade(&ticks);
    thread::Builder::new()
        .name("pace".to_owned())
        .spawn(move || tick(&weak))?;
    let start = Instant::now();
    let mut next = 0;
    while !run.stopped.get() {
        ticks.notified().await;
        let now = start.elapsed();
        loop {
            let due = due(next, gap);
            if due > now {
                break;
            }
            // One that has ended says why itself.
            let _ = connections[next as usize % connections.len()].send(start + due);
            next += 1;
        }
    }
    Ok(())
}

/// When batch `number` is due, counted from the start: on the next tick.
pub fn due(number: u64, gap: Duration) -> Duration {
    let ticks = gap.as_secs_f64() * number as f64 / TICK.as_secs_f64();
    TICK.mul_f64(ticks.ceil())
}

/// Wakes the other side at each tick, for as long as there is one.
fn tick(other: &Weak<Notify>) {
    let start = Instant::now();
    while let Some(other) = other.upgrade() {
        other.notify_one();
        let passed = start.elapsed().as_nanos() % TICK.as_nanos();
        thread::sleep(TICK - Duration::from_nanos(passed as u64));
    }
}
