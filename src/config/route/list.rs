//! The list of all policies: the one place in which a new policy is listed.
//!
//! Each line names a module of this folder and in it a type that implements [`Settings`](super::Settings). From the
//! list the parent module makes the enum of all settings, their names, and what reads and renders them; `route::policy`
//! makes the enum of all compiled policies, whose types it learns by `Compile`.

/// Hands the list of all policies, each with its doc comment, to the macro `$then`. The order is that in which
/// messages name them.
macro_rules! for_each_policy {
    ($then:ident) => {
        $then! {
            /// The beginning of the key chooses the route.
            prefix::Prefix,
            /// mcrouter's `/region/cluster/` before the key chooses the route.
            prefix::RoutingPrefix,
            /// The command chooses the route.
            by_command::ByCommand,
            /// The listener that the client connected to chooses the route.
            by_listener::ByListener,
            /// Asks one route after the other until one answers.
            failover::Failover,
            /// Keeps the same values in several routes.
            replicate::Replicate,
            /// Warms a cold route from another one as keys are requested.
            lazy_fill::LazyFill,
            /// A near cache in front of a far one.
            layers::Layers,
            /// Identical reads in flight share one request.
            single_flight::SingleFlight,
            /// Values of hot keys are kept in the process for a moment.
            hot_cache::HotCache,
            /// Of all readers of a missing key one computes its value; the others wait.
            stampede::Stampede,
            /// Copies of hot keys on several nodes.
            spread::Spread,
            /// Copies requests to another route, whose replies are dropped.
            shadow::Shadow,
            /// Bounds requests per second and requests in flight.
            limit::Limit,
            /// Bounds expiries.
            expiry::Expiry,
            /// Changes the key.
            key::Key,
            /// Refuses whatever changes an item.
            deny::ReadOnly,
            /// Refuses some operations.
            deny::Deny,
            /// Every key is missing.
            static_reply::Miss,
            /// Every request is an error.
            static_reply::ErrorReply,
            /// Every request times out.
            static_reply::Blackhole,
            /// Forwards requests later.
            delay::Delay,
        }
    };
}

pub(crate) use for_each_policy;
