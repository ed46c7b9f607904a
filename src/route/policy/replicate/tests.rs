//! What `replicate` does with each command, on pools without a network.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::protocol::{Command, Failure, Reply, Request};
use crate::route::counters::Event;
use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

/// The pools that were asked.
fn asked(fake: &Fake) -> String {
    fake.seen().iter().map(|line| &line[..1]).collect()
}

fn obey(_: &str, request: &Request<'_>) -> Option<Reply> {
    Some(match request.command {
        command if command.is_read() => value(request, "v", 7),
        Command::MetaGet => line("HD c7"),
        Command::MetaSet | Command::MetaDelete | Command::MetaArithmetic => line("HD c7"),
        _ => Reply::Done,
    })
}

#[test]
fn each_command_goes_to_the_replicas_that_need_it() {
    let cases = [
        (ask(Command::Get, "k"), "a get k"),
        (ask(Command::Gets, "k"), "a gets k"),
        (expiring(Command::Gat, "k", 9), "a gat k 9,b gat k 9,c gat k 9"),
        (expiring(Command::Set, "k", 9), "a set k 9,b set k 9,c set k 9"),
        (
            expiring(Command::Touch, "k", 9),
            "a touch k 9,b touch k 9,c touch k 9",
        ),
        (ask(Command::Append, "k"), "a append k,b append k,c append k"),
        (ask(Command::Incr, "k"), "a incr k,b incr k,c incr k"),
        (ask(Command::Delete, "k"), "a delete k,b delete k,c delete k"),
        (expiring(Command::Add, "k", 9), "a add k 9,b set k 9,c set k 9"),
        (ask(Command::Replace, "k"), "a replace k,b set k,c set k"),
        (expiring(Command::Cas, "k", 9), "a cas k 9,b set k 9,c set k 9"),
        (meta(Command::MetaGet, "k", "v t"), "a mg k v t"),
        (
            meta(Command::MetaGet, "k", "v T9"),
            "a mg k v T9,b mg k v T9,c mg k v T9",
        ),
        (meta(Command::MetaGet, "k", "T9"), "a mg k T9,b mg k T9,c mg k T9"),
        (
            meta(Command::MetaSet, "k", "ME T9"),
            "a ms k ME T9,b ms k T9,c ms k T9",
        ),
        (meta(Command::MetaSet, "k", "C7 I"), "a ms k C7 I,b ms k,c ms k"),
        (meta(Command::MetaSet, "k", "MA"), "a ms k MA,b ms k MA,c ms k MA"),
        (
            meta(Command::MetaDelete, "k", "C7 q"),
            "a md k C7 q,b md k q,c md k q",
        ),
        (
            meta(Command::MetaArithmetic, "k", "N9"),
            "a ma k N9,b ma k N9,c ma k N9",
        ),
        (ask(Command::MetaDebug, "k"), "a me k"),
    ];
    run(async move {
        let fake = Fake::new("{replicate: [a, b, c]}", obey);
        for (request, expected) in cases {
            fake.ask(&request).await;
            assert_eq!(fake.seen().join(","), expected);
        }
    });
}

#[test]
fn what_the_first_replica_may_have_done_leaves_nothing_older_in_the_others() {
    run(async {
        let fake = Fake::new("{replicate: [a, b, c]}", |pool, _| {
            Some(match pool {
                "a" => Reply::Failed(Failure::Timeout),
                "b" => Reply::Failed(Failure::Down),
                _ => Reply::Done,
            })
        });
        let failed = Reply::Failed(Failure::Timeout);
        for command in [Command::Add, Command::Replace, Command::Cas] {
            assert_eq!(fake.ask(&ask(command, "k")).await, failed);
            let seen = fake.seen();
            assert_eq!(seen[1..], ["b delete k", "c delete k"], "{command:?}");
        }
        for (command, flags) in [
            (Command::MetaSet, "ME q"),
            (Command::MetaSet, "C7 I"),
            (Command::MetaDelete, "C7 q O1"),
        ] {
            assert_eq!(fake.ask(&meta(command, "k", flags)).await, failed);
            assert_eq!(fake.seen()[1..], ["b delete k", "c delete k"], "{flags}");
        }
    });
}

