//! `by_listener`: the listener that the client connected to chooses the route.
//!
//! | command | what happens |
//! |---|---|
//! | any | goes to the route of its listener |
//!
//! The listener of a compiled route is known, so the chosen route takes the policy's place when routes are
//! compiled ([`Settings::at_listener`](crate::config::Settings::at_listener)), and no policy remains: its
//! type has no values.

use std::convert::Infallible;

use crate::config;
use crate::protocol::Request;
use crate::route::call::Forwarder;
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

impl Compile for config::ByListener {
    type Policy = Infallible;

    fn compile(&self, _scope: &mut Scope<'_, '_>) -> Option<Infallible> {
        None
    }
}

impl Policy for Infallible {
    fn decide(
        &self,
        _request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        match *self {}
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        match *self {}
    }
}
