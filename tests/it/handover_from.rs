//! `handover.from`: a process that starts in the middle of a handover goes on where the others are.

use std::time::{Duration, SystemTime};

use ringway::config;

use crate::handover::{Exchange, end, get, next, phase};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};

const PREPARE: u64 = 60;
const SERVE: u64 = 3600;
/// How long the note lives by which a process learns that leftovers are removed.
const NOTE: u64 = 3600;

/// A configuration of `new`, which took the place of `old` this many seconds ago.
fn since(ago: u64, old: &Memcached, new: &Memcached) -> String {
    let began = config::rfc3339(SystemTime::now() - Duration::from_secs(ago));
    let handover = format!(
        "handover: {{prepare: {PREPARE}s, serve: {SERVE}s, from: {{began: '{began}', nodes: [{}]}}}}",
        old.address()
    );
    pool(&[new.address()], &[&handover])
}

/// A process that knows only the old ring, before the change.
fn before(old: &Memcached) -> Ringway {
    let handover = format!("handover: {{prepare: {PREPARE}s, serve: {SERVE}s}}");
    Ringway::start(&pool(&[old.address()], &[&handover]))
}

#[test]
fn it_is_where_it_would_be_if_it_had_begun_with_the_others() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let whole = 2 * PREPARE + SERVE + NOTE;
    for (ago, expected) in [
        (0, Some("prepare")),
        (PREPARE + 10, Some("serve")),
        (PREPARE + SERVE + 10, Some("finish")),
        (whole - 10, Some("finish")),
        (whole + 1, None),
    ] {
        let ringway = Ringway::start(&since(ago, &old, &new));
        assert_eq!(phase(&ringway).as_deref(), expected, "{ago} s later");
    }
}

#[test]
fn processes_that_join_show_each_others_writes_or_nothing() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let first = before(&old);
    let mut exchange = Exchange::default();
    let mut first_client = first.client();
    let mut meet = |ago: u64, first_client: &mut Client| {
        let second = Ringway::start(&since(ago, &old, &new));
        exchange.step(first_client, &mut second.client());
        phase(&second)
    };
    assert_eq!(meet(0, &mut first_client).as_deref(), Some("prepare"));
    first.reload(&since(0, &old, &new));
    assert_eq!(phase(&first).as_deref(), Some("prepare"));
    assert_eq!(meet(0, &mut first_client).as_deref(), Some("prepare"));
    assert_eq!(meet(PREPARE + 10, &mut first_client).as_deref(), Some("serve"));
    assert_eq!(next(&first), "serve");
    assert_eq!(meet(0, &mut first_client).as_deref(), Some("prepare"));
    assert_eq!(meet(PREPARE + 10, &mut first_client).as_deref(), Some("serve"));
    assert_eq!(
        meet(PREPARE + SERVE + 10, &mut first_client).as_deref(),
        Some("finish")
    );
    assert_eq!(next(&first), "finish");
    assert_eq!(meet(PREPARE + 10, &mut first_client).as_deref(), Some("serve"));
    assert_eq!(
        meet(PREPARE + SERVE + 10, &mut first_client).as_deref(),
        Some("finish")
    );
    end(&first);
    assert_eq!(
        meet(PREPARE + SERVE + 10, &mut first_client).as_deref(),
        Some("finish")
    );
}

#[test]
fn it_tells_leftovers_from_what_the_others_wrote_before_it_came() {
    let (old, new) = (Memcached::start(), Memcached::start());
    new.client().set("left", "left over");
    let began = since(PREPARE + 10, &old, &new);
    let first = before(&old);
    first.client().set("left", "5");
    first.client().set("k", "5");
    first.reload(&began);
    // The first has removed nothing yet, since it is in prepare.
    let second = Ringway::start(&began);
    assert_eq!(phase(&second).as_deref(), Some("serve"));
    assert_eq!(get(&mut second.client(), "left").as_deref(), Some("5"));
    drop(second);
    assert_eq!(next(&first), "serve");
    first.wait_logged("leftovers of an earlier ring removed");
    first.client().set("k", "6");
    let second = Ringway::start(&began);
    let mut client = second.client();
    wait_for("what was written before", || {
        let found = get(&mut client, "k");
        assert_ne!(found.as_deref(), Some("5"));
        found.as_deref() == Some("6")
    });
    // It does not remove what is older than itself, as one does that began with the others.
    assert_eq!(next(&second), "finish");
    wait_for("the end", || {
        second.post("/pools/main/handover/next");
        phase(&second).is_none()
    });
    assert_eq!(get(&mut new.client(), "k").as_deref(), Some("6"));
    assert_eq!(get(&mut client, "k").as_deref(), Some("6"));
}

#[test]
fn what_is_missing_or_impossible_is_said_with_its_place() {
    let said = |from: &str| {
        let text = format!("pools: {{main: {{nodes: [a:1], handover: {{from: {from}}}}}}}");
        config::parse(&text, "f").expect_err("a mistake").to_string()
    };
    for (from, expected) in [
        (
            "{nodes: [b:1]}",
            "pools.main.handover.from: the time of the change is missing",
        ),
        (
            "{began: '2026-11-29T15:00:00Z'}",
            "pools.main.handover.from: the nodes before are missing",
        ),
        (
            "{began: yesterday, nodes: [b:1]}",
            "pools.main.handover.from.began: \"yesterday\" is not a time in UTC",
        ),
        (
            "{began: '2026-11-29T15:00:00Z', nodes: [{name: e, embedded: 1MiB}]}",
            "the node e is embedded",
        ),
        (
            "{began: '2026-11-29T15:00:00Z', nodes: [b:1], old: 1}",
            "pools.main.handover.from.old",
        ),
    ] {
        let said = said(from);
        assert!(said.contains(expected), "{from}: {said}");
    }
}
