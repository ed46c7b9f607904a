//! `ringway demo`: what Ringway does, seen in a minute.
//!
//! ```text
//!  load ──▶ ringway ──┬─▶ node cache-1 ◀─┐
//!                     ├─▶ node cache-2 ◀─┼─ killed and revived in turn
//!                     └─▶ node cache-3 ◀─┘
//! ```
//!
//! All of them are processes of their own, in the foreground: they end with the demo. Each second a line tells what the
//! load saw. The folder with the configuration may be edited meanwhile, and is removed at the end.

mod children;
mod load;

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use self::children::{Child, Node};
use self::load::Load;
use super::ask::{self, AdminAddress};
use super::unquoted::Unquoted;

const NODES: usize = 3;
/// Between two lines.
const EVERY: Duration = Duration::from_secs(1);
/// The maximum time until the demo's Ringway accepts clients.
const START: Duration = Duration::from_secs(10);

/// Where the demo runs, and how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the demo's Ringway listens for clients.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11211", value_parser = Unquoted(SocketAddr::from_str))]
    listen: SocketAddr,
    /// Its admin address, with the status page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155", value_parser = Unquoted(SocketAddr::from_str))]
    admin: SocketAddr,
    /// A node is killed each time, and revived half that time later.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=3600))]
    every: u64,
    /// End after this time; default: on Ctrl-C.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Only make load on this address, and start nothing.
    #[arg(long, value_name = "HOST:PORT", value_parser = Unquoted(ask::admin), conflicts_with_all = ["listen", "admin", "every"])]
    load_only: Option<AdminAddress>,
}

/// An address of the demo that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; {option} chooses another address")]
pub struct CannotListen {
    address: SocketAddr,
    option: &'static str,
    source: io::Error,
}

/// Runs the demo, or only its load, until Ctrl-C or for as long as `options` say.
///
/// # Errors
/// A program cannot be started, an address is taken or cannot be resolved.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let lasts = options.seconds.map(Duration::from_secs);
    match &options.load_only {
        Some(address) => load_only(address, lasts),
        None => perform(
            options.listen,
            options.admin,
            Duration::from_secs(options.every),
            lasts,
        ),
    }
}

/// Runs the demo until Ctrl-C, or for `lasts`; a node is killed `every` so often.
fn perform(
    listen: SocketAddr,
    admin: SocketAddr,
    every: Duration,
    lasts: Option<Duration>,
) -> anyhow::Result<()> {
    for (address, option) in [(listen, "--listen"), (admin, "--admin")] {
        TcpListener::bind(address).map_err(|source| CannotListen {
            address,
            option,
            source,
        })?;
    }
    let folder = Folder::new()?;
    let program = children::node_program(&folder.0);
    let mut nodes = (1..=NODES)
        .map(|number| Node::start(number, &program))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let config = folder.0.join("ringway.yaml");
    fs::write(&config, configuration(listen, admin, &nodes))?;
    let mut ringway = Child::ringway(&config, &folder.0.join("ringway.log"))?;
    wait_until_it_listens(&mut ringway, listen, &folder.0)?;
    say(&format!(
        "Nodes: {}, {}.\n\
         Ringway listens on {listen}: try any memcached client.\n\
         Status page: http://{admin}/  Metrics: http://{admin}/metrics\n\
         Configuration, reloaded when you save it: {}\n\
         Every {} s a node is killed, and revived half that time later. Ctrl-C ends all of it.\n",
        names(&nodes),
        program.shown(),
        config.display(),
        every.as_secs(),
    ));
    let load = Load::start(vec![listen]);
    let mut stage = Stage::new(every);
    until_the_end(lasts, |elapsed| {
        if !ringway.is_running() {
            bail!("the demo's Ringway ended:\n{}", log(&folder.0));
        }
        stage.play(elapsed, &mut nodes)?;
        say(&line(elapsed, &load, &nodes));
        Ok(())
    })
}

