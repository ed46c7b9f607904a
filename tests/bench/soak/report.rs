//! What came of it.

use anyhow::{Result, bail};

use super::figures::Figures;
use super::player::Stage;
use super::tally::Tally;

/// Memory may be higher at the end by so much. The allocator keeps what once was needed, and an hour sees higher
/// peaks than its first minute: large values that wait for a stopped node, for one. Runs of two and ten minutes ended
/// from 3 MiB lower to 3 MiB higher. A leak of one byte for each request is more than this after an hour, which
/// carries 13 million, and one of sixty bytes after two minutes.
const MEMORY: u64 = 10 << 20;
/// Of a thousand reads of what was known to be there, so many may miss: a node that is late for one read is late
/// for a miss, and a set that wanted no reply may have failed.
const LOST_PER_MILLE: u64 = 1;

/// Prints all numbers.
pub fn print(stage: &Stage) {
    let tally = &stage.tally;
    let rows = [
        ("requests answered", tally.requests.get()),
        ("values read, each right", tally.hits.get()),
        ("misses", tally.misses.get()),
        ("errors", tally.errors.get()),
        ("reads held against what was known", tally.calm.get()),
        ("  that did not find it", tally.lost.get()),
        (
            "  that looked stale while a node was in trouble",
            stage.calm.excused(),
        ),
        ("sessions that came and went", tally.visits.get()),
        ("  that broke off", tally.broken_off.get()),
        ("nodes killed and restarted", tally.kills.get()),
        ("nodes stopped for a while", tally.stops.get()),
        ("configurations taken", tally.reloads.get()),
        ("configurations refused", tally.refused.get()),
    ];
    for (name, number) in rows {
        println!("{number:>12}  {name}");
    }
}

/// # Errors
/// What is not as it was, or was not done.
pub fn judge(before: &Figures, after: &Figures, tally: &Tally) -> Result<()> {
    if after.memory > before.memory + MEMORY {
        bail!("memory grew: {before}; now {after}");
    }
    let rest = Figures {
        memory: before.memory,
        ..*after
    };
    if rest != *before {
        bail!("not all was given back: {before}; now {after}");
    }
    if tally.lost.get() * 1000 > tally.calm.get() * LOST_PER_MILLE {
        bail!(
            "{} of {} reads did not find what was there",
            tally.lost.get(),
            tally.calm.get()
        );
    }
    let done = [
        &tally.hits,
        &tally.calm,
        &tally.visits,
        &tally.broken_off,
        &tally.kills,
        &tally.stops,
        &tally.reloads,
    ];
    if done.iter().any(|count| count.get() == 0) {
        bail!("something was never done: the soak was too short to prove anything");
    }
    Ok(())
}
