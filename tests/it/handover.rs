//! Handovers between real nodes: no miss and no old value while a ring changes, and when it changes back.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::binary::packet;
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{Ringway, pool, wait_for};

/// A configuration with a pool of these nodes that goes on only when it is told to.
pub fn paused(nodes: &[&Memcached], prepare: &str) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| node.address()).collect();
    pool(&nodes, &[&format!("handover: {{prepare: {prepare}, serve: 1h}}")])
}

/// The handover of the pool, as `/pools` shows it.
fn handover(ringway: &Ringway) -> Value {
    let (_, pools) = ringway.get("/pools");
    let pools: Value = serde_json::from_str(&pools).expect("JSON");
    pools[0]["handover"].clone()
}

/// The phase, if a handover is going on.
pub fn phase(ringway: &Ringway) -> Option<String> {
    handover(ringway)["phase"].as_str().map(str::to_owned)
}

/// Goes to the next phase, and says which.
pub fn next(ringway: &Ringway) -> String {
    let (status, phase) = ringway.post("/pools/main/handover/next");
    assert_eq!(status, 200, "{phase}");
    phase.trim_end().to_owned()
}

/// Goes on to the end, which waits until nothing is left of an earlier ring.
pub fn end(ringway: &Ringway) {
    wait_for("the end of the handover", || {
        // It may end by itself before it is asked.
        let (status, phase) = ringway.post("/pools/main/handover/next");
        assert!([200, 409].contains(&status), "{status}: {phase}");
        status == 409 || phase.trim_end() == "none"
    });
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

/// What `key` has, in text.
pub fn get(client: &mut Client, key: &str) -> Option<String> {
    let value = client.get(key)?;
    Some(String::from_utf8(value).expect("text"))
}

const KEYS: usize = 200;

/// Reads every key whose number `step` divides, until no old owner is needed for them: a copy that did not come
/// in time is made by the next read.
fn wait_copied(ringway: &Ringway, client: &mut Client, step: usize) {
    wait_for("copies", || {
        let before = handover(ringway)["read_old"].clone();
        (0..KEYS)
            .step_by(step)
            .for_each(|number| drop(client.get(&key(number))));
        handover(ringway)["read_old"] == before
    });
}

#[test]
fn a_request_for_the_next_phase_that_is_sent_twice_skips_none() {
    let nodes: Vec<Memcached> = (0..2).map(|_| Memcached::start()).collect();
    let all: Vec<&Memcached> = nodes.iter().collect();
    let ringway = Ringway::start(&paused(&all[..1], "1h"));
    ringway.reload(&paused(&all, "1h"));
    let post = |from: &str| ringway.post(&format!("/pools/main/handover/next?from={from}"));
    assert_eq!(post("prepare"), (200, "serve\n".to_owned()));
    assert_eq!(post("prepare"), (409, "the handover is in serve\n".to_owned()));
    assert_eq!(phase(&ringway).as_deref(), Some("serve"));
    let (status, said) = post("server");
    assert_eq!(
        (status, said.contains("prepare, serve or finish")),
        (400, true),
        "{said}"
    );
    let (status, said) = ringway.post("/pools/main/handover/next?form=serve");
    assert_eq!((status, said.contains("known here: from")), (400, true), "{said}");
    assert_eq!(phase(&ringway).as_deref(), Some("serve"));
    assert_eq!(post("serve"), (200, "finish\n".to_owned()));
}

#[test]
fn a_ring_that_changes_and_changes_back_costs_no_miss_and_shows_no_old_value() {
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let all: Vec<&Memcached> = nodes.iter().collect();
    let (four, five) = (paused(&all[..4], "0s"), paused(&all, "0s"));
    let ringway = Ringway::start(&four);
    let mut client = ringway.client();
    (0..KEYS).for_each(|number| client.set(&key(number), "1"));
    assert_eq!(phase(&ringway), None);

    ringway.reload(&five);
    let begun = handover(&ringway);
    assert_eq!(begun["phase"], "serve", "prepare is over when the reload is");
    let moved = begun["moved"].as_f64().expect("a share");
    assert!((0.1..0.3).contains(&moved), "{begun}");
    for number in 0..KEYS {
        assert_eq!(get(&mut client, &key(number)).as_deref(), Some("1"), "{number}");
    }
    assert!(handover(&ringway)["read_old"].as_u64() > Some(0));
    let still_old = || handover(&ringway)["still_old"].as_f64().expect("a share");
    let first = still_old();
    assert!(first > 0.0);
    wait_copied(&ringway, &mut client, 1);
    assert!(handover(&ringway)["copied"].as_u64() > Some(0));
    assert!(still_old() < first, "{first} and then {}", still_old());
    assert_eq!(ringway.metric("ringway_handover_phase", &["pool=\"main\""]), 2.0);
    end(&ringway);
    assert_eq!(ringway.post("/pools/main/handover/next").0, 409);
    assert_eq!(ringway.metric("ringway_handover_phase", &["pool=\"main\""]), 0.0);
    for number in 0..KEYS {
        assert_eq!(get(&mut client, &key(number)).as_deref(), Some("1"), "{number}");
        client.set(&key(number), "2");
    }

    // The old owners of the first change are the new ones of this, and still have the values of then.
    let (_, said) = ringway.reload(&four);
    assert!(said.contains("changes once its handover has ended"), "{said}");
    wait_for("the second handover", || {
        phase(&ringway).as_deref() == Some("serve")
    });
    for number in (0..KEYS).step_by(2) {
        assert_eq!(get(&mut client, &key(number)).as_deref(), Some("2"), "{number}");
    }
    wait_copied(&ringway, &mut client, 2);
    end(&ringway);
    for number in 0..KEYS {
        let found = get(&mut client, &key(number));
        assert_ne!(found.as_deref(), Some("1"), "{number}");
        assert!(found.is_some() || number % 2 == 1, "{number} was read in time");
    }
}

/// A request for all keys, one that is not there, and the first one again.
fn multi_get(command: &str) -> String {
    let names: Vec<String> = (0..KEYS).map(key).collect();
    format!("{command} {} not-there {}\r\n", names.join(" "), names[0])
}

/// Reads the answer to [`multi_get`], in which each key has `value`.
fn expect_all(client: &mut Client, command: &str, value: &str, when: &str) {
    for number in (0..KEYS).chain([0]) {
        let line = client.line();
        let expected = format!("VALUE {} 0 {}", key(number), value.len());
        let has_cas = line
            .strip_prefix(&expected)
            .is_some_and(|rest| rest.starts_with(' '));
        let is_right = if command == "gets" {
            has_cas
        } else {
            line == expected
        };
        assert!(is_right, "{when}: {line} is not {expected}");
        client.expect(format!("{value}\r\n"));
    }
    client.expect("END\r\n");
}

#[test]
fn a_multi_get_finds_the_keys_that_move_and_those_that_stay_in_every_phase() {
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let all: Vec<&Memcached> = nodes.iter().collect();
    let ringway = Ringway::start(&paused(&all[..4], "1h"));
    let mut client = ringway.client();
    (0..KEYS).for_each(|number| client.set(&key(number), "before"));
    ringway.reload(&paused(&all, "1h"));
    let mut value = "before".to_owned();
    for when in ["prepare", "serve", "finish"] {
        for command in ["get", "gets", "get"] {
            client.send(multi_get(command));
            expect_all(&mut client, command, &value, when);
        }
        // Reads that follow writes in one piece come after them.
        value = format!("of {when}");
        let set = |number| format!("set {} 0 0 {}\r\n{value}\r\n", key(number), value.len());
        let sets: String = (0..KEYS).map(set).collect();
        client.send(sets + &multi_get("get"));
        client.expect("STORED\r\n".repeat(KEYS));
        expect_all(&mut client, "get", &value, when);
        if when != "finish" {
            next(&ringway);
        }
    }
    end(&ringway);
    client.send(multi_get("get"));
    expect_all(&mut client, "get", &value, "after it");
    let found = ringway.metric("ringway_handover_reads_total", &["found=\"new\""]);
    assert!(found > 0.0, "no key moved");
}

#[test]
fn requests_of_one_client_for_one_key_keep_their_order_in_every_phase() {
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let text = |count: usize| {
        let settings = ["handover: {prepare: 1h, serve: 1h}", "max_value_size: 1KiB"];
        pool(&addresses[..count], &settings)
    };
    let large = "x".repeat(2000);
    let ringway = Ringway::start(&text(4));
    ringway.reload(&text(5));
    let mut client = ringway.client();
    for when in ["prepare", "serve", "finish"] {
        let asked = (0..KEYS).map(|number| {
            let key = key(number);
            format!(
                "set {key} 0 0 1 noreply\r\n1\r\nset {key} 0 0 1 noreply\r\n2\r\nget {key}\r\n\
                 incr {key} 1 noreply\r\nset {key} 0 0 2 noreply\r\n20\r\nincr {key} 1\r\n\
                 append {key} 0 0 1 noreply\r\n5\r\ndelete {key} noreply\r\nadd {key} 0 0 1\r\n7\r\n\
                 set {key} 0 0 2000\r\n{large}\r\nget {key}\r\n"
            )
        });
        client.send(asked.collect::<String>());
        for number in 0..KEYS {
            client.expect(format!("VALUE {} 0 1\r\n2\r\nEND\r\n", key(number)));
            client.expect("21\r\nSTORED\r\n");
            client.expect("SERVER_ERROR object too large for cache\r\nEND\r\n");
        }
        // A flush_all is in order with every key.
        let get = |number| format!("get {}\r\n", key(number));
        let set = |number| format!("set {} 0 0 1\r\n3\r\n", key(number));
        let (gets, sets): (String, String) = ((0..KEYS).map(get).collect(), (0..KEYS).map(set).collect());
        client.send(
            sets.clone() + "flush_all\r\n" + &gets + "flush_all noreply\r\n" + &sets + &multi_get("get"),
        );
        client.expect("STORED\r\n".repeat(KEYS) + "OK\r\n" + &"END\r\n".repeat(KEYS));
        client.expect("STORED\r\n".repeat(KEYS));
        expect_all(&mut client, "get", "3", when);
        if when != "finish" {
            next(&ringway);
        }
    }
}

#[test]
fn explain_names_the_old_owner_of_a_key_that_moves_and_of_no_other() {
    let nodes: Vec<Memcached> = (0..2).map(|_| Memcached::start()).collect();
    let ringway = Ringway::start(&paused(&[&nodes[0]], "1h"));
    ringway.reload(&paused(&[&nodes[0], &nodes[1]], "1h"));
    for phase in ["prepare", "serve", "finish"] {
        let mut moved = 0;
        for number in 0..20 {
            let (_, found) = ringway.get(&format!("/explain?key={}", key(number)));
            let found: Value = serde_json::from_str(&found).expect("JSON");
            let is_moved = found["node"] == nodes[1].address();
            let steps = found["steps"].as_array().expect("steps");
            let handover = steps.iter().find(|step| step["step"] == "handover");
            let handover = handover.map(|step| (&step["from"], &step["phase"]));
            let expected = (Value::from(nodes[0].address()), Value::from(phase));
            assert_eq!(
                handover,
                is_moved.then_some((&expected.0, &expected.1)),
                "{found}"
            );
            moved += usize::from(is_moved);
        }
        assert!((1..20).contains(&moved), "{phase}: {moved}");
        if phase != "finish" {
            next(&ringway);
        }
    }
}

/// A Ringway whose only node `old` is being replaced by `new`.
struct Replaced {
    old: Memcached,
    new: Memcached,
    ringway: Ringway,
}

impl Replaced {
    /// Stores `5` under each of `keys` before the change, and leaves `left over` under them at the new node.
    fn begin(prepare: &str, keys: &[&str]) -> Replaced {
        let (old, new) = (Memcached::start(), Memcached::start());
        let ringway = Ringway::start(&paused(&[&old], prepare));
        for key in keys {
            ringway.client().set(key, "5");
            new.client().set(key, "left over");
        }
        let (status, said) = ringway.reload(&paused(&[&new], prepare));
        assert_eq!(status, 200, "{said}");
        Replaced { old, new, ringway }
    }
}

#[test]
fn a_write_that_is_on_its_way_when_the_ring_changes_is_not_lost_to_a_copy() {
    for prepare in ["0s", "1h"] {
        let (old, new) = (Memcached::start(), Memcached::start());
        change_under_a_write(prepare, &old, &new);
    }
}

/// Replaces `old` by `new` while a write is on its way to `old`. A `prepare` that takes time is skipped.
fn change_under_a_write(prepare: &str, old: &Memcached, new: &Memcached) {
    let relay = Relay::start(old.port());
    let config = |node: String, request_timeout: &str| {
        let handover = format!("handover: {{prepare: {prepare}, serve: 1h}}");
        let request_timeout = format!("request_timeout: {request_timeout}");
        pool(&[node], &[&handover, "connections: 2", &request_timeout])
    };
    let ringway = Ringway::start(&config(relay.address(), "2s"));
    // Each has a link of its own.
    let (mut writer, mut reader) = (ringway.client(), ringway.client());
    writer.set("k", "1");
    assert_eq!(get(&mut reader, "k").as_deref(), Some("1"));
    relay.turn_to(Fault::Late);
    writer.send("set k 0 0 1\r\n2\r\n");
    // Until the relay has it. If that takes longer, the write is not late.
    sleep(Duration::from_millis(50));
    relay.turn_to(Fault::None);
    ringway.reload(&config(new.address(), "100ms"));
    if phase(&ringway).as_deref() == Some("prepare") {
        assert_eq!(next(&ringway), "serve");
    }
    assert_eq!(phase(&ringway).as_deref(), Some("serve"), "its answer waits");
    get(&mut reader, "k");
    writer.expect("STORED\r\n");
    assert_eq!(get(&mut reader, "k").as_deref(), Some("2"), "prepare: {prepare}");
}

#[test]
fn a_write_does_not_go_on_without_an_old_owner_that_takes_no_more_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("users"), "app:secret\n").expect("written");
    fs::write(path("password"), "secret\n").expect("written");
    let auth = format!("auth: {{user: app, password: {{file: {}}}}}", path("password"));
    let cases: [(&[&str], &str); 2] = [(&[], ""), (&["-Y", &path("users")], &auth)];
    for (arguments, setting) in cases {
        let old = Memcached::start_with(&[&["-c", "64"], arguments].concat());
        let (new, relay) = (Memcached::start(), Relay::start(old.port()));
        let config = |node: String| {
            let handover = "handover: {prepare: 0s, serve: 1h}";
            pool(&[node], &[handover, "health: {down_after: 1000000}", setting])
        };
        let ringway = Ringway::start(&config(relay.address()));
        let mut client = ringway.client();
        client.set("k", "1");
        ringway.reload(&config(new.address()));
        relay.turn_to(Fault::Refuse);
        let mut others = Vec::new();
        wait_for("the last connection", || {
            let mut other = TcpStream::connect(old.address()).expect("it listens");
            let mut first = [0];
            let is_answered = other.write_all(b"mn\r\n").is_ok() && other.read(&mut first).is_ok();
            others.push(other);
            // The others read MN, or CLIENT_ERROR.
            !is_answered || [*b"E", [0]].contains(&first)
        });
        relay.turn_to(Fault::None);
        wait_for("the relay to listen", || {
            TcpStream::connect(relay.address()).is_ok()
        });
        client.expects("set k 0 0 1\r\n2\r\n", "NOT_STORED\r\n");
    }
}

