//! `spread` over a pool that answers as a test says.

use crate::protocol::{Command, Failure, MetaReply, Reply, Request};
use crate::route::counters::Event;
use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

const ROUTE: &str = "{spread: {to: a, copies: 3, min_rate: 0, prefixes: [\"page:\"]}}";

/// A policy that reads the same copies each time.
fn policy(script: impl Fn(&str, &Request<'_>) -> Option<Reply> + 'static) -> Fake {
    fastrand::seed(7);
    Fake::new(ROUTE, script)
}

/// A node that has every key under its own name, and no copy.
fn without_copies(_pool: &str, request: &Request<'_>) -> Option<Reply> {
    let is_copy = request.key.contains(&b'~');
    Some(match request.command {
        Command::Get if !is_copy => value(request, "v", 0),
        Command::MetaGet if request.raw_flags().ends_with(b"N10") => line("HD s0 c7 W"),
        Command::MetaGet if request.raw_flags() == b"t f v" => {
            Reply::Meta(MetaReply::new("VA 1 t60 f0", 0..0, Some("v".into())))
        }
        Command::MetaSet => line("HD"),
        _ => Reply::NotFound,
    })
}

/// A key for which this process reads a copy, and the copy's number.
fn copied_key(fake: &Fake) -> (String, u32) {
    for number in 0..1000 {
        let key = format!("page:{number}");
        let _answer = fake.ask(&ask(Command::Get, &key));
        let seen = fake.seen();
        if let Some(copy) = seen[0].strip_prefix(&format!("a get {key}~")) {
            return (key, copy.parse().expect("a number"));
        }
    }
    panic!("every key is read under its own name")
}

#[test]
fn a_read_asks_a_copy_first_and_makes_one_that_is_missing() {
    run(async {
        let fake = policy(without_copies);
        let (key, number) = copied_key(&policy(|_, _| None));
        let request = ask(Command::Get, &key);
        assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
        let copy = format!("{key}~{number}");
        assert_eq!(
            fake.seen(),
            [
                format!("a get {copy}"),
                format!("a get {key}"),
                format!("a mg {copy} s c N10"),
                format!("a mg {key} t f v"),
                format!("a ms {copy} C7 F0 T10"),
            ]
        );
        assert_eq!((fake.count(Event::Spread), fake.count(Event::Filled)), (1, 1));
        let fake = policy(|_, request| Some(value(request, "v", 0)));
        assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
        assert_eq!(
            fake.seen(),
            [format!("a get {copy}")],
            "the client reads its own key"
        );
    });
}

#[test]
fn the_copies_of_many_keys_are_read_alike() {
    run(async {
        let fake = policy(|_, _| None);
        let mut reads = [0; 3];
        for number in 0..900 {
            let _answer = fake.ask(&ask(Command::Get, &format!("page:{number}")));
            let seen = fake.seen();
            let copy = seen[0].split_once('~');
            reads[copy.map_or(0, |(_, number)| number.parse().expect("a number"))] += 1;
        }
        assert!(reads.iter().all(|&count| count > 200), "{reads:?}");
    });
}

#[test]
fn a_change_is_executed_and_then_every_copy_is_deleted() {
    run(async {
        let cases: [(Request<'static>, &str); 8] = [
            (expiring(Command::Set, "page:1", 9), "a set page:1 9"),
            (ask(Command::Delete, "page:1"), "a delete page:1"),
            (ask(Command::Incr, "page:1"), "a incr page:1"),
            (ask(Command::Cas, "page:1"), "a cas page:1"),
            (expiring(Command::Touch, "page:1", 9), "a touch page:1 9"),
            (expiring(Command::Gat, "page:1", 9), "a gat page:1 9"),
            (meta(Command::MetaSet, "page:1", "ME"), "a ms page:1 ME"),
            (meta(Command::MetaGet, "page:1", "v T9"), "a mg page:1 v T9"),
        ];
        for (request, first) in cases {
            let fake = policy(without_copies);
            fake.ask(&request).await;
            assert_eq!(fake.seen(), [first, "a md page:1~1", "a md page:1~2"]);
        }
    });
}

#[test]
fn what_a_copy_cannot_answer_and_other_keys_have_no_copies() {
    run(async {
        let long = format!("page:{}", "k".repeat(244));
        for request in [
            ask(Command::Gets, "page:1"),
            meta(Command::MetaGet, "page:1", "v c"),
            meta(Command::MetaGet, "page:1", "v t"),
            meta(Command::MetaGet, "page:1", "v N30"),
            ask(Command::MetaDebug, "page:1"),
            ask(Command::Set, "user:1"),
            ask(Command::Get, &long),
            ask(Command::Set, &long),
        ] {
            let fake = policy(without_copies);
            fake.ask(&request).await;
            let seen = fake.seen();
            assert!(seen.len() == 1 && !seen[0].contains('~'), "{seen:?}");
        }
    });
}

#[test]
fn a_copy_that_cannot_be_deleted_fails_the_write_and_one_that_was_there_was_deleted() {
    let lost = Reply::Failed(Failure::Timeout);
    let cases = [
        (Command::Set, Reply::Done, line("NF"), lost.clone(), lost.clone()),
        (Command::Set, Reply::Done, line("HD"), line("NF"), Reply::Done),
        (
            Command::Delete,
            Reply::NotFound,
            line("NF"),
            line("HD"),
            Reply::Done,
        ),
        (
            Command::Delete,
            Reply::NotFound,
            line("NF"),
            line("NF"),
            Reply::NotFound,
        ),
        (
            Command::Incr,
            Reply::NotFound,
            line("HD"),
            line("HD"),
            Reply::NotFound,
        ),
        (
            Command::Set,
            Reply::Failed(Failure::Down),
            line("NF"),
            lost,
            Reply::Failed(Failure::Down),
        ),
    ];
    run(async move {
        for (command, reply, first, second, expected) in cases {
            let fake = policy(move |_, request| {
                Some(match &request.key[request.key.len() - 2..] {
                    b"~1" => first.clone(),
                    b"~2" => second.clone(),
                    _ => reply.clone(),
                })
            });
            assert_eq!(fake.ask(&ask(command, "page:1")).await, expected, "{command:?}");
        }
    });
}
