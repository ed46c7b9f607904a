//! `lazy_fill`: a pool that is new, or has new nodes, is filled from the old one as keys are asked for.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg | `to` is asked; on a miss, or where it fails, `from`. What is found there is the answer, and is copied to `to` with its flags and the time it has left |
//! | gets, mg with `c` | the same, but the value is copied first, and comes with its cas id in `to`; from `from` alone it comes with one that never matches |
//! | set, ms | deleted in `from`, then stored in `to` |
//! | delete, md | deleted in `from`, then in `to`; `DELETED` where one had it |
//! | add, replace, append, prepend, cas, incr, decr, ma, ms in these modes, touch, gat, mg with `T`, md with flags | a key that lives only in `from` is copied first, and then deleted there; `to` carries it out. What is in neither is not there for them, and an add fills the place that the look holds |
//! | mg with `N`, `R` or `E` | a key that lives only in `from` is copied first; `to` answers |
//! | me | `to` alone |
//! | flush_all, version, stats | all pools |
//!
//! Why no old value comes back. Whoever changes a key first takes it out of `from`, and goes on only when `from` has
//! said so; from then on `from` has nothing, and nobody puts anything there. A copy holds a place in `to` by a token
//! before it reads `from` (see [`crate::route::toolkit::lease`]): a change that comes between takes the place away, and the copy is
//! not stored. So what `from` has is never older than what `to` has, and may be read where `to` fails. The price is
//! that a change waits for two replies, one after the other, and fails where `from` does not answer; what `to` has is
//! deleted then, for it is older than what was asked.
//!
//! Nodes that know classic text only cannot hold a place: nothing is copied, reads are answered from `from` all the
//! same, and what would need a copy first finds nothing.

use crate::protocol::meta::{Names, flags};
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::route::counters::{Event, Shard};
use crate::route::toolkit::compare_and_swap::{carried_out, into_place, with_cas};
use crate::route::toolkit::lease::{
    Copied, Found, Key, is_unknown, may_be_elsewhere, may_be_place, takes_token,
};
use crate::route::toolkit::reply::{is_error, is_failure, is_hit, is_miss, without_cas};
use crate::route::{Call, Policy, Route};

/// So often a copy is tried that others come between.
const TRIES: usize = 4;

/// Where values are to be, and where they were.
#[derive(Debug)]
pub struct LazyFill {
    /// Where they are to be.
    pub to: Route,
    /// Where they were.
    pub from: Route,
}

impl LazyFill {
    /// The route that `request` is sent to as it is, before anything else; `None`: more is to be done first.
    pub fn first(&self, request: &Request<'_>) -> Option<&Route> {
        let is_plain = Operation::of(request) == Operation::Get && !takes_token(request);
        is_plain.then_some(&self.to)
    }

    /// True where this is not the last word on a read.
    pub fn goes_on(&self, request: &Request<'_>, reply: &Reply) -> bool {
        may_be_elsewhere(reply) && request.command != Command::MetaDebug
    }

    /// Copies what `to` lacks, and says where the key is then.
    ///
    /// # Errors
    /// The reply of a node that failed: nobody knows.
    async fn bring(&self, key: &Key, call: &Call, counters: &Shard) -> Result<There, Reply> {
        for _ in 0..TRIES {
            let token = match key.look(&self.to, call).await {
                Ok(Found::Value(cas)) => return Ok(There::Value(cas)),
                Ok(Found::Place { token, .. }) => token,
                Err(reply) if is_unknown(&reply) => return Ok(There::Unknown),
                Err(reply) => return Err(reply),
            };
            match key.copy(&self.from, &self.to, token, None, call).await {
                Ok(Copied::Stored) => counters.count(Event::Filled),
                Ok(Copied::Lost) => {}
                Ok(Copied::Absent) => return Ok(There::Nowhere(token)),
                Err(reply) => {
                    let _released = key.release(token, &self.to, call).await;
                    return if is_unknown(&reply) {
                        Ok(There::Unknown)
                    } else {
                        Err(reply)
                    };
                }
            }
        }
        Err(Reply::Failed(Failure::Busy))
    }
}

/// Where a key is, once what `to` lacked was copied.
enum There {
    /// In `to`, with this cas id; it may still be in `from` too.
    Value(u64),
    /// In neither, if its place in `to` is still held by this token: another may have moved it there meanwhile.
    Nowhere(u64),
    /// Nodes know no tokens: nothing was copied.
    Unknown,
}