#[test]
fn in_prepare_the_old_owner_serves_and_writes_leave_nothing_at_the_new_one() {
    let keys = ["set", "deleted", "n", "joined", "read"];
    let Replaced { old, new, ringway } = Replaced::begin("1h", &keys);
    let mut client = ringway.client();
    client.expects("get read\r\n", "VALUE read 0 1\r\n5\r\nEND\r\n");
    client.expects(
        "set set 0 0 1\r\n6\r\nincr n 2\r\nappend joined 0 0 1\r\n6\r\ndelete deleted\r\n",
        "STORED\r\n7\r\nSTORED\r\nDELETED\r\n",
    );
    for (key, value) in [
        ("set", Some("6")),
        ("n", Some("7")),
        ("joined", Some("56")),
        ("deleted", None),
    ] {
        assert_eq!(get(&mut old.client(), key).as_deref(), value, "{key}");
        assert_eq!(get(&mut new.client(), key), None, "{key}");
    }
    assert_eq!(get(&mut new.client(), "read").as_deref(), Some("left over"));
}

/// For each command, in *serve*, where every key has the value 5 at its old owner: its key, what a client says and reads,
/// and the value that the new owner has then.
pub const IN_SERVE: [(&str, &str, &str, Option<&str>); 10] = [
    ("set", "set set 0 0 1\r\n6\r\n", "STORED\r\n", Some("6")),
    ("gone", "delete gone\r\n", "DELETED\r\n", None),
    ("n", "incr n 2\r\n", "7\r\n", Some("7")),
    ("m", "ma m v MD D2\r\n", "VA 1\r\n3\r\n", Some("3")),
    ("joined", "append joined 0 0 1\r\n6\r\n", "STORED\r\n", Some("56")),
    ("added", "add added 0 0 1\r\n6\r\n", "NOT_STORED\r\n", Some("5")),
    (
        "replaced",
        "replace replaced 0 0 1\r\n6\r\n",
        "STORED\r\n",
        Some("6"),
    ),
    ("touched", "touch touched 100\r\n", "TOUCHED\r\n", Some("5")),
    (
        "gat",
        "gat 100 gat\r\n",
        "VALUE gat 0 1\r\n5\r\nEND\r\n",
        Some("5"),
    ),
    ("stale", "md stale I T30\r\n", "HD\r\n", Some("5")),
];

