//! Handovers between Redis nodes, and between them and memcached nodes: no miss and no old value while a ring changes, and
//! when it changes back.

use std::thread::scope;

use crate::handover::IN_SERVE;
use crate::handover::{Exchange, end, get, next, phase};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::redis::Redis;
use crate::support::ringway::{Ringway, pool, wait_for};

const KEYS: usize = 200;
/// What a node keeps across a restart.
const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A configuration with a pool of nodes at these addresses that goes on only when it is told to.
fn paused(addresses: &[String], prepare: &str) -> String {
    pool(
        addresses,
        &[&format!("handover: {{prepare: {prepare}, serve: 1h}}")],
    )
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

/// Stores `value` under every key, with flags and an expiry under some.
fn fill(client: &mut Client, value: &str) {
    for number in 0..KEYS {
        let (flags, expiry) = (number % 3, 1000 * (number % 2));
        let set = format!(
            "set {} {flags} {expiry} {}\r\n{value}\r\n",
            key(number),
            value.len()
        );
        client.expects(set, "STORED\r\n");
    }
}

/// Reads every key, whose value must be `value` with its flags and its expiry.
fn read_all(client: &mut Client, value: &str) {
    for number in 0..KEYS {
        let line = client.ask(format!("mg {} v f t\r\n", key(number)));
        client.expect(format!("{value}\r\n"));
        let left: i64 = line.rsplit('t').next().expect("t").parse().expect("a number");
        assert!(
            line.starts_with(&format!("VA {} f{} t", value.len(), number % 3)),
            "{line}"
        );
        let is_right = match number % 2 {
            0 => left == -1,
            _ => (800..=1000).contains(&left),
        };
        assert!(is_right, "{number}: {line}");
    }
}

fn found_at_old_owners(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_handover_reads_total", &["found=\"old\""])
}

/// Reads every key until no old owner is needed: a copy that did not come in time is made by the next read.
fn wait_copied(ringway: &Ringway, client: &mut Client, value: &str) {
    wait_for("copies", || {
        let before = found_at_old_owners(ringway);
        read_all(client, value);
        found_at_old_owners(ringway) == before
    });
}

/// Changes the ring of nodes at `addresses`, of which it has two at first, to all of them, back, and there once more.
/// `swept`: how many nodes are swept in all before each change serves; `None` if it serves at once.
fn change(addresses: &[String], swept: Option<[usize; 3]>) {
    let prepare = if swept.is_some() { "1h" } else { "0s" };
    let (small, large) = (&addresses[..2], addresses);
    let ringway = Ringway::start(&paused(small, prepare));
    let mut client = ringway.client();
    fill(&mut client, "v0");
    let outside = Ringway::start(&pool(&addresses[2..], &[]));
    for (turn, ring) in [large, small, large].into_iter().enumerate() {
        let value = format!("v{turn}");
        if ring == large {
            fill(&mut outside.client(), "left over");
        }
        ringway.reload(&paused(ring, prepare));
        let first = if swept.is_some() { "prepare" } else { "serve" };
        wait_for("the handover", || phase(&ringway).as_deref() == Some(first));
        if let Some(swept) = swept {
            read_all(&mut client, &value);
            wait_for("leftovers to be removed", || {
                ringway
                    .log()
                    .matches("leftovers of an earlier ring removed")
                    .count()
                    >= swept[turn]
            });
            assert_eq!(next(&ringway), "serve");
        }
        let before = found_at_old_owners(&ringway);
        read_all(&mut client, &value);
        assert!(found_at_old_owners(&ringway) > before, "{ring:?}");
        wait_copied(&ringway, &mut client, &value);
        end(&ringway);
        read_all(&mut client, &value);
        fill(&mut client, &format!("v{}", turn + 1));
    }
}

#[test]
fn a_ring_that_changes_and_changes_back_and_once_more_costs_no_miss_and_shows_no_old_value() {
    let nodes: Vec<Redis> = (0..8).map(|_| Redis::start()).collect();
    let memcached = Memcached::start();
    let redis: Vec<String> = nodes.iter().map(Redis::address).collect();
    let mixed = [redis[6].clone(), memcached.address(), redis[7].clone()];
    // Between two changes no new one begins for a while, so they are made at once.
    scope(|threads| {
        threads.spawn(|| change(&redis[..3], None));
        threads.spawn(|| change(&redis[3..6], Some([1, 3, 4])));
        threads.spawn(|| change(&mixed, None));
    });
}

/// The kinds of the old and the new owner.
const KINDS: [[&str; 2]; 3] = [["redis", "redis"], ["memcached", "redis"], ["redis", "memcached"]];

/// The old and the new owner of all keys.
struct Owners {
    addresses: [String; 2],
    redis: [Redis; 2],
    _memcached: Memcached,
}

