//! `layers`: a near cache keeps copies of the far route's values for a limited time.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg | `near` is asked; on a miss, or if it fails, `far`. What is found there is the reply, and is copied to `near`, where it lives at most `near_expiry` |
//! | gets, gat, touch, mg with `c`, `N`, `R`, `E`, `T` or flags about the item's history, me, every read of a binary client | `far` alone; requests that change an expiry delete the copy in `near` |
//! | set, add, replace, append, prepend, cas, incr, decr, delete, ms, ma, md | `far` executes it; then the copy in `near` is deleted, whatever `far` replied, and then the client gets its reply |
//! | flush_all, version, stats | all pools |
//!
//! A key that both routes give to the same node has one item there: `far` alone executes the request.
//!
//! How stale a read may be. Writes through one Ringway are visible through it: when a change is answered
//! the copy in its own `near` is gone, and a copy in flight is not stored, because it needs a lease (see
//! [`crate::route::toolkit::lease`]) that the change has revoked. Changes made elsewhere become visible
//! when the copy expires: at most `near_expiry` after it was read from `far`, rounded up to a second of the
//! node's clock. The same bound holds if `near` does not answer a delete.

use std::time::Duration;

use crate::config;
use crate::protocol::meta::flags;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::lease::{MetaKey, may_be_elsewhere};
use crate::route::toolkit::read_through::ReadThrough;
use crate::route::toolkit::rewrite::whole_seconds;
use crate::route::toolkit::shared_nodes::SharedNodes;

/// A near cache, and the route that has the values.
#[derive(Debug)]
pub struct Layers {
    near: Route,
    far: Route,
    /// The maximum time to live of a copy, in seconds.
    near_expiry: i64,
    /// The nodes that are in both: keys that both give to one of them have no copy.
    shared: SharedNodes,
}

impl Compile for config::Layers {
    type Policy = Layers;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Layers> {
        let (near, far) = (scope.route(&self.near)?, scope.route(&self.far)?);
        Some(Layers {
            shared: SharedNodes::of(&near, &far),
            near,
            far,
            near_expiry: whole_seconds(self.near_expiry),
        })
    }
}

impl Policy for Layers {
    const EVENTS: &'static [Event] = &[Event::Found, Event::Filled];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if self.shared.is_one_item(&self.near, &self.far, request) {
            return Decision::Forward(&self.far);
        }
        match Operation::of(request) {
            Operation::Get if may_be_a_copy(request) => Decision::Inspect(&self.near),
            Operation::Get => Decision::Inspect(&self.far),
            _ => Decision::Run,
        }
    }

    fn is_final(&self, request: &Request<'_>, reply: &Reply) -> bool {
        !(may_be_elsewhere(reply) && may_be_a_copy(request))
    }

    async fn resume(&self, request: &Request<'_>, first: Reply, context: &Context<'_>) -> Reply {
        let key = MetaKey::of(request);
        if let Some(value) = key.recheck(request, &first, &self.near, context.call).await {
            return value;
        }
        let read = ReadThrough {
            cold: &self.near,
            warm: &self.far,
            max_ttl: Some(self.near_expiry),
            leftover: 0,
            call: context.call,
            tally: &context.tally(),
        };
        read.from_warm(request, &first, key).await
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let reply = context.call.send(&self.far, request).await;
        // After `far`, and before the client has its reply: later reads find no old copy, and a copy of
        // the old value that is in flight has lost its lease.
        MetaKey::of(request).delete(&self.near, context.call).await;
        reply
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![
            Branch::labelled("near", &self.near),
            Branch::labelled("far", &self.far),
        ]
    }

    fn staleness(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.near_expiry.unsigned_abs()))
    }
}