#[test]
fn in_serve_each_command_finds_the_old_value_and_leaves_nothing_at_the_old_owner() {
    let keys = IN_SERVE.map(|(key, ..)| key);
    let Replaced { old, new, ringway } = Replaced::begin("0s", &keys);
    let mut client = ringway.client();
    for (key, request, answer, value) in IN_SERVE {
        client.expects(request, answer);
        assert_eq!(get(&mut new.client(), key).as_deref(), value, "{key}");
        if key != "added" {
            assert_eq!(get(&mut old.client(), key), None, "{key}");
        }
    }
    client.expects("mg stale v\r\n", "VA 1 X W\r\n5\r\n");
}

#[test]
fn in_serve_every_protocol_reads_what_only_the_old_owner_has() {
    let Replaced { old, new, ringway } = Replaced::begin("0s", &["text", "meta", "binary", "many"]);
    let mut client = ringway.client();
    client.expects("get text\r\n", "VALUE text 0 1\r\n5\r\nEND\r\n");
    client.expects("mg meta v s k\r\n", "VA 1 s1 kmeta\r\n5\r\n");
    client.expects(
        "get text many nothing\r\n",
        "VALUE text 0 1\r\n5\r\nVALUE many 0 1\r\n5\r\nEND\r\n",
    );
    let mut binary = ringway.client();
    binary.send(packet(0x00, &[], "binary", b""));
    let head = binary.exact(24);
    let body = binary.exact(u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize);
    assert_eq!(&body[4..], b"5");
    for key in ["text", "meta", "binary", "many"] {
        // A copy that did not come in time is made by the next read.
        wait_for("the copy", || {
            get(&mut client, key);
            get(&mut new.client(), key).as_deref() == Some("5")
        });
    }
    drop(old);
    client.expects(
        "get text meta\r\n",
        "VALUE text 0 1\r\n5\r\nVALUE meta 0 1\r\n5\r\nEND\r\n",
    );
    client.expects("mg binary\r\nmg nothing v\r\n", "HD\r\nEN\r\n");
}

