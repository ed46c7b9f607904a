//! Valkey and Redis nodes that gain keys in a handover: what an earlier ring left there is removed before any process
//! reads it.
//!
//! Their cas ids tell no age, so leftovers cannot be told from values. But in *prepare* no value of a key that moves is
//! at its new node, and no process goes on to *serve* before it has seen the node swept, by itself or by another one; until
//! then every item there counts as left over. So strings whose keys move here are deleted, and what was stored for the
//! handover meanwhile, by a process that is a phase ahead, costs a miss.
//!
//! A note at the node spares the other processes the work. It lives as long as they may take to begin, and the first that
//! is done with the handover removes it, so it is never taken for one of a later handover between the same rings. With
//! `handover.from`, whose time is part of the note, it stays for those that join late.

use std::io;

use tokio::time::Instant;
use tracing::info;

use super::leftovers::{Gaining, LIMIT, NOTE, connect};
use super::probe_valkey::{START, Valkey};
use crate::protocol::resp::words::write_words;

/// What Ringway itself stores at nodes.
pub const OWN: &[u8] = b"ringway:";

impl Gaining {
    /// Returns true if nothing of an earlier ring is left at the node, on the connection `node`, or if this process need
    /// not wait for that any longer.
    pub(super) async fn try_to_sweep(&self, node: &mut Valkey<'_>) -> io::Result<bool> {
        let progress = &self.handover().progress;
        // Once it serves, what is there are values.
        if progress.mark(self.member) == 0 {
            return Ok(true);
        }
        let (note, own) = (self.note(), &self.node);
        if node.get(note.as_bytes(), LIMIT).await?.is_some() {
            info!(
                pool = own.pool,
                node = own.label,
                "another process has removed leftovers of an earlier ring"
            );
        } else if let Some(until) = progress.joined_until() {
            return Ok(Instant::now() > until);
        } else {
            let removed = self.sweep_strings(node).await?;
            if let Some(seconds) = self.note_lives() {
                node.set(note.as_bytes(), b"1", seconds, LIMIT).await?;
            }
            info!(
                pool = own.pool,
                node = own.label,
                removed,
                "leftovers of an earlier ring removed"
            );
        }
        progress.set_mark(self.member, 0);
        Ok(true)
    }

    /// Deletes every string whose key moves here. Returns how many.
    async fn sweep_strings(&self, node: &mut Valkey<'_>) -> io::Result<usize> {
        let (mut from, mut removed) = (START.to_vec(), 0);
        loop {
            let (next, keys) = node.list(&from, LIMIT).await?;
            let is_left = |key: &&Vec<u8>| !key.starts_with(OWN) && self.moves_here(key);
            let mut commands = Vec::new();
            let mut count = 0;
            for key in keys.iter().filter(is_left) {
                write_words(&[b"DEL", key], &mut |bytes| commands.extend_from_slice(bytes));
                count += 1;
            }
            if count > 0 {
                node.delete(&commands, count, LIMIT).await?;
            }
            removed += count;
            if next == START {
                return Ok(removed);
            }
            from = next;
        }
    }

    /// How long the note lives in seconds; `None` if this process is the only one.
    fn note_lives(&self) -> Option<u64> {
        let plan = &self.handover().progress.plan;
        match (&plan.from, plan.prepare.as_secs_f64().ceil() as u64) {
            (Some(_), _) => Some(NOTE.into()),
            (None, 0) => None,
            (None, seconds) => Some(seconds),
        }
    }

    /// Removes the note, unless processes that join late wait for it.
    pub(super) async fn forget_note(self) {
        if self.handover().progress.plan.from.is_some() {
            return;
        }
        // If it fails, the note ends by itself.
        if let Ok(mut connection) = connect(&self.node, &self.pool.settings.protection).await {
            let mut command = Vec::new();
            write_words(&[b"DEL", self.note().as_bytes()], &mut |bytes| {
                command.extend_from_slice(bytes)
            });
            let _gone = connection.valkey().delete(&command, 1, LIMIT).await;
        }
    }
}
