//! `stampede` over a pool that answers as a test says.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::{Instant, advance};

use crate::protocol::numbers::NON_NUMERIC;
use crate::protocol::{Command, Failure, Item, MetaReply, Reply, Request};
use crate::route::counters::Event;
use crate::route::testing::{Fake, ask, expiring, line, meta, run};

const ROUTE: &str = "{stampede: {to: a, wait: 100ms}}";
const WITH_STALE: &str = "{stampede: {to: a, wait: 100ms, early: 0s, stale: 30s}}";

/// What a node says of a value of one byte, or of a placeholder.
fn found(text: &'static str, data: &'static str) -> Reply {
    Reply::Meta(MetaReply::new(text, 0..0, Some(data.into())))
}

const WON: &str = "VA 0 s0 f0 c7 t2 W";
const LOST: &str = "VA 0 s0 f0 c7 t2 Z";
const VALUE: &str = "VA 1 s1 f5 c9 t60";

fn value(cas: u64) -> Reply {
    Reply::Value(Item::new("k".into(), 5, cas, "v".into()))
}

/// A node that says these things one after the other.
fn saying(route: &str, replies: Vec<Reply>) -> Fake {
    let left = RefCell::new(replies.into_iter());
    Fake::new(route, move |_, _| left.borrow_mut().next())
}

/// Lets every task do what it can do now.
async fn settle() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_value_is_the_reply_in_the_form_that_the_client_asked_for() {
    run(async {
        for (request, expected) in [
            (ask(Command::Get, "k"), value(0)),
            (ask(Command::Gets, "k"), value(9)),
            (meta(Command::MetaGet, "k", "v f k q O1"), value(0)),
            (meta(Command::MetaGet, "k", "v c"), value(9)),
        ] {
            let fake = saying(ROUTE, vec![found(VALUE, "v")]);
            assert_eq!(fake.ask(&request).await, expected);
            assert_eq!(fake.seen(), ["a mg k s f c t v N2 R3"]);
        }
    });
}

#[test]
fn one_reader_gets_the_miss_and_the_others_wait_for_its_value() {
    run(async {
        let fake = saying(
            ROUTE,
            vec![
                found(WON, ""),
                found(LOST, ""),
                found(LOST, ""),
                found(LOST, ""),
                found(VALUE, "v"),
            ],
        );
        let [first, second, third] = [(); 3].map(|()| fake.ask(&ask(Command::Get, "k")));
        let begun = Instant::now();
        assert_eq!(first.await, Reply::NotFound);
        assert_eq!((second.await, third.await), (value(0), value(0)));
        assert!(begun.elapsed() < Duration::from_millis(100));
        assert_eq!(fake.seen().len(), 5, "one of those that wait asks for all");
        assert_eq!((fake.count(Event::Won), fake.count(Event::Waited)), (1, 2));
    });
}

#[test]
fn a_value_that_was_found_before_a_reader_came_is_not_for_it() {
    run(async {
        let fake = Fake::new(ROUTE, |_, _| None);
        let first = fake.ask(&ask(Command::Get, "k"));
        fake.answer("a", found(LOST, ""));
        settle().await;
        advance(Duration::from_millis(2)).await;
        settle().await;
        // The leader has asked; before the reply is there, the value is deleted and another reader comes.
        let late = fake.ask(&ask(Command::Get, "k"));
        fake.answer("a", found(VALUE, "v"));
        fake.answer("a", found(LOST, ""));
        assert_eq!(first.await, value(0));
        settle().await;
        advance(Duration::from_millis(4)).await;
        settle().await;
        fake.answer("a", found("VA 1 s1 f5 c11 t60", "w"));
        let Reply::Value(item) = late.await else {
            panic!("a value is there")
        };
        assert_eq!(item.data(), b"w");
    });
}

#[test]
fn a_winner_that_dies_costs_one_more_wait_and_makes_one_more_winner() {
    run(async {
        let is_removed = Cell::new(false);
        let fake = Fake::new(ROUTE, move |_, request| {
            if request.command == Command::MetaDelete {
                assert_eq!(request.raw_flags(), b"C7");
                is_removed.set(true);
                return Some(line("HD"));
            }
            // Who asks next has won.
            let text = if is_removed.take() { WON } else { LOST };
            Some(found(text, ""))
        });
        let begun = Instant::now();
        let readers = [(); 3].map(|()| {
            let answer = fake.ask(&ask(Command::Get, "k"));
            tokio::task::spawn_local(async move {
                assert_eq!(answer.await, Reply::NotFound);
                begun.elapsed().as_millis()
            })
        });
        let mut times = Vec::new();
        for reader in readers {
            times.push(reader.await.expect("answered"));
        }
        times.sort_unstable();
        // The timer counts milliseconds.
        assert!((100..103).contains(&times[0]), "{times:?}");
        assert!(
            times[1..].iter().all(|time| (200..206).contains(time)),
            "{times:?}"
        );
        assert_eq!((fake.count(Event::Won), fake.count(Event::GaveUp)), (1, 2));
        let removals = fake.seen().iter().filter(|line| line.contains(" md ")).count();
        assert_eq!(removals, 1);
    });
}

