//! When a node is to be flushed, after a `flush_all` with a delay: the last one counts, as in memcached.

use std::mem;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The flush of one node that is pending, if any.
#[derive(Debug, Default)]
pub struct FlushTimer {
    state: Mutex<TimerState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct TimerState {
    at: Option<Instant>,
    /// Whether a task is in [`FlushTimer::due`].
    is_awaited: bool,
}

impl FlushTimer {
    /// Replaces what is pending by a flush at this time, or by none. Returns true if the caller must await it by
    /// [`FlushTimer::due`], because no other task does.
    pub fn set(&self, at: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.at = at;
        if state.is_awaited {
            self.changed.notify_one();
        }
        at.is_some() && !mem::replace(&mut state.is_awaited, true)
    }

    /// Waits until the pending flush is due. Returns false if none is pending any more.
    pub async fn due(&self) -> bool {
        loop {
            let at = match self.take_due() {
                Ok(is_due) => return is_due,
                Err(at) => at,
            };
            let _changed_or_due = timeout_at(at, self.changed.notified()).await;
        }
    }

    /// Takes the pending flush if it is due, and returns whether there was one.
    ///
    /// # Errors
    /// The time of the pending flush, if it is not due yet.
    fn take_due(&self) -> Result<bool, Instant> {
        let mut state = self.lock();
        match state.at {
            Some(at) if at > Instant::now() => Err(at),
            at => {
                *state = TimerState::default();
                Ok(at.is_some())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, TimerState> {
        self.state.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(seconds: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_flush_counts_and_one_task_awaits_it() {
        let timer = FlushTimer::default();
        for then in [Some(3), Some(9), None] {
            let begun = Instant::now();
            assert!(timer.set(after(5)));
            let change = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let at = then.and_then(|seconds| after(seconds - 1));
                assert!(!timer.set(at), "it is awaited already");
            };
            let (is_due, ()) = tokio::join!(timer.due(), change);
            assert_eq!(is_due, then.is_some());
            assert_eq!(begun.elapsed().as_secs(), then.unwrap_or(1));
        }
        assert!(!timer.set(None), "there is nothing to await");
    }
}
