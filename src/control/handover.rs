//! Moves the phases of handovers, by this process's clock, and ends them.
//!
//! A reload, or a change of discovered nodes, begins a handover. Its leftovers are removed while it lasts,
//! and it ends only once they are. A further change of the pool's ring waits until then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::leftovers::Gaining;
use super::reload::Reloader;
use crate::config::show_duration;
use crate::diff::percent;
use crate::route::handover::progress::{Phase, Progress};
use crate::route::{Handover, Pool};
use crate::snapshot::Snapshot;
use crate::state::State;

/// The interval between looks at the clock.
const INTERVAL: Duration = Duration::from_millis(100);

/// A handover as control follows it.
struct Followed {
    progress: Arc<Progress>,
    /// Nodes whose leftovers are being removed, with the tasks that do so.
    unclear: Vec<(Gaining, AbortHandle)>,
    /// The tasks of all nodes that gain keys, which end with this.
    tasks: JoinSet<()>,
    /// The phase at the last look.
    phase: Phase,
    /// Whether it was logged that the end waits for them.
    is_waiting: bool,
}

/// Moves phases until this future is dropped.
pub async fn run(state: Arc<State>, reloader: Arc<Reloader>) {
    let mut changed = state.changed.subscribe();
    let mut followed = BTreeMap::new();
    loop {
        let looked = look(&state, &mut followed);
        if looked.is_changed {
            reloader.keep_handovers().await;
        }
        if looked.was_awaited && reloader.path().is_some() {
            // A file that was taken while a handover went on is taken whole now. Its outcome is logged.
            let _ = reloader.reload().await;
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep(INTERVAL), if !followed.is_empty() => {}
        }
    }
}

/// What a look at the clock led to.
#[derive(Debug, Default)]
struct Looked {
    /// Whether a handover began, went on or ended.
    is_changed: bool,
    /// Whether a change of the file waited for a handover that is over now.
    was_awaited: bool,
}

/// Moves what is due.
fn look(state: &Arc<State>, followed: &mut BTreeMap<String, Followed>) -> Looked {
    let snapshot = state.snapshot.load_full();
    followed.retain(|name, known| {
        let handover = snapshot.pools.get(name).and_then(|pool| pool.handover.as_ref());
        handover.is_some_and(|handover| Arc::ptr_eq(&handover.progress, &known.progress))
    });
    let mut looked = Looked::default();
    let mut is_over = false;
    for (name, pool) in &snapshot.pools {
        let Some(handover) = &pool.handover else { continue };
        let known = followed
            .entry(name.clone())
            .or_insert_with(|| begin(name, pool, handover, &snapshot));
        let progress = &handover.progress;
        progress.keep_counts(&handover.tally);
        if progress.is_awaited() && has_down(pool, &snapshot) {
            progress.hurry();
        }
        if progress.phase() <= Phase::Finish {
            known.look();
        }
        while progress.phase() < Phase::Done && progress.left().is_zero() {
            if progress.phase() == Phase::Finish && !known.may_end(name, pool) {
                break;
            }
            let phase = progress.advance();
            tell(name, handover, phase);
        }
        let phase = progress.phase();
        looked.is_changed |= phase != std::mem::replace(&mut known.phase, phase);
        if phase == Phase::Done {
            is_over = true;
            forget_notes(pool, handover, &snapshot);
            looked.was_awaited |= progress.is_awaited();
        }
    }
    if is_over {
        state.publish(Snapshot::build(snapshot.config.clone(), Some(&snapshot)));
    }
    looked
}

/// Waits while handovers of `snapshot` only outlast requests from before.
pub async fn outlast_requests(snapshot: &Snapshot) {
    for handover in snapshot.pools.values().filter_map(|pool| pool.handover.as_ref()) {
        outlast(&handover.progress).await;
    }
}

/// Waits while a handover only outlasts requests from before.
async fn outlast(progress: &Progress) {
    let is_over = async {
        while progress.only_outlasts() {
            sleep(progress.left().max(INTERVAL / 10)).await;
        }
    };
    // If this thread was held up, the caller need not be.
    let _ended = timeout(progress.left() + 2 * INTERVAL, is_over).await;
}

