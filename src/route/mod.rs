//! What decides where a request goes.
//!
//! A plain pool is the leaf and the fast path: the ring picks, nothing is allocated. Policies that turn
//! one request into several get a file each beside this one.

pub mod explain;
mod pool;
pub mod steps;

use std::sync::Arc;

pub use pool::Pool;

/// Where the requests of a listener go.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the pool's ring.
    Pool(Arc<Pool>),
}

impl Route {
    /// The pool that `key` goes to and, in it, the node's index among the snapshot's nodes.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> (&Pool, usize) {
        let Route::Pool(pool) = self;
        (pool, pool.nodes[pool.ring.pick(key)])
    }

    /// The pool whose nodes a request without a key goes to.
    pub fn pool(&self) -> &Pool {
        let Route::Pool(pool) = self;
        pool
    }
}
