//! `spread` over a pool that answers as a test says.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use crate::protocol::{Command, Failure, MetaReply, Reply, Request};
use crate::route::Pool;
use crate::route::counters::Event;
use crate::route::handover::progress::Phase;
use crate::route::testing::handovers::Rings;
use crate::route::testing::{Fake, Source, ask, expiring, line, meta, run, value};

const ROUTE: &str = "{spread: {to: four, copies: 3, min_rate: 0, prefixes: [\"page:\"]}}";

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

/// The names of the copies of `key` that a delete through `fake` deletes.
async fn deleted(fake: &Fake, key: &str) -> Vec<String> {
    fake.ask(&ask(Command::Delete, key)).await;
    let seen = fake.seen();
    let names = seen[1..]
        .iter()
        .map(|line| line.rsplit_once(' ').expect("a key").1);
    names.map(str::to_owned).collect()
}

/// The keys that `request`, which changes an item, changes.
async fn changed_by(request: &Request<'_>) -> Vec<Vec<u8>> {
    let changed = Rc::new(RefCell::new(Vec::new()));
    let keys = changed.clone();
    let fake = policy(move |pool, request| {
        keys.borrow_mut().push(request.key.to_vec());
        without_copies(pool, request)
    });
    fake.ask(request).await;
    changed.take()
}

/// The name that a read of `key` through `fake` asks first.
async fn read(fake: &Fake, key: &str) -> String {
    fake.ask(&ask(Command::Get, key)).await;
    fake.seen()[0].rsplit_once(' ').expect("a key").1.to_owned()
}

/// A key for which this process reads a copy, and the copy's name.
async fn copied_key(fake: &Fake) -> (String, String) {
    for number in 0..1000 {
        let key = format!("page:{number}");
        let name = read(fake, &key).await;
        if name != key {
            return (key, name);
        }
    }
    panic!("every key is read under its own name")
}

#[test]
fn a_read_asks_a_copy_first_and_makes_one_that_is_missing() {
    run(async {
        let fake = policy(without_copies);
        let (key, copy) = copied_key(&policy(without_copies)).await;
        let request = ask(Command::Get, &key);
        assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
        assert_eq!(
            fake.seen(),
            [
                format!("four get {copy}"),
                format!("four get {key}"),
                format!("four mg {copy} s c N10"),
                format!("four mg {key} t f v"),
                format!("four ms {copy} C7 F0 T10"),
            ]
        );
        assert_eq!((fake.count(Event::Spread), fake.count(Event::Filled)), (1, 1));
        let fake = policy(|_, request| Some(value(request, "v", 0)));
        assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
        assert_eq!(
            fake.seen(),
            [format!("four get {copy}")],
            "the client reads its own key"
        );
    });
}

#[test]
fn the_copies_of_many_keys_are_read_alike() {
    run(async {
        let fake = policy(without_copies);
        let mut reads = [0; 3];
        for number in 0..900 {
            let key = format!("page:{number}");
            let name = read(&fake, &key).await;
            let copies = deleted(&fake, &key).await;
            assert_eq!(copies.len(), 2);
            let copy = copies.iter().position(|copy| *copy == name);
            assert!(copy.is_some() || name == key, "{name} is none of {copies:?}");
            reads[copy.map_or(0, |copy| 1 + copy)] += 1;
        }
        assert!(reads.iter().all(|&count| count > 200), "{reads:?}");
    });
}

#[test]
fn in_a_pool_of_one_node_a_key_has_no_copies() {
    run(async {
        let fake = Fake::new("{spread: {to: a, min_rate: 0}}", without_copies);
        for number in 0..50 {
            let key = format!("page:{number}");
            assert_eq!(read(&fake, &key).await, key);
            assert!(deleted(&fake, &key).await.is_empty());
        }
    });
}

