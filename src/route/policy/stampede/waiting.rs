//! Readers of one worker that wait for a value which another reader computes, perhaps in another process.
//!
//! For each key one of them, the leader, asks the node again and again, and tells the others. A leader that
//! leaves wakes the others, and the next one leads.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::seen::{Seen, State};
use crate::protocol::Reply;

/// The time before the first question, and the longest time between two.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(16)];

/// Readers that wait for one key.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Whether one of them asks the node.
    is_led: Cell<bool>,
    /// The number of questions that were sent.
    asked: Cell<u64>,
    /// The last value that was found, and the number of the question.
    found: RefCell<Option<(u64, Seen)>>,
    /// The placeholder that one of them has removed because its reader took too long.
    removed: Cell<u64>,
    changed: Notify,
}

/// The outcome of a wait.
#[derive(Debug)]
pub enum Outcome {
    /// The node has a value, or this reader has won.
    Seen(Seen),
    /// The node did not answer, or not with an item.
    Failed(Reply),
    /// There is no value yet.
    TimedOut,
}

/// The readers of a worker that wait, by the policy's address and the key.
type WaitingReaders = HashMap<(usize, Box<[u8]>), Rc<Waiting>>;

thread_local! {
    static READERS: RefCell<WaitingReaders> = RefCell::default();
}

/// A reader among those that wait for one key; it leaves them when this is dropped.
#[derive(Debug)]
pub struct WaitingReader {
    place: (usize, Box<[u8]>),
    waiting: Rc<Waiting>,
    /// The number of questions that were sent before it came. Their replies may be older than a write that it
    /// must see.
    before: u64,
}

/// The leader's part; leaving wakes the others.
struct Lead<'a>(&'a Waiting);

impl WaitingReader {
    /// Joins the readers that wait for `key` behind the policy that `identity` stands for.
    pub fn join(identity: &Arc<()>, key: &[u8]) -> WaitingReader {
        let place = (Arc::as_ptr(identity).addr(), Box::from(key));
        let waiting = READERS.with_borrow_mut(|readers| readers.entry(place.clone()).or_default().clone());
        WaitingReader {
            before: waiting.asked.get(),
            place,
            waiting,
        }
    }

    /// Waits until `deadline` at the latest. `ask` asks the node.
    pub async fn wait(&self, deadline: Instant, ask: impl AsyncFn() -> Result<Seen, Reply>) -> Outcome {
        let mut pause = PAUSES[0];
        let mut lead = None;
        loop {
            if let Some(seen) = self.found() {
                return Outcome::Seen(seen);
            }
            if Instant::now() >= deadline {
                return Outcome::TimedOut;
            }
            if lead.is_none() && self.waiting.is_led.get() {
                let changed = self.waiting.changed.notified();
                // Whether that is over or not, it looks again.
                let _elapsed = timeout_at(deadline, changed).await;
                continue;
            }
            lead.get_or_insert_with(|| Lead::take(&self.waiting));
            sleep_until(deadline.min(Instant::now() + pause)).await;
            pause = PAUSES[1].min(pause * 2);
            let number = self.waiting.asked.get() + 1;
            self.waiting.asked.set(number);
            match ask().await {
                Err(reply) => return Outcome::Failed(reply),
                Ok(seen) if seen.state == State::Placeholder && !seen.is_won => {}
                Ok(seen) => {
                    // What one reader has won, and a miss, are not for the others.
                    if !seen.is_won && seen.state != State::Nothing {
                        *self.waiting.found.borrow_mut() = Some((number, seen.clone()));
                    }
                    return Outcome::Seen(seen);
                }
            }
        }
    }

    /// Returns true to the first reader that asks to remove the placeholder with this cas id.
    pub fn may_remove(&self, cas: u64) -> bool {
        self.waiting.removed.replace(cas) != cas
    }

    /// What was found by a question that was sent after it came.
    fn found(&self) -> Option<Seen> {
        let found = self.waiting.found.borrow();
        let (number, seen) = found.as_ref()?;
        (*number > self.before).then(|| seen.clone())
    }
}

impl Drop for WaitingReader {
    fn drop(&mut self) {
        READERS.with_borrow_mut(|readers| {
            // This one, and the table's.
            if Rc::strong_count(&self.waiting) == 2 {
                readers.remove(&self.place);
            }
        });
    }
}

impl<'a> Lead<'a> {
    fn take(waiting: &'a Waiting) -> Lead<'a> {
        waiting.is_led.set(true);
        Lead(waiting)
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.is_led.set(false);
        self.0.changed.notify_waiters();
    }
}
