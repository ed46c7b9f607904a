//! Recovers what an earlier process recorded in `missed_writes.dir`, and lets this one record there.
//!
//! Runs before the first request. Nodes that are not in the configuration are forgotten. A node that was
//! out of its ring may hold values that were changed elsewhere since: depending on its pool's `rejoin`, it
//! counts as one that missed too much and is flushed, or stays out of the ring until it is admitted, or is
//! trusted.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::Rejoin;
use crate::journal::Journal;
use crate::journal::file::{Directory, Remembered, Unusable};
use crate::journal::record::{Change, Ending, Record};
use crate::node::Node;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Why the process cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum CannotRecover {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] Unusable),
    /// There is no thread to be had.
    #[error("cannot start the thread of missed_writes.dir: {0}")]
    Thread(#[source] io::Error),
}

/// Gives the nodes of the first `snapshot` what was recorded about them. `None` without a directory.
///
/// # Errors
/// The directory cannot be used.
pub fn recover(snapshot: &Snapshot) -> Result<Option<Directory>, CannotRecover> {
    let Some(path) = &snapshot.config.missed_writes.dir else {
        return Ok(None);
    };
    let remote = snapshot.nodes.iter().filter(|node| node.is_remote());
    let nodes: HashMap<(&str, &str), &Arc<Node>> = remote
        .map(|node| ((node.pool.as_str(), node.label.as_str()), node))
        .collect();
    let owned = |(pool, node): (&str, &str)| (pool.to_owned(), node.to_owned());
    let mut left = BTreeSet::new();
    let each = |record: Record<'_>| {
        let named = (record.pool, record.node);
        let Some(node) = nodes.get(&named) else {
            return;
        };
        match record.change {
            Change::Left => drop(left.insert(owned(named))),
            Change::Admitted => drop(left.remove(&owned(named))),
            change => node.missed.recover(change),
        }
    };
    let (directory, ending) = Directory::open(path, each)?;
    for (pool, node) in &left {
        let node = nodes[&(pool.as_str(), node.as_str())];
        match snapshot.pools[&node.pool].settings.rejoin {
            Rejoin::Flush => node.missed.recover(Change::Overflowed),
            Rejoin::Manual => node.leave(Instant::now()),
            Rejoin::Trust => {}
        }
    }
    let keys: usize = snapshot.nodes.iter().map(|node| node.missed.keys()).sum();
    let dir = path.display();
    match ending {
        Ending::Whole => info!(%dir, keys, "missed writes read"),
        Ending::Truncated => info!(%dir, keys, "missed writes read, up to the one that was being written"),
        Ending::Damaged => warn!(%dir, keys, "the file of missed writes is damaged: read up to there"),
    }
    Ok(Some(directory))
}

/// Records everything that the nodes of `state` miss in `directory` from now on.
///
/// # Errors
/// The thread cannot be started.
pub fn keep(state: &State, directory: Directory) -> Result<(), CannotRecover> {
    let journal = Arc::new(Journal::default());
    state.snapshot.load().missed.write_to(journal.clone());
    let snapshot = state.snapshot.clone();
    let remembered: Remembered = Box::new(move |each| {
        for node in snapshot.load_full().nodes.iter().filter(|node| node.is_remote()) {
            tell(node, each)?;
        }
        Ok(())
    });
    directory.keep(journal, remembered).map_err(CannotRecover::Thread)
}

fn tell(node: &Node, each: &mut dyn FnMut(Record<'_>) -> io::Result<()>) -> io::Result<()> {
    if node.membership.left_at().is_some() {
        each(Record {
            pool: &node.pool,
            node: &node.label,
            change: Change::Left,
        })?;
    }
    node.missed.tell(each)
}
