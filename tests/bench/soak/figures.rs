//! What the program holds, as the kernel and its metrics tell it.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use super::cluster::{NODES, WORKERS, http};

/// How long it may take to let go of what it no longer needs.
const SETTLES: Duration = Duration::from_secs(60);
/// How often descriptors are counted, with this pause: a probe's or an HTTP connection may be there for a moment.
const LOOKS: usize = 30;
const PAUSE: Duration = Duration::from_millis(50);

/// What is held while nothing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Resident memory, in bytes.
    pub memory: u64,
    pub files: usize,
    pub threads: u64,
    pub sessions: u64,
    pub links: u64,
    pub in_flight: u64,
}

impl Figures {
    /// Waits until so many sessions are open and every worker has a link to every node, and reads what is held then.
    ///
    /// # Errors
    /// It does not come to that, with what there is.
    pub async fn settled(pid: u32, admin: SocketAddr, sessions: u64) -> Result<Self> {
        let start = Instant::now();
        loop {
            let figures = Self::read(pid, admin).await?;
            let links = (NODES * WORKERS) as u64;
            if (figures.sessions, figures.links, figures.in_flight) == (sessions, links, 0) {
                return Ok(figures);
            }
            if start.elapsed() > SETTLES {
                bail!(
                    "after {SETTLES:?} of rest there are not {sessions} sessions, {links} links: {figures}"
                );
            }
            sleep(PAUSE).await;
        }
    }

    async fn read(pid: u32, admin: SocketAddr) -> Result<Self> {
        let metrics = metrics(admin).await?;
        let mut files = usize::MAX;
        for _ in 0..LOOKS {
            sleep(PAUSE).await;
            let open = fs::read_dir(format!("/proc/{pid}/fd")).context("the program runs")?;
            files = files.min(open.count());
        }
        Ok(Self {
            memory: memory(pid)?,
            files,
            threads: status(pid, "Threads:")?,
            sessions: sum(&metrics, "ringway_sessions"),
            links: sum(&metrics, "ringway_links"),
            in_flight: sum(&metrics, "ringway_in_flight"),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB, {} descriptors, {} threads, {} sessions, {} links, {} in flight",
            self.memory as f64 / f64::from(1 << 20),
            self.files,
            self.threads,
            self.sessions,
            self.links,
            self.in_flight
        )
    }
}

/// Resident memory in bytes.
///
/// # Errors
/// The program ended.
pub fn memory(pid: u32) -> Result<u64> {
    Ok(status(pid, "VmRSS:")? << 10)
}

fn status(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the program runs")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{name} of process {pid}"))
}

/// The text of all metrics.
///
/// # Errors
/// They are not answered.
pub async fn metrics(admin: SocketAddr) -> Result<String> {
    match http(admin, "GET", "/metrics").await? {
        (200, text) => Ok(text),
        (status, text) => bail!("GET /metrics: {status}: {text}"),
    }
}

/// The sum of a metric over all its labels.
pub fn sum(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{'])
            .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum::<f64>() as u64
}
