//! The command line of the load generator. `--bench` is added by `tests/bench/run` and `cargo bench`; without it
//! nothing is measured, so that `cargo test --all-targets` stays quick.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::pace::Rate;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The workloads, through each contender.
    Load,
    /// What an idle session costs in resident memory.
    Idle,
    /// Is the contender `relay`; started by the generator itself.
    #[value(hide = true)]
    Relay,
    /// Stands for the nodes; started by the generator itself.
    #[value(hide = true)]
    Responder,
}

/// What stands behind the contenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Four memcached: what a deployment sees.
    Memcached,
    /// A responder that costs next to nothing: the proxy saturates, and its capacity shows.
    Responder,
}

/// Compares Ringway with its peers under load.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run")]
pub struct Options {
    /// What to measure
    #[arg(value_enum, default_value = "load")]
    pub mode: Mode,
    /// Contenders to measure: direct, relay, nutcracker, memcached-proxy, mcrouter, ringway, ringway-base
    /// [default: all that are there]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Option<Vec<String>>,
    /// Measure Ringway with a plain pool beside Ringway with policies, and nobody else
    #[arg(long)]
    pub routes: bool,
    /// Encrypt to the nodes, and then on both sides: Ringway by itself, nutcracker by stunnel, and to the nodes
    /// memcached's own proxy, if RINGWAY_BENCH_MEMCACHED names one
    #[arg(long, conflicts_with_all = ["routes", "nodes"])]
    pub tls: bool,
    /// Measure Ringway over memcached beside Ringway over Redis, and a Redis client that asks Redis itself, and nobody
    /// else. REDIS_SERVER may name a Valkey
    #[arg(long, conflicts_with_all = ["routes", "tls", "nodes"])]
    pub redis: bool,
    /// Measure what README.md says of the cost of a request, and write it there. RINGWAY_BENCH_MEMCACHED must name a
    /// memcached
    #[arg(long, conflicts_with_all = ["routes", "tls", "redis", "nodes", "rate", "only", "workloads"])]
    pub readme: bool,
    /// Workloads to drive: W1, W1u (unix socket), W2 to W11
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "W1,W2,W4")]
    pub workloads: Vec<String>,
    /// What stands behind the contenders
    #[arg(long, value_enum, default_value = "memcached")]
    pub nodes: Backend,
    /// Offer so many requests a second, equal for all contenders, and count latency from when each was due; `even`:
    /// for each workload 60 % of what the slowest contender manages, found in a short round before
    /// [default: closed loop]
    #[arg(long, value_name = "N|even")]
    pub rate: Option<Rate>,
    /// Seconds measured in each round, after half a second of warming up
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Rounds; each goes through all contenders, and medians are printed
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Count the proxy's system calls too, with perf or strace, in rounds of their own after the others
    #[arg(long)]
    pub calls: bool,
    /// Write the report there too, seen from the root of the repository: bench.md, with a plot in bench.svg
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where the choice of keys starts from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Idle sessions to open
    #[arg(long, default_value_t = 10_000)]
    pub sessions: usize,
    /// The CPU of the proxy
    #[arg(long, default_value_t = 0)]
    pub proxy_cpu: usize,
    /// The CPU which the memcached nodes and the generator share
    #[arg(long, default_value_t = 1)]
    pub load_cpu: usize,
    /// Where the relay or the responder listens
    #[arg(long, hide = true, value_delimiter = ',')]
    pub doors: Vec<SocketAddr>,
    /// Where the relay hands on to
    #[arg(long, hide = true, value_delimiter = ',')]
    pub to: Vec<SocketAddr>,
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    /// How long one round measures.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
