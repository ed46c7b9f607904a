//! Requests that are read in one go, and what decides where they go.

use crate::config::Bind;
use crate::route::Route;
use crate::worker::context::{ActiveRoutes, WorkerContext};

/// A batch of requests, and what decides where they go.
pub(super) struct Batch<'a> {
    pub(super) worker: &'a WorkerContext,
    pub(super) current: &'a ActiveRoutes,
    pub(super) route: &'a Route,
    pub(super) bind: &'a Bind,
}
