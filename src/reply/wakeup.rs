//! Wakes a task once for all events before its next turn.

use std::task::{Context, Waker};

/// The task to wake, and whether it was woken since its last turn.
#[derive(Debug, Default)]
pub struct Wakeup {
    waker: Option<Waker>,
    is_woken: bool,
}

impl Wakeup {
    /// Registers the task to wake. The task calls it at the beginning of each of its turns, or at the end
    /// if it called [`Wakeup::hold`] at the beginning.
    #[inline]
    pub fn register(&mut self, cx: &Context<'_>) {
        self.is_woken = false;
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    /// Suppresses wakeups during the task's own turn, in which it checks for events itself.
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
