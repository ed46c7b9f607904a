//! Awaits several replies at once, and returns them as they arrive.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::protocol::Reply;
use crate::reply::oneshot::Answer;

/// Pending replies, each under a number.
#[derive(Debug, Default)]
pub struct Race(Vec<(usize, Answer)>);

impl Race {
    /// Adds `answer` to the replies to await.
    pub fn add(&mut self, number: usize, answer: Answer) {
        self.0.push((number, answer));
    }

    /// Returns the next reply with its number; if several have arrived, the one that was added first.
    /// Returns `None` when all have been returned.
    pub async fn next(&mut self) -> Option<(usize, Reply)> {
        if self.0.is_empty() {
            return None;
        }
        let came = poll_fn(|cx| {
            for (index, (number, answer)) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(reply) = Pin::new(answer).poll(cx) {
                    return Poll::Ready((index, (*number, reply)));
                }
            }
            Poll::Pending
        });
        let (index, came) = came.await;
        self.0.remove(index);
        Some(came)
    }
}