#[test]
fn a_key_that_came_in_base64_is_deleted_in_base64() {
    run(async {
        let fake = Fake::new("{replicate: [a, b]}", |_, _| {
            Some(Reply::Failed(Failure::Timeout))
        });
        let add = Request {
            key: b"a b",
            ..meta(Command::MetaSet, "YSBi", "b ME T9")
        };
        fake.ask(&add).await;
        assert_eq!(fake.seen(), ["a ms YSBi b ME T9", "b md YSBi b"]);
    });
}

#[test]
fn what_the_first_replica_refused_is_not_sent_to_the_others() {
    run(async {
        let replies = [
            Reply::NotStored,
            Reply::Exists,
            Reply::Failed(Failure::TooLarge),
            Reply::Failed(Failure::Unsupported),
            Reply::Error("SERVER_ERROR out of memory".into()),
        ];
        for reply in replies {
            let answer = reply.clone();
            let fake = Fake::new("{replicate: [a, b]}", move |_, _| Some(answer.clone()));
            for command in [Command::Add, Command::Replace, Command::Cas] {
                assert_eq!(fake.ask(&ask(command, "k")).await, reply);
                assert_eq!(asked(&fake), "a", "{command:?} {reply:?}");
            }
        }
    });
}

#[test]
fn a_cas_id_is_the_first_replicas_or_matches_nothing() {
    let first_fails = |pool: &str, request: &Request<'_>| match pool {
        "a" => Some(Reply::Failed(Failure::Timeout)),
        _ => obey(pool, request),
    };
    let never = i64::MAX as u64;
    run(async move {
        // A read that may go to b must go to a if it asks for a cas id, and to b only after it.
        for read in ["first", "local", "fastest", "hedged"] {
            let route = format!("{{replicate: {{to: [a, b], read: {read}}}}}");
            let fake = Fake::new(&route, obey);
            let reply = fake.ask(&ask(Command::Gets, "k")).await;
            assert!(matches!(reply, Reply::Value(item) if item.cas == 7), "{read}");
            for flags in ["v c", "v N30", "v R30"] {
                fake.ask(&meta(Command::MetaGet, "k", flags)).await;
            }
            assert_eq!(asked(&fake), "aaaa", "{read}");
            let fake = Fake::new(&route, first_fails);
            let reply = fake.ask(&ask(Command::Gets, "k")).await;
            assert!(matches!(reply, Reply::Value(item) if item.cas == never), "{read}");
            let reply = fake.ask(&ask(Command::Gats, "k")).await;
            assert!(matches!(reply, Reply::Value(item) if item.cas == never), "{read}");
        }
        let fake = Fake::new("{replicate: {to: [a, b], write: first}}", first_fails);
        let reply = fake.ask(&meta(Command::MetaSet, "k", "c")).await;
        assert_eq!(reply, line("HD c9223372036854775807"));
    });
}

#[test]
fn reads_go_on_if_a_replica_fails_and_with_on_miss_after_a_miss() {
    let script = |pool: &str, request: &Request<'_>| {
        Some(match pool {
            "a" => Reply::Failed(Failure::Timeout),
            "b" => Reply::NotFound,
            _ => value(request, "v", 7),
        })
    };
    run(async move {
        let fake = Fake::new("{replicate: [a, b, c]}", script);
        assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
        assert_eq!((asked(&fake).as_str(), fake.count(Event::Failover)), ("ab", 1));
        let fake = Fake::new("{replicate: {to: [a, b, c], on_miss: true}}", script);
        assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
        assert_eq!(asked(&fake), "abc");
    });
}

#[test]
fn local_reads_ask_the_replica_of_the_own_zone_first() {
    run(async {
        let fake = Fake::new(
            "{replicate: {to: [a, b, c], read: local}}",
            |pool, request| match pool {
                "b" => Some(Reply::Failed(Failure::Down)),
                _ => obey(pool, request),
            },
        );
        fake.ask(&ask(Command::Get, "k")).await;
        assert_eq!(asked(&fake), "ba", "b is in the west, as the test is");
        fake.ask(&ask(Command::Set, "k")).await;
        assert_eq!(asked(&fake), "abc");
    });
}

