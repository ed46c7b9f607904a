//! The log of missed writes on disk, which survives the end of the process.
//!
//! ```text
//!   worker: a write failed ─▶ append ─▶ queue ─▶ thread `missed-writes`: write, fdatasync ─▶ commit ─▶ the reply
//!   control: it was deleted ─▶ append ─▶   │        └ all at once that came meanwhile
//!                                          └ the file has doubled, or the disk had failed: written anew
//! ```
//!
//! Workers and control [append](Journal::append) what changed, in the order in which it did, and go on. One thread writes
//! it; it is the only one that touches the file. Nothing is gathered on purpose: while the disk is busy with one commit
//! the next fills up. Whoever needs a record to be safe waits for its [`Commit`], but never for longer than [`PATIENCE`].
//!
//! The file is append-only, and is written anew from what is remembered when it has doubled: beside the old one, synced,
//! renamed over it, and the directory synced. So it takes no more than twice what is remembered, and a constant.
//!
//! A disk that is full, fails or is too slow costs no request: what is remembered is in memory all the same, commits are
//! no longer waited for, the log and a counter say so, and the file is written anew as soon as that succeeds.

pub mod file;
pub mod record;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::log_limit::LogLimit;
use record::Record;

/// So long a reply waits for the disk at most.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes that may wait for the disk. Past them the file is written anew from what is remembered.
const MAX_QUEUE: usize = 4 << 20;
/// One line of the log in so long says that the disk fails.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The log, as all threads see it.
#[derive(Debug)]
pub struct Journal {
    queue: Mutex<Queue>,
    /// There is something to write.
    work: Condvar,
    progress: watch::Sender<Progress>,
    errors: AtomicU64,
    /// What the time of the log limit is counted from.
    born: Instant,
    log: LogLimit,
}

#[derive(Debug, Default)]
struct Queue {
    /// Records that are not written.
    bytes: Vec<u8>,
    /// The number of the last record.
    appended: u64,
    /// Records were left out: the file must be written anew, and what is appended until then need not wait here.
    is_incomplete: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The number of the last record that is on disk.
    committed: u64,
    /// The disk fails: nobody waits for it.
    is_failing: bool,
}

/// What the thread that writes is to do next.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    /// Write these records at the end of the file.
    Append(Vec<u8>),
    /// Write the file anew.
    Rewrite,
}

/// Records that are on their way to the disk.
#[derive(Debug)]
pub struct Commit {
    journal: Arc<Journal>,
    /// The last of them.
    number: u64,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: watch::Sender::default(),
            errors: AtomicU64::new(0),
            born: Instant::now(),
            log: LogLimit::new(LOG_INTERVAL),
        }
    }
}

impl Journal {
    /// Adds `record`. Whoever changes what it tells of holds that until this returns, so that records stand in the order
    /// of the changes.
    pub fn append(&self, record: &Record<'_>) {
        let mut queue = self.lock();
        queue.appended += 1;
        if !queue.is_incomplete {
            record.encode(&mut queue.bytes);
            queue.is_incomplete = queue.bytes.len() > MAX_QUEUE;
        }
        if queue.is_incomplete {
            queue.bytes = Vec::new();
        }
        drop(queue);
        self.work.notify_one();
    }

    /// All records so far, if they are still to be waited for: they are not on disk, and the disk works.
    pub fn commit(self: &Arc<Journal>) -> Option<Commit> {
        let number = self.lock().appended;
        let progress = *self.progress.borrow();
        let is_awaited = !progress.is_failing && progress.committed < number;
        is_awaited.then(|| Commit {
            journal: self.clone(),
            number,
        })
    }

