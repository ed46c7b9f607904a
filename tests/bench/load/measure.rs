//! One measurement: stores every key through the contender, drives the workload, and takes the figures of a window
//! that opens when all connections are busy and closes while they still are.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::accounting::{Cpu, Memory};
use super::checker::{Checker, Outcome};
use super::connection::{Connection, Run};
use super::contender::Running;
use super::dataset::Dataset;
use super::nodes::Nodes;
use super::pace;
use super::random::Random;
use super::wire::Wire;
use super::workload::Workload;

/// Before the window: connections open, buffers grow to their size, the proxy meets its nodes.
const WARM_UP: Duration = Duration::from_millis(500);
/// A reply that takes longer after the window has closed is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sets are preloaded in batches of about so many bytes, small enough that no peer stops reading.
const PRELOAD_BYTES: usize = 64 * 1024;

/// The figures of one window. CPU times are microseconds per request.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub requests_per_second: f64,
    /// What was offered, where the load was fixed.
    pub offered: Option<f64>,
    pub hits_per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    pub p999_micros: f64,
    /// Of the proxy, if there is one.
    pub proxy: Option<ProxySample>,
    pub nodes_micros: f64,
    pub misses: u64,
    pub errors: u64,
}

/// What the proxy used in one window.
#[derive(Debug, Clone, Copy)]
pub struct ProxySample {
    pub user_micros: f64,
    pub system_micros: f64,
    /// Share of its CPU that it used, 0 to 1.
    pub busy: f64,
    /// Most resident memory since it started, preloading included.
    pub peak_mib: f64,
}

impl Sample {
    /// CPU of proxy and nodes together.
    pub fn total_micros(&self) -> f64 {
        self.nodes_micros + self.proxy.as_ref().map_or(0.0, ProxySample::total_micros)
    }
}

impl ProxySample {
    /// User and system together.
    pub fn total_micros(&self) -> f64 {
        self.user_micros + self.system_micros
    }
}

/// What load is driven.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Where the choice of keys starts from.
    pub seed: u64,
    /// Requests a second; `None`: as many as are answered.
    pub rate: Option<f64>,
}

/// Drives `workload` through what runs, while `observe` looks on, and gives what it saw.
///
/// # Errors
/// A wrong byte, a lost reply, a closed connection, or a process that ended.
pub fn run<T>(
    workload: &Workload,
    dataset: &Rc<Dataset>,
    running: &Running,
    load: Load,
    observe: impl AsyncFnOnce(&Run) -> Result<T>,
) -> Result<T> {
    let shares = shares(dataset, running.addresses.len());
    // A proxy takes classic text from anybody.
    let wire = match workload.wire {
        Wire::Resp => Wire::Resp,
        _ => Wire::Classic,
    };
    for (address, keys) in running.addresses.iter().zip(&shares) {
        preload(*address, keys, dataset, wire).context("while preloading")?;
    }
    let run = Rc::new(Run {
        workload: *workload,
        dataset: Rc::clone(dataset),
        tally: RefCell::default(),
        stopped: Cell::new(false),
    });
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(drive(run, running, &shares, load, observe))
}

/// Stores `keys` through a connection of its own, which speaks `wire`.
///
/// # Errors
/// Any answer but `STORED`, or what says so.
pub fn preload(address: SocketAddr, keys: &[u32], dataset: &Dataset, wire: Wire) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let batch = (PRELOAD_BYTES / dataset.largest().max(1)).clamp(1, 100);
    let mut requests = Vec::new();
    for keys in keys.chunks(batch) {
        let mut checker = Checker::new(wire);
        requests.clear();
        for key in keys {
            wire.write_set(dataset.item(*key), *key, &mut requests);
            checker.expect_stored(*key);
        }
        stream.write_all(&requests)?;
        let outcome = read_replies(&mut stream, &mut checker, dataset)?;
        if outcome.errors > 0 {
            bail!(
                "{} of {} sets were answered with an error",
                outcome.errors,
                outcome.replies
            );
        }
    }
    Ok(())
}

/// Reads until nothing is owed any more. For replies that fit 64 KiB.
///
/// # Errors
/// A wrong byte, a closed connection, or the stream's own timeout.
pub fn read_replies(stream: &mut TcpStream, checker: &mut Checker, dataset: &Dataset) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    while !checker.is_idle() {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            bail!("closed while owing: {}", checker.describe_owed(dataset));
        }
        filled += count;
        let done = checker.check(&buffer[..filled], dataset, &mut outcome)?;
        buffer.copy_within(done..filled, 0);
        filled -= done;
    }
    Ok(outcome)
}

