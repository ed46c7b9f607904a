//! `hot_cache` over pools that answer as a test says.

use std::time::Duration;

use tokio::time::advance;

use crate::protocol::{Command, Failure, Item, MetaReply, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::route::counters::Event;
use crate::route::testing::{Fake, ask, expiring, line, meta, run};

const ROUTE: &str = "{hot_cache: {to: a, expiry: 1s, min_rate: 0}}";

fn item(data: &'static str) -> Reply {
    Reply::Value(Item::new("k".into(), 5, 0, data.into()))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Reads `k` and lets the node answer `data`.
async fn read(fake: &Fake, data: &'static str) {
    let answer = fake.ask(&ask(Command::Get, "k"));
    assert_eq!(fake.seen(), ["a get k"]);
    fake.answer("a", item(data));
    assert_eq!(answer.await, item(data));
}

/// What a read of `k` gets without asking the node.
async fn kept(fake: &Fake) -> Reply {
    let reply = fake.ask(&ask(Command::Get, "k")).await;
    assert_eq!(fake.seen(), [] as [&str; 0], "no node is asked");
    reply
}

fn silent() -> Fake {
    Fake::new(ROUTE, |_, _| None)
}

#[test]
fn a_value_is_kept_until_it_expires_and_is_renewed_by_one_read() {
    run(async {
        let fake = silent();
        read(&fake, "v").await;
        advance(millis(499)).await;
        assert_eq!(kept(&fake).await, item("v"));
        advance(millis(1)).await;
        let renewing = fake.ask(&ask(Command::Get, "k"));
        assert_eq!(fake.seen(), ["a get k"]);
        assert_eq!(kept(&fake).await, item("v"), "the others do not wait");
        fake.answer("a", item("w"));
        assert_eq!(renewing.await, item("w"));
        assert_eq!(kept(&fake).await, item("w"));
        assert_eq!((fake.count(Event::Served), fake.count(Event::Refreshed)), (3, 1));
        advance(millis(1000)).await;
        read(&fake, "x").await;
        assert_eq!(fake.count(Event::Refreshed), 1, "it had expired");
    });
}

#[test]
fn a_value_expires_so_long_after_its_read_began_however_late_the_reply_was() {
    run(async {
        let fake = silent();
        let answer = fake.ask(&ask(Command::Get, "k"));
        fake.seen();
        advance(millis(999)).await;
        fake.answer("a", item("v"));
        assert_eq!(answer.await, item("v"));
        advance(millis(1)).await;
        read(&fake, "w").await;
    });
}

#[test]
fn a_write_ends_what_is_kept_before_it_is_answered_and_a_read_in_flight_brings_nothing_back() {
    let writes: [Request<'static>; 9] = [
        ask(Command::Set, "k"),
        ask(Command::Delete, "k"),
        ask(Command::Incr, "k"),
        ask(Command::Cas, "k"),
        expiring(Command::Touch, "k", 9),
        expiring(Command::Gat, "k", 9),
        meta(Command::MetaDelete, "k", "I T30"),
        meta(Command::MetaGet, "k", "v N30"),
        meta(Command::MetaSet, "k", "ME"),
    ];
    run(async move {
        for write in writes {
            let fake = silent();
            read(&fake, "old").await;
            let in_progress = fake.ask(&write);
            let slow = fake.ask(&ask(Command::Get, "k"));
            assert_eq!(fake.seen().len(), 2, "nothing is given during the write");
            fake.answer("a", Reply::Done);
            assert_eq!(in_progress.await, Reply::Done);
            fake.answer("a", item("old"));
            assert_eq!(slow.await, item("old"), "it began before the write was answered");
            read(&fake, "new").await;
            assert_eq!(kept(&fake).await, item("new"));
        }
    });
}

#[test]
fn only_reads_that_a_value_can_answer_get_it() {
    run(async {
        for (request, is_kept) in [
            (ask(Command::Get, "k"), true),
            (ask(Command::Gets, "k"), false),
            (meta(Command::MetaGet, "k", "f v s k O7 q"), true),
            (meta(Command::MetaGet, "k", "v c"), false),
            (meta(Command::MetaGet, "k", "v t"), false),
            (meta(Command::MetaGet, "k", "v h"), false),
            (ask(Command::MetaDebug, "k"), false),
        ] {
            let fake = Fake::new(ROUTE, |_, request| {
                Some(match request.command {
                    Command::MetaGet => Reply::Meta(MetaReply::new("VA 1 f5", 0..0, Some("v".into()))),
                    _ => item("v"),
                })
            });
            fake.ask(&request).await;
            let second = fake.ask(&request).await;
            assert_eq!(fake.seen().len(), if is_kept { 1 } else { 2 }, "{request:?}");
            assert!(!is_kept || second == item("v"));
        }
    });
}

#[test]
fn a_meta_client_gets_only_what_is_known_and_no_stale_item_or_token_is_kept() {
    run(async {
        let fake = Fake::new(ROUTE, |_, request| {
            let flags = request.raw_flags();
            let text = if flags == b"v f" { "VA 1 f5" } else { "VA 1" };
            Some(Reply::Meta(MetaReply::new(text, 0..0, Some("v".into()))))
        });
        let asked = async |flags: &'static str| {
            fake.ask(&meta(Command::MetaGet, "k", flags)).await;
            fake.seen().len()
        };
        assert_eq!((asked("v").await, asked("v s").await), (1, 0));
        assert_eq!((asked("v f").await, asked("v f").await), (1, 0));
        for text in ["VA 1 W", "VA 1 X Z", "VA 1 W X", "VA 0 Z"] {
            let fake = Fake::new(ROUTE, move |_, _| {
                Some(Reply::Meta(MetaReply::new(text, 0..0, Some("".into()))))
            });
            for _ in 0..2 {
                fake.ask(&meta(Command::MetaGet, "k", "v")).await;
            }
            assert_eq!(fake.seen().len(), 2, "{text}");
        }
    });
}

#[test]
fn misses_are_kept_if_asked_and_failures_never() {
    run(async {
        let with_misses = "{hot_cache: {to: a, min_rate: 0, misses: true}}";
        for (route, reply, requests) in [
            (ROUTE, Reply::NotFound, 2),
            (with_misses, Reply::NotFound, 1),
            (with_misses, line("EN"), 1),
            (with_misses, Reply::Failed(Failure::Timeout), 2),
            (with_misses, Reply::Error("SERVER_ERROR busy".into()), 2),
        ] {
            let answer = reply.clone();
            let fake = Fake::new(route, move |_, _| Some(answer.clone()));
            let answers: [Answer; 2] = [(); 2].map(|()| fake.ask(&ask(Command::Get, "k")));
            for answer in answers {
                assert!(matches!(
                    (answer.await, &reply),
                    (Reply::NotFound, _) | (_, Reply::Failed(_) | Reply::Error(_) | Reply::Meta(_))
                ));
            }
            assert_eq!(fake.seen().len(), requests, "{reply:?}");
        }
    });
}

#[test]
fn a_value_that_is_still_kept_is_given_if_the_node_fails() {
    run(async {
        let fake = silent();
        read(&fake, "v").await;
        advance(millis(600)).await;
        let renewing = fake.ask(&ask(Command::Get, "k"));
        fake.answer("a", Reply::Failed(Failure::Timeout));
        assert_eq!(renewing.await, item("v"));
    });
}

#[test]
fn only_keys_that_are_read_often_and_have_a_prefix_are_kept() {
    run(async {
        let route = "{hot_cache: {to: a, min_rate: 100, prefixes: [\"page:\", \"img:\"]}}";
        let fake = Fake::new(route, |_, request| {
            Some(Reply::Value(Item::new(
                request.key.to_vec().into(),
                0,
                7,
                "v".into(),
            )))
        });
        for _ in 0..3000 {
            fake.ask(&ask(Command::Get, "page:1")).await;
            fake.ask(&ask(Command::Get, "user:1")).await;
        }
        advance(millis(1500)).await;
        fake.ask(&ask(Command::Get, "page:2")).await;
        fake.seen();
        for key in ["page:1", "user:1", "page:2", "img:1"] {
            for _ in 0..3 {
                fake.ask(&ask(Command::Get, key)).await;
            }
            let expected = if key == "page:1" { 1 } else { 3 };
            assert_eq!(fake.seen().len(), expected, "{key}");
        }
    });
}

#[test]
fn a_key_that_goes_through_two_of_them_is_counted_by_each() {
    run(async {
        let other = "{hot_cache: {to: b, min_rate: 100}}";
        let route = format!("{{shadow: {{of: {{hot_cache: {{to: a, min_rate: 100}}}}, to: {other}}}}}");
        let fake = Fake::new(&route, |_, _| Some(item("v")));
        // Some 70 reads a second: for both together they would be hot.
        for _ in 0..500 {
            fake.ask(&ask(Command::Get, "k")).await;
            advance(millis(14)).await;
        }
        assert_eq!(fake.count(Event::Served), 0);
        for _ in 0..1000 {
            fake.ask(&ask(Command::Get, "k")).await;
            advance(millis(7)).await;
        }
        assert!(fake.count(Event::Served) > 0);
    });
}
