//! The policies: one file each, behind one trait.
//!
//! [`Policy::decide`] is the verb that decides. It is called once for each request, synchronously, and says
//! which of the other verbs follow:
//!
//! ```text
//!   decide ─┬─ Forward(route)   the request goes there; the policy is out of the way     nothing is allocated
//!           ├─ Rewrite(route)   the same, as `rewrite` changed it
//!           ├─ Reply(reply)     that is the reply; no node is asked
//!           ├─ Amend(route)     the same; the client's reply is what `amend` makes of the reply
//!           ├─ Inspect(route)   the request goes there; is_final(reply)?  ── yes ──▶ the client's reply
//!           │                                                             └─ no ───▶ resume(first reply)
//!           └─ Run              run(request)                 `resume` and `run` are async functions that send,
//!                                                            wait and return the reply
//! ```
//!
//! A failover, as an example of `Inspect`; the verbs outside of the policy are in [`crate::route`] and
//! [`crate::route::call`]:
//!
//! ```text
//!   Route::resolve ─▶ Failover::decide: Inspect(first) ─▶ Call::start ─▶ first pool
//!                                                                           │ its reply
//!   client ◀── yes ── Failover::is_final ◀── ReplyInspector ◀───────────────┘
//!                         │ no
//!                         ▼
//!                     Failover::resume: Call::send(second) ─▶ Route::resolve ─▶ … ─▶ client
//! ```
//!
//! The list of all policies is `config/route/list.rs`. For each type in it, [`Compile`] names the type here
//! that its settings become; from that the macro below makes [`PolicyKind`], whose dispatch is static.

pub mod by_command;
mod by_listener;
pub mod compile;
pub mod delay;
pub mod deny;
pub mod expiry;
pub mod failover;
pub mod hot_cache;
pub mod key;
pub mod layers;
pub mod lazy_fill;
pub mod limit;
pub mod prefix;
pub mod replicate;
pub mod shadow;
pub mod single_flight;
pub mod spread;
pub mod stampede;
pub mod static_reply;

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use crate::config::{self, for_each_policy};
use crate::protocol::{Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use compile::{Compile, Scope};

/// The behaviour of one kind of route.
pub trait Policy: fmt::Debug + Sized {
    /// The events that it counts.
    const EVENTS: &'static [Event] = &[];

    /// Decides what happens to `request`. Called once for each request; must neither block nor allocate.
    fn decide(
        &self,
        request: &Request<'_>,
        counters: &PolicyShard,
        forwarder: &dyn Forwarder,
    ) -> Decision<'_>;

    /// Returns the request to forward after [`Decision::Rewrite`] or [`Decision::Amend`]. `scratch` takes new text
    /// that `request` cannot borrow.
    fn rewrite<'r>(&self, request: &Request<'r>, _scratch: &'r mut Vec<u8>) -> Request<'r> {
        *request
    }

    /// Whether `reply`, the first after [`Decision::Inspect`], is the final reply to `request`.
    fn is_final(&self, _request: &Request<'_>, _reply: &Reply) -> bool {
        true
    }

    /// Returns the client's reply to `request` after [`Decision::Amend`], given the reply to the rewritten request.
    fn amend(&self, _request: &Request<'_>, reply: Reply) -> Reply {
        reply
    }

    /// Continues after a first reply that was not final, and returns the final one.
    fn resume(
        &self,
        _request: &Request<'_>,
        first: Reply,
        _context: &Context<'_>,
    ) -> impl Future<Output = Reply> {
        ready(first)
    }

    /// Runs `request` after [`Decision::Run`]. A policy that decides to inspect, amend or run must also be able to
    /// run a delete: it replaces a write whose value is refused, see [`Call::refuse_value`].
    ///
    /// [`Call::refuse_value`]: crate::route::Call::refuse_value
    fn run(&self, _request: &Request<'_>, _context: &Context<'_>) -> impl Future<Output = Reply> {
        async { unreachable!("a policy that decides to inspect, amend or run has its own `run`") }
    }

    /// The routes under it, in order of preference.
    fn branches(&self) -> Vec<Branch<'_>>;

    /// The routes that requests for `key` may go to, with the key as those routes know it.
    fn branches_of<'k>(&self, key: &'k [u8]) -> Vec<(Branch<'_>, Cow<'k, [u8]>)> {
        let branches = self.branches().into_iter();
        branches.map(|branch| (branch, Cow::Borrowed(key))).collect()
    }

    /// The route whose reply the client gets, if that only depends on `request`, and the request is
    /// forwarded with its key unchanged.
    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        None
    }

    /// Whether the policy itself refuses flush_all.
    fn denies_flush(&self) -> bool {
        false
    }

    /// How long a client may read a value that the policy keeps after another process has replaced it; `None`
    /// if the policy keeps none.
    fn staleness(&self) -> Option<Duration> {
        None
    }
}

/// The reply of a policy that waits, boxed: the state of most policies takes a fraction of the largest one's.
pub type LaterReply<'a> = Pin<Box<dyn Future<Output = Reply> + 'a>>;