#[test]
fn while_the_ring_changes_the_copies_of_both_rings_are_deleted_and_those_of_the_serving_one_are_read() {
    let rings = Rings::of(&["one", "two", "three"], &["four", "one", "three"]);
    let policy = |pool: &Arc<Pool>| {
        let source = Source::over_main("{spread: {to: main, min_rate: 0}}", pool);
        Fake::over(source.compile(&Arc::default()), without_copies)
    };
    run(async move {
        let [before, during, after] = rings.pools().map(policy);
        let mut differ = 0;
        for number in 0..200 {
            let key = format!("page:{number}");
            let (old, new) = (deleted(&before, &key).await, deleted(&after, &key).await);
            differ += usize::from(old != new);
            for (phase, serving) in [
                (Phase::Prepare, &old),
                (Phase::Serve, &new),
                (Phase::Finish, &new),
            ] {
                rings.handover().progress.enter(phase, Instant::now());
                let mut both = deleted(&during, &key).await;
                both.sort();
                let mut expected = [&old[..], &new].concat();
                expected.sort();
                expected.dedup();
                assert_eq!(both, expected, "{phase:?}");
                let name = read(&during, &key).await;
                assert!(name == key || serving.contains(&name), "{phase:?}: {name}");
            }
        }
        assert!(differ > 50, "{differ}");
    });
}

#[test]
fn a_change_is_executed_and_then_every_copy_is_deleted() {
    run(async {
        let cases: [(Request<'static>, &str); 8] = [
            (expiring(Command::Set, "page:1", 9), "four set page:1 9"),
            (ask(Command::Delete, "page:1"), "four delete page:1"),
            (ask(Command::Incr, "page:1"), "four incr page:1"),
            (ask(Command::Cas, "page:1"), "four cas page:1"),
            (expiring(Command::Touch, "page:1", 9), "four touch page:1 9"),
            (expiring(Command::Gat, "page:1", 9), "four gat page:1 9"),
            (meta(Command::MetaSet, "page:1", "ME"), "four ms page:1 ME"),
            (meta(Command::MetaGet, "page:1", "v T9"), "four mg page:1 v T9"),
        ];
        let copies = deleted(&policy(without_copies), "page:1").await;
        let [one, two] = [0, 1].map(|index| format!("four md {}", copies[index]));
        for (request, first) in cases {
            let fake = policy(without_copies);
            fake.ask(&request).await;
            assert_eq!(fake.seen(), [first, &one, &two]);
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
fn which_copies_a_key_has_does_not_depend_on_the_form_in_which_it_is_sent() {
    run(async {
        // By length, with the suffix: in base64 up to 186 bytes, otherwise up to 250.
        let keys = [182, 183, 186].map(|length| format!("page:{}", "k".repeat(length - 5)));
        let hidden = [182, 183, 186].map(|length| format!("page:{}", "\u{1}".repeat(length - 5)));
        let with_nul = format!("page:{}", "\0".repeat(178));
        let copied = |key: &String| *key != with_nul && !hidden[1..].contains(key);
        for key in keys.iter().chain(&hidden).chain([&with_nul]) {
            let encoded = STANDARD.encode(key);
            let in_base64 = Request {
                key: key.as_bytes(),
                ..meta(Command::MetaSet, &encoded, "b")
            };
            let forms = [ask(Command::Set, key), meta(Command::MetaSet, key, ""), in_base64];
            let changed = changed_by(&forms[0]).await;
            assert_eq!(changed.len(), if copied(key) { 3 } else { 1 }, "{key:?}");
            for form in &forms[1..] {
                assert_eq!(changed_by(form).await, changed, "{key:?}");
            }
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
            let copies = deleted(&policy(without_copies), "page:1").await;
            let fake = policy(move |_, request| {
                let copy = copies.iter().position(|copy| copy.as_bytes() == request.key);
                Some(match copy {
                    Some(0) => first.clone(),
                    Some(_) => second.clone(),
                    None => reply.clone(),
                })
            });
            assert_eq!(fake.ask(&ask(command, "page:1")).await, expected, "{command:?}");
        }
    });
}
