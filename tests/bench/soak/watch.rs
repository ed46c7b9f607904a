//! Looks after the nodes: on a busy machine one may be late, or down, by itself. What looks wrong then is no fault;
//! what looks wrong while no node was is.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::cluster::NODES;
use super::driver::Stage;
use super::figures::{memory, metrics, sum};

const EVERY: Duration = Duration::from_millis(500);
/// How often a line tells that all is well.
const TELL: Duration = Duration::from_secs(60);

/// Watches until the soak is over.
///
/// # Errors
/// A stale value that nothing excuses.
pub async fn watch(stage: Rc<Stage>, admin: SocketAddr, pid: u32) -> Result<()> {
    let mut last = 0;
    let mut told = Instant::now();
    while !stage.is_over.get() {
        sleep(EVERY).await;
        let metrics = metrics(admin).await?;
        let errors = sum(&metrics, "ringway_errors_total");
        if errors != last || !all_up(&metrics) {
            stage.quiescence.disturb();
        }
        last = errors;
        if let Some(what) = stage.quiescence.confirmed() {
            bail!("{what}, while all nodes were well");
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            println!(
                "  {} requests, {} of them held against what was known, {:.1} MiB under load",
                stage.stats.requests.get(),
                stage.stats.quiescent.get(),
                memory(pid)? as f64 / f64::from(1 << 20)
            );
        }
    }
    Ok(())
}

/// Whether every node takes requests; one that was removed for a while takes none.
pub fn all_up(metrics: &str) -> bool {
    let up = sum(metrics, "ringway_node_up") as usize;
    up == NODES || up == NODES - 1 && !metrics.contains("ringway_node_up{pool=\"main\",node=\"node-3\"}")
}
