//! Draws the miss-ratio curves of the pools that have them (`insight.miss_ratio`), once a second, from what workers noted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::interval;

use crate::insight::miss_ratio::{Curve, Traced, Traces};
use crate::metrics::Class;
use crate::node::Node;
use crate::protocol::fingerprint;
use crate::protocol::operation::Operation;
use crate::route::Pool;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The seconds after which what was counted has been noted, too: a worker hands its notes over in its own time.
const DELAY: usize = 3;

/// Reads, and how many of them hit.
type Reads = (u64, u64);

/// What was counted in the last seconds, the oldest first.
type Counted = [Reads; DELAY + 1];

/// Runs until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut counted: HashMap<String, Counted> = HashMap::new();
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let snapshot = state.snapshot.load_full();
        let noted = std::mem::take(&mut *state.traces.lock().expect("no holder panics"));
        let mut curves = state.curves.lock().expect("no holder panics");
        let has_curve = |name: &String| snapshot.pools.get(name).is_some_and(|pool| wants_curve(pool));
        curves.retain(|name, _| has_curve(name));
        counted.retain(|name, _| has_curve(name));
        for (name, pool) in &snapshot.pools {
            let mut below = 0;
            if wants_curve(pool) {
                let curve = curves.entry(name.clone()).or_default();
                learn(curve, fingerprint(name.as_bytes()), &noted);
                let now = reads(pool, &snapshot);
                let counted = counted.entry(name.clone()).or_insert([now; DELAY + 1]);
                let (reads, hits) = since(counted, now);
                curve.count(reads, hits);
                below = curve.below();
            }
            for index in pool.all_nodes() {
                snapshot.nodes[index].traced_below.store(below, Relaxed);
            }
        }
    }
}

/// Returns what was counted in the second that is [`DELAY`] ago, and remembers `now`.
fn since(counted: &mut Counted, now: Reads) -> Reads {
    let [oldest, next, ..] = *counted;
    counted.rotate_left(1);
    counted[DELAY] = now;
    (next.0.saturating_sub(oldest.0), next.1.saturating_sub(oldest.1))
}

/// Whether a curve is drawn for `pool`.
pub fn wants_curve(pool: &Pool) -> bool {
    pool.settings.insight.miss_ratio
}

/// Has `curve` learn what each worker noted of the pool, as if the workers had taken turns.
fn learn(curve: &mut Curve, pool: u32, noted: &[Vec<Traced>]) {
    let mut own: Vec<(f64, &Traced)> = Vec::new();
    for traced in noted {
        let count = traced.len() as f64;
        let placed = traced
            .iter()
            .enumerate()
            .map(|(index, one)| (index as f64 / count, one));
        own.extend(placed.filter(|(_, one)| one.pool == pool));
    }
    own.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (_, traced) in &own {
        curve.learn(traced.hash, traced.key, traced.done);
    }
    let is_full = |traced: &Vec<Traced>| traced.len() >= Traces::MOST;
    if !own.is_empty() && noted.iter().any(is_full) {
        curve.halve();
    }
}

/// All reads of the pool's memcached nodes so far.
fn reads(pool: &Pool, snapshot: &Snapshot) -> Reads {
    let nodes = pool.own(&snapshot.nodes).filter(|node| node.is_remote());
    nodes
        .map(|node| reads_of(node))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn reads_of(node: &Node) -> Reads {
    let mut sum = (0, 0);
    for operation in Operation::all().filter(|&operation| Class::of(operation) == Class::Read) {
        let hits = node.sum(|shard| &shard.operations[operation as usize].hits);
        let misses = node.sum(|shard| &shard.operations[operation as usize].misses);
        sum = (sum.0 + hits + misses, sum.1 + hits);
    }
    sum
}
