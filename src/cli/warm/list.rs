//! Lists the keys that move, on the nodes that they move from.

use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use super::watch::Watched;
use crate::control::listed::{LIST, Listed, in_base64};
use crate::control::per_node_tasks::remote;
use crate::control::probe_client::ProbeConnection;
use crate::control::probe_valkey::{START, Valkey};
use crate::control::swept::OWN;
use crate::node::Node;
use crate::protocol::MAX_KEY;
use crate::route::Pool;
use crate::route::toolkit::rewrite::unix_time;
use crate::snapshot::Snapshot;

/// The maximum time for the next line of a node's list.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a node may be busy with a list for another client.
const BUSY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// A key that moves.
pub struct Moving {
    /// The key.
    pub key: Box<[u8]>,
    /// In base64, if a meta command needs that.
    pub base64: Option<Box<[u8]>>,
    /// The old node that has it, as an index among the pool's old ones.
    pub from: usize,
    last_access: u64,
}

/// Returns the keys of `pool` that move in its handover, the one that was used last first.
///
/// # Errors
/// A node cannot be reached, or lists no items.
pub async fn moving(snapshot: &Snapshot, pool: &Pool, watched: &Watched) -> anyhow::Result<Vec<Moving>> {
    let old = &super::handover(pool).old;
    let mut moving = Vec::new();
    for (from, &index) in old.nodes.iter().enumerate() {
        let node = &snapshot.nodes[index];
        // What else it has was left there by an earlier ring.
        let moves = |key: &[u8]| old.primary(key) == index && pool.primary(key) != index;
        let until = Instant::now() + BUSY;
        loop {
            match of_node(node, pool, from, moves).await {
                Ok(keys) => break moving.extend(keys),
                Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < until => {
                    sleep(PAUSE).await;
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => bail!(
                    "{}: the node does not list its items ({error}); its keys are copied as clients read them",
                    node.label
                ),
                Err(error) => return Err(error).with_context(|| node.label.clone()),
            }
        }
        if let Some(reason) = watched.reason() {
            bail!("{}: {reason}", pool.name);
        }
    }
    moving.sort_by_key(|moving| std::cmp::Reverse(moving.last_access));
    Ok(moving)
}

async fn of_node(
    node: &Node,
    pool: &Pool,
    from: usize,
    moves: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<Moving>> {
    let remote = remote(node).ok_or_else(|| io::Error::other("an embedded node"))?;
    let (resolved, protection) = (remote.resolved.load(), &pool.settings.protection);
    let mut listing = ProbeConnection::dial(&node.address, &resolved, protection, LIMIT).await?;
    if node.address.is_valkey() {
        return of_valkey(&mut listing.valkey(), from, moves).await;
    }
    listing.begin(LIST).await?;
    let now = unix_time() as u64;
    let mut keys = Vec::new();
    while let Some(line) = listing.next_line(LIMIT).await? {
        let Some(item) = Listed::parse(&line)? else {
            continue;
        };
        let is_over = item.expires.is_some_and(|at| at <= now);
        if is_over || item.key.starts_with(OWN) || !moves(&item.key) {
            continue;
        }
        keys.push(Moving {
            base64: item.base64().map(Into::into),
            from,
            last_access: item.last_access,
            key: item.key.into(),
        });
    }
    Ok(keys)
}

/// The same of a Valkey or Redis, which does not say when items were used.
async fn of_valkey(
    node: &mut Valkey<'_>,
    from: usize,
    moves: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<Moving>> {
    let (mut at, mut moving) = (START.to_vec(), Vec::new());
    loop {
        let (next, keys) = node.list(&at, LIMIT).await?;
        // Others can only have been stored by programs that speak Redis.
        let is_ours = |key: &Vec<u8>| (1..=MAX_KEY).contains(&key.len()) && !key.starts_with(OWN);
        let keys = keys.into_iter().filter(|key| is_ours(key) && moves(key));
        moving.extend(keys.map(|key| Moving {
            base64: in_base64(&key).map(Into::into),
            from,
            last_access: 0,
            key: key.into(),
        }));
        if next == START {
            return Ok(moving);
        }
        at = next;
    }
}