/// What comes of a read whose first reply, that of `to`, was not the last word.
pub async fn go_on(
    policy: &Policy,
    fill: &LazyFill,
    request: &Request<'_>,
    first: Reply,
    call: &Call,
) -> Reply {
    let key = Key::of(request);
    if may_be_place(&first)
        && let Some(value) = key.confirm(request, &first, &fill.to, call).await
    {
        return value;
    }
    let counters = call.counters(policy);
    if request.wants_cas() && !is_failure(&first) {
        return read_filled(fill, request, &key, call, counters).await;
    }
    let second = call.send(&fill.from, request).await;
    if !is_hit(&second) {
        return if is_failure(&first) { first } else { second };
    }
    counters.count(Event::Found);
    if !is_failure(&first) {
        key.fill_later(policy, &fill.from, &fill.to, None, call);
    }
    without_cas(second)
}

/// What comes of `request`, before which something is to be done in `from`. A change that failed, perhaps before `to`
/// was asked, leaves nothing there that is older.
pub async fn run(fill: &LazyFill, request: &Request<'_>, call: &Call, counters: &Shard) -> Reply {
    let key = Key::of(request);
    let reply = begin(fill, request, &key, call, counters).await;
    if is_failure(&reply) && Operation::of(request) != Operation::Get {
        key.delete(&fill.to, call).await;
    }
    reply
}

async fn begin(fill: &LazyFill, request: &Request<'_>, key: &Key, call: &Call, counters: &Shard) -> Reply {
    match Operation::of(request) {
        Operation::Get => match fill.bring(key, call, counters).await {
            Err(reply) => reply,
            Ok(there) => {
                if let There::Nowhere(token) = there {
                    let _released = key.release(token, &fill.to, call).await;
                }
                call.send(&fill.to, request).await
            }
        },
        Operation::Set => match key.delete(&fill.from, call).await {
            gone if is_error(&gone) => gone,
            _ => call.send(&fill.to, request).await,
        },
        Operation::Delete if is_plain(request) => delete(fill, request, call).await,
        _ => change(fill, request, key, call, counters).await,
    }
}

/// A read that wants the cas id of `to`, which lacks the key.
async fn read_filled(
    fill: &LazyFill,
    request: &Request<'_>,
    key: &Key,
    call: &Call,
    counters: &Shard,
) -> Reply {
    for _ in 0..TRIES {
        match fill.bring(key, call, counters).await {
            Err(reply) => return reply,
            Ok(There::Nowhere(token)) => match key.release(token, &fill.to, call).await {
                Ok(true) => return Reply::NotFound,
                Ok(false) => continue,
                Err(reply) => return reply,
            },
            Ok(There::Value(_) | There::Unknown) => {}
        }
        let reply = call.send(&fill.to, request).await;
        if !may_be_place(&reply) {
            return reply;
        }
        if let Some(value) = key.confirm(request, &reply, &fill.to, call).await {
            return value;
        }
    }
    Reply::Failed(Failure::Busy)
}

async fn delete(fill: &LazyFill, request: &Request<'_>, call: &Call) -> Reply {
    let gone = call.send(&fill.from, request).await;
    if is_error(&gone) {
        return gone;
    }
    let reply = call.send(&fill.to, request).await;
    if is_miss(&reply) { gone } else { reply }
}

/// Changes what is there, wherever it is. Others may have taken it away meanwhile and hold its place: so the change
/// carries the cas id of what was seen, and a place is never taken for a value.
async fn change(fill: &LazyFill, request: &Request<'_>, key: &Key, call: &Call, counters: &Shard) -> Reply {
    for _ in 0..TRIES {
        let there = match fill.bring(key, call, counters).await {
            Ok(there) => there,
            Err(reply) => return reply,
        };
        let mut room = Vec::new();
        let conditional = match there {
            There::Nowhere(token) if Operation::of(request) == Operation::Add => {
                Some(into_place(request, token, &mut room))
            }
            There::Nowhere(token) => match key.release(token, &fill.to, call).await {
                Ok(true) if creates(request) => None,
                Ok(true) => return missing(request),
                Ok(false) => continue,
                Err(reply) => return reply,
            },
            There::Value(_) if Operation::of(request) == Operation::Add => return Reply::NotStored,
            There::Value(cas) => with_cas(request, cas, &mut room),
            There::Unknown => None,
        };
        if !matches!(there, There::Nowhere(_)) {
            let gone = key.delete(&fill.from, call).await;
            if is_error(&gone) {
                return gone;
            }
        }
        let reply = call.send(&fill.to, conditional.as_ref().unwrap_or(request)).await;
        let done = match conditional {
            Some(_) => carried_out(request, reply),
            None if may_be_place(&reply) => key.confirm(request, &reply, &fill.to, call).await,
            None => Some(reply),
        };
        if let Some(reply) = done {
            return reply;
        }
    }
    Reply::Failed(Failure::Busy)
}

