//! The progress of one handover: its phase, which control moves and workers read, and its marks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::*};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::route::handover::recent::Recent;
use crate::route::handover::tally::{Counts, HandoverTally};

/// The time that must pass between the last lease of a process and the first read by another one that does
/// not recognise placeholders: they live ten seconds.
const SETTLE: Duration = Duration::from_secs(12);

/// A phase of a handover, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// The old owners serve; writes delete at the new ones.
    Prepare = 1,
    /// The new owners serve, and get what they lack from the old ones.
    Serve = 2,
    /// The new owners serve; writes still delete at the old ones.
    Finish = 3,
    /// As [`Phase::Finish`], until no placeholder can be left. Shown as no handover.
    Settle = 4,
    /// Nothing is left of it.
    Done = 5,
}

impl Phase {
    const ALL: [Phase; 5] = [
        Phase::Prepare,
        Phase::Serve,
        Phase::Finish,
        Phase::Settle,
        Phase::Done,
    ];

    /// The phase's name; `None` once operators need not know of it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Phase::Prepare => Some("prepare"),
            Phase::Serve => Some("serve"),
            Phase::Finish => Some("finish"),
            Phase::Settle | Phase::Done => None,
        }
    }

    /// Returns the phase that operators know by this name.
    pub fn named(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.name() == Some(name))
    }

    fn next(self) -> Phase {
        Phase::ALL[usize::from(self as u8).min(Phase::ALL.len() - 1)]
    }
}

/// The progress of one handover.
#[derive(Debug)]
pub struct Progress {
    /// How long its phases last.
    pub plan: config::Handover,
    /// The time for which *prepare* lasts at least.
    least: Duration,
    /// The share of all keys that move, from 0 to 1.
    pub moved: f64,
    phase: AtomicU8,
    since: Mutex<Instant>,
    /// Whether an operator skipped *prepare*.
    is_skipped: AtomicBool,
    /// Whether the next change is urgent, because a node died.
    is_hurried: AtomicBool,
    /// Whether another change of the ring waits for its end.
    is_awaited: AtomicBool,
    /// The number of new nodes that may still have items of an earlier ring.
    unclear: AtomicUsize,
    /// By index among the pool's new nodes: an item there whose cas id is at most this was left there before.
    marks: Box<[AtomicU64]>,
    /// By index among the old nodes: whether one was down, so that its values are no longer read.
    lost: Box<[AtomicBool]>,
    /// Set in a process that joined when others may have served already: what it may wait for at most.
    joined: Mutex<Option<Instant>>,
    /// The pool's counts when it began.
    before: Counts,
    recent: Mutex<Recent>,
}

impl Progress {
    /// Returns the progress of a handover that begins, from `old` nodes to `new` ones. No mark is known.
    pub fn new(
        plan: config::Handover,
        moved: f64,
        old: usize,
        new: usize,
        tally: &HandoverTally,
    ) -> Progress {
        Progress {
            plan,
            least: Duration::ZERO,
            moved,
            phase: AtomicU8::new(Phase::Prepare as u8),
            since: Mutex::new(Instant::now()),
            is_skipped: AtomicBool::new(false),
            is_hurried: AtomicBool::new(false),
            is_awaited: AtomicBool::new(false),
            unclear: AtomicUsize::new(new),
            marks: (0..new).map(|_| AtomicU64::new(u64::MAX)).collect(),
            lost: (0..old).map(|_| AtomicBool::new(false)).collect(),
            joined: Mutex::new(None),
            before: tally.counts(),
            recent: Mutex::default(),
        }
    }

    /// Returns it with a *prepare* that lasts at least for `request_timeout`: then requests that were sent before it began
    /// have their answers when values are copied.
    pub fn outlasting(self, request_timeout: Duration) -> Progress {
        Progress {
            least: request_timeout,
            ..self
        }
    }

    /// Its first phase begins now.
    pub fn restart(&self) {
        let mut since = self.since.lock().expect("no holder panics");
        *since = Instant::now();
    }

    /// Whether it is in a *prepare* that only outlasts requests from before: the plan has no time for it, or it was skipped.
    pub fn only_outlasts(&self) -> bool {
        let has_no_time = self.plan.prepare.is_zero() || self.is_skipped.load(Relaxed);
        has_no_time && self.phase() == Phase::Prepare
    }

    /// Goes to where it is `elapsed` after `phase` began, but not beyond the last one, which ends only once leftovers
    /// are removed.
    pub fn go_on(&self, phase: Phase, mut elapsed: Duration) {
        self.enter(phase, Instant::now());
        while self.phase() < Phase::Finish && elapsed >= self.left() {
            elapsed = elapsed.saturating_sub(self.left());
            self.advance();
        }
        let began = Instant::now().checked_sub(elapsed).unwrap_or_else(Instant::now);
        self.enter(self.phase(), began);
    }

    /// Records that this process joined when others may have served already, so its marks are too high to remove
    /// leftovers by. It waits for the others to do so, at most until `until`.
    pub fn join_late(&self, until: Instant) {
        *self.joined.lock().expect("no holder panics") = Some(until);
    }

    /// Until when this process waits for others to remove leftovers; `None` if it does so itself.
    pub fn joined_until(&self) -> Option<Instant> {
        *self.joined.lock().expect("no holder panics")
    }

