//! Scripted pools under `lazy_fill`.

use std::cell::Cell;

use crate::protocol::numbers::NON_NUMERIC;
use crate::protocol::{Command, Failure, MetaReply, Reply, Request};
use crate::route::counters::Event;
use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};
use crate::route::toolkit::refill::TRIES;

const ROUTE: &str = "{lazy_fill: {to: a, from: b}}";

fn raw<'a>(request: &Request<'a>) -> &'a str {
    let flags = request.raw_flags();
    std::str::from_utf8(flags).expect("ASCII")
}

/// The reply of an mg with `t f v`.
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
        Some(match (pool, request.command, raw(request)) {
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
        (meta(Command::MetaSet, "k", "MA N30"), copied("a ms k MA N30 C8")),
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
fn a_change_fails_if_from_does_not_confirm_its_delete() {
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
fn a_delete_says_deleted_if_one_of_the_two_had_the_key() {
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
fn a_key_in_neither_route_leaves_no_placeholder() {
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
fn a_value_that_was_deleted_since_the_look_up_is_looked_up_again() {
    run(async {
        let rest = only_in_from();
        let tries = Cell::new(0);
        let fake = Fake::new(ROUTE, move |pool, request| match (pool, raw(request)) {
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

/// memcached says that a placeholder is no number before it compares cas ids.
#[test]
fn a_count_that_met_a_placeholder_starts_over_and_one_that_met_text_fails() {
    let cases = [
        ("HD s0 c9 Z", Reply::Number(6)),
        ("HD s1 c8", Reply::Error(NON_NUMERIC.into())),
    ];
    run(async move {
        for (then, expected) in cases {
            let rest = only_in_from();
            let tries = Cell::new(0);
            let fake = Fake::new(ROUTE, move |pool, request| match (pool, raw(request)) {
                ("a", "v D1 C8") if tries.replace(tries.get() + 1) == 0 => {
                    Some(Reply::Error(NON_NUMERIC.into()))
                }
                ("a", "s c") => Some(line(then)),
                _ => rest(pool, request),
            });
            let incr = Request {
                delta: 1,
                ..ask(Command::Incr, "k")
            };
            assert_eq!(fake.ask(&incr).await, expected, "{then}");
        }
    });
}

#[test]
fn an_add_of_a_missing_key_fills_the_placeholder_of_the_lease() {
    let cases = [
        (expiring(Command::Add, "k", 9), "a ms k 9 F0 T9 C7", Reply::Done),
        (
            meta(Command::MetaSet, "k", "ME O1 T9"),
            "a ms k O1 T9 C7",
            line("HD O1"),
        ),
        (
            meta(Command::MetaSet, "k", "MA O1 N30 T9"),
            "a ms k T30 O1 C7",
            line("HD O1"),
        ),
    ];
    run(async move {
        for (request, expected, reply) in cases {
            let fake = Fake::new(ROUTE, |pool, request| {
                Some(match (pool, request.command) {
                    ("a", Command::MetaGet) => line("HD s0 c7 Z"),
                    ("a", Command::MetaSet) if raw(request).contains("O1") => line("HD O1"),
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
fn a_placeholder_is_no_value_and_an_empty_value_is_one() {
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
fn a_superseded_copy_is_tried_again_and_then_given_up() {
    run(async {
        let rest = only_in_from();
        let fake = Fake::new(ROUTE, move |pool, request| match (pool, request.command) {
            ("a", Command::MetaSet) => Some(line("EX")),
            _ => rest(pool, request),
        });
        let reply = fake.ask(&ask(Command::Append, "k")).await;
        assert_eq!(reply, Reply::Failed(Failure::Busy));
        assert_eq!(fake.seen().len(), 3 * TRIES, "and what others stored stays");
    });
}

#[test]
fn from_is_read_if_to_fails_but_a_miss_there_says_nothing() {
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
fn nothing_is_copied_if_nodes_know_no_leases() {
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
