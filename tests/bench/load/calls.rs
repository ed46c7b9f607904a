//! The system calls of a proxy, counted by `strace -c` in a round of its own: tracing slows each call, so that
//! nothing else is measured meanwhile. What it slows is the proxy, so more requests wait for each of its turns than
//! would otherwise, and pipelined figures come out a little low; for all contenders alike.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::connection::Run;
use super::process::{Process, Scratch};

/// How long strace may take to attach.
const ATTACHED_WITHIN: Duration = Duration::from_secs(10);

/// Calls per request, by name, the most frequent first.
pub type Calls = Vec<(String, f64)>;

/// Counts the calls of process `pid` for as long as `window`.
///
/// # Errors
/// No strace, or one that may not trace; no request was answered.
pub async fn observe(run: &Run, pid: u32, window: Duration, scratch: &Scratch) -> Result<Calls> {
    let summary = scratch.path("strace.txt");
    let (file, traced) = (summary.display().to_string(), pid.to_string());
    let args = ["-c", "-f", "-o", &file, "-p", &traced];
    let mut strace = Process::start("strace", &[], Path::new("strace"), &args, scratch)?;
    let start = Instant::now();
    while !is_traced(pid)? {
        if start.elapsed() > ATTACHED_WITHIN {
            bail!("strace does not attach: {}", strace.last_words());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    run.tally.take();
    tokio::time::sleep(window).await;
    let replies = run.tally.take().outcome.replies;
    // Nobody sends anything while this waits: what the proxy still does is next to nothing.
    strace.interrupt()?;
    if replies == 0 {
        bail!("no request was answered under strace");
    }
    let text = fs::read_to_string(&summary).context("read what strace counted")?;
    let calls = parse(&text)
        .into_iter()
        .map(|(name, count)| (name, count as f64 / replies as f64));
    let mut calls: Calls = calls.collect();
    calls.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(calls)
}

/// True when all threads of the process are traced.
fn is_traced(pid: u32) -> Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the proxy is gone")? {
        // A thread that ends meanwhile has no status any more.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line == "TracerPid:\t0") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Name and count of each call in strace's table: `% time, seconds, usecs/call, calls, errors (may be blank), name`.
pub fn parse(summary: &str) -> Vec<(String, u64)> {
    summary
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let count = words.get(3)?.parse().ok()?;
            let name = words.last().filter(|name| **name != "total")?;
            (words.len() >= 5).then(|| ((*name).to_owned(), count))
        })
        .collect()
}
