//! Renders the metrics for Prometheus.
//!
//! Nothing is counted here: each scrape reads and sums the shards of all workers. The metrics are in tables,
//! see [`metrics`]: name, help text, type, labels, and where the value is read. Those that every process has
//! (`process_*`) are added.
//!
//! Units are base units (seconds, bytes). Labels come from closed sets: the pools, nodes and listeners of the
//! configuration, and the names of commands, classes and failures. A key is never a label.
//!
//! An operation's series appear for every node as soon as any node saw it, so that rates begin at zero
//! everywhere without thirteen series for each node; get, set and delete are there from the start. Most
//! metrics are summed over the nodes of a pool, unless `metrics.nodes` says otherwise ([`detail`]).

mod detail;
mod helpers;
mod hot_keys;
mod insight;
mod nodes;
mod process;
mod samples;

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::metrics::{Class, OperationCounters};
use crate::node::Node;
use crate::protocol::operation::Operation;
use crate::snapshot::Snapshot;
use crate::state::State;
pub use samples::Samples;

/// The content type of [`Exposition::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: a row of a table.
#[derive(Debug)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// The help text, one sentence.
    pub help: &'static str,
    /// The type of the metric.
    pub kind: MetricKind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// Reads the value.
    read: fn(&View<'_>, &mut Samples),
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl MetricKind {
    /// The kind's name in the `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// Ringway's own metrics, in the order in which they are shown.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    process::METRICS
        .iter()
        .chain(nodes::METRICS)
        .chain(insight::METRICS)
        .chain(hot_keys::METRICS)
}

/// Renders the metrics of one process.
#[derive(Debug)]
pub struct Exposition {
    state: Arc<State>,
    process: ProcessCollector,
}

impl Exposition {
    /// Returns an exposition of the metrics of `state`.
    pub fn new(state: Arc<State>) -> Exposition {
        Exposition {
            state,
            process: ProcessCollector::for_self(),
        }
    }

    /// Reads everything and renders it in Prometheus' text format.
    pub fn render(&self) -> String {
        let snapshot = self.state.snapshot.load();
        let view = View::new(&self.state, &snapshot);
        let own = metrics().filter_map(|metric| samples::family(metric, &view));
        let families: Vec<_> = own.chain(self.process.collect()).collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("every family has a name and a sample")
    }
}

/// The data that metrics are read from: one look at the whole process.
struct View<'a> {
    state: &'a State,
    snapshot: &'a Snapshot,
    /// The operations whose series are shown.
    operations: Vec<Operation>,
}

impl<'a> View<'a> {
    fn new(state: &'a State, snapshot: &'a Snapshot) -> View<'a> {
        let operations = Operation::all()
            .filter(|&operation| {
                let always = matches!(operation, Operation::Get | Operation::Set | Operation::Delete);
                always || snapshot.nodes.iter().any(|node| requests(node, operation) > 0)
            })
            .collect();
        View {
            state,
            snapshot,
            operations,
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &'a Node> {
        self.snapshot.nodes.iter().map(|node| &**node)
    }

    /// The classes of the shown operations.
    fn classes(&self) -> impl Iterator<Item = Class> {
        let shown = |class: &Class| {
            self.operations
                .iter()
                .any(|&operation| Class::of(operation) == *class)
        };
        Class::ALL.into_iter().filter(shown)
    }
}

/// Sums one counter of one operation on one node over all workers.
fn of_operation(node: &Node, operation: Operation, counter: impl Fn(&OperationCounters) -> u64) -> u64 {
    let shards = node.shards().iter();
    shards.fold(0, |sum, shard| {
        sum.wrapping_add(counter(&shard.operations[operation as usize]))
    })
}

fn requests(node: &Node, operation: Operation) -> u64 {
    of_operation(node, operation, |counters| counters.requests.get())
}