#[test]
fn the_fastest_hit_is_the_reply_and_a_miss_only_if_no_replica_has_the_key() {
    run(async {
        let fake = Fake::new("{replicate: {to: [a, b, c], read: fastest}}", |_, _| None);
        let get = ask(Command::Get, "k");
        let answer = fake.ask(&get);
        fake.answer("b", Reply::NotFound);
        fake.answer("c", value(&get, "v", 0));
        assert!(matches!(answer.await, Reply::Value(_)), "a need not answer");
        fake.answer("a", Reply::NotFound);
        let answer = fake.ask(&get);
        fake.answer("a", Reply::Failed(Failure::Timeout));
        fake.answer("c", Reply::NotFound);
        fake.answer("b", Reply::Failed(Failure::Down));
        assert_eq!(answer.await, Reply::NotFound, "a miss is more than a failure");
    });
}

#[test]
fn a_hedged_read_asks_a_second_replica_if_the_first_is_slow() {
    run(async {
        let fake = Fake::new("{replicate: {to: [a, b], read: hedged}}", |_, _| None);
        let get = ask(Command::Get, "k");
        let answer = fake.ask(&get);
        sleep(Duration::from_millis(9)).await;
        assert_eq!(asked(&fake), "b", "the zone's first");
        sleep(Duration::from_millis(2)).await;
        assert_eq!((asked(&fake).as_str(), fake.count(Event::Hedged)), ("a", 1));
        fake.answer("a", value(&get, "v", 0));
        assert!(matches!(answer.await, Reply::Value(_)), "b need not answer");
    });
}

#[test]
fn of_a_hedged_read_the_second_replicas_miss_waits_for_the_first() {
    run(async {
        let fake = Fake::new("{replicate: {to: [a, b], read: hedged}}", |_, _| None);
        let get = ask(Command::Get, "k");
        for (last, expected) in [
            (value(&get, "v", 0), true),
            (Reply::Failed(Failure::Timeout), false),
        ] {
            let answer = fake.ask(&get);
            sleep(Duration::from_millis(20)).await;
            fake.answer("a", Reply::NotFound);
            fake.answer("b", last);
            let reply = answer.await;
            assert_eq!(matches!(reply, Reply::Value(_)), expected, "{reply:?}");
            assert_eq!(asked(&fake), "ba");
        }
    });
}

#[test]
fn a_budget_bounds_hedged_reads_and_a_failure_goes_on_all_the_same() {
    run(async {
        let fake = Fake::new(
            "{replicate: {to: [a, b], read: hedged, budget: 5%}}",
            |pool, request| match pool {
                "b" => None,
                _ => obey(pool, request),
            },
        );
        let begun = Instant::now();
        for _ in 0..1000 {
            let answer = fake.ask(&ask(Command::Get, "k"));
            sleep(Duration::from_secs(11)).await;
            fake.answer("b", Reply::Failed(Failure::Timeout));
            assert!(matches!(answer.await, Reply::Value(_)));
        }
        let hedged = fake.count(Event::Hedged);
        assert!((100..=160).contains(&hedged), "{hedged} in {:?}", begun.elapsed());
        assert_eq!(hedged + fake.count(Event::OverBudget), 1000);
    });
}

#[test]
fn hedged_reads_elsewhere_change_neither_the_budget_nor_the_delay() {
    // Under `s:` the first replica always answers at once.
    const ROUTE: &str = "{prefix: {\"s:\": {replicate: {to: [c, a], read: hedged}}}, \
                         else: {replicate: {to: [a, b], read: hedged, budget: 5%}}}";
    run(async {
        let fake = Fake::new(ROUTE, |pool, request| match request.key.starts_with(b"s:") {
            false if pool == "b" => None,
            _ => obey(pool, request),
        });
        let get = ask(Command::Get, "k");
        for round in 0..1000 {
            // In the first round so many that they would halve the delay.
            for _ in 0..if round == 0 { 300 } else { 10 } {
                fake.ask(&ask(Command::Get, "s:k")).await;
            }
            let answer = fake.ask(&get);
            sleep(Duration::from_millis(9)).await;
            assert!(
                round > 0 || fake.count(Event::Hedged) == 0,
                "the delay is not over"
            );
            sleep(Duration::from_secs(11)).await;
            fake.answer("b", Reply::Failed(Failure::Timeout));
            assert!(matches!(answer.await, Reply::Value(_)));
        }
        let hedged = fake.count(Event::Hedged);
        assert!((100..=160).contains(&hedged), "{hedged}");
        assert_eq!(hedged + fake.count(Event::OverBudget), 1000);
    });
}
