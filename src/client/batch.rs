//! A batch: the requests of one read, and the route that they share.

use crate::config::Bind;
use crate::route::Route;
use crate::worker::context::{ActiveRoutes, WorkerContext};

/// A batch of requests, with what determines their destination.
pub(super) struct Batch<'a> {
    pub(super) worker: &'a WorkerContext,
    pub(super) current: &'a ActiveRoutes,
    pub(super) route: &'a Route,
    pub(super) bind: &'a Bind,
}
