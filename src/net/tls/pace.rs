//! Limits handshakes to one costly step in each turn of a thread's event loop.
//!
//! A handshake computes for some hundred microseconds, in one or two of its steps. If many connections
//! break at once, as when a node is restarted, their handshakes would delay the requests to all other nodes
//! for the sum of that time. So a handshake that has just computed shuts the gate of its thread, and opens
//! it again when the loop has polled for events; those that find it shut come back then. A handshake that
//! only waits passes freely, so a node that is silent in the middle of one delays no other.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::runtime::turn::go_on_later;

/// The time above which a step must have computed something.
const CHEAP: Duration = Duration::from_micros(50);

thread_local! {
    static IS_SHUT: Cell<bool> = const { Cell::new(false) };
}

/// The shut gate of this thread; it opens when this is dropped.
struct Shut;

impl Shut {
    fn gate() -> Shut {
        IS_SHUT.set(true);
        Shut
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        IS_SHUT.set(false);
    }
}

/// A handshake at a limited pace.
struct Paced<F: Future> {
    handshake: Pin<Box<F>>,
    gate: Option<Shut>,
    /// The result, if the handshake is done and the loop has not polled for events since.
    done: Option<F::Output>,
}

impl<F: Future> Unpin for Paced<F> {}

/// Runs `handshake` with one costly step in each turn.
pub fn paced<F: Future>(handshake: F) -> impl Future<Output = F::Output> {
    Paced {
        handshake: Box::pin(handshake),
        gate: None,
        done: None,
    }
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.gate = None;
        if let Some(done) = self.done.take() {
            return Poll::Ready(done);
        }
        if IS_SHUT.get() {
            go_on_later(cx);
            return Poll::Pending;
        }
        let begun = Instant::now();
        let polled = self.handshake.as_mut().poll(cx);
        if begun.elapsed() < CHEAP {
            return polled;
        }
        if let Poll::Ready(done) = polled {
            self.done = Some(done);
        }
        self.gate = Some(Shut::gate());
        go_on_later(cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// Computes `steps` times, and records the turn of the loop of each.
    async fn compute(steps: usize, turn: Rc<Cell<u64>>, noted: Rc<std::cell::RefCell<Vec<u64>>>) {
        for _ in 0..steps {
            let begun = Instant::now();
            while begun.elapsed() < CHEAP * 2 {}
            noted.borrow_mut().push(turn.get());
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn no_turn_of_the_loop_has_two_costly_steps_and_a_silent_peer_holds_up_none() {
        let (turn, noted) = (Rc::new(Cell::new(0)), Rc::default());
        let local = LocalSet::new();
        let counted = turn.clone();
        local.spawn_local(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        local.spawn_local(paced(std::future::pending::<()>()));
        let all = (0..20).map(|_| local.spawn_local(paced(compute(3, turn.clone(), Rc::clone(&noted)))));
        let all: Vec<_> = all.collect();
        local
            .run_until(async {
                for one in all {
                    one.await.expect("it computes");
                }
            })
            .await;
        let turns = noted.borrow();
        assert_eq!(turns.len(), 60);
        // The task that counts turns runs first in some of them and last in others.
        assert!(turns.windows(3).all(|steps| steps[0] < steps[2]), "{turns:?}");
    }

    #[test]
    fn the_gate_opens_again_when_a_handshake_is_given_up() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("made");
        let _entered = runtime.enter();
        let mut given_up = Box::pin(paced(async {
            let begun = Instant::now();
            while begun.elapsed() < CHEAP * 2 {}
        }));
        assert!(given_up.as_mut().poll(&mut cx).is_pending());
        assert!(IS_SHUT.get());
        drop(given_up);
        assert!(!IS_SHUT.get());
    }
}