impl Owners {
    fn start(kinds: [&str; 2]) -> Owners {
        let (redis, memcached) = ([(); 2].map(|()| Redis::start()), Memcached::start());
        let address = |at: usize| match kinds[at] {
            "redis" => redis[at].address(),
            _ => memcached.address(),
        };
        Owners {
            addresses: [address(0), address(1)],
            redis,
            _memcached: memcached,
        }
    }

    /// The configuration before the change, and after it.
    fn configs(&self, prepare: &str) -> [String; 2] {
        [0, 1].map(|at| paused(&self.addresses[at..=at], prepare))
    }
}

/// A Ringway whose only node is being replaced by another.
struct Replaced {
    ringway: Ringway,
    /// To each of the two nodes.
    direct: [Ringway; 2],
    owners: Owners,
}

impl Replaced {
    /// Stores `5` under each of `keys` before the change, and leaves `left over` under them at the new node.
    fn begin(kinds: [&str; 2], prepare: &str, keys: &[&str]) -> Replaced {
        Replaced::begin_at(Owners::start(kinds), prepare, keys)
    }

    fn begin_at(owners: Owners, prepare: &str, keys: &[&str]) -> Replaced {
        let direct = [0, 1].map(|at| Ringway::start(&pool(&owners.addresses[at..=at], &[])));
        for key in keys {
            direct[0].client().set(key, "5");
            direct[1].client().set(key, "left over");
        }
        let [before, after] = owners.configs(prepare);
        let ringway = Ringway::start(&before);
        let (status, said) = ringway.reload(&after);
        assert_eq!(status, 200, "{said}");
        Replaced {
            ringway,
            direct,
            owners,
        }
    }

    /// What each node has under `key`: the old one, and the new one.
    fn at_nodes(&self, key: &str) -> [Option<String>; 2] {
        [0, 1].map(|at| get(&mut self.direct[at].client(), key))
    }

