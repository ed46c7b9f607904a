//! The load generator: drives the same load through each contender in turn, checks every value it
//! reads, and prints throughput, latency, CPU per request and memory side by side. Started by `tests/bench/run`,
//! whose head says how it is used and how it measures. Nothing here passes or fails by a time.
//!
//! ```text
//!   options ─▶ compare: for each workload, round, contender:
//!                contender   starts the proxy in front of the nodes, on a CPU of its own
//!                measure     preloads, warms up, opens the window, closes it
//!                  └─ connection × n   writes a batch, checks its replies, again
//!                accounting  asks the kernel what the processes used in the window
//!              report        medians over the rounds; then ratios and a plot
//! ```

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use load::contender;
use load::dataset::Dataset;
use load::nodes::Nodes;
use load::options::{Mode, Options};
use load::process::{self, Scratch};
use load::workload::Workload;
use load::{compare, idle, machine, readme, relay, responder, self_check};

mod load {
    pub mod accounting;
    pub mod answers;
    pub mod calls;
    pub mod checker;
    pub mod compare;
    pub mod connection;
    pub mod contender;
    pub mod dataset;
    pub mod draw;
    pub mod encrypt;
    pub mod idle;
    pub mod latency;
    pub mod machine;
    pub mod measure;
    pub mod node;
    pub mod nodes;
    pub mod options;
    pub mod pace;
    pub mod peers;
    pub mod plot;
    pub mod process;
    pub mod random;
    pub mod ratios;
    pub mod readme;
    pub mod relay;
    pub mod report;
    pub mod responder;
    pub mod self_check;
    pub mod wire;
    pub mod workload;
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.readme {
        options.workloads = readme::workloads();
        options.only = Some(readme::CONTENDERS.map(str::to_owned).into());
    }
    if matches!(options.mode, Mode::Load | Mode::Idle) {
        self_check::run();
    }
    if !options.bench {
        println!("self-check passed; the benchmark itself is started by tests/bench/run");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// True when every contender that was asked for could be measured.
fn run(options: &Options) -> Result<bool> {
    match options.mode {
        Mode::Relay => return relay::run(&options.doors, &options.to).map(|()| true),
        Mode::Responder => {
            let workloads = Workload::select(&options.workloads)?;
            let dataset = Dataset::new(workloads.first().context("the responder needs a workload")?);
            return responder::run(&options.doors, dataset).map(|()| true);
        }
        Mode::Load | Mode::Idle => process::pin_self(options.load_cpu)?,
    }
    let mut contenders = contender::select(options)?;
    let scratch = Scratch::new()?;
    let mut nodes = Nodes::new(options, &scratch)?;
    let machine = machine::describe(&contenders, options);
    print!("{machine}");
    // Who was asked for by name and is missing counts as a failure, anybody else is said to be missing above.
    contenders.retain(|contender| options.only.is_some() || contender.missing().is_none());
    if options.mode == Mode::Idle {
        idle::run(options, &contenders, &mut nodes, &scratch)
    } else {
        compare::run(options, &machine, &contenders, &mut nodes, &scratch)
    }
}
