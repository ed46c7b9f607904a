//! The system calls of a proxy, counted in a round of their own, so that nothing else is measured meanwhile.
//!
//! The kernel's trace points count them where `perf` may read those: they cost next to nothing. Elsewhere `strace -c`
//! does. It slows each call, so that more requests meet in each of the proxy's turns than would otherwise, and the
//! figures of a proxy that gathers what meets come out too low.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::connection::Run;
use super::process::{Process, Scratch};

/// How long strace may take to attach, and perf to count and to let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// The calls that requests cause, and one for all.
const ALL: &str = "raw_syscalls:sys_enter";
const PREFIX: &str = "syscalls:sys_enter_";
const NAMES: [&str; 13] = [
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "write",
    "writev",
    "sendto",
    "sendmsg",
    "clock_nanosleep",
    "futex",
];

/// Calls per request, by name, the most frequent first.
pub type Calls = Vec<(String, f64)>;

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Perf,
    Strace,
}

impl Counter {
    /// perf, if it is there and may count.
    pub fn find() -> Counter {
        let trial = Command::new("perf")
            .args(["stat", "-e", &events(), "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match trial {
            Ok(status) if status.success() => Counter::Perf,
            _ => Counter::Strace,
        }
    }

    /// How the calls were counted, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Counter::Perf => "counted at the kernel's trace points (perf)",
            Counter::Strace => "counted under strace, which slows a proxy until it gathers more",
        }
    }

    /// Counts the calls of process `pid` for as long as `window`.
    ///
    /// # Errors
    /// Neither perf nor strace, or none that may trace; no request was answered.
    pub async fn observe(self, run: &Run, pid: u32, window: Duration, scratch: &Scratch) -> Result<Calls> {
        let file = scratch.path("calls.txt");
        let requests = match self {
            Counter::Perf => under_perf(run, pid, window, &file, scratch).await?,
            Counter::Strace => under_strace(run, pid, window, &file, scratch).await?,
        };
        if requests <= 0.0 {
            bail!("no request was answered while calls were counted");
        }
        let text = fs::read_to_string(&file).context("read what was counted")?;
        let counts = match self {
            Counter::Perf => parse_perf(&text),
            Counter::Strace => parse_strace(&text),
        };
        let calls = counts
            .into_iter()
            .map(|(name, count)| (name, count as f64 / requests));
        let mut calls: Calls = calls.collect();
        calls.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(calls)
    }
}

fn events() -> String {
    let named = NAMES.map(|name| format!("{PREFIX}{name}"));
    [&[ALL.to_owned()], &named[..]].concat().join(",")
}

/// Returns how many requests were answered, on average, in so much time as perf counted. It needs a while before and
/// after that.
async fn under_perf(run: &Run, pid: u32, window: Duration, file: &Path, scratch: &Scratch) -> Result<f64> {
    let (file, traced) = (file.display().to_string(), pid.to_string());
    let (events, seconds) = (events(), window.as_secs_f64().to_string());
    let what = ["stat", "-x", ",", "-o", &file, "-e", &events, "-p", &traced];
    let args = [&what[..], &["--", "sleep", &seconds]].concat();
    run.tally.take();
    let start = Instant::now();
    let mut perf = Process::start("perf", &[], Path::new("perf"), &args, scratch)?;
    while !perf.has_ended()? {
        if start.elapsed() > window + PATIENCE {
            bail!("perf does not end: {}", perf.last_words());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let replies = run.tally.take().outcome.replies as f64;
    Ok(replies * window.as_secs_f64() / start.elapsed().as_secs_f64())
}

/// Returns how many requests were answered while strace counted.
async fn under_strace(run: &Run, pid: u32, window: Duration, file: &Path, scratch: &Scratch) -> Result<f64> {
    let (file, traced) = (file.display().to_string(), pid.to_string());
    let args = ["-c", "-f", "-o", &file, "-p", &traced];
    let mut strace = Process::start("strace", &[], Path::new("strace"), &args, scratch)?;
    let start = Instant::now();
    while !is_traced(pid)? {
        if start.elapsed() > PATIENCE {
            bail!("strace does not attach: {}", strace.last_words());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    run.tally.take();
    tokio::time::sleep(window).await;
    let replies = run.tally.take().outcome.replies;
    // Nobody sends anything while this waits: what the proxy still does is next to nothing.
    strace.interrupt()?;
    Ok(replies as f64)
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

/// Name and count of each call in perf's lines: `count,unit,event,…`; what has no name of its own counts as `other`.
pub fn parse_perf(lines: &str) -> Vec<(String, u64)> {
    let mut calls = Vec::new();
    let (mut all, mut named) = (0, 0);
    for line in lines.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let (Some(Ok(count)), Some(event)) = (fields.first().map(|count| count.parse()), fields.get(2))
        else {
            continue;
        };
        match event.strip_prefix(PREFIX) {
            Some(name) => {
                named += count;
                calls.push((name.to_owned(), count));
            }
            None => all = count,
        }
    }
    calls.push(("other".to_owned(), u64::saturating_sub(all, named)));
    calls.retain(|(_, count)| *count > 0);
    calls
}

/// Name and count of each call in strace's table: `% time, seconds, usecs/call, calls, errors (may be blank), name`.
pub fn parse_strace(summary: &str) -> Vec<(String, u64)> {
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
