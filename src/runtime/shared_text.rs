//! Texts about Ringway itself, such as `stats`, rendered once for all sessions of a worker that are waiting
//! for them.
//!
//! A text must reflect everything that was requested before it. So a session that wants one first ends its
//! turn and waits ([`SharedTexts::wait`]); it may share any text rendered after that. In each turn of the
//! event loop the first waiting session renders, and the others share. While no session waits, nothing is
//! kept.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use super::memory::MemoryBudget;

/// The texts of one worker.
#[derive(Debug, Default)]
pub struct SharedTexts {
    /// The number of texts rendered.
    rendered: Cell<u64>,
    waiting: Cell<usize>,
    /// Texts by request, with the number of their rendering.
    texts: RefCell<HashMap<String, (u64, Bytes)>>,
    budget: MemoryBudget,
}

/// A session's wait for a text.
#[derive(Debug)]
pub struct Waiting {
    shared: Rc<SharedTexts>,
    /// The number of texts rendered before the wait began.
    since: u64,
}

impl SharedTexts {
    /// Returns an empty store. Kept texts count in `budget`.
    pub fn new(budget: MemoryBudget) -> SharedTexts {
        SharedTexts {
            budget,
            ..SharedTexts::default()
        }
    }

    /// Begins the wait of a session.
    pub fn wait(self: &Rc<SharedTexts>) -> Waiting {
        self.waiting.set(self.waiting.get() + 1);
        Waiting {
            shared: self.clone(),
            since: self.rendered.get(),
        }
    }
}

impl Waiting {
    /// Returns the answer to `asked`: one rendered since the wait began, or the result of `render`.
    pub fn take(self, asked: String, render: impl FnOnce() -> String) -> Bytes {
        let shared = &self.shared;
        if let Some((number, text)) = shared.texts.borrow().get(&asked)
            && *number > self.since
        {
            return text.clone();
        }
        let text = Bytes::from(render());
        shared.rendered.set(shared.rendered.get() + 1);
        if shared.waiting.get() > 1 {
            let mut texts = shared.texts.borrow_mut();
            texts.insert(asked, (shared.rendered.get(), text.clone()));
            shared
                .budget
                .set(texts.values().map(|(_, text)| text.len()).sum());
        }
        text
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.waiting.set(shared.waiting.get() - 1);
        if shared.waiting.get() == 0 {
            *shared.texts.borrow_mut() = HashMap::new();
            shared.budget.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(waiting: Waiting, asked: &str, text: &str) -> String {
        let text = waiting.take(asked.to_owned(), || text.to_owned());
        String::from_utf8(text.to_vec()).expect("text")
    }

    #[test]
    fn those_that_wait_share_a_text_and_one_that_waits_later_has_its_own() {
        let shared = Rc::new(SharedTexts::default());
        let (one, two, other) = (shared.wait(), shared.wait(), shared.wait());
        assert_eq!(take(one, "stats", "first"), "first");
        let late = shared.wait();
        assert_eq!(take(two, "stats", "second"), "first");
        assert_eq!(take(other, "stats nodes", "nodes"), "nodes", "another question");
        assert_eq!(
            take(late, "stats", "third"),
            "third",
            "what it asked before counts"
        );
    }

    #[test]
    fn nothing_is_kept_when_none_waits() {
        let shared = Rc::new(SharedTexts::default());
        let (one, two) = (shared.wait(), shared.wait());
        take(one, "stats", "text");
        assert_eq!(shared.texts.borrow().len(), 1);
        drop(two);
        assert!(shared.texts.borrow().is_empty());
        take(shared.wait(), "stats", "text");
        assert!(shared.texts.borrow().is_empty(), "it is alone");
    }
}