/// Each address gets an equal share of the keys: one proxy all of them, four nodes a quarter each.
fn shares(dataset: &Dataset, addresses: usize) -> Vec<Rc<[u32]>> {
    (0..addresses)
        .map(|first| (first as u32..dataset.len() as u32).step_by(addresses).collect())
        .collect()
}

async fn drive<T>(
    run: Rc<Run>,
    running: &Running,
    shares: &[Rc<[u32]>],
    load: Load,
    observe: impl AsyncFnOnce(&Run) -> Result<T>,
) -> Result<T> {
    let mut connections = JoinSet::new();
    let mut checkers = Vec::new();
    let mut paced = Vec::new();
    for index in 0..run.workload.connections {
        let share = index % shares.len();
        let checker = Rc::new(RefCell::new(Checker::new(run.workload.wire)));
        checkers.push(Rc::clone(&checker));
        let random = Random::new((load.seed << 32) + index as u64);
        let keys = Rc::clone(&shares[share]);
        let door = running.door(share, run.workload.is_unix);
        let dues = load.rate.map(|_| {
            let (sender, dues) = unbounded_channel();
            paced.push(sender);
            dues
        });
        let connection = Connection::open(&door, keys, random, checker, dues).await?;
        connections.spawn_local(connection.drive(Rc::clone(&run)));
    }
    if let Some(rate) = load.rate {
        let gap = Duration::from_secs_f64(run.workload.depth as f64 / rate);
        connections.spawn_local(pace::run(paced, gap, Rc::clone(&run)));
    }
    let observed = async {
        tokio::time::sleep(WARM_UP).await;
        observe(&run).await
    };
    tokio::select! {
        ended = connections.join_next() => ended.context("no connection")??.and_then(|()| bail!("ended early")),
        seen = observed => {
            let seen = seen?;
            run.stopped.set(true);
            let all = async {
                while let Some(ended) = connections.join_next().await {
                    ended??;
                }
                Ok(seen)
            };
            match tokio::time::timeout(PATIENCE, all).await {
                Ok(seen) => seen,
                Err(_) => bail!("{}", lost(&checkers, &run.dataset)),
            }
        }
    }
}

/// Takes the figures of a window that opens now.
///
/// # Errors
/// A process that ended, or no reply at all.
pub async fn observe(
    run: &Run,
    running: &Running,
    nodes: &Nodes,
    window: Duration,
    load: Load,
) -> Result<Sample> {
    let proxy = running.pids();
    run.tally.take();
    let start = Instant::now();
    let (proxy_before, nodes_before) = (Cpu::of(&proxy)?, Cpu::of(&nodes.pids())?);
    tokio::time::sleep(window).await;
    let tally = run.tally.take();
    let elapsed = start.elapsed().as_secs_f64();
    let (proxy_used, nodes_used) = (
        Cpu::of(&proxy)?.since(proxy_before),
        Cpu::of(&nodes.pids())?.since(nodes_before),
    );

    if tally.outcome.replies == 0 {
        bail!("no request was answered within {window:?}");
    }
    let requests = tally.outcome.replies as f64;
    let peaks = proxy
        .iter()
        .map(|&pid| Ok(Memory::of(pid)?.peak_kib as f64 / 1024.0));
    let peak_mib = peaks.sum::<Result<f64>>()?;
    let proxy = match proxy.is_empty() {
        true => None,
        false => Some(ProxySample {
            user_micros: proxy_used.user as f64 / requests,
            system_micros: proxy_used.system as f64 / requests,
            busy: proxy_used.total() as f64 / 1e6 / elapsed,
            peak_mib,
        }),
    };
    Ok(Sample {
        requests_per_second: requests / elapsed,
        offered: load.rate,
        hits_per_second: tally.outcome.hits as f64 / elapsed,
        p50_micros: tally.latency.quantile(0.5),
        p99_micros: tally.latency.quantile(0.99),
        p999_micros: tally.latency.quantile(0.999),
        proxy,
        nodes_micros: nodes_used.total() as f64 / requests,
        misses: tally.outcome.misses,
        errors: tally.outcome.errors,
    })
}

fn lost(checkers: &[Rc<RefCell<Checker>>], dataset: &Dataset) -> String {
    let waiting: Vec<_> = checkers
        .iter()
        .filter(|checker| !checker.borrow().is_idle())
        .collect();
    let first = waiting
        .first()
        .map(|checker| checker.borrow().describe_owed(dataset))
        .unwrap_or_default();
    format!(
        "{} connections still wait after {PATIENCE:?}, the first for: {first}",
        waiting.len()
    )
}
