//! The log of missed writes on disk, which survives the end of the process.
//!
//! ```text
//!   worker: a write failed ─▶ append ─▶ queue ─▶ thread `missed-writes`: write, fdatasync ─▶ commit ─▶ the reply
//!   control: it was deleted ─▶ append ─▶   │        └ everything that arrived meanwhile, at once
//!                                          └ the file has doubled, or the disk had failed: rewritten
//! ```
//!
//! Workers and control [append](Journal::append) changes in the order in which they happen, and continue.
//! One thread writes them; only it touches the file. There is no artificial delay to batch records: while
//! the disk is busy with one commit, the next one fills up. A reply that requires a record to be on disk
//! waits for its [`Commit`], but never for longer than [`PATIENCE`].
//!
//! The file is append-only. When it has doubled it is rewritten from what is recorded now: beside the old
//! one, synced, renamed over it, and the directory synced. So it takes at most twice the size of the
//! records, plus a constant.
//!
//! A disk that is full, fails or is too slow fails no request: the records are in memory too, commits are
//! no longer waited for, the log and a counter report it, and the file is rewritten as soon as that
//! succeeds.

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

/// The maximum time that a reply waits for the disk.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// The maximum number of bytes that wait for the disk. Beyond it the file is rewritten instead.
const MAX_QUEUE: usize = 4 << 20;
/// The interval between log lines about a failing disk.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The log, as all threads see it.
#[derive(Debug)]
pub struct Journal {
    queue: Mutex<Unwritten>,
    /// Signals that there is something to write.
    work: Condvar,
    progress: watch::Sender<Committed>,
    errors: AtomicU64,
    /// The origin of times for the log limit.
    born: Instant,
    log: LogLimit,
}

#[derive(Debug, Default)]
struct Unwritten {
    /// Records that are not written yet.
    bytes: Vec<u8>,
    /// The number of the last record.
    appended: u64,
    /// Whether records were dropped: then the file must be rewritten, and records appended before that need
    /// not be queued.
    is_incomplete: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Committed {
    /// The number of the last record on disk.
    committed: u64,
    /// Whether the disk is failing; then nothing waits for it.
    is_failing: bool,
}

/// The next task of the writing thread.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    /// Append these records to the file.
    Append(Vec<u8>),
    /// Rewrite the file.
    Rewrite,
}

/// Records on their way to the disk.
#[derive(Debug)]
pub struct Commit {
    journal: Arc<Journal>,
    /// The number of the last of them.
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
    /// Appends `record`. The caller must hold the lock on the state that it describes until this returns,
    /// so that records are in the order of the changes.
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

    /// Returns a commit of all records so far, unless waiting for it is unnecessary (they are on disk) or
    /// useless (the disk is failing).
    pub fn commit(self: &Arc<Journal>) -> Option<Commit> {
        let number = self.lock().appended;
        let progress = *self.progress.borrow();
        let is_awaited = !progress.is_failing && progress.committed < number;
        is_awaited.then(|| Commit {
            journal: self.clone(),
            number,
        })
    }

    /// The number of times that the disk failed or was too slow.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Waits for something to write. Returns the task and the number of the last record that it includes.
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

    /// Begins to rewrite the file from what is recorded *after* this call, which includes all records so
    /// far. Returns the number of the last of these. Records appended meanwhile are written behind them.
    fn begin_rewrite(&self) -> u64 {
        let mut queue = self.lock();
        queue.bytes = Vec::new();
        queue.is_incomplete = false;
        queue.appended
    }

    /// Records that the records up to `number` are on disk.
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

    /// Records that the disk failed: nothing waits for it until the file was rewritten.
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

    fn lock(&self) -> MutexGuard<'_, Unwritten> {
        self.queue.lock().expect("no holder panics")
    }
}

impl Commit {
    /// Waits until the records are on disk, or it is known that they cannot be, or for [`PATIENCE`].
    pub async fn done(self) {
        let mut progress = self.journal.progress.subscribe();
        let is_over = |progress: &Committed| progress.is_failing || progress.committed >= self.number;
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
        assert!(journal.commit().is_none(), "there is nothing to write");
        journal.append(&missed(b"a"));
        let commit = journal.commit().expect("there is a record to write");
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
        let commit = journal.commit().expect("there is a record to write");
        journal.next();
        journal.failed(&io::Error::other("no space"));
        commit.done().await;
        journal.append(&missed(b"b"));
        assert!(journal.commit().is_none(), "it fails");
        assert_eq!(journal.next(), (Task::Rewrite, 2), "both are written then");
        journal.append(&missed(b"c"));
        journal.committed(2);
        let late = journal.commit().expect("it works again, and c must be written");
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