/// What is said of a key that is in neither.
fn missing(request: &Request<'_>) -> Reply {
    match Operation::of(request) {
        Operation::Replace | Operation::Append | Operation::Prepend => Reply::NotStored,
        _ => Reply::NotFound,
    }
}

/// True for what makes the item where it is missing: ma, append and prepend with `N`.
fn creates(request: &Request<'_>) -> bool {
    Names::of(request.typed_flags()).has(b'N')
}

/// A delete without a condition, which leaves nothing.
fn is_plain(request: &Request<'_>) -> bool {
    let typed = request.typed_flags();
    flags(typed).all(|flag| b"bkqO".contains(&flag[0]))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::protocol::{Command, Failure, MetaReply, Reply, Request};
    use crate::route::counters::Event;
    use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

    const ROUTE: &str = "{lazy_fill: {to: a, from: b}}";

    fn typed<'a>(request: &Request<'a>) -> &'a str {
        let flags = request.typed_flags();
        std::str::from_utf8(flags).expect("ASCII")
    }

    /// The value that an mg with `t f v` brings.
    fn with_ttl(ttl: &str) -> Reply {
        Reply::Meta(MetaReply::new(format!("VA 1 t{ttl} f5"), 0..0, Some("v".into())))
    }

    /// A value in meta.
    fn number(line: &'static str, data: &'static str) -> Reply {
        Reply::Meta(MetaReply::new(line, 0..0, Some(data.into())))
    }

    /// `a` lacks the key until it is copied there; `b` has it, with 100 seconds left.
    fn only_in_from() -> impl Fn(&str, &Request<'_>) -> Option<Reply> {
        let is_copied = Cell::new(false);
        move |pool, request| {
            Some(match (pool, request.command, typed(request)) {
                ("a", Command::MetaGet, "s c N10") if is_copied.get() => line("HD s1 c8"),
                ("a", Command::MetaGet, "s c N10") => line("HD s0 c7 W"),
                ("a", Command::MetaSet, "C7 F5 T100") => {
                    is_copied.set(true);
                    line("HD")
                }
                ("a", Command::MetaGet, _) => line("EN"),
                ("a", Command::MetaArithmetic, "v D1 C8") => number("VA 1", "6"),
                ("a", command, _) if command.is_meta() => line("HD"),
                ("a", Command::Set, _) => Reply::Done,
                ("a", _, _) => Reply::NotFound,
                ("b", Command::MetaGet, "t f v") => with_ttl("100"),
                ("b", Command::MetaGet, _) => line("HD c9"),
                ("b", Command::MetaDelete, _) => line("HD"),
                ("b", Command::Get | Command::Gets, _) => value(request, "v", 9),
                _ => Reply::Done,
            })
        }
    }

    const COPY: &str = "a mg k s c N10,b mg k t f v,a ms k C7 F5 T100";

    #[test]
    fn what_only_from_has_is_answered_and_copied_under_a_token() {
        run(async {
            let fake = Fake::new(ROUTE, only_in_from());
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            tokio::task::yield_now().await;
            assert_eq!(fake.seen().join(","), format!("a get k,b get k,{COPY}"));
            assert_eq!((fake.count(Event::Found), fake.count(Event::Filled)), (1, 1));
            assert_eq!(
                fake.ask(&meta(Command::MetaGet, "k", "s")).await,
                line("HD c9223372036854775807")
            );
            assert_eq!(fake.seen().join(","), "a mg k s,b mg k s,a mg k s c N10");
        });
    }

    #[test]
    fn each_change_reaches_both_in_the_order_that_lets_no_old_value_come_back() {
        let copied = |then: &str| format!("{COPY},a mg k s c N10,b md k,{then}");
        let cases = [
            (expiring(Command::Set, "k", 9), "b md k,a set k 9".to_owned()),
            (ask(Command::Delete, "k"), "b delete k,a delete k".to_owned()),
            (
                meta(Command::MetaDelete, "k", "q O1"),
                "b md k q O1,a md k q O1".to_owned(),
            ),
            (meta(Command::MetaDelete, "k", "I T9"), copied("a md k I T9")),
            (meta(Command::MetaDelete, "k", "C7"), copied("a md k C7")),
            (ask(Command::Add, "k"), format!("{COPY},a mg k s c N10")),
            (ask(Command::Replace, "k"), copied("a ms k MR F0 T0 C8")),
            (ask(Command::Append, "k"), copied("a ms k MA C8")),
            (ask(Command::Cas, "k"), copied("a cas k")),
            (
                Request {
                    delta: 1,
                    ..ask(Command::Incr, "k")
                },
                copied("a ma k v D1 C8"),
            ),
            (expiring(Command::Touch, "k", 9), copied("a touch k 9")),
            (expiring(Command::Gat, "k", 9), copied("a gat k 9")),
            (meta(Command::MetaGet, "k", "v T9"), copied("a mg k v T9")),
            (
                meta(Command::MetaSet, "k", "ME"),
                format!("{COPY},a mg k s c N10"),
            ),
            (meta(Command::MetaArithmetic, "k", ""), copied("a ma k C8")),
            (
                meta(Command::MetaGet, "k", "v N30"),
                format!("{COPY},a mg k s c N10,a mg k v N30"),
            ),
            (
                meta(Command::MetaGet, "k", "v c"),
                format!("a mg k v c,{COPY},a mg k s c N10,a mg k v c"),
            ),
            (
                ask(Command::Gets, "k"),
                format!("a gets k,{COPY},a mg k s c N10,a gets k"),
            ),
            (ask(Command::MetaDebug, "k"), "a me k".to_owned()),
        ];
        run(async move {
            for (request, expected) in cases {
                let fake = Fake::new(ROUTE, only_in_from());
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }

    #[test]
    fn a_change_fails_where_from_does_not_say_that_it_is_gone_there() {
        run(async {
            let rest = only_in_from();
            let fake = Fake::new(ROUTE, move |pool, request| match (pool, request.command) {
                ("b", Command::MetaDelete | Command::Delete) => Some(Reply::Failed(Failure::Timeout)),
                _ => rest(pool, request),
            });
            for command in [Command::Set, Command::Delete, Command::Incr] {
                let reply = fake.ask(&ask(command, "k")).await;
                assert_eq!(reply, Reply::Failed(Failure::Timeout), "{command:?}");
                let changed = |line: &String| line.starts_with(&format!("a {}", command.name()));
                assert!(!fake.seen().iter().any(changed), "{command:?}");
            }
        });
    }

    #[test]
    fn a_delete_says_deleted_where_one_of_the_two_had_the_key() {
        let cases = [
            (Reply::Done, Reply::NotFound, Reply::Done),
            (Reply::NotFound, Reply::Done, Reply::Done),
            (Reply::NotFound, Reply::NotFound, Reply::NotFound),
            (
                Reply::Done,
                Reply::Failed(Failure::Timeout),
                Reply::Failed(Failure::Timeout),
            ),
        ];
        run(async move {
            for (from, to, expected) in cases {
                let fake = Fake::new(ROUTE, move |pool, _| {
                    Some(if pool == "a" { to.clone() } else { from.clone() })
                });
                assert_eq!(fake.ask(&ask(Command::Delete, "k")).await, expected);
            }
        });
    }

    #[test]
    fn what_is_in_none_leaves_no_place_held() {
        run(async {
            let rest = only_in_from();
            let fake = Fake::new(ROUTE, move |pool, request| match (pool, request.command) {
                ("b", Command::MetaGet) => Some(line("EN")),
                ("b", _) => Some(Reply::NotFound),
                _ => rest(pool, request),
            });
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
            assert_eq!(fake.seen(), ["a get k", "b get k"]);
            assert_eq!(fake.ask(&ask(Command::Incr, "k")).await, Reply::NotFound);
            let expected = ["a mg k s c N10", "b mg k t f v", "a md k C7"];
            assert_eq!(fake.seen(), expected);
        });
    }

    #[test]
    fn what_was_seen_and_is_gone_meanwhile_is_looked_for_again() {
        run(async {
            let rest = only_in_from();
            let tries = Cell::new(0);
            let fake = Fake::new(ROUTE, move |pool, request| match (pool, typed(request)) {
                ("a", "v D1 C8") if tries.replace(tries.get() + 1) == 0 => Some(line("EX")),
                _ => rest(pool, request),
            });
            let incr = Request {
                delta: 1,
                ..ask(Command::Incr, "k")
            };
            assert_eq!(fake.ask(&incr).await, Reply::Number(6));
            assert_eq!(fake.seen().iter().filter(|line| line.ends_with("C8")).count(), 2);
        });
    }

    #[test]
    fn an_add_of_what_is_nowhere_fills_the_place_that_is_held() {
        let cases = [
            (expiring(Command::Add, "k", 9), "a ms k 9 F0 T9 C7", Reply::Done),
            (
                meta(Command::MetaSet, "k", "ME O1 T9"),
                "a ms k O1 T9 C7",
                line("HD O1"),
            ),
        ];
        run(async move {
            for (request, expected, reply) in cases {
                let fake = Fake::new(ROUTE, |pool, request| {
                    Some(match (pool, request.command) {
                        ("a", Command::MetaGet) => line("HD s0 c7 Z"),
                        ("a", Command::MetaSet) if typed(request).contains("O1") => line("HD O1"),
                        ("a", _) => line("HD"),
                        _ => line("EN"),
                    })
                });
                assert_eq!(fake.ask(&request).await, reply);
                let seen = fake.seen().join(",");
                assert_eq!(seen, format!("a mg k s c N10,b mg k t f v,{expected}"));
            }
        });
    }

    #[test]
    fn a_held_place_is_no_value_and_an_empty_value_is_one() {
        run(async {
            let peek = "a get k,a mg k s f c v";
            for (held, expected) in [(true, &format!("{peek},b get k")[..]), (false, peek)] {
                let fake = Fake::new(ROUTE, move |pool, request| {
                    Some(match (pool, request.command) {
                        ("a", Command::Get) => value(request, "", 0),
                        ("a", _) => number(if held { "VA 0 s0 f0 c7 Z" } else { "VA 0 s0 f3 c7" }, ""),
                        _ => Reply::NotFound,
                    })
                });
                let reply = fake.ask(&ask(Command::Get, "k")).await;
                assert_eq!(matches!(reply, Reply::Value(item) if item.flags == 3), !held);
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }

    #[test]
    fn a_copy_that_others_come_before_is_tried_again_and_then_given_up() {
        run(async {
            let rest = only_in_from();
            let fake = Fake::new(ROUTE, move |pool, request| match (pool, request.command) {
                ("a", Command::MetaSet) => Some(line("EX")),
                _ => rest(pool, request),
            });
            let reply = fake.ask(&ask(Command::Append, "k")).await;
            assert_eq!(reply, Reply::Failed(Failure::Busy));
            assert_eq!(
                fake.seen().len(),
                3 * super::TRIES + 1,
                "and what is old is deleted"
            );
        });
    }

    #[test]
    fn what_from_has_is_read_where_to_fails_but_a_miss_there_says_nothing() {
        run(async {
            let rest = only_in_from();
            let fake = Fake::new(ROUTE, move |pool, request| match pool {
                "a" => Some(Reply::Failed(Failure::Down)),
                _ => rest(pool, request),
            });
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            assert_eq!(
                fake.seen(),
                ["a get k", "b get k"],
                "nothing is copied to a node that fails"
            );
            let fake = Fake::new(ROUTE, |pool, _| {
                Some(if pool == "a" {
                    Reply::Failed(Failure::Down)
                } else {
                    Reply::NotFound
                })
            });
            assert_eq!(
                fake.ask(&ask(Command::Get, "k")).await,
                Reply::Failed(Failure::Down)
            );
        });
    }

    #[test]
    fn a_value_that_ends_this_second_is_not_copied_for_ever() {
        run(async {
            for (ttl, expected) in [("0", "a md k C7"), ("-1", "a ms k C7 F5 T0")] {
                let rest = only_in_from();
                let fake = Fake::new(ROUTE, move |pool, request| match (pool, request.command) {
                    ("b", Command::MetaGet) => Some(with_ttl(ttl)),
                    _ => rest(pool, request),
                });
                fake.ask(&ask(Command::Incr, "k")).await;
                assert_eq!(fake.seen()[2], expected);
            }
        });
    }

    #[test]
    fn where_nodes_know_no_tokens_nothing_is_copied() {
        run(async {
            let rest = only_in_from();
            let fake = Fake::new(ROUTE, move |pool, request| {
                let is_own = request.command == Command::MetaGet;
                match (pool, is_own) {
                    (_, true) => Some(Reply::Failed(Failure::Unsupported)),
                    _ => rest(pool, request),
                }
            });
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            fake.ask(&ask(Command::Incr, "k")).await;
            let seen = fake.seen();
            assert_eq!(
                seen[2..],
                ["a mg k s c N10", "a mg k s c N10", "b md k", "a incr k"]
            );
        });
    }
}
