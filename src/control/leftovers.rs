//! What a node has from an earlier ring, of keys that come back to it: told apart by a mark, and removed
//! while a handover lasts.
//!
//! The mark is a cas id that the node gave before any process serves from it: memcached numbers all writes
//! in one sequence, so what has a lower id was left there before. Workers take such an item for a miss. To
//! remove them all the node lists its items (`lru_crawler metadump all`), and each that moves here and is
//! not newer than the mark is deleted, if its cas id is still the same. One process of a fleet is enough: it
//! leaves a note at the node, and the note's own cas id shows to which handover it belongs.
//!
//! The cas ids of a Valkey or Redis tell no age, so it has no mark, and what moves there is removed before any process
//! serves from it: see [`swept`](super::swept).

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::jitter::jittered;
use super::listed::{LIST, Listed};
use super::per_node_tasks::remote;
use super::probe_client::ProbeConnection;
use crate::config::{self, twins};
use crate::node::Node;
use crate::ring::compare::movement;
use crate::route::handover::progress::{Phase, Progress};
use crate::route::{Handover, Pool};
use crate::snapshot::Snapshot;

/// The maximum time for an answer of a node.
pub(super) const LIMIT: Duration = Duration::from_secs(2);
/// The pause before a node is looked at again.
const PAUSE: Duration = Duration::from_secs(1);
/// The number of keys that are deleted at once.
const BATCH: usize = 500;
/// How long the note of a process lives, in seconds: longer than the others take to look.
pub const NOTE: u32 = 3600;
/// How long a change may be held up to sweep nodes that serve at once; what is not done then is done meanwhile.
const SWEEP: Duration = Duration::from_secs(10);

