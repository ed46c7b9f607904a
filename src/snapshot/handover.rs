//! The handover of a pool: whether a snapshot begins one or continues that of the snapshot before.

use std::sync::Arc;

use crate::config::{self, Address};
use crate::diff;
use crate::node::Node;
use crate::route::handover::progress::{Phase, Progress};
use crate::route::handover::tally::HandoverTally;
use crate::route::{Handover, Pool};

/// A handover to compile: the settings of the old ring, and how far it is.
pub struct Going {
    old: config::Pool,
    /// The pool with that ring, as it was compiled before.
    compiled: Arc<Pool>,
    progress: Arc<Progress>,
    tally: Arc<HandoverTally>,
}

/// Returns the counters for the handovers of a pool with these `settings`, which had been compiled as
/// `before`.
pub fn tally(
    settings: &config::Pool,
    before: Option<&Arc<Pool>>,
    workers: usize,
) -> Option<Arc<HandoverTally>> {
    let kept = before.and_then(|before| before.tally.clone());
    let is_going = before.is_some_and(|before| before.handover.is_some());
    let is_wanted = settings.handover.is_some() || is_going;
    is_wanted.then(|| kept.unwrap_or_else(|| Arc::new(HandoverTally::new(workers))))
}

/// Returns the handover that a pool is in, now compiled as `pool` with these `settings` and before as
/// `before`.
pub fn going(settings: &config::Pool, before: Option<&Arc<Pool>>, pool: &Pool) -> Option<Going> {
    let (before, tally) = (before?, pool.tally.clone()?);
    let is_same_ring = settings.has_ring_of(&before.settings);
    let (compiled, progress) = match &before.handover {
        Some(handover) if is_same_ring => (&handover.old, handover.progress.clone()),
        _ if is_same_ring => return None,
        _ => {
            let moved = moved(settings, before)?;
            let (old, new) = (before.settings.nodes.len(), settings.nodes.len());
            let progress = Progress::new(settings.handover.clone()?, moved, old, new, &tally);
            let request_timeout = settings.request_timeout.max(before.settings.request_timeout);
            (before, Arc::new(progress.outlasting(request_timeout)))
        }
    };
    let mut old = settings.clone();
    old.keep_ring_of(&compiled.settings);
    (progress.phase() < Phase::Done).then(|| Going {
        old,
        compiled: compiled.clone(),
        progress,
        tally,
    })
}

/// Returns the share of the keys of a pool that move to `settings` from `before`; `None` if
/// none do.
fn moved(settings: &config::Pool, before: &Pool) -> Option<f64> {
    let is_nowhere = |node: &config::Node| node.address == Address::Undiscovered;
    let mut nodes = before.settings.nodes.iter().chain(&settings.nodes);
    if settings.handover.is_none() || nodes.any(is_nowhere) {
        return None;
    }
    Some(diff::moved(&before.settings, settings, Some(&before.ring))).filter(|moved| *moved > 0.0)
}

impl Going {
    /// Compiles it for `pool`. Nodes that only the old ring has are made by `make`, and join the snapshot's
    /// `nodes`.
    pub fn compile(
        self,
        pool: &Pool,
        nodes: &mut Vec<Arc<Node>>,
        make: impl Fn(&config::Node) -> Arc<Node>,
    ) -> Handover {
        let first_leaving = nodes.len();
        let twins = config::twins(&self.old.nodes, &pool.settings.nodes);
        let indices = self.old.nodes.iter().zip(twins).map(|(node, twin)| {
            twin.map(|member| pool.nodes[member]).unwrap_or_else(|| {
                nodes.push(make(node));
                nodes.len() - 1
            })
        });
        let indices: Vec<usize> = indices.collect();
        let node = |index: usize| &nodes[index];
        let mut old = Pool::among(&pool.name, &self.old, indices, node, Some(&self.compiled));
        old.is_old = true;
        let leaving = (first_leaving..nodes.len()).collect();
        Handover::new(pool, Arc::new(old), leaving, self.progress, self.tally)
    }
}