/// A policy's decision about one request.
#[derive(Debug)]
pub enum Decision<'a> {
    /// Forward the request to this route; its reply is the client's.
    Forward(&'a Route),
    /// The same, with the request that [`Policy::rewrite`] returns.
    Rewrite(&'a Route),
    /// Reply with this.
    Reply(Reply),
    /// Forward the request that [`Policy::rewrite`] returns to this route; [`Policy::amend`] returns the client's reply.
    Amend(&'a Route),
    /// Forward the request to this route; then ask [`Policy::is_final`].
    Inspect(&'a Route),
    /// Run it with [`Policy::run`].
    Run,
}

/// A route under a policy.
#[derive(Debug, Clone, Copy)]
pub struct Branch<'a> {
    /// The label that distinguishes it in an explanation, if any.
    pub label: Option<&'a str>,
    /// The route.
    pub route: &'a Route,
    /// Whether clients get its replies.
    pub answers: bool,
}

impl<'a> Branch<'a> {
    /// Returns a branch that answers and needs no label.
    pub fn new(route: &'a Route) -> Branch<'a> {
        Branch {
            label: None,
            route,
            answers: true,
        }
    }

    /// Returns a branch that answers and has this label.
    pub fn labelled(label: &'a str, route: &'a Route) -> Branch<'a> {
        Branch {
            label: Some(label),
            ..Branch::new(route)
        }
    }
}

macro_rules! kinds_of_policies {
    ($($(#[$doc:meta])* $file:ident::$Policy:ident,)*) => {
        /// Any policy.
        #[derive(Debug)]
        pub enum PolicyKind {
            $($(#[$doc])* $Policy(<config::$Policy as Compile>::Policy),)*
        }

        impl PolicyKind {
            /// Compiles `settings`; see [`Compile::compile`].
            pub fn compile(settings: &config::Policy, scope: &mut Scope<'_, '_>) -> Option<PolicyKind> {
                Some(match settings {
                    $(config::Policy::$Policy(settings) => PolicyKind::$Policy(settings.compile(scope)?),)*
                })
            }

            /// See [`Policy::EVENTS`].
            pub fn events(&self) -> &'static [Event] {
                match self {
                    $(PolicyKind::$Policy(_) => <<config::$Policy as Compile>::Policy as Policy>::EVENTS,)*
                }
            }

            /// See [`Policy::decide`].
            pub fn decide(
                &self,
                request: &Request<'_>,
                counters: &PolicyShard,
                forwarder: &dyn Forwarder,
            ) -> Decision<'_> {
                match self {
                    $(PolicyKind::$Policy(policy) => policy.decide(request, counters, forwarder),)*
                }
            }

            /// See [`Policy::rewrite`].
            pub fn rewrite<'r>(&self, request: &Request<'r>, scratch: &'r mut Vec<u8>) -> Request<'r> {
                match self { $(PolicyKind::$Policy(policy) => policy.rewrite(request, scratch),)* }
            }

            /// See [`Policy::is_final`].
            pub fn is_final(&self, request: &Request<'_>, reply: &Reply) -> bool {
                match self { $(PolicyKind::$Policy(policy) => policy.is_final(request, reply),)* }
            }

            /// See [`Policy::amend`].
            pub fn amend(&self, request: &Request<'_>, reply: Reply) -> Reply {
                match self { $(PolicyKind::$Policy(policy) => policy.amend(request, reply),)* }
            }

            /// See [`Policy::resume`].
            pub fn resume<'a>(
                &'a self,
                request: &'a Request<'_>,
                first: Reply,
                context: &'a Context<'_>,
            ) -> LaterReply<'a> {
                match self { $(PolicyKind::$Policy(policy) => Box::pin(policy.resume(request, first, context)),)* }
            }

            /// See [`Policy::run`].
            pub fn run<'a>(&'a self, request: &'a Request<'_>, context: &'a Context<'_>) -> LaterReply<'a> {
                match self { $(PolicyKind::$Policy(policy) => Box::pin(policy.run(request, context)),)* }
            }

            /// See [`Policy::branches`].
            pub fn branches(&self) -> Vec<Branch<'_>> {
                match self { $(PolicyKind::$Policy(policy) => policy.branches(),)* }
            }

            /// See [`Policy::branches_of`].
            pub fn branches_of<'k>(&self, key: &'k [u8]) -> Vec<(Branch<'_>, Cow<'k, [u8]>)> {
                match self { $(PolicyKind::$Policy(policy) => policy.branches_of(key),)* }
            }

            /// See [`Policy::only_route`].
            pub fn only_route(&self, request: &Request<'_>) -> Option<&Route> {
                match self { $(PolicyKind::$Policy(policy) => policy.only_route(request),)* }
            }

            /// See [`Policy::denies_flush`].
            pub fn denies_flush(&self) -> bool {
                match self { $(PolicyKind::$Policy(policy) => policy.denies_flush(),)* }
            }

            /// See [`Policy::staleness`].
            pub fn staleness(&self) -> Option<Duration> {
                match self { $(PolicyKind::$Policy(policy) => policy.staleness(),)* }
            }
        }
    };
}
for_each_policy!(kinds_of_policies);
