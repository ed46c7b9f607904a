//! Wakes a task once for all that happens until its next turn.

use std::task::{Context, Waker};

/// Whom to wake, and whether that was done since its last turn.
#[derive(Debug, Default)]
pub struct Wakeup {
    waker: Option<Waker>,
    is_woken: bool,
}

impl Wakeup {
    /// Notes whom to wake; the task calls it at the beginning of each of its turns, or at the end where it
    /// called [`Wakeup::hold`] at the beginning.
    #[inline]
    pub fn register(&mut self, cx: &Context<'_>) {
        self.is_woken = false;
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    /// The task sees for itself what happens in this turn of its own.
    #[inline]
    pub fn hold(&mut self) {
        self.is_woken = true;
    }

    /// Wakes the task, unless it was woken since its last turn or holds.
    #[inline]
    pub fn wake(&mut self) {
        if !self.is_woken
            && let Some(waker) = &self.waker
        {
            self.is_woken = true;
            waker.wake_by_ref();
        }
    }
}
