//! The metrics as Prometheus reads them.
//!
//! Nothing is counted here: at each scrape the shards of all workers are read and summed. What is shown
//! stands in one table, [`METRICS`]; the figures of the process itself (`process_*`) come on top.
//!
//! A command's series appear for every node as soon as any node saw the command, so that rates begin at
//! zero everywhere without fifteen series for each node; get, set and delete are there from the start.

mod samples;
mod table;

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::metrics::{Class, CommandCounters};
use crate::node::Node;
use crate::protocol::Command;
use crate::snapshot::Snapshot;
use crate::state::State;
pub use samples::Samples;
pub use table::METRICS;

/// The content type of [`Exposition::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: a row of [`METRICS`].
#[derive(Debug)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// What the number means, in one sentence.
    pub help: &'static str,
    /// How the number behaves.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// Reads it.
    read: fn(&View<'_>, &mut Samples),
}

/// How a metric's number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl Kind {
    /// The kind's name in the `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Shows the metrics of one process.
#[derive(Debug)]
pub struct Exposition {
    state: Arc<State>,
    process: ProcessCollector,
}

impl Exposition {
    /// Shows what `state` counts.
    pub fn new(state: Arc<State>) -> Exposition {
        Exposition {
            state,
            process: ProcessCollector::for_self(),
        }
    }

    /// Reads everything and writes it in Prometheus' text format.
    pub fn render(&self) -> String {
        let snapshot = self.state.snapshot.load();
        let view = View::new(&self.state, &snapshot);
        let own = METRICS.iter().filter_map(|metric| samples::family(metric, &view));
        let families: Vec<_> = own.chain(self.process.collect()).collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("every family has a name and a sample")
    }
}

/// What a metric is read from: one look at the whole process.
struct View<'a> {
    state: &'a State,
    snapshot: &'a Snapshot,
    /// The commands whose series are shown.
    commands: Vec<Command>,
}

impl<'a> View<'a> {
    fn new(state: &'a State, snapshot: &'a Snapshot) -> View<'a> {
        let commands = Command::ALL
            .into_iter()
            .filter(|&command| {
                let always = matches!(command, Command::Get | Command::Set | Command::Delete);
                always || snapshot.nodes.iter().any(|node| requests(node, command) > 0)
            })
            .collect();
        View {
            state,
            snapshot,
            commands,
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &'a Node> {
        self.snapshot.nodes.iter().map(|node| &**node)
    }

    /// The classes of the shown commands.
    fn classes(&self) -> impl Iterator<Item = Class> {
        let shown = |class: &Class| self.commands.iter().any(|&command| Class::of(command) == *class);
        Class::ALL.into_iter().filter(shown)
    }
}

/// One counter of one command on one node, over all workers.
fn of_command(node: &Node, command: Command, counter: impl Fn(&CommandCounters) -> u64) -> u64 {
    let shards = node.shards().iter();
    shards.fold(0, |sum, shard| {
        sum.wrapping_add(counter(&shard.commands[command as usize]))
    })
}

fn requests(node: &Node, command: Command) -> u64 {
    of_command(node, command, |counters| counters.requests.get())
}
