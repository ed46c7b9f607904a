//! A reply that is for somebody inside of the worker: for a policy that waits for it, or that looks at it on its way.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::protocol::Reply;

/// The place where one reply lands.
#[derive(Debug, Default)]
pub struct Pending(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

/// The reply, once it is there. Whoever drops it before then does not want it any more: the request goes on.
#[derive(Debug)]
pub struct Answer(pub(super) Rc<Pending>);

impl Pending {
    /// Puts the reply in its place. Of several, as flush_all has them, the last.
    pub fn fill(&self, reply: Reply) {
        let mut state = self.0.borrow_mut();
        state.reply = Some(reply);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Answer {
    /// A reply that is there already.
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
