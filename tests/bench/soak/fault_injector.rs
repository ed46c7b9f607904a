//! What happens to the nodes and to the configuration while the load runs: all of it drawn from the seed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use tokio::time::sleep;

use super::cluster::{BASE, Cluster, NODES, Settings, http};
use super::driver::{Busy, Stage};
use super::random::Random;

/// A removed node owes nothing after so long, and all workers read the new configuration.
const TURNED: Duration = Duration::from_secs(1);

/// Kills, stops and heals one node after the other, until the soak is over.
///
/// # Errors
/// A node does not start again.
pub async fn break_nodes(stage: Rc<Stage>, cluster: Rc<RefCell<Cluster>>, mut random: Random) -> Result<()> {
    let mut is_kill = false;
    while !stage.is_over.get() {
        pause(&mut random, 4_000, 12_000).await;
        if stage.is_paused.get() || !stage.is_open.get() {
            continue;
        }
        let _busy = Busy::new(&stage);
        let index = random.below(NODES);
        stage.quiescence.begin();
        is_kill = !is_kill;
        if is_kill {
            cluster.borrow_mut().kill_node(index);
            pause(&mut random, 100, 3_000).await;
            cluster.borrow_mut().restart_node(index)?;
            stage.stats.kills.add(1);
        } else {
            cluster.borrow().signal_node(index, Signal::STOP)?;
            pause(&mut random, 100, 4_000).await;
            cluster.borrow().signal_node(index, Signal::CONT)?;
            stage.stats.stops.add(1);
        }
        stage.quiescence.end();
    }
    Ok(())
}

/// Reloads the configuration over and over, until the soak is over.
///
/// # Errors
/// A good one is refused, or a bad one taken.
pub async fn reload(stage: Rc<Stage>, cluster: Rc<RefCell<Cluster>>, mut random: Random) -> Result<()> {
    let mut settings = BASE;
    while !stage.is_over.get() {
        pause(&mut random, 1_500, 5_000).await;
        if stage.is_paused.get() || !stage.is_open.get() {
            // A rest is longer than this pause, and restores the first settings.
            settings = BASE;
            continue;
        }
        let _busy = Busy::new(&stage);
        let choice = random.below(6);
        if choice == 0 {
            cluster.borrow().write_text("pools: {main: {nodes: []}}\n")?;
            expect(&cluster, 422).await?;
            stage.stats.refused.add(1);
            continue;
        }
        // Keys move only with the nodes of the ring, and requests may pass each other where links are added.
        let moves_keys = choice <= 2;
        let is_told = random.below(4) > 0;
        if moves_keys {
            stage.quiescence.begin();
        }
        settings = next(&settings, choice, &mut random);
        cluster.borrow().write_config(&settings)?;
        if is_told {
            expect(&cluster, 200).await?;
        }
        if moves_keys {
            // A file that it is not told of is found, too.
            sleep(if is_told { TURNED } else { 3 * TURNED }).await;
            stage.quiescence.end();
        }
        stage.stats.reloads.add(1);
    }
    Ok(())
}

/// Back to the configuration of the beginning.
///
/// # Errors
/// It is refused.
pub async fn restore(stage: &Stage, cluster: &RefCell<Cluster>) -> Result<()> {
    stage.quiescence.begin();
    cluster.borrow().write_config(&BASE)?;
    expect(cluster, 200).await?;
    stage.quiescence.end();
    Ok(())
}

fn next(before: &Settings, choice: usize, random: &mut Random) -> Settings {
    let mut settings = before.clone();
    match choice {
        1 => settings.nodes = 2 * NODES - 1 - settings.nodes,
        2 => {
            settings.connections = 3 - settings.connections;
            settings.on_node_down = ["fail", "rehash"][random.below(2)];
        }
        3 => settings.has_second_listener = !settings.has_second_listener,
        _ => {
            settings.request_timeout = 400 + random.below(400);
            settings.max_in_flight = 8192 << random.below(2);
            settings.probe_interval = 200 + random.below(200);
            settings.idle_timeout = 300 * random.below(2);
        }
    }
    settings
}

async fn expect(cluster: &RefCell<Cluster>, wanted: u16) -> Result<()> {
    let admin = cluster.borrow().admin;
    let (status, body) = http(admin, "POST", "/reload").await?;
    if status != wanted {
        bail!("POST /reload: {status} where {wanted} was due: {body}");
    }
    Ok(())
}

async fn pause(random: &mut Random, least: usize, most: usize) {
    let millis = least + random.below(most - least);
    sleep(Duration::from_millis(millis as u64)).await;
}