#[test]
fn a_cas_id_from_before_the_change_never_matches_after_it() {
    let Replaced { new, ringway, old } = Replaced::begin("1h", &["k"]);
    let mut client = ringway.client();
    let id = |client: &mut Client| {
        let line = client.ask("gets k\r\n");
        client.expect("5\r\nEND\r\n");
        line.rsplit(' ')
            .next()
            .expect("an id")
            .parse::<u64>()
            .expect("a number")
    };
    let before = id(&mut client);
    assert_eq!(next(&ringway), "serve");
    // The new node counts up to the very same number.
    let held = new.client().ask("mg k c\r\n");
    let count: u64 = held.rsplit('c').next().expect("an id").parse().expect("a number");
    let rest = before.saturating_sub(count + 3);
    (0..rest).for_each(|_| new.client().set("other", "v"));
    let after = id(&mut client);
    client.expects(format!("cas k 0 0 1 {before}\r\n6\r\n"), "EXISTS\r\n");
    client.expects(format!("ms k 1 C{before}\r\n6\r\n"), "EX\r\n");
    client.expects(format!("cas k 0 0 1 {after}\r\n6\r\n"), "STORED\r\n");
    assert_eq!(get(&mut new.client(), "k").as_deref(), Some("6"));
    assert_eq!(get(&mut old.client(), "k"), None);
}

