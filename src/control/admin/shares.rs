//! The share of all keys that each node takes now. It takes a moment to count, so it is counted once for each
//! snapshot, on a thread of its own, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use crate::ring::compare;
use crate::snapshot::Snapshot;

/// By the index of a node in the snapshot, its part of its pool's keys, from 0 to 1. Nodes that take none are missing.
pub type Shares = HashMap<usize, f64>;

/// The shares of the snapshot that was asked for last.
#[derive(Debug, Default)]
pub struct Known {
    last: Mutex<Option<(Weak<Snapshot>, Arc<Shares>)>>,
}

impl Known {
    /// Returns the shares in `snapshot`.
    pub async fn of(&self, snapshot: &Arc<Snapshot>) -> Arc<Shares> {
        let last = self.last.lock().expect("no holder panics").clone();
        if let Some((of, shares)) = last
            && of.ptr_eq(&Arc::downgrade(snapshot))
        {
            return shares;
        }
        let counted = snapshot.clone();
        let shares = tokio::task::spawn_blocking(move || count(&counted)).await;
        let shares = Arc::new(shares.expect("counting does not panic"));
        *self.last.lock().expect("no holder panics") = Some((Arc::downgrade(snapshot), shares.clone()));
        shares
    }
}

fn count(snapshot: &Snapshot) -> Shares {
    let mut shares = Shares::new();
    for pool in snapshot.pools.values().filter(|pool| !pool.nodes.is_empty()) {
        for (member, share) in compare::shares(&pool.ring) {
            shares.insert(pool.nodes[member], share);
        }
    }
    shares
}
