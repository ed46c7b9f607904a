//! Keeps a request in progress until everything that it started is done.

use std::fmt;
use std::rc::Rc;

/// The requests in progress of one session.
pub trait InProgress: fmt::Debug {
    /// One more holds the request with this number.
    fn hold(&self, number: u64);

    /// One fewer holds the request with this number; without any it is done.
    fn release(&self, number: u64);
}

/// Holds a request in progress until this and each of its clones is dropped.
#[derive(Debug)]
pub struct Hold {
    requests: Rc<dyn InProgress>,
    number: u64,
}

impl Hold {
    /// Returns the first hold of the request with this `number` among `requests`, which count it already.
    pub fn first(requests: Rc<dyn InProgress>, number: u64) -> Hold {
        Hold { requests, number }
    }

    /// The request's number.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Clone for Hold {
    fn clone(&self) -> Hold {
        self.requests.hold(self.number);
        Hold {
            requests: self.requests.clone(),
            number: self.number,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.requests.release(self.number);
    }
}