    fn wait_swept(&self) {
        wait_for("leftovers to be removed", || {
            self.ringway
                .log()
                .contains("leftovers of an earlier ring removed")
        });
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn in_prepare_the_old_owner_serves_and_a_new_one_that_is_a_redis_is_swept() {
    for kinds in [["redis", "redis"], ["memcached", "redis"]] {
        let replaced = Replaced::begin(kinds, "1h", &["set", "deleted", "n", "read"]);
        let mut client = replaced.ringway.client();
        client.expects(
            "get read\r\nset set 0 0 1\r\n6\r\nincr n 2\r\ndelete deleted\r\n",
            "VALUE read 0 1\r\n5\r\nEND\r\nSTORED\r\n7\r\nDELETED\r\n",
        );
        replaced.wait_swept();
        for (key, value) in [
            ("set", text("6")),
            ("n", text("7")),
            ("deleted", None),
            ("read", text("5")),
        ] {
            assert_eq!(replaced.at_nodes(key), [value, None], "{key}");
        }
    }
}

#[test]
fn in_serve_each_command_finds_the_old_value_and_leaves_nothing_at_the_old_owner() {
    let keys = IN_SERVE.map(|(key, ..)| key);
    for kinds in KINDS {
        let replaced = Replaced::begin(kinds, "0s", &keys);
        let mut client = replaced.ringway.client();
        for (key, request, answer, value) in IN_SERVE {
            client.expects(request, answer);
            // To look would take the token of what is stale.
            if key != "stale" {
                let [old, new] = replaced.at_nodes(key);
                assert_eq!(new.as_deref(), value, "{kinds:?} {key}");
                assert!(old.is_none() || key == "added", "{kinds:?} {key}: {old:?}");
            }
        }
        client.expects("mg stale v\r\n", "VA 1 X W\r\n5\r\n");
    }
}

#[test]
fn of_a_new_owner_that_cannot_be_swept_nothing_is_read() {
    let owners = Owners::start(["redis", "redis"]);
    owners.redis[1].ask("ACL SETUSER default -scan");
    let replaced = Replaced::begin_at(owners, "0s", &["k", "written", "deleted"]);
    let (ringway, new) = (&replaced.ringway, &replaced.owners.redis[1]);
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 1\r\n5\r\nEND\r\n");
    client.expects(
        "set written 0 0 1\r\n6\r\ndelete deleted\r\nget written deleted\r\n",
        "STORED\r\nDELETED\r\nEND\r\n",
    );
    assert!(ringway.log().contains("cannot be removed yet"));
    new.ask("ACL SETUSER default +scan");
    replaced.wait_swept();
    client.expects(
        "set written 0 0 1\r\n7\r\nget written\r\nget deleted\r\n",
        "STORED\r\nVALUE written 0 1\r\n7\r\nEND\r\nEND\r\n",
    );
}

#[test]
fn a_left_over_string_makes_room_for_a_placeholder_because_its_id_would_come_back_with_its_bytes() {
    let owners = Owners::start(["redis", "redis"]);
    owners.redis[1].ask("ACL SETUSER default -scan");
    let replaced = Replaced::begin_at(owners, "0s", &["k"]);
    let [old, new] = &replaced.owners.redis;
    // The copy waits for the old owner, so that one sees what it would take the place of.
    old.signal("STOP");
    let mut client = replaced.ringway.client();
    client.send("gets k\r\n");
    wait_for("a placeholder", || {
        new.ask("EXISTS k") == "1" && new.ask("GET k") != "left over"
    });
    old.signal("CONT");
    wait_for("the copy", || {
        get(&mut replaced.ringway.client(), "k") == text("5")
    });
}

#[test]
fn values_of_other_types_are_not_swept() {
    let owners = Owners::start(["redis", "redis"]);
    let new = &owners.redis[1];
    new.ask("RPUSH list a b");
    new.ask("SET string left");
    let replaced = Replaced::begin_at(owners, "1h", &[]);
    replaced.wait_swept();
    let new = &replaced.owners.redis[1];
    assert_eq!(new.ask("EXISTS string"), "0");
    assert_eq!(new.ask("LRANGE list 0 -1"), "a b");
}

#[test]
fn a_cas_id_is_that_of_the_same_bytes_or_of_one_item() {
    let replaced = Replaced::begin(["redis", "redis"], "1h", &["plain", "flagged"]);
    let mut client = replaced.ringway.client();
    client.expects("set flagged 7 0 1\r\n5\r\n", "STORED\r\n");
    let id = |client: &mut Client, key: &str| {
        let line = client.ask(format!("mg {key} c\r\n"));
        line.strip_prefix("HD c").expect("an id").to_owned()
    };
    let before = ["plain", "flagged"].map(|key| id(&mut client, key));
    replaced.wait_swept();
    assert_eq!(next(&replaced.ringway), "serve");
    let after = ["plain", "flagged"].map(|key| id(&mut client, key));
    assert_eq!(before[0], after[0], "the bytes are the same");
    assert_ne!(before[1], after[1], "it is another item");
    client.expects(
        format!(
            "cas flagged 7 0 1 {}\r\n6\r\ncas flagged 7 0 1 {}\r\n6\r\n",
            before[1], after[1]
        ),
        "EXISTS\r\nSTORED\r\n",
    );
    client.expects(
        format!(
            "cas plain 0 0 1 {0}\r\n6\r\ncas plain 0 0 1 {0}\r\n6\r\n",
            before[0]
        ),
        "STORED\r\nEXISTS\r\n",
    );
}

#[test]
fn a_write_waits_for_an_old_owner_that_refuses_connections_because_it_may_come_back_with_its_items() {
    let (mut old, new) = (Redis::start_with(&AOF), Redis::start());
    let settings = |address: &str| {
        pool(
            &[address.to_owned()],
            &[
                "handover: {prepare: 0s, serve: 1h}",
                "health: {down_after: 1000000}",
            ],
        )
    };
    let ringway = Ringway::start(&settings(&old.address()));
    let mut client = ringway.client();
    client.set("k", "5");
    ringway.reload(&settings(&new.address()));
    old.stop();
    client.expects("delete k\r\nset k 0 0 1\r\n6\r\n", "NOT_FOUND\r\nNOT_STORED\r\n");
    assert_eq!(new.ask("EXISTS k"), "0");
    old.resume();
    wait_for("the old owner", || {
        assert_ne!(
            client.get("k").as_deref(),
            Some(&b"5"[..]),
            "it is older than a failed write"
        );
        client.ask("set k 0 0 1\r\n6\r\n") == "STORED"
    });
    assert_eq!(get(&mut client, "k").as_deref(), Some("6"));
    assert_eq!(old.ask("EXISTS k"), "0");
}

#[test]
fn processes_a_phase_apart_show_each_others_writes_or_nothing() {
    for kinds in KINDS {
        let owners = Owners::start(kinds);
        let [before, after] = owners.configs("1h");
        let [ahead, behind] = [(); 2].map(|()| Ringway::start(&before));
        let [mut first, mut second] = [ahead.client(), behind.client()];
        let mut exchange = Exchange::default();
        let mut step = || exchange.step(&mut first, &mut second);
        step();
        for ringway in [&ahead, &behind] {
            ringway.reload(&after);
            step();
            if kinds[1] == "redis" {
                wait_for("the sweep", || {
                    ringway.log().contains("leftovers of an earlier ring")
                });
            }
        }
        for phase in ["serve", "finish"] {
            for ringway in [&ahead, &behind] {
                assert_eq!(next(ringway), phase);
                step();
            }
        }
        for ringway in [&ahead, &behind] {
            end(ringway);
            step();
        }
    }
}
