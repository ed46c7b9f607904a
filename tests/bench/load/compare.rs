//! The rounds: each goes through all workloads and contenders, one measurement each, and the report follows.

use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::calls::{Calls, Counter};
use super::connection::Run;
use super::contender::{Contender, Running};
use super::dataset::Dataset;
use super::measure::{self, Load, Sample};
use super::nodes::Nodes;
use super::options::Options;
use super::pace::Rate;
use super::plot;
use super::process::Scratch;
use super::ratios;
use super::readme;
use super::report::{self, Samples};
use super::workload::Workload;

/// How long each contender shows what it manages, where the load is then a share of that.
const TRIAL: Duration = Duration::from_secs(1);
/// The share of what the slowest manages that is offered to all: busy, and far from a queue that only grows.
const EVEN_SHARE: f64 = 0.6;

/// A workload and all that belongs to it.
struct Task {
    workload: Workload,
    dataset: Rc<Dataset>,
    /// Requests a second that are offered; `None`: closed loop.
    rate: Option<f64>,
    samples: Samples,
}

struct Bench<'a> {
    options: &'a Options,
    contenders: &'a [Contender],
    nodes: &'a mut Nodes,
    scratch: &'a Scratch,
    /// Why a contender is left out, by its name.
    absent: BTreeMap<&'static str, String>,
}

/// Measures and reports, under what is said of the `machine`. True when every contender that was asked for could be
/// measured.
///
/// # Errors
/// A wrong byte, a lost reply, or a contender that ended.
pub fn run(
    options: &Options,
    machine: &str,
    contenders: &[Contender],
    nodes: &mut Nodes,
    scratch: &Scratch,
) -> Result<bool> {
    let mut bench = Bench {
        options,
        contenders,
        nodes,
        scratch,
        absent: BTreeMap::new(),
    };
    let mut tasks = Vec::new();
    for workload in Workload::select(&options.workloads)? {
        let mut task = Task {
            workload,
            dataset: Rc::new(Dataset::new(&workload)),
            rate: None,
            samples: Samples::new(contenders),
        };
        task.rate = match options.rate {
            None => None,
            Some(Rate::Fixed(rate)) => Some(rate),
            Some(Rate::Even) => bench.even_rate(&task)?,
        };
        tasks.push(task);
    }
    // Round by round, not one workload or contender after the other: what disturbs the machine for a while
    // disturbs all alike.
    for round in 0..options.rounds {
        for task in &mut tasks {
            for contender in contenders {
                let what = format!("round {} of {}", round + 1, options.rounds);
                let load = Load {
                    seed: options.seed + u64::from(round),
                    rate: task.rate,
                };
                if let Some(sample) = bench.sample(&what, task, contender, load, options.window())? {
                    task.samples.push(contender.name, sample);
                }
            }
        }
    }
    let counter = options.calls.then(Counter::find);
    if let Some(counter) = counter {
        for task in &mut tasks {
            for contender in contenders {
                if let Some(calls) = bench.calls(task, contender, counter)? {
                    task.samples.push_calls(contender.name, calls);
                }
            }
        }
    }
    let all: Vec<(Workload, Samples)> = tasks
        .into_iter()
        .map(|task| (task.workload, task.samples))
        .collect();
    let mut report: String = all
        .iter()
        .map(|(workload, samples)| report::workload(workload, samples))
        .collect();
    if let Some(counter) = counter {
        report.push_str(&report::calls(&all, counter));
    }
    report.push_str(&ratios::contenders(&all));
    report.push_str(&ratios::routes(&all));
    report.push_str(&ratios::protocols(&all));
    for (name, reason) in &bench.absent {
        report.push_str(&format!("\n{name} was not measured: {reason}\n"));
    }
    print!("{report}");
    if options.readme {
        readme::write(&all)?;
    }
    if let Some(directory) = &options.out {
        let page =
            format!("# Ringway beside its peers\n\n![The figures as bars](bench.svg)\n\n{machine}{report}");
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(directory.join("bench.md"), page))
            .and_then(|()| fs::write(directory.join("bench.svg"), plot::draw(&all)))
            .with_context(|| format!("write the report to {}", directory.display()))?;
    }
    Ok(bench.absent.is_empty())
}

impl Bench<'_> {
    /// The load that all contenders can bear; `None` if there is no contender.
    fn even_rate(&mut self, task: &Task) -> Result<Option<f64>> {
        let mut slowest: Option<f64> = None;
        let load = Load {
            seed: self.options.seed,
            rate: None,
        };
        for contender in self.contenders {
            if let Some(sample) = self.sample("trial", task, contender, load, TRIAL)? {
                let manages = sample.requests_per_second;
                slowest = Some(slowest.map_or(manages, |slowest| slowest.min(manages)));
            }
        }
        Ok(slowest.map(|slowest| (slowest * EVEN_SHARE).round().max(1.0)))
    }

    /// The figures of one window.
    fn sample(
        &mut self,
        what: &str,
        task: &Task,
        contender: &Contender,
        load: Load,
        window: Duration,
    ) -> Result<Option<Sample>> {
        self.look(what, task, contender, load, async |run, running, nodes| {
            measure::observe(run, running, nodes, window, load).await
        })
    }

    /// The system calls of each request; `None` if there is no proxy.
    fn calls(&mut self, task: &Task, contender: &Contender, counter: Counter) -> Result<Option<Calls>> {
        let scratch = self.scratch;
        let load = Load {
            seed: self.options.seed,
            rate: task.rate,
        };
        let seen = self.look("calls", task, contender, load, async |run, running, _| {
            let Some(pid) = running.pid() else {
                return Ok(None);
            };
            counter.observe(run, pid, TRIAL, scratch).await.map(Some)
        })?;
        Ok(seen.flatten())
    }

    /// Starts `contender` and drives the load through it while `observe` looks on; `None` if it cannot take the
    /// load or does not start.
    fn look<T>(
        &mut self,
        what: &str,
        task: &Task,
        contender: &Contender,
        load: Load,
        observe: impl AsyncFnOnce(&Run, &Running, &Nodes) -> Result<T>,
    ) -> Result<Option<T>> {
        let workload = &Workload {
            wire: contender.wire(&task.workload),
            ..task.workload
        };
        if self.absent.contains_key(contender.name) || !contender.takes(&task.workload, self.options.nodes) {
            return Ok(None);
        }
        eprintln!("{what}: {} through {}", workload.name, contender.name);
        self.nodes
            .prepare(contender.store, workload, self.options, self.scratch)?;
        let running = match contender.start(self.nodes, workload.workers, self.options, self.scratch) {
            Ok(running) => running,
            Err(error) => {
                eprintln!("{} is left out: {error:#}", contender.name);
                self.absent.insert(contender.name, format!("{error:#}"));
                return Ok(None);
            }
        };
        let nodes = &*self.nodes;
        let seen = measure::run(workload, &task.dataset, &running, load, async |run| {
            observe(run, &running, nodes).await
        });
        seen.map(Some).with_context(|| {
            format!(
                "{} through {} ({})",
                workload.name,
                contender.name,
                running.last_words()
            )
        })
    }
}