/// Makes load on `address` until Ctrl-C, or for `lasts`.
fn load_only(address: &AdminAddress, lasts: Option<Duration>) -> anyhow::Result<()> {
    let load = Load::start(address.sockets()?);
    until_the_end(lasts, |elapsed| {
        say(&line(elapsed, &load, &[]));
        Ok(())
    })
}

/// Calls `each` every second, until a signal that ends the program, or for `lasts`.
fn until_the_end(
    lasts: Option<Duration>,
    mut each: impl FnMut(Duration) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut ticks = tokio::time::interval_at((begun + EVERY).into(), EVERY);
        // On a busy machine a line may be late, but never is there one for no time at all.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = ticks.tick() => {}
            }
            each(begun.elapsed())?;
            if lasts.is_some_and(|lasts| begun.elapsed() >= lasts) {
                return Ok(());
            }
        }
    })
}

/// Which node is killed when.
struct Stage {
    every: Duration,
    next: Duration,
    victim: usize,
}

impl Stage {
    fn new(every: Duration) -> Stage {
        Stage {
            every,
            next: every / 2,
            victim: 0,
        }
    }

    /// Kills the next node, or revives the one that was killed, if it is time.
    fn play(&mut self, elapsed: Duration, nodes: &mut [Node]) -> anyhow::Result<()> {
        if elapsed < self.next {
            return Ok(());
        }
        self.next += self.every / 2;
        let node = &mut nodes[self.victim];
        if node.is_running() {
            node.kill();
            say(&format!(
                "-- {} is killed. Only its keys miss; Ringway takes it out of the ring, and the other nodes take them.\n",
                node.name
            ));
        } else {
            node.revive()?;
            say(&format!(
                "-- {} is revived, empty. Ringway takes it back once its probes answer.\n",
                node.name
            ));
            self.victim = (self.victim + 1) % nodes.len();
        }
        Ok(())
    }
}

fn line(elapsed: Duration, load: &Load, nodes: &[Node]) -> String {
    let seen = load.take();
    let hits = 100.0 * seen.hits as f64 / seen.reads.max(1) as f64;
    let down: Vec<&str> = nodes
        .iter()
        .filter(|node| !node.is_up)
        .map(|node| node.name.as_str())
        .collect();
    let down = if down.is_empty() {
        String::new()
    } else {
        format!("  killed: {}", down.join(" "))
    };
    format!(
        "{:>4} s  {:>6} requests/s  {hits:>5.1} % hits  {:>4} writes not stored  {} errors  {} closed{down}\n",
        elapsed.as_secs(),
        seen.requests,
        seen.not_stored,
        seen.errors,
        seen.closed,
    )
}

fn configuration(listen: SocketAddr, admin: SocketAddr, nodes: &[Node]) -> String {
    let mut text = format!(
        "listeners: [{{bind: '{listen}'}}]\nadmin: {{bind: '{admin}'}}\nshutdown: {{drain: 1s}}\npools:\n  main:\n    \
         distribution: ringway\n    on_node_down: rehash\n    health: {{probe_interval: 1s}}\n    nodes:\n"
    );
    for node in nodes {
        text += &format!("      - {{name: {}, address: '{}'}}\n", node.name, node.address);
    }
    text
}

fn wait_until_it_listens(ringway: &mut Child, listen: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let until = Instant::now() + START;
    while Instant::now() < until && ringway.is_running() {
        if TcpStream::connect_timeout(&listen, EVERY).is_ok() && ringway.is_running() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the demo's Ringway did not start:\n{}", log(folder))
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("ringway.log")).unwrap_or_default()
}

fn names(nodes: &[Node]) -> String {
    let shown: Vec<String> = nodes
        .iter()
        .map(|node| format!("{} on {}", node.name, node.address))
        .collect();
    shown.join(", ")
}

/// A closed stdout ends nothing: the nodes and the page are still there.
fn say(text: &str) {
    let _is_read = std::io::stdout().write_all(text.as_bytes());
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("ringway-demo-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _is_gone = fs::remove_dir_all(&self.0);
    }
}