    /// The phase.
    #[inline]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Acquire)) - 1]
    }

    /// Goes to the next phase, and returns it.
    pub fn advance(&self) -> Phase {
        let next = self.phase().next();
        self.enter(next, Instant::now());
        next
    }

    /// Goes to `phase`, as if that had been at `since`.
    pub fn enter(&self, phase: Phase, since: Instant) {
        *self.since.lock().expect("no holder panics") = since;
        self.phase.store(phase as u8, Release);
    }

    /// How long the phase has lasted.
    pub fn elapsed(&self) -> Duration {
        self.since.lock().expect("no holder panics").elapsed()
    }

    /// How long the phase still lasts.
    pub fn left(&self) -> Duration {
        let whole = match self.phase() {
            Phase::Prepare if self.only_outlasts() => self.least,
            Phase::Prepare => self.plan.prepare.max(self.least),
            Phase::Finish => self.plan.prepare,
            // Each phase must outlast the skew between processes.
            Phase::Serve if self.is_hurried.load(Relaxed) => self.plan.serve.min(self.plan.prepare),
            Phase::Serve => self.plan.serve,
            Phase::Settle => SETTLE,
            Phase::Done => Duration::ZERO,
        };
        whole.saturating_sub(self.elapsed())
    }

    /// Shortens the phase in which values are copied, because a node died and another change waits.
    pub fn hurry(&self) {
        self.is_hurried.store(true, Relaxed);
    }

    /// Goes to the next phase, and returns where it is: *prepare* still outlasts requests from before, and the last one
    /// ends only once no node has items of an earlier ring.
    pub fn skip(&self) -> Phase {
        let phase = self.phase();
        if phase == Phase::Prepare {
            self.is_skipped.store(true, Relaxed);
            return if self.left().is_zero() {
                self.advance()
            } else {
                phase
            };
        }
        if phase < Phase::Finish || self.unclear.load(Relaxed) == 0 {
            return self.advance();
        }
        let begun = Instant::now().checked_sub(self.plan.prepare);
        self.enter(self.phase(), begun.unwrap_or_else(Instant::now));
        self.phase()
    }

    /// Sets the number of new nodes that may still have items of an earlier ring.
    pub fn set_unclear(&self, nodes: usize) {
        self.unclear.store(nodes, Relaxed);
    }

    /// Records that another change of the ring waits for its end.
    pub fn await_end(&self) {
        self.is_awaited.store(true, Relaxed);
    }

    /// Whether another change of the ring waits for its end.
    pub fn is_awaited(&self) -> bool {
        self.is_awaited.load(Relaxed)
    }

    /// The mark of the new node with this index: an item there with at most this cas id is no value.
    #[inline]
    pub fn mark(&self, node: usize) -> u64 {
        self.marks[node].load(Acquire)
    }

    /// Sets the mark of the new node with this index, if there is one.
    pub fn set_mark(&self, node: usize, cas: u64) {
        if let Some(mark) = self.marks.get(node) {
            mark.store(cas, Release);
        }
    }

    /// Records that the old node with this index, if there is one, was down.
    pub fn lose(&self, node: usize) {
        if let Some(lost) = self.lost.get(node) {
            lost.store(true, Relaxed);
        }
    }

    /// Whether the old node with this index was down in this handover.
    pub fn has_lost(&self, node: usize) -> bool {
        self.lost[node].load(Relaxed)
    }

    /// Keeps what was counted until now, for [`Progress::still_old`].
    pub fn keep_counts(&self, tally: &HandoverTally) {
        let mut recent = self.recent.lock().expect("no holder panics");
        recent.keep(Instant::now(), self.counts(tally));
    }

    /// Of the reads of moved keys that found a value in the last half minute, the share that only the old owner could
    /// answer, from 0 to 1; `None` if there were none.
    pub fn still_old(&self, tally: &HandoverTally) -> Option<f64> {
        let recent = self.recent.lock().expect("no holder panics");
        recent.still_old(self.counts(tally))
    }

    /// The counts since it began.
    pub fn counts(&self, tally: &HandoverTally) -> Counts {
        let now = tally.counts();
        Counts {
            new: now.new.wrapping_sub(self.before.new),
            old: now.old.wrapping_sub(self.before.old),
            none: now.none.wrapping_sub(self.before.none),
            copied: now.copied.wrapping_sub(self.before.copied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn phases_last_as_planned_and_prepare_outlasts_requests() {
        let seconds = Duration::from_secs;
        let plan = |prepare, serve| config::Handover {
            prepare: seconds(prepare),
            serve: seconds(serve),
            from: None,
        };
        let begin = |plan| Progress::new(plan, 0.2, 1, 1, &HandoverTally::new(1));
        let progress = begin(plan(20, 100));
        let mut seen = Vec::new();
        while progress.phase() < Phase::Done {
            seen.push((progress.phase(), progress.left()));
            progress.advance();
        }
        assert_eq!(
            seen,
            [
                (Phase::Prepare, seconds(20)),
                (Phase::Serve, seconds(100)),
                (Phase::Finish, seconds(20)),
                (Phase::Settle, SETTLE),
            ]
        );
        let left = |prepare| begin(plan(prepare, 100)).outlasting(seconds(3)).left();
        assert_eq!([left(0), left(2), left(4)], [3, 3, 4].map(seconds));
        let hurried = begin(plan(20, 100));
        hurried.advance();
        hurried.hurry();
        assert_eq!(
            hurried.left(),
            seconds(20),
            "but no less than the skew of processes"
        );
    }
}
