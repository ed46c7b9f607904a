//! `layers`: a near pool keeps copies of what the far one has, each for a while.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg | `near` is asked; on a miss, or where it fails, `far`. What is found there is the answer, and is copied to `near`, where it lives at most `near_expiry` |
//! | gets, gat, touch, mg with `c`, `N`, `R`, `E`, `T` or what tells of the item's past, me, every read of a binary client | `far` alone; what changes an expiry takes the copy out of `near` |
//! | set, add, replace, append, prepend, cas, incr, decr, delete, ms, ma, md | `far` carries it out; then the copy is taken out of `near`, whatever `far` said, and then the client has its answer |
//! | flush_all, version, stats | all pools |
//!
//! How old a read may be. What one Ringway writes it reads: when a change is answered its own near copy is gone, and
//! a copy that was on its way is not stored, for it holds a place by a token (see [`crate::route::toolkit::lease`]) which the change
//! takes away. What is changed elsewhere, past this near pool, is read until the copy ends: at most `near_expiry`
//! after it was read from `far`, rounded up to a second of the node's clock. Where `near` does not answer a delete the
//! same bound holds.

use crate::protocol::meta::flags;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::counters::Event;
use crate::route::toolkit::lease::{Key, may_be_elsewhere, may_be_place};
use crate::route::toolkit::reply::{is_failure, is_hit};
use crate::route::{Call, Policy, Route};

/// Where copies are, and where values are.
#[derive(Debug)]
pub struct Layers {
    /// Holds copies.
    pub near: Route,
    /// Has the values.
    pub far: Route,
    /// Seconds that a copy lives at most.
    pub near_expiry: i64,
}

impl Layers {
    /// The route that `request` is sent to as it is, before anything else; `None`: a copy may be to be taken out.
    pub fn first(&self, request: &Request<'_>) -> Option<&Route> {
        match Operation::of(request) {
            Operation::Get if may_be_a_copy(request) => Some(&self.near),
            Operation::Get => Some(&self.far),
            _ => None,
        }
    }

    /// True where `reply`, the near one's, is not the last word on a read.
    pub fn goes_on(&self, request: &Request<'_>, reply: &Reply) -> bool {
        may_be_elsewhere(reply) && may_be_a_copy(request)
    }
}

/// What comes of a read whose near reply was not the last word.
pub async fn go_on(
    policy: &Policy,
    layers: &Layers,
    request: &Request<'_>,
    first: Reply,
    call: &Call,
) -> Reply {
    let key = Key::of(request);
    if may_be_place(&first)
        && let Some(value) = key.confirm(request, &first, &layers.near, call).await
    {
        return value;
    }
    let second = call.send(&layers.far, request).await;
    if !is_hit(&second) {
        return second;
    }
    call.counters(policy).count(Event::Found);
    if !is_failure(&first) {
        key.fill_later(policy, &layers.far, &layers.near, Some(layers.near_expiry), call);
    }
    second
}

/// What comes of a change.
pub async fn run(layers: &Layers, request: &Request<'_>, call: &Call) -> Reply {
    let reply = call.send(&layers.far, request).await;
    Key::of(request).delete(&layers.near, call).await;
    reply
}

/// True for a read that a copy can answer: it asks for nothing but the value, its flags and its size.
fn may_be_a_copy(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get => true,
        Command::MetaGet => {
            let typed = request.typed_flags();
            flags(typed).all(|flag| b"bfkOqsv".contains(&flag[0]))
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

    /// The near one is empty, the far one has the key with so many seconds left.
    fn only_far(ttl: &'static str) -> impl Fn(&str, &Request<'_>) -> Option<Reply> {
        move |pool, request| {
            let flags = request.typed_flags();
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
    fn the_far_one_has_the_last_word_and_the_near_one_may_fail() {
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