#[test]
fn near_the_expiry_one_reader_is_told_to_compute_and_the_others_read_on() {
    run(async {
        let fake = saying(
            ROUTE,
            vec![found("VA 1 s1 f5 c9 t2 W", "v"), found("VA 1 s1 f5 c9 t2 Z", "v")],
        );
        assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
        assert_eq!(fake.ask(&ask(Command::Get, "k")).await, value(0));
        assert_eq!(fake.count(Event::Refreshed), 1);
    });
}

#[test]
fn an_old_value_is_read_by_all_but_one() {
    run(async {
        for [won, lost] in [
            ["VA 1 s1 f5 c9 t60 X W", "VA 1 s1 f5 c9 t60 X Z"],
            ["VA 1 s1 f5 c9 t30 W", "VA 1 s1 f5 c9 t30 Z"],
        ] {
            let fake = saying(WITH_STALE, vec![found(won, "v"), found(lost, "v")]);
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, value(0));
            assert_eq!(fake.seen()[0], "a mg k s f c t v N2 R31");
            assert_eq!((fake.count(Event::Won), fake.count(Event::Stale)), (1, 1));
        }
    });
}

#[test]
fn with_stale_an_item_lives_longer_and_a_delete_marks_it() {
    /// The last expiry that a node can read.
    const LAST: i64 = i32::MAX as i64;
    run(async {
        let cases: [(Request<'static>, &str); 10] = [
            (expiring(Command::Set, "k", 60), "a set k 90"),
            (expiring(Command::Set, "k", LAST), "a set k 2147483647"),
            (expiring(Command::Set, "k", LAST - 29), "a set k 2147483647"),
            (meta(Command::MetaSet, "k", "T2147483640"), "a ms k T2147483647"),
            (expiring(Command::Set, "k", 0), "a set k"),
            (expiring(Command::Set, "k", -1), "a set k -1"),
            (meta(Command::MetaSet, "k", "T60"), "a ms k T90"),
            (ask(Command::Delete, "k"), "a mg k s c t,a md k I T30"),
            (
                meta(Command::MetaDelete, "k", "O1 q"),
                "a mg k s c t,a md k O1 q I T30",
            ),
            (expiring(Command::Touch, "k", 60), "a mg k s c t,a touch k 90"),
        ];
        for (request, expected) in cases {
            let fake = Fake::new(WITH_STALE, |_, request| {
                Some(match request.command {
                    Command::MetaGet => line("HD s1 c9 t60"),
                    Command::MetaDelete => line("HD"),
                    _ => Reply::Done,
                })
            });
            fake.ask(&request).await;
            assert_eq!(fake.seen().join(","), expected);
        }
    });
}

/// What a request becomes, and its reply, if the node has nothing, a placeholder, an old value or a value.
#[test]
fn what_changes_an_item_takes_a_placeholder_and_an_old_value_for_none() {
    const NOTHING: &str = "EN";
    const PLACEHOLDER: &str = "HD s0 c7 t2 Z";
    const OLD: &str = "HD s1 c7 t60 X W";
    const THERE: &str = "HD s1 c9 t60";
    let cases: [(Request<'static>, &str, &str, Reply); 27] = [
        (ask(Command::Add, "k"), NOTHING, "a add k", Reply::Done),
        (
            ask(Command::Add, "k"),
            PLACEHOLDER,
            "a ms k F0 T0 C7",
            Reply::Done,
        ),
        (ask(Command::Add, "k"), OLD, "a ms k F0 T0 C7", Reply::Done),
        (ask(Command::Add, "k"), THERE, "", Reply::NotStored),
        (ask(Command::Replace, "k"), PLACEHOLDER, "", Reply::NotStored),
        (
            ask(Command::Replace, "k"),
            THERE,
            "a ms k MR F0 T0 C9",
            Reply::Done,
        ),
        (ask(Command::Append, "k"), NOTHING, "", Reply::NotStored),
        (ask(Command::Append, "k"), PLACEHOLDER, "", Reply::NotStored),
        (ask(Command::Append, "k"), OLD, "a md k I C7", Reply::NotStored),
        (ask(Command::Append, "k"), THERE, "a ms k MA C9", Reply::Done),
        (
            meta(Command::MetaSet, "k", "MA N30"),
            NOTHING,
            "a ms k ME T30",
            line("HD"),
        ),
        (
            meta(Command::MetaSet, "k", "MA N30"),
            PLACEHOLDER,
            "a ms k T30 C7",
            line("HD"),
        ),
        (
            meta(Command::MetaSet, "k", "MA N30"),
            THERE,
            "a ms k MA N30 C9",
            line("HD"),
        ),
        (ask(Command::Incr, "k"), PLACEHOLDER, "", Reply::NotFound),
        (ask(Command::Incr, "k"), THERE, "a ma k v D0 C9", Reply::Done),
        (ask(Command::Cas, "k"), PLACEHOLDER, "", Reply::NotFound),
        (ask(Command::Cas, "k"), THERE, "a cas k", Reply::Done),
        (
            meta(Command::MetaSet, "k", "T9 C7"),
            PLACEHOLDER,
            "a ms k T9 C7",
            line("HD"),
        ),
        (
            meta(Command::MetaSet, "k", "T9 C6"),
            PLACEHOLDER,
            "",
            Reply::NotFound,
        ),
        (
            meta(Command::MetaArithmetic, "k", "N0 J1"),
            PLACEHOLDER,
            "a md k C7,a ma k N0 J1",
            line("HD"),
        ),
        (expiring(Command::Touch, "k", 9), PLACEHOLDER, "", Reply::NotFound),
        (
            expiring(Command::Touch, "k", 9),
            THERE,
            "a touch k 9",
            Reply::Done,
        ),
        (expiring(Command::Gat, "k", 9), PLACEHOLDER, "", Reply::NotFound),
        (
            ask(Command::Delete, "k"),
            PLACEHOLDER,
            "a md k C7",
            Reply::NotFound,
        ),
        (ask(Command::Delete, "k"), NOTHING, "a delete k", Reply::Done),
        (ask(Command::Delete, "k"), OLD, "a md k I C7", Reply::NotFound),
        (ask(Command::Delete, "k"), THERE, "a delete k", Reply::Done),
    ];
    run(async move {
        for (request, state, expected, reply) in cases {
            let fake = Fake::new(ROUTE, move |_, request| {
                Some(match request.command {
                    Command::MetaGet => line(state),
                    command if command.is_meta() => line("HD"),
                    _ => Reply::Done,
                })
            });
            assert_eq!(fake.ask(&request).await, reply, "{request:?} {state}");
            let seen = fake.seen();
            assert_eq!(seen[0], "a mg k s c t", "{request:?}");
            assert_eq!(seen[1..].join(","), expected, "{request:?} {state}");
        }
    });
}

/// memcached says that a placeholder is no number before it compares cas ids.
#[test]
fn a_count_that_met_a_placeholder_looks_again_and_one_that_met_text_fails() {
    let no_number = || Reply::Error(NON_NUMERIC.into());
    let counts = [
        ask(Command::Incr, "k"),
        ask(Command::Decr, "k"),
        meta(Command::MetaArithmetic, "k", "C9"),
        meta(Command::MetaArithmetic, "k", "N0 J1"),
    ];
    run(async move {
        for request in counts {
            for (then, reply) in [("HD s0 c7 Z", Reply::NotFound), ("HD s1 c9", no_number())] {
                let seen = line("HD s1 c9 t60");
                let fake = saying(
                    ROUTE,
                    vec![seen, no_number(), line(then), line("EN"), Reply::NotFound],
                );
                assert_eq!(fake.ask(&request).await, reply, "{request:?} {then}");
            }
        }
    });
}

#[test]
fn what_takes_no_part_is_forwarded_and_so_is_everything_to_a_node_without_the_flags() {
    run(async {
        for request in [
            ask(Command::Set, "k"),
            meta(Command::MetaGet, "k", "v N30"),
            meta(Command::MetaGet, "k", "v t"),
            ask(Command::MetaDebug, "k"),
        ] {
            let fake = saying(ROUTE, vec![line("HD")]);
            fake.ask(&request).await;
            let seen = fake.seen();
            assert!(seen.len() == 1 && !seen[0].contains(" R3"), "{seen:?}");
        }
        let fake = saying(ROUTE, vec![found("VA 0 t2 Z", "")]);
        assert_eq!(
            fake.ask(&meta(Command::MetaGet, "k", "v t")).await,
            Reply::NotFound
        );
        for (request, then) in [
            (ask(Command::Get, "k"), "a get k"),
            (ask(Command::Incr, "k"), "a incr k"),
            (ask(Command::Delete, "k"), "a delete k"),
        ] {
            let fake = saying(ROUTE, vec![Reply::Failed(Failure::Unsupported), Reply::Done]);
            assert_eq!(fake.ask(&request).await, Reply::Done);
            assert_eq!(fake.seen()[1], then);
        }
    });
}

#[test]
fn a_failed_look_lets_the_change_itself_fail_so_that_it_is_remembered() {
    run(async {
        for request in [ask(Command::Delete, "k"), ask(Command::Incr, "k")] {
            let failed = Reply::Failed(Failure::Timeout);
            let fake = saying(ROUTE, vec![failed.clone(), failed.clone()]);
            assert_eq!(fake.ask(&request).await, failed);
            assert_eq!(fake.seen().len(), 2);
        }
    });
}