#[test]
fn an_old_owner_that_dies_costs_misses_and_no_errors() {
    let Replaced { old, new, ringway } = Replaced::begin("0s", &["k", "l", "n"]);
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 1\r\n5\r\nEND\r\n");
    wait_for("the copy", || {
        // A copy that did not come in time is made by the next read.
        get(&mut client, "k");
        get(&mut new.client(), "k").as_deref() == Some("5")
    });
    drop(old);
    client.expects("get k\r\n", "VALUE k 0 1\r\n5\r\nEND\r\n");
    client.expects("get l\r\nincr n 1\r\n", "END\r\nNOT_FOUND\r\n");
    client.expects(
        "set l 0 0 1\r\n6\r\nadd n 0 0 1\r\n1\r\nincr n 1\r\ndelete k\r\nget l\r\n",
        "STORED\r\nSTORED\r\n2\r\nDELETED\r\nVALUE l 0 1\r\n6\r\nEND\r\n",
    );
}

#[test]
fn a_new_owner_that_is_started_anew_once_leftovers_are_gone_gives_what_it_gets_then() {
    let (old, new) = (Memcached::start(), Memcached::start());
    // So many writes that its cas ids do not come to the mark again.
    let writes = "incr n 1 noreply\r\n".repeat(50_000);
    new.client().expects(
        format!("set n 0 0 1\r\n0\r\n{writes}get n\r\n"),
        "STORED\r\nVALUE n 0 5\r\n50000\r\nEND\r\n",
    );
    let ringway = Ringway::start(&paused(&[&old], "0s"));
    ringway.reload(&paused(&[&new], "0s"));
    ringway.wait_logged("leftovers of an earlier ring removed");
    let _new = new.replace_with(&[]);
    let mut client = ringway.client();
    // Its cas ids begin anew, below the mark.
    wait_for("a value at the new owner", || {
        client.ask("set k 0 0 1\r\nv\r\n") == "STORED" && get(&mut client, "k").is_some()
    });
    assert_eq!(phase(&ringway).as_deref(), Some("serve"));
}

