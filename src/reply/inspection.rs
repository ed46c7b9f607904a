//! A reply that is inspected on its way to its destination.
//!
//! Every request has a slot, so slots are small: a trait object does not fit into one. Each thread keeps the inspectors
//! of the replies that it waits for in a list, and a slot has the place of its inspector there.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use slab::Slab;

use crate::protocol::Reply;

/// Inspects a reply on its way to its destination.
pub trait ReplyInspector: fmt::Debug {
    /// Takes the reply. It may be called during a link's turn, so it must not send requests.
    fn fill(self: Box<Self>, reply: Reply);
}

/// The capacity that an empty list keeps.
const KEEP: usize = 4096;

thread_local! {
    /// The inspectors of this thread, by their places.
    static WAITING: RefCell<Slab<Box<dyn ReplyInspector>>> = const { RefCell::new(Slab::new()) };
}

/// An inspector that waits for its reply, on the thread that it was made on.
#[derive(Debug)]
pub struct Inspection {
    place: u32,
    _on_this_thread: PhantomData<Rc<()>>,
}

impl Inspection {
    /// Lets `inspector` wait for its reply.
    pub fn new(inspector: impl ReplyInspector + 'static) -> Inspection {
        Inspection {
            place: WAITING.with_borrow_mut(|waiting| waiting.insert(Box::new(inspector))) as u32,
            _on_this_thread: PhantomData,
        }
    }

    /// Gives the reply to the inspector.
    #[inline]
    pub fn fill(self, reply: Reply) {
        let inspector = self.take();
        std::mem::forget(self);
        if let Some(inspector) = inspector {
            inspector.fill(reply);
        }
    }

    /// Takes the inspector out of its place, which is free then. `None` if the thread is ending.
    fn take(&self) -> Option<Box<dyn ReplyInspector>> {
        let taken = WAITING.try_with(|waiting| {
            let waiting = &mut *waiting.borrow_mut();
            let inspector = waiting.try_remove(self.place as usize);
            debug_assert!(inspector.is_some(), "no other reply has its place");
            if waiting.is_empty() && waiting.capacity() > KEEP {
                *waiting = Slab::new();
            }
            inspector
        });
        taken.ok().flatten()
    }
}

impl Drop for Inspection {
    /// Drops the inspector of a reply that will not come.
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::slot::{ReplySlot, pending};

    /// Passes a reply on.
    #[derive(Debug)]
    struct Passing {
        slot: ReplySlot,
        _alive: Rc<()>,
    }

    impl ReplyInspector for Passing {
        fn fill(self: Box<Self>, reply: Reply) {
            self.slot.fill(reply);
        }
    }

    fn nested(alive: &Rc<()>, slot: ReplySlot) -> ReplySlot {
        let outside = |slot| {
            ReplySlot::inspected(Passing {
                slot,
                _alive: alive.clone(),
            })
        };
        outside(outside(slot))
    }

    #[tokio::test]
    async fn each_reply_passes_its_own_inspectors_whatever_the_order() {
        let alive = Rc::new(());
        let (slots, answers): (Vec<_>, Vec<_>) = (0..3).map(|_| pending()).unzip();
        let mut slots: Vec<_> = slots.into_iter().map(|slot| nested(&alive, slot)).collect();
        assert_eq!(Rc::strong_count(&alive), 7);
        slots.remove(1).fill(Reply::Number(1));
        // It gets the places of the other.
        let (again, last) = pending();
        slots.push(nested(&alive, again));
        assert!(WAITING.with_borrow(|waiting| waiting.iter().all(|(place, _)| place < 6)));
        for (slot, number) in slots.into_iter().zip([0, 2, 3]) {
            slot.fill(Reply::Number(number));
        }
        for (answer, number) in answers.into_iter().chain([last]).zip(0..) {
            assert_eq!(answer.await, Reply::Number(number));
        }
        assert_eq!(Rc::strong_count(&alive), 1);
        assert!(WAITING.with_borrow(Slab::is_empty));
    }

    #[test]
    fn places_are_given_back_when_many_were_taken_and_none_is() {
        let places = || WAITING.with_borrow(Slab::capacity);
        let many: Vec<_> = (0..=KEEP).map(|_| nested(&Rc::new(()), pending().0)).collect();
        assert!(places() >= 2 * (KEEP + 1));
        drop(many);
        assert_eq!(places(), 0);
    }

    #[test]
    fn inspectors_go_with_the_slot_and_with_the_thread() {
        let alive = Rc::new(());
        drop(nested(&alive, pending().0));
        assert_eq!(Rc::strong_count(&alive), 1);
        let ended = std::thread::spawn(|| std::mem::forget(nested(&Rc::new(()), pending().0))).join();
        assert!(ended.is_ok());
    }
}