    /// Times that the disk failed or was too slow.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Waits for something to write. Returns it with the number of the last record that it has.
    fn next(&self) -> (Task, u64) {
        let mut queue = self.lock();
        while queue.bytes.is_empty() && !queue.is_incomplete {
            queue = self.work.wait(queue).expect("no holder panics");
        }
        if queue.is_incomplete {
            drop(queue);
            return (Task::Rewrite, self.begin_rewrite());
        }
        (Task::Append(std::mem::take(&mut queue.bytes)), queue.appended)
    }

    /// The file is about to be written anew from what is remembered *after* this call: it has all records so far, of
    /// which the last is returned. What is appended meanwhile comes behind it.
    fn begin_rewrite(&self) -> u64 {
        let mut queue = self.lock();
        queue.bytes = Vec::new();
        queue.is_incomplete = false;
        queue.appended
    }

    /// The records up to `number` are on disk.
    fn committed(&self, number: u64) {
        let mut was_failing = false;
        self.progress.send_modify(|progress| {
            progress.committed = number;
            was_failing = std::mem::take(&mut progress.is_failing);
        });
        if was_failing {
            info!("missed writes are on disk again");
        }
    }

    /// The disk failed: nobody waits for it until the file was written anew.
    fn failed(&self, error: &io::Error) {
        let mut queue = self.lock();
        queue.bytes = Vec::new();
        queue.is_incomplete = true;
        drop(queue);
        self.complain(error);
    }

    fn complain(&self, error: &io::Error) {
        self.errors.fetch_add(1, Relaxed);
        self.progress.send_modify(|progress| progress.is_failing = true);
        if let Some(held_back) = self.log.allow(self.born.elapsed()) {
            warn!(%error, held_back, "missed writes are kept in memory only: they cannot be written to missed_writes.dir");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder panics")
    }
}

impl Commit {
    /// Waits until the records are on disk, or it is known that they cannot be, or for [`PATIENCE`].
    pub async fn done(self) {
        let mut progress = self.journal.progress.subscribe();
        let is_over = |progress: &Progress| progress.is_failing || progress.committed >= self.number;
        if timeout(PATIENCE, progress.wait_for(is_over)).await.is_err() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the disk is too slow");
            self.journal.complain(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::record::Change;
    use super::*;

    fn missed(key: &[u8]) -> Record<'_> {
        Record {
            pool: "main",
            node: "a",
            change: Change::Missed(key),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_waited_for_until_it_is_on_disk() {
        let journal = Arc::new(Journal::default());
        assert!(journal.commit().is_none(), "nothing is to be written");
        journal.append(&missed(b"a"));
        let commit = journal.commit().expect("it is to be written");
        let (task, number) = journal.next();
        assert!(matches!(task, Task::Append(bytes) if !bytes.is_empty()));
        let done = tokio::spawn(commit.done());
        tokio::task::yield_now().await;
        assert!(!done.is_finished());
        journal.committed(number);
        done.await.expect("done");
        assert!(journal.commit().is_none());
        assert_eq!(journal.errors(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_fails_or_does_not_answer_is_not_waited_for() {
        let journal = Arc::new(Journal::default());
        journal.append(&missed(b"a"));
        let commit = journal.commit().expect("it is to be written");
        journal.next();
        journal.failed(&io::Error::other("no space"));
        commit.done().await;
        journal.append(&missed(b"b"));
        assert!(journal.commit().is_none(), "it fails");
        assert_eq!(journal.next(), (Task::Rewrite, 2), "both are written then");
        journal.append(&missed(b"c"));
        journal.committed(2);
        let late = journal.commit().expect("it works again, and c is to be written");
        late.done().await;
        assert_eq!(journal.errors(), 2, "it did not answer");
        assert!(journal.commit().is_none());
    }

    #[test]
    fn more_than_may_wait_is_written_anew() {
        let journal = Journal::default();
        let key = vec![b'k'; 60_000];
        (0..100).for_each(|_| journal.append(&missed(&key)));
        assert!(journal.lock().bytes.len() <= MAX_QUEUE);
        assert_eq!(journal.next(), (Task::Rewrite, 100));
    }
}
