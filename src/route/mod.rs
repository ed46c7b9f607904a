//! What decides where a request goes.
//!
//! A plain pool is the leaf and the fast path: the ring picks, nothing is allocated. Policies that turn
//! one request into several get a file each beside this one.

pub mod explain;

use std::sync::Arc;

use crate::config;
use crate::ring::Ring;

/// Where the requests of a listener go.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the pool's ring.
    Pool(Arc<Pool>),
}

/// Nodes under one ring.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: config::Pool,
    /// Which of `targets` a key goes to.
    pub ring: Ring,
    /// The nodes in the ring, as indices into the snapshot's nodes.
    pub targets: Vec<usize>,
    /// All nodes of the pool, also those left out of the ring because they are down.
    pub nodes: Vec<usize>,
}

impl Route {
    /// The pool that `key` goes to and, in it, the node's index among the snapshot's nodes.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> (&Pool, usize) {
        let Route::Pool(pool) = self;
        (pool, pool.targets[pool.ring.pick(key)])
    }

    /// The pool whose nodes a request without a key goes to.
    pub fn pool(&self) -> &Pool {
        let Route::Pool(pool) = self;
        pool
    }
}
