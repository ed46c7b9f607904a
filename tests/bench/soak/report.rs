//! What came of it.

use anyhow::{Result, bail};

use super::driver::Stage;
use super::figures::Figures;
use super::stats::Stats;

/// Memory may be higher at the end by so much. The allocator keeps what once was needed, and an hour sees higher
/// peaks than its first minute: large values that wait for a stopped node, for one. Runs of two and ten minutes ended
/// from 3 MiB lower to 3 MiB higher. A leak of one byte for each request is more than this after an hour, which
/// carries 13 million, and one of sixty bytes after two minutes.
const MEMORY: u64 = 10 << 20;
/// There may be so many more threads at the end: those that read files and look up names end ten seconds after their
/// last task, and a busy machine has a task for them at any time. One that is left behind at each reload or fault would
/// be hundreds after an hour.
const THREADS: u64 = 6;
/// Of a thousand reads of what was known to be there, so many may miss: a node that is late for one read is late
/// for a miss, and a set that wanted no reply may have failed.
const LOST_PER_MILLE: u64 = 1;

/// Prints all numbers.
pub fn print(stage: &Stage) {
    let stats = &stage.stats;
    let rows = [
        ("requests answered", stats.requests.get()),
        ("values read, each right", stats.hits.get()),
        ("misses", stats.misses.get()),
        ("errors", stats.errors.get()),
        ("reads held against what was known", stats.quiescent.get()),
        ("  that did not find it", stats.lost.get()),
        (
            "  that looked stale while a node had a fault",
            stage.quiescence.excused(),
        ),
        ("sessions that came and went", stats.visits.get()),
        ("  that broke off", stats.broken_off.get()),
        ("nodes killed and restarted", stats.kills.get()),
        ("nodes stopped for a while", stats.stops.get()),
        ("configurations taken", stats.reloads.get()),
        ("configurations refused", stats.refused.get()),
    ];
    for (name, number) in rows {
        println!("{number:>12}  {name}");
    }
}

/// # Errors
/// What is not as it was, or was not done.
pub fn judge(before: &Figures, after: &Figures, stats: &Stats) -> Result<()> {
    if after.memory > before.memory + MEMORY {
        bail!("memory grew: {before}; now {after}");
    }
    if after.threads > before.threads + THREADS {
        bail!("threads grew: {before}; now {after}");
    }
    let rest = Figures {
        memory: before.memory,
        threads: before.threads,
        ..*after
    };
    if rest != *before {
        bail!("not all was given back: {before}; now {after}");
    }
    if stats.lost.get() * 1000 > stats.quiescent.get() * LOST_PER_MILLE {
        bail!(
            "{} of {} reads did not find what was there",
            stats.lost.get(),
            stats.quiescent.get()
        );
    }
    let done = [
        &stats.hits,
        &stats.quiescent,
        &stats.visits,
        &stats.broken_off,
        &stats.kills,
        &stats.stops,
        &stats.reloads,
    ];
    if done.iter().any(|count| count.get() == 0) {
        bail!("something was never done: the soak was too short to prove anything");
    }
    Ok(())
}