#[test]
fn flush_all_reaches_both_owners() {
    let Replaced { old, new, ringway } = Replaced::begin("0s", &["k"]);
    let mut client = ringway.client();
    client.expects("flush_all\r\nget k\r\n", "OK\r\nEND\r\n");
    assert_eq!(
        (get(&mut old.client(), "k"), get(&mut new.client(), "k")),
        (None, None)
    );
}

#[test]
fn a_restart_in_the_middle_goes_on_with_the_handover() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let dir = tempfile::tempdir().expect("a directory");
    let kept = |text: String| format!("state_dir: {}\n{text}", dir.path().display());
    let first = Ringway::start(&kept(paused(&[&old], "1h")));
    first.client().set("k", "5");
    new.client().set("k", "left over");
    first.reload(&kept(paused(&[&new], "1h")));
    assert_eq!(phase(&first).as_deref(), Some("prepare"));
    drop(first);
    let second = Ringway::start(&kept(paused(&[&new], "1h")));
    let mut client = second.client();
    assert_eq!(phase(&second).as_deref(), Some("prepare"));
    assert_eq!(get(&mut client, "k").as_deref(), Some("5"));
    assert_eq!(next(&second), "serve");
    wait_for("the phase on disk", || {
        let text = std::fs::read_to_string(dir.path().join("handovers.json"));
        text.is_ok_and(|text| text.contains("serve"))
    });
    drop(second);
    let third = Ringway::start(&kept(paused(&[&new], "1h")));
    assert_eq!(phase(&third).as_deref(), Some("serve"));
    assert_eq!(get(&mut third.client(), "k").as_deref(), Some("5"));
    drop(third);
    // Without what was kept a process only knows the new ring.
    let unaware = Ringway::start(&paused(&[&new], "1h"));
    assert_eq!(phase(&unaware), None);
}