/// Marks every memcached of the handovers that begin with `snapshot`, and sweeps every Valkey and Redis that serves at
/// once. A node that cannot answer stays without a mark, so that none of its items is read; if one knows no leases there
/// is no handover.
pub async fn mark(snapshot: &Snapshot) {
    let mut asked = JoinSet::new();
    for pool in snapshot.pools.values() {
        let Some(handover) = &pool.handover else { continue };
        let gaining = match handover.progress.plan.prepare.is_zero() {
            true => Gaining::all(pool, handover, snapshot),
            false => Vec::new(),
        };
        for gaining in gaining.into_iter().filter(Gaining::is_valkey) {
            asked.spawn(async move {
                // What goes wrong is told by the task that goes on with it.
                let _swept = timeout(SWEEP, gaining.try_to_clear(&mut None)).await;
            });
        }
        for (member, &index) in pool.nodes.iter().enumerate() {
            let is_valkey = snapshot.nodes[index].address.is_valkey();
            if !is_valkey && handover.progress.mark(member) == u64::MAX {
                let (node, progress) = (snapshot.nodes[index].clone(), handover.progress.clone());
                let protection = pool.settings.protection.clone();
                asked.spawn(async move {
                    let connected = connect(&node, &protection).await;
                    let marked = match connected {
                        Ok(mut connection) => mark_node(&mut connection, &progress, member).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = marked {
                        give_up_or_wait(&node, &progress, &error);
                    }
                });
            }
        }
    }
    while asked.join_next().await.is_some() {}
}

fn give_up_or_wait(node: &Node, progress: &Progress, error: &io::Error) {
    let (pool, node) = (&node.pool, &node.label);
    if error.kind() != ErrorKind::Unsupported {
        return warn!(pool, node, %error, "node cannot be marked yet: its items are not read in the handover");
    }
    warn!(pool, node, %error, "no handover: the keys move at once, and miss until they are filled again");
    progress.enter(Phase::Done, Instant::now());
}

pub(super) async fn connect(node: &Node, protection: &config::Protection) -> io::Result<ProbeConnection> {
    let remote = remote(node).ok_or_else(|| io::Error::other("an embedded node"))?;
    let resolved = remote.resolved.load();
    ProbeConnection::dial(&node.address, &resolved, protection, LIMIT).await
}

/// Takes the mark of the node behind `connection`.
async fn mark_node(connection: &mut ProbeConnection, progress: &Progress, member: usize) -> io::Result<()> {
    progress.set_mark(member, fresh_cas(connection).await?);
    Ok(())
}

/// Returns the cas id of a new placeholder, which lives a second.
async fn fresh_cas(connection: &mut ProbeConnection) -> io::Result<u64> {
    let key = format!("ringway:mark:{:016x}", fastrand::u64(..));
    let answer = connection.question(&format!("mg {key} c N1"), LIMIT).await?;
    let no_leases = || io::Error::new(ErrorKind::Unsupported, format!("it grants no leases: {answer}"));
    cas(&answer).filter(|&cas| cas > 0).ok_or_else(no_leases)
}

fn cas(answer: &str) -> Option<u64> {
    let mut words = answer.split(' ');
    if words.next() != Some("HD") {
        return None;
    }
    words.find_map(|word| word.strip_prefix('c')?.parse().ok())
}

/// A new owner of keys, while a handover lasts.
#[derive(Debug, Clone)]
pub struct Gaining {
    /// The node.
    pub node: Arc<Node>,
    /// Its index among the pool's nodes.
    pub member: usize,
    /// The pool.
    pub pool: Arc<Pool>,
}

impl Gaining {
    /// Returns the nodes that gain keys in `handover`, that of `pool`.
    pub fn all(pool: &Arc<Pool>, handover: &Handover, snapshot: &Snapshot) -> Vec<Gaining> {
        let (old, new) = (&handover.old.settings, &pool.settings);
        let twins = twins(&old.nodes, &new.nodes);
        let old_ring = Pool::whole_ring(old, Some(&handover.old.ring));
        let moves = movement(&old_ring, &Pool::whole_ring(new, Some(&old_ring))).shares;
        let moves = moves.keys().filter(|(from, to)| twins[*from] != Some(*to));
        let members: BTreeSet<usize> = moves.map(|(_, to)| *to).collect();
        let gaining = |member: usize| Gaining {
            node: snapshot.nodes[pool.nodes[member]].clone(),
            member,
            pool: pool.clone(),
        };
        members.into_iter().map(gaining).collect()
    }

    /// Whether it is a Valkey or Redis.
    pub fn is_valkey(&self) -> bool {
        self.node.address.is_valkey()
    }

    pub(super) fn handover(&self) -> &Handover {
        self.pool
            .handover
            .as_ref()
            .expect("only a pool with one has gaining nodes")
    }

    /// Returns once nothing is left there of an earlier ring, or when the handover is over.
    pub async fn clear(self) {
        let progress = self.handover().progress.clone();
        let mut complaint = String::new();
        let mut marked = (progress.mark(self.member) < u64::MAX).then(Instant::now);
        while progress.phase() < Phase::Done {
            match self.try_to_clear(&mut marked).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) if error.to_string() != complaint => {
                    complaint = error.to_string();
                    let (pool, node) = (&self.node.pool, &self.node.label);
                    warn!(pool, node, %error, "leftovers of an earlier ring cannot be removed yet");
                }
                Err(_) => {}
            }
            sleep(jittered(PAUSE)).await;
        }
    }

    /// Returns true if nothing is left there.
    async fn try_to_clear(&self, marked: &mut Option<Instant>) -> io::Result<bool> {
        let protection = &self.pool.settings.protection;
        let progress = &self.handover().progress;
        let mut connection = connect(&self.node, protection).await?;
        if self.is_valkey() {
            return self.try_to_sweep(&mut connection.valkey()).await;
        }
        let Some(marked_at) = *marked else {
            mark_node(&mut connection, progress, self.member).await?;
            *marked = Some(Instant::now());
            return Ok(false);
        };
        if self.has_restarted(&mut connection, marked_at).await? {
            progress.set_mark(self.member, 0);
            return Ok(true);
        }
        // Before, other processes may not have their marks yet, and would not trust the note.
        if progress.phase() < Phase::Serve {
            return Ok(false);
        }
        let (note, mark) = (self.note(), progress.mark(self.member));
        let noted = cas(&connection.question(&format!("mg {note} c"), LIMIT).await?);
        if let Some(until) = progress.joined_until() {
            // The note is of this very handover, because it began at the time in its name. So nothing older is left.
            if noted.is_some() {
                progress.set_mark(self.member, 0);
            }
            return Ok(noted.is_some() || Instant::now() > until);
        }
        if noted.is_some_and(|cas| cas > mark) {
            return Ok(true);
        }
        let removed = self.sweep(&mut connection, mark).await?;
        let mut connection = connect(&self.node, protection).await?;
        connection
            .question(&format!("ms {note} 1 T{NOTE}\r\n1"), LIMIT)
            .await?;
        let (pool, node) = (&self.node.pool, &self.node.label);
        info!(pool, node, removed, "leftovers of an earlier ring removed");
        Ok(true)
    }

    /// Watches the node after its leftovers are removed, until the handover is over: if it is started anew, its items
    /// have lower ids than the mark, but are values.
    pub async fn watch(self) {
        let progress = &self.handover().progress;
        let begun = Instant::now();
        while progress.phase() < Phase::Done && progress.mark(self.member) > 0 {
            sleep(jittered(PAUSE)).await;
            let Ok(mut connection) = connect(&self.node, &self.pool.settings.protection).await else {
                continue;
            };
            if self
                .has_restarted(&mut connection, begun)
                .await
                .is_ok_and(|is_new| is_new)
            {
                progress.set_mark(self.member, 0);
            }
        }
    }

    /// Whether the node was started after `since`, when it was marked already. Such a node has nothing from before, and
    /// counts from one again.
    async fn has_restarted(&self, connection: &mut ProbeConnection, since: Instant) -> io::Result<bool> {
        let uptime = connection.uptime(LIMIT).await?;
        if uptime.is_some_and(|uptime| uptime < since.elapsed().as_secs()) {
            return Ok(true);
        }
        // In its first seconds the uptime does not show it.
        Ok(fresh_cas(connection).await? < self.handover().progress.mark(self.member))
    }

    /// Deletes every item with at most the cas id `mark` whose key moves here. Returns how many.
    async fn sweep(&self, listing: &mut ProbeConnection, mark: u64) -> io::Result<usize> {
        let mut deleting = connect(&self.node, &self.pool.settings.protection).await?;
        let (mut commands, mut count, mut removed) = (Vec::new(), 0, 0);
        listing.begin(LIST).await?;
        while let Some(line) = listing.next_line(LIMIT).await? {
            let listed = Listed::parse(&line)?;
            if let Some(item) = listed.filter(|item| item.cas <= mark && self.moves_here(&item.key)) {
                put_delete(&item, &mut commands);
                count += 1;
            }
            if count == BATCH {
                deleting.delete(&commands, count, LIMIT).await?;
                commands.clear();
                (count, removed) = (0, removed + BATCH);
            }
        }
        deleting.delete(&commands, count, LIMIT).await?;
        Ok(removed + count)
    }

    pub(super) fn moves_here(&self, key: &[u8]) -> bool {
        let own = self.pool.nodes[self.member];
        self.pool.primary(key) == own && self.handover().old.primary(key) != own
    }

    /// The key under which a process notes that it has removed them.
    pub(super) fn note(&self) -> String {
        let mut digest = Md5::new();
        for settings in [&self.handover().old.settings, &self.pool.settings] {
            for node in &settings.nodes {
                digest.update(format!("{:?} {} {}\n", node.name, node.address, node.weight));
            }
            digest.update(format!("{:?} {:?}\n", settings.distribution, settings.hash_tag));
        }
        let from = self
            .pool
            .settings
            .handover
            .as_ref()
            .and_then(|handover| handover.from.as_ref());
        if let Some(from) = from {
            digest.update(format!("{:?}\n", from.began));
        }
        let digest = digest.finalize();
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        format!("ringway:swept:{}", digits.collect::<String>())
    }
}

/// Appends the command that deletes `item` if it is unchanged.
fn put_delete(item: &Listed, commands: &mut Vec<u8>) {
    let base64 = item.base64();
    commands.extend_from_slice(b"md ");
    commands.extend_from_slice(base64.as_deref().unwrap_or(&item.key));
    commands.extend_from_slice(if base64.is_some() { b" b" } else { b"" });
    commands.extend_from_slice(format!(" C{}\r\n", item.cas).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_a_list_is_deleted_if_it_is_unchanged() {
        let mut commands = Vec::new();
        for (key, cas) in [("a b", 17), ("c", 18)] {
            let item = Listed {
                key: key.into(),
                cas,
                last_access: 0,
                expires: None,
            };
            put_delete(&item, &mut commands);
        }
        assert_eq!(commands, b"md YSBi b C17\r\nmd c C18\r\n");
    }
}
