//! The soak: mixed load through the running program, with faults and reloads at random, each value checked; at its
//! end all that was taken has been given back. Started by `tests/bench/soak/run`, whose head says more.
//!
//! ```text
//!   driver × n       sessions that stay, and visitors that come and go
//!     ├─ wire        the bytes of requests and replies
//!     ├─ model       the values that each key may have
//!     └─ quiescence  when these must be exact
//!   fault_injector   nodes that are killed and stopped, reloads
//!   watch            nodes that fail by themselves, suspicions that prove true
//!   figures          what is held after the first minute, and at the end
//! ```

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use clap::Parser;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until};

use cluster::Cluster;
use driver::{Driver, Stage};
use figures::Figures;
use model::Model;
use quiescence::Quiescence;
use random::Random;
use stats::Stats;

mod cluster;
mod driver;
mod fault_injector;
mod figures;
mod model;
mod quiescence;
mod report;
mod stats;
mod watch;
mod wire;

#[path = "../load/node.rs"]
#[allow(dead_code, reason = "the load generator uses the rest of it")]
mod node;
#[path = "../load/process.rs"]
#[allow(dead_code, reason = "the load generator uses the rest of it")]
mod process;
#[path = "../load/random.rs"]
mod random;

/// Sessions that stay from the beginning to the end.
const STAYING: usize = 24;
/// Those who come and go.
const VISITORS: usize = 12;
/// After this, or after half of a shorter soak, the first figures are taken.
const FIRST: Duration = Duration::from_secs(60);
/// Load without faults before figures are taken, so that every link is open again.
const REST: Duration = Duration::from_secs(5);
/// For the nodes to be up again: one that failed again and again is kept out for longer.
const HEALED: Duration = Duration::from_secs(120);
/// How often it is looked whether something is over.
const LOOK: Duration = Duration::from_millis(20);

/// Soaks Ringway.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/soak/run")]
struct Options {
    /// Minutes of load
    #[arg(long)]
    minutes: Option<f64>,
    /// Where all choices start from [default: another each time; it is printed]
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    model::self_check();
    let options = Options::parse();
    let Some(minutes) = options.minutes else {
        println!("self-check passed; the soak itself is started by tests/bench/soak/run");
        return ExitCode::SUCCESS;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_micros() as u64 % 1_000_000);
    println!("soak of {minutes} minutes, seed {seed}");
    match soak(Duration::from_secs_f64(60.0 * minutes), seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: seed {seed}: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn soak(length: Duration, seed: u64) -> Result<()> {
    let path = match std::env::var_os("RINGWAY_BIN") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_ringway")),
    };
    let cluster = Rc::new(RefCell::new(Cluster::start(&path)?));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = LocalSet::new().block_on(&runtime, run(length, seed, cluster.clone()));
    if result.is_err() {
        eprintln!(
            "the program's last words: {}",
            cluster.borrow().ringway.last_words()
        );
    }
    result
}

async fn run(length: Duration, seed: u64, cluster: Rc<RefCell<Cluster>>) -> Result<()> {
    let (quiescence, stats) = (Rc::new(Quiescence::new()), Rc::new(Stats::default()));
    let stage = Rc::new(Stage {
        address: cluster.borrow().address,
        model: Model::new(STAYING + VISITORS, quiescence.clone(), stats.clone()),
        quiescence,
        stats,
        is_open: Cell::new(true),
        is_paused: Cell::new(false),
        busy: Cell::new(0),
        is_over: Cell::new(false),
    });
    let mut tasks = JoinSet::new();
    for index in 0..STAYING + VISITORS {
        let driver = Driver::new(index, seed, stage.clone());
        if index < STAYING {
            tasks.spawn_local(driver.stay());
        } else {
            tasks.spawn_local(driver.come_and_go());
        }
    }
    let random = |salt: u64| Random::new(!seed ^ salt);
    tasks.spawn_local(fault_injector::break_nodes(
        stage.clone(),
        cluster.clone(),
        random(1),
    ));
    tasks.spawn_local(fault_injector::reload(stage.clone(), cluster.clone(), random(2)));
    let (pid, admin) = (cluster.borrow().ringway.pid(), cluster.borrow().admin);
    tasks.spawn_local(watch::watch(stage.clone(), admin, pid));

    // The rests are part of the time.
    let (start, first) = (tokio::time::Instant::now(), FIRST.min(length / 2));
    let all = async {
        sleep_until(start + first.saturating_sub(2 * REST)).await;
        let before = rest(&stage, &cluster).await?;
        println!("after {:.0} s: {before}", first.as_secs_f64());
        stage.is_paused.set(false);
        stage.is_open.set(true);
        sleep_until(start + length.saturating_sub(2 * REST)).await;
        let after = rest(&stage, &cluster).await?;
        println!("at the end: {after}");
        stage.is_over.set(true);
        report::print(&stage);
        report::judge(&before, &after, &stage.stats)
    };
    tokio::select! {
        ended = all => ended,
        failed = first_failure(&mut tasks) => Err(failed),
    }
}

/// Heals everything, stops the load but for the sessions that stay, and reads what is held then.
async fn rest(stage: &Rc<Stage>, cluster: &Rc<RefCell<Cluster>>) -> Result<Figures> {
    stage.is_open.set(false);
    wait_for("visitors to leave and faults to be healed", || {
        stage.busy.get() <= STAYING
    })
    .await?;
    sleep(REST).await;
    fault_injector::restore(stage, cluster).await?;
    let (pid, admin) = (cluster.borrow().ringway.pid(), cluster.borrow().admin);
    let start = Instant::now();
    while !watch::all_up(&figures::metrics(admin).await?) {
        if start.elapsed() > HEALED {
            bail!("{HEALED:?} after all faults were healed, a node is still down");
        }
        sleep(LOOK).await;
    }
    sleep(REST).await;
    stage.is_paused.set(true);
    wait_for("every batch to be answered", || stage.busy.get() == 0).await?;
    Figures::settled(pid, admin, STAYING as u64).await
}

async fn wait_for(what: &str, is_done: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_done() {
        if start.elapsed() > HEALED {
            bail!("waited too long for {what}");
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until somebody fails.
async fn first_failure(tasks: &mut JoinSet<Result<()>>) -> anyhow::Error {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panic) => return anyhow!(panic),
        }
    }
    anyhow!("everybody left")
}