/// Writes of clients of two processes, each of which the other reads.
#[derive(Default)]
pub struct Exchange {
    /// The last value.
    value: u32,
}

impl Exchange {
    /// Each client writes, deletes, and reads what the other did.
    pub fn step(&mut self, first: &mut Client, second: &mut Client) {
        for key in ["a", "b"] {
            self.value += 1;
            first.set(key, self.value.to_string());
            let found = get(second, key);
            assert!(found.is_none_or(|found| found == self.value.to_string()), "{key}");
            self.value += 1;
            second.set(key, self.value.to_string());
            let found = get(first, key);
            assert!(found.is_none_or(|found| found == self.value.to_string()), "{key}");
            second.expects(format!("delete {key}\r\n"), "DELETED\r\n");
            assert_eq!(get(first, key), None, "{key}");
        }
    }
}

#[test]
fn processes_a_phase_apart_show_each_others_writes_or_nothing() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let [ahead, behind] = [(); 2].map(|()| Ringway::start(&paused(&[&old], "1h")));
    let [mut first, mut second] = [ahead.client(), behind.client()];
    let mut exchange = Exchange::default();
    let mut step = |first: &mut Client, second: &mut Client| exchange.step(first, second);
    step(&mut first, &mut second);
    ahead.reload(&paused(&[&new], "1h"));
    step(&mut first, &mut second);
    behind.reload(&paused(&[&new], "1h"));
    for phase in ["serve", "finish"] {
        step(&mut first, &mut second);
        assert_eq!(next(&ahead), phase);
        step(&mut first, &mut second);
        assert_eq!(next(&behind), phase);
    }
    step(&mut first, &mut second);
    end(&ahead);
    step(&mut first, &mut second);
    end(&behind);
    step(&mut first, &mut second);
}