fn begin(name: &str, pool: &Arc<Pool>, handover: &Handover, snapshot: &Snapshot) -> Followed {
    let progress = handover.progress.clone();
    let plan = &progress.plan;
    info!(
        pool = name,
        phase = progress.phase().name(),
        moved = percent(progress.moved),
        prepare = show_duration(plan.prepare),
        serve = show_duration(plan.serve),
        "handover began"
    );
    let mut tasks = JoinSet::new();
    let gaining = Gaining::all(pool, handover, snapshot).into_iter();
    let unclear = gaining
        .map(|gaining| (gaining.clone(), tasks.spawn(gaining.clear())))
        .collect();
    Followed {
        phase: progress.phase(),
        progress,
        unclear,
        tasks,
        is_waiting: false,
    }
}

impl Followed {
    /// Looks which nodes may still have something of an earlier ring. What a node may have that is down is
    /// never read: it is flushed before it takes keys again.
    fn look(&mut self) {
        self.unclear.retain(|(gaining, task)| {
            if task.is_finished() {
                self.tasks.spawn(gaining.clone().watch());
                return false;
            }
            let is_down = !gaining.node.state().takes_requests();
            if is_down {
                task.abort();
                gaining.node.forget_items();
                self.progress.set_mark(gaining.member, 0);
            }
            !is_down
        });
        self.progress.set_unclear(self.unclear.len());
    }

    /// Whether the last phase may end: nothing is left of an earlier ring, or the operator turned handovers
    /// off.
    fn may_end(&mut self, name: &str, pool: &Pool) -> bool {
        let left = self.unclear.len();
        if left == 0 || pool.settings.handover.is_none() {
            return true;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            warn!(
                pool = name,
                nodes = left,
                "handover goes on until leftovers of an earlier ring are removed"
            );
        }
        false
    }
}

/// Removes the notes about Valkey and Redis nodes, which say nothing of the next handover.
fn forget_notes(pool: &Arc<Pool>, handover: &Handover, snapshot: &Snapshot) {
    let gaining = Gaining::all(pool, handover, snapshot).into_iter();
    for gaining in gaining.filter(Gaining::is_valkey) {
        tokio::spawn(gaining.forget_note());
    }
}

fn has_down(pool: &Pool, snapshot: &Snapshot) -> bool {
    pool.all_nodes()
        .any(|index| !snapshot.nodes[index].state().takes_requests())
}

/// Why a handover does not go to its next phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CannotSkip {
    /// There is none.
    #[error("no handover of this pool is going on")]
    None,
    /// It has left the phase that was given, or has not reached it yet.
    #[error("the handover is in {0}")]
    InPhase(&'static str),
}

/// Goes to the next phase of the handover of the pool called `name`, but only if it is in phase `from`, if that is given.
/// *prepare* still ends only once requests from before are answered, which is waited for, and *finish* once leftovers are
/// removed. Returns the phase's name.
///
/// # Errors
/// [`CannotSkip`]; nothing was done.
pub async fn next(snapshot: &Snapshot, name: &str, from: Option<Phase>) -> Result<&'static str, CannotSkip> {
    let pool = snapshot.pools.get(name);
    let handover = pool.and_then(|pool| pool.handover.as_ref());
    let handover = handover.ok_or(CannotSkip::None)?;
    let before = handover.progress.phase();
    let running = before.name().ok_or(CannotSkip::None)?;
    if from.is_some_and(|from| from != before) {
        return Err(CannotSkip::InPhase(running));
    }
    let progress = &handover.progress;
    let phase = progress.skip();
    if phase != before {
        tell(name, handover, phase);
    }
    outlast(progress).await;
    Ok(progress.phase().name().unwrap_or("none"))
}

fn tell(name: &str, handover: &Handover, phase: Phase) {
    let counts = handover.progress.counts(&handover.tally);
    let (read_new, read_old, copied) = (counts.new, counts.old, counts.copied);
    match phase.name() {
        Some(phase) => info!(pool = name, phase, read_new, read_old, copied, "handover goes on"),
        None if phase == Phase::Settle => {
            info!(pool = name, read_new, read_old, copied, "handover is done")
        }
        None => {}
    }
}