/// Whether a copy can answer `request`: it asks only for the value, its flags and its size.
fn may_be_a_copy(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get => true,
        Command::MetaGet => {
            let written = request.raw_flags();
            flags(written).all(|flag| b"bfkOqsv".contains(&flag[0]))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Failure, MetaReply, Reply, Request};
    use crate::route::counters::Event;
    use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

    const ROUTE: &str = "{layers: {near: a, far: b, near_expiry: 10s}}";

    /// `near` is empty, `far` has the key with `ttl` seconds left.
    fn only_far(ttl: &'static str) -> impl Fn(&str, &Request<'_>) -> Option<Reply> {
        move |pool, request| {
            let flags = request.raw_flags();
            Some(match (pool, request.command) {
                ("a", Command::MetaGet) if flags.ends_with(b"N10") => line("HD s0 c7 W"),
                ("a", Command::MetaGet) => line("EN"),
                ("a", Command::MetaSet) => line("HD"),
                ("a", _) => Reply::NotFound,
                (_, Command::MetaGet) if flags == b"t f v" => {
                    Reply::Meta(MetaReply::new(format!("VA 1 t{ttl} f0"), 0..0, Some("v".into())))
                }
                (_, Command::MetaGet) => line("HD"),
                (_, Command::Get | Command::Gets) => value(request, "v", 9),
                _ => Reply::Done,
            })
        }
    }

    #[test]
    fn a_read_brings_a_copy_near_that_lives_no_longer_than_it_may() {
        run(async {
            for (ttl, expected) in [("-1", "T10"), ("100", "T10"), ("3", "T3")] {
                let fake = Fake::new(ROUTE, only_far(ttl));
                assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
                let copy = format!("a get k,b get k,a mg k s c N10,b mg k t f v,a ms k C7 F0 {expected}");
                assert_eq!(fake.seen().join(","), copy);
                assert_eq!((fake.count(Event::Found), fake.count(Event::Filled)), (1, 1));
            }
        });
    }

    #[test]
    fn a_change_is_carried_out_far_before_the_copy_is_taken_out() {
        let cases = [
            (expiring(Command::Set, "k", 9), "b set k 9,a md k"),
            (ask(Command::Delete, "k"), "b delete k,a md k"),
            (ask(Command::Add, "k"), "b add k,a md k"),
            (ask(Command::Cas, "k"), "b cas k,a md k"),
            (ask(Command::Incr, "k"), "b incr k,a md k"),
            (ask(Command::Append, "k"), "b append k,a md k"),
            (expiring(Command::Touch, "k", 9), "b touch k 9,a md k"),
            (expiring(Command::Gat, "k", 9), "b gat k 9,a md k"),
            (meta(Command::MetaSet, "k", "ME"), "b ms k ME,a md k"),
            (meta(Command::MetaGet, "k", "v T9"), "b mg k v T9,a md k"),
            (ask(Command::Gets, "k"), "b gets k"),
            (meta(Command::MetaGet, "k", "v c"), "b mg k v c"),
            (meta(Command::MetaGet, "k", "v t"), "b mg k v t"),
            (meta(Command::MetaGet, "k", "v N30"), "b mg k v N30"),
            (ask(Command::MetaDebug, "k"), "b me k"),
        ];
        run(async move {
            let fake = Fake::new(ROUTE, only_far("-1"));
            for (request, expected) in cases {
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }

    #[test]
    fn the_far_reply_is_final_and_near_may_fail() {
        run(async {
            let fake = Fake::new(ROUTE, |pool, request| match pool {
                "a" => Some(Reply::Failed(Failure::Down)),
                _ => only_far("-1")(pool, request),
            });
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            assert_eq!(fake.ask(&ask(Command::Set, "k")).await, Reply::Done);
            let fake = Fake::new(ROUTE, |pool, _| {
                Some(if pool == "a" {
                    Reply::NotFound
                } else {
                    Reply::Failed(Failure::Timeout)
                })
            });
            for command in [Command::Get, Command::Set] {
                let reply = fake.ask(&ask(command, "k")).await;
                assert_eq!(reply, Reply::Failed(Failure::Timeout));
            }
            assert_eq!(fake.seen(), ["a get k", "b get k", "b set k", "a md k"]);
        });
    }
}
