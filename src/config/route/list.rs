//! The list of all policies: the one place in which a new policy is listed.
//!
//! Each line names a type of this folder that implements [`Settings`](super::Settings). From the list the parent
//! module makes the enum of all settings, their names, and what reads and renders them; `route::policy` makes the
//! enum of all compiled policies, whose types it learns by `Compile`.

/// Hands the list of all policies, each with its doc comment, to the macro `$then`. The order is that in which
/// messages name them.
macro_rules! for_each_policy {
    ($then:ident) => {
        $then! {
            /// The beginning of the key chooses the route.
            Prefix,
            /// mcrouter's `/region/cluster/` before the key chooses the route.
            RoutingPrefix,
            /// The command chooses the route.
            ByCommand,
            /// The listener that the client connected to chooses the route.
            ByListener,
            /// Asks one route after the other until one answers.
            Failover,
            /// Keeps the same values in several routes.
            Replicate,
            /// Warms a cold route from another one as keys are requested.
            LazyFill,
            /// A near cache in front of a far one.
            Layers,
            /// Copies requests to another route, whose replies are dropped.
            Shadow,
            /// Bounds requests per second and requests in flight.
            Limit,
            /// Bounds expiries.
            Expiry,
            /// Changes the key.
            Key,
            /// Refuses whatever changes an item.
            ReadOnly,
            /// Refuses some operations.
            Deny,
            /// Every key is missing.
            Miss,
            /// Every request is an error.
            ErrorReply,
            /// Every request times out.
            Blackhole,
            /// Forwards requests later.
            Delay,
        }
    };
}

pub(crate) use for_each_policy;
