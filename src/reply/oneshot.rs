//! A single reply for a policy, which waits for it or inspects it on its way.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::protocol::Reply;

/// The receiving end of one reply.
#[derive(Debug, Default)]
pub struct Pending(RefCell<PendingState>);

#[derive(Debug, Default)]
struct PendingState {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

/// A future of the reply. Dropping it discards the reply; the request continues.
#[derive(Debug)]
pub struct Answer(pub(super) Rc<Pending>);

impl Pending {
    /// Stores the reply. Of several, as flush_all has them, the last one counts.
    pub fn fill(&self, reply: Reply) {
        let mut state = self.0.borrow_mut();
        state.reply = Some(reply);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Answer {
    /// Returns an answer that is complete already.
    pub fn ready(reply: Reply) -> Answer {
        let pending = Rc::new(Pending::default());
        pending.fill(reply);
        Answer(pending)
    }
}

impl Future for Answer {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let mut state = self.0.0.borrow_mut();
        match state.reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
