//! Redis nodes: clients of all three protocols read what they would read from a memcached, and programs that speak
//! Redis read and write the same values.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::scope;

use serde_json::Value;

use crate::support::memcached::Memcached;
use crate::support::redis::Redis;
use crate::support::ringway::{Client, Ringway, pool, shown, wait_for};

/// Ringway before `redis`.
pub fn before(redis: &Redis) -> Ringway {
    Ringway::start(&pool(&[redis.address()], &["request_timeout: 10s"]))
}

/// Conversations, each with an empty cache. `SET` stands for the storing of a value: key, value, flags, expiry.
fn conversations() -> Vec<String> {
    let set = |key: &str, value: &str, rest: &str| format!("set {key} {rest} {}\r\n{value}\r\n", value.len());
    let x = set("a", "x", "0 0");
    vec![
        format!("{x}get a\r\nget a b\r\ngets a\r\nget b\r\n"),
        format!("{}{}get a q b\r\ngets b q a\r\n", set("a", "x", "5 0"), set("b", "", "0 0")),
        format!("add a 3 0 1\r\n1\r\nadd a 0 0 1\r\n2\r\nget a\r\nreplace b 0 0 1\r\n1\r\nreplace a 7 0 1\r\n2\r\nget a\r\n"),
        format!("append a 0 0 1\r\n1\r\n{x}append a 0 0 2\r\nyz\r\nprepend a 9 0 1\r\nw\r\nget a\r\n"),
        format!("{}append a 0 0 2\r\nyz\r\nprepend a 9 0 1\r\nw\r\nget a\r\nmg a v f t s\r\n", set("a", "x", "3 90000")),
        format!("incr a 1\r\ndecr a 1\r\n{}incr a 5\r\ndecr a 1\r\ndecr a 100\r\nget a\r\n", set("a", "7", "4 0")),
        format!("{}incr a 1\r\nget a\r\ndecr a 1\r\n", set("a", "99", "0 0")),
        format!("{x}incr a 1\r\n{}incr a 1\r\n{}incr a 1\r\n", set("a", "", "0 0"), set("a", "-7", "0 0")),
        format!("{}incr a 1\r\n{}incr a 1\r\nget a\r\n", set("a", "99999999999999999999", "0 0"), set("a", " 007 x", "0 0")),
        format!("{x}delete a\r\ndelete a\r\nget a\r\n"),
        format!("touch a 10\r\n{x}touch a 90000\r\nmg a t\r\ntouch a 0\r\nmg a t\r\ntouch a -1\r\nget a\r\n"),
        format!("gat 5 a\r\n{}gat 90000 a\r\nmg a t\r\ngats 0 a\r\nmg a t\r\ngat -1 a\r\nget a\r\n", set("a", "x", "3 100")),
        format!("{}get a\r\nadd a 0 -1 1\r\nx\r\nget a\r\n{x}add a 0 -1 1\r\nx\r\nget a\r\nreplace a 0 -1 1\r\ny\r\nget a\r\n", set("a", "x", "3 -1")),
        format!("{}get a\r\n{}get a\r\n{x}touch a 2592001\r\nget a\r\n", set("a", "x", "0 4102444800"), set("a", "x", "0 2592001")),
        format!("cas a 0 0 1 5\r\nx\r\n{x}cas a 0 0 1 5\r\nx\r\nget a\r\n"),
        format!("{x}mg a v f k s t c\r\nmg a\r\nmg a s\r\nmg b v\r\nmg a k v Oabc q\r\nmg b k v q\r\nmg a v u\r\nmn\r\n"),
        format!("{}mg a v f k s t c\r\nmg a t v T90000 t\r\nmg a T0 t\r\n", set("a", "x", "9 200000")),
        "ms a 1 F5 T90000 c k O7\r\nx\r\nmg a v f t s\r\nms a 1\r\ny\r\nmg a v f t s\r\n".to_owned(),
        "ms a 1 ME\r\nx\r\nms a 1 ME k\r\ny\r\nms a 1 MR\r\nz\r\nms b 1 MR\r\nz\r\nms a 1 MA\r\n1\r\nms a 1 MP c\r\n2\r\nms b 1 MA\r\n1\r\nmg a v\r\nms a 1 MX\r\n1\r\n".to_owned(),
        format!("ms a 1 C1\r\nx\r\n{x}ms a 1 C1\r\nx\r\nms a 1 MR C1 O1 k\r\nx\r\nmd a C1\r\nmd a k O2\r\nmd a k O2\r\nmd a q\r\nmn\r\n"),
        "ma a\r\nma a N0 v\r\nma a v D5\r\nma a MD D3 v t c\r\nma a N0 J13 v\r\nma b N90000 J13 v t\r\nma b v t\r\nma b k O1\r\nma b MX\r\n".to_owned(),
        "mg a N90000 v s t c\r\nmg a v s t\r\nmg a N90000 v\r\nget a\r\nms a 1 T0\r\nx\r\nmg a N30 v t\r\n".to_owned(),
        format!("{}mg a R100000 v\r\nmg a R100000 v\r\nmg a v\r\nget a\r\nms a 1 T200000\r\ny\r\nmg a R100000 v\r\n", set("a", "x", "7 90000")),
        format!("{}md a I T90000\r\nmg a v t f\r\nmg a v t\r\nget a\r\nms a 1\r\ny\r\nmg a v\r\n", set("a", "x", "3 0")),
        format!("{x}md a I\r\nget a\r\nmg a v\r\nmg a s v k\r\n"),
        "mg a z\r\nmg a v v\r\nms a 1 z\r\nx\r\nmd a z\r\nma a z\r\nmg a Tx\r\n".to_owned(),
        "mg YQ== b k v\r\nms YQ== 1 b k\r\nx\r\nmg YQ== b k v\r\nget a\r\nms YSBi 1 b\r\ny\r\nmg YSBi b v\r\nmg ? b k v\r\n".to_owned(),
        format!("{}get a\r\n{}get a\r\nappend a 0 0 1\r\nx\r\nget a\r\n", set("a", "$5\r\nEND\r\n", "0 0"), set("a", "+OK", "1 0")),
        format!("set a 0 0 1 noreply\r\nx\r\nget a\r\ndelete a noreply\r\nget a\r\nincr a 1 noreply\r\n{x}touch a 5 noreply\r\nget a\r\n"),
        format!("{x}{}get a\r\n", set("a", &"x".repeat((1 << 20) + 1), "0 0")),
        format!("{}get a\r\n", set("a", &"v".repeat(900_000), "77 0")),
        format!("{}flush_all\r\nget a\r\nflush_all noreply\r\nverbosity 1\r\nversion\r\n", set("a", "x", "1 0")),
        format!("{}get {}\r\n", set(&"k".repeat(250), "v", "1 0"), "k".repeat(250)),
    ]
}

/// What `client` reads of `conversation`, with stand-ins for cas ids and the seconds of long expiries.
fn replies(client: &mut Client, conversation: &str, number: usize) -> String {
    client.expects("me none k O5 v\r\n", "EN\r\n");
    client.expects("flush_all\r\n", "OK\r\n");
    client.send(format!("{conversation}mg none Oend-{number}\r\n"));
    let text = client.read_to(&format!("EN Oend-{number}"));
    let lines = text.split("\r\n").map(|line| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let is_meta = matches!(&*words[0], "HD" | "VA" | "EN" | "NF" | "NS" | "EX");
        for word in words.iter_mut().filter(|_| is_meta) {
            let (name, digits) = word.split_at_checked(1).unwrap_or_default();
            match digits.parse::<u64>() {
                Ok(_) if name == "c" => *word = "CAS".to_owned(),
                Ok(seconds) if name == "t" && seconds > 1000 => {
                    *word = format!("t{}", (seconds + 500) / 1000)
                }
                _ => {}
            }
        }
        if words[0] == "VALUE" && words.len() == 5 {
            words[4] = "CAS".to_owned();
        }
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn conversations_read_the_same_as_with_memcached() {
    let (memcached, redis) = (Memcached::start(), Redis::start());
    let ringway = before(&redis);
    let (mut bare, mut client) = (memcached.client(), ringway.client());
    for (number, conversation) in conversations().iter().enumerate() {
        // memcached tells the seconds left from the tick of its clock on.
        let wanted = replies(&mut bare, conversation, number);
        let got = replies(&mut client, conversation, number);
        assert!(
            got == wanted,
            "{}\ngot\n{got}\nwanted\n{wanted}",
            shown(conversation.as_bytes())
        );
    }
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"desync\""]), 0.0);
}

#[test]
fn a_multi_get_is_one_command_and_its_values_find_their_keys() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    let keys: Vec<String> = (0..60).map(|n| format!("key-{n}")).collect();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 > 0) {
        client.expects(format!("set {key} {} 0 3\r\n{n:03}\r\n", n % 3 - 1), "STORED\r\n");
    }
    redis.ask("CONFIG RESETSTAT");
    let mut wanted = String::new();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 > 0) {
        wanted += &format!("VALUE {key} {} 3\r\n{n:03}\r\n", n % 3 - 1);
    }
    client.expects(format!("get {}\r\n", keys.join(" ")), format!("{wanted}END\r\n"));
    let calls = redis.ask("INFO commandstats");
    assert!(
        calls.contains("cmdstat_mget:calls=1,") && !calls.contains("cmdstat_get:"),
        "{calls}"
    );
}

#[test]
fn an_item_counts_as_read_before_for_libraries_that_always_ask() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.set("k", "v");
    client.expects("mg k v f h\r\n", "VA 1 f0 h1\r\nv\r\n");
    client.expects("mg k h l t\r\n", "HD h1 l0 t-1\r\n");
    client.expects("mg none h\r\n", "EN\r\n");
}

#[test]
fn a_plain_get_and_a_plain_set_are_one_native_command_each() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.expects("get warm-up\r\n", "END\r\n");
    redis.ask("CONFIG RESETSTAT");
    client.expects(
        "set a 0 0 1\r\nx\r\nset b 7 60 1\r\ny\r\n",
        "STORED\r\nSTORED\r\n",
    );
    client.expects(
        "get a\r\nget b\r\n",
        "VALUE a 0 1\r\nx\r\nEND\r\nVALUE b 7 1\r\ny\r\nEND\r\n",
    );
    client.expects(
        "ms c 1 F2 T9\r\nz\r\nmg c v f\r\ndelete c\r\n",
        "HD\r\nVA 1 f2\r\nz\r\nDELETED\r\n",
    );
    let calls = redis.ask("INFO commandstats");
    for wanted in [
        "cmdstat_set:calls=3,",
        "cmdstat_get:calls=3,",
        "cmdstat_del:calls=1,",
    ] {
        assert!(calls.contains(wanted), "{wanted}: {calls}");
    }
    assert!(!calls.contains("cmdstat_evalsha"), "{calls}");
}

#[test]
fn programs_that_speak_redis_read_and_write_the_same_values() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let (mut client, mut program) = (ringway.client(), redis.client());
    client.set("plain", "value");
    assert_eq!(program.ask(&[b"GET", b"plain"]), b"value");
    program.ask(&[b"SET", b"theirs", b"two\r\nlines", b"EX", b"60"]);
    assert_eq!(client.get("theirs").as_deref(), Some(&b"two\r\nlines"[..]));
    client.expects("set n 0 0 1\r\n9\r\nincr n 1\r\n", "STORED\r\n10\r\n");
    assert_eq!(program.ask(&[b"INCR", b"n"]), b"11");
    assert_eq!(client.get("n").as_deref(), Some(&b"11"[..]));
    // As docs/valkey.md describes it.
    client.expects("set flagged 258 0 5\r\nvalue\r\n", "STORED\r\n");
    let stored = program.ask(&[b"GET", b"flagged"]);
    assert_eq!(stored[..9], *b"\xf5RW1\0\0\0\x01\x02");
    assert_eq!((stored.len(), &stored[17..]), (22, &b"value"[..]));
    let written = [&b"\xf5RW1\0\0\0\0\x05"[..], &7u64.to_be_bytes(), b"theirs"].concat();
    program.ask(&[b"SET", b"flagged", &written]);
    client.expects("gets flagged\r\n", "VALUE flagged 5 6 7\r\ntheirs\r\nEND\r\n");
    // A value that looks as if it had a header gets one.
    let odd = b"\xf5RW1 is how a header begins";
    client.set("odd", odd);
    assert_eq!(client.get("odd").as_deref(), Some(&odd[..]));
    assert_eq!(
        program.ask(&[b"STRLEN", b"odd"]),
        (odd.len() + 17).to_string().as_bytes()
    );
}

#[test]
fn a_value_of_another_type_is_a_miss_or_a_clear_error() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    redis.ask("RPUSH list a b");
    client.expects(
        "get list\r\nget list other\r\ngats 9 list\r\nmg list v\r\nmg list t\r\n",
        "END\r\nEND\r\nEND\r\nEN\r\nEN\r\n",
    );
    let refused = "CLIENT_ERROR the key has a value of another type\r\n";
    client.expects(
        "incr list 1\r\nappend list 0 0 1\r\nx\r\nma list\r\n",
        refused.repeat(3),
    );
    client.expects(
        "add list 0 0 1\r\nx\r\ncas list 0 0 1 5\r\nx\r\n",
        "NOT_STORED\r\nEXISTS\r\n",
    );
    assert_eq!(redis.ask("LRANGE list 0 -1"), "a b", "nothing has changed it");
    client.set("list", "now a value");
    assert_eq!(redis.ask("TYPE list"), "string");
    redis.ask("HSET hash a b");
    client.expects("delete hash\r\n", "DELETED\r\n");
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"desync\""]), 0.0);
}

/// The cas id of a key.
fn cas(client: &mut Client, key: &str) -> u64 {
    let line = client.ask(format!("mg {key} c\r\n"));
    let id = line.strip_prefix("HD c").expect(&line);
    id.parse().expect("a number")
}

#[test]
fn a_cas_id_changes_with_each_value_whoever_writes_it() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    for flags in [0, 9] {
        client.expects(format!("set k {flags} 0 1\r\n1\r\n"), "STORED\r\n");
        let first = cas(&mut client, "k");
        client.expects("touch k 100\r\n", "TOUCHED\r\n");
        assert_eq!(cas(&mut client, "k"), first, "to touch is not to write");
        client.expects(format!("cas k {flags} 0 1 {first}\r\n2\r\n"), "STORED\r\n");
        client.expects(format!("cas k {flags} 0 1 {first}\r\n3\r\n"), "EXISTS\r\n");
        let mut last = cas(&mut client, "k");
        for (written, answer) in [
            ("incr k 5", "7"),
            ("append k 0 0 1\r\n0", "STORED"),
            ("ma k", "HD"),
            ("ms k 1 MP\r\n1", "HD"),
            ("replace k 3 0 1\r\n5", "STORED"),
        ] {
            client.expects(format!("{written}\r\n"), format!("{answer}\r\n"));
            let id = cas(&mut client, "k");
            assert_ne!(id, last, "{written}");
            client.expects(format!("cas k 0 0 1 {last}\r\nx\r\n"), "EXISTS\r\n");
            last = id;
        }
        redis.ask("SET k theirs");
        client.expects(format!("cas k 0 0 1 {last}\r\nx\r\n"), "EXISTS\r\n");
        let theirs = cas(&mut client, "k");
        redis.ask("APPEND k more");
        client.expects(format!("cas k 0 0 1 {theirs}\r\nx\r\n"), "EXISTS\r\n");
        let id = cas(&mut client, "k");
        client.expects(
            format!("ms k 3 C{id} c\r\nend\r\n"),
            format!("HD c{}\r\n", cas_of_end()),
        );
    }
    // With flags, the same value written again is another item.
    client.expects("set k 9 0 1\r\n1\r\n", "STORED\r\n");
    let first = cas(&mut client, "k");
    client.expects(
        format!("set k 9 0 1\r\n1\r\ncas k 9 0 1 {first}\r\n2\r\n"),
        "STORED\r\nEXISTS\r\n",
    );
}

/// The cas id of the plain value `end`.
fn cas_of_end() -> u64 {
    ringway::protocol::resp::stored::digest(b"end")
}

#[test]
fn concurrent_writers_lose_no_update() {
    const WRITERS: usize = 4;
    const EACH: usize = 100;
    let redis = Redis::start();
    let ringway = before(&redis);
    for flags in [0, 3] {
        ringway
            .client()
            .expects(format!("set n {flags} 0 1\r\n0\r\n"), "STORED\r\n");
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let (mut client, mut done) = (ringway.client(), 0);
                    while done < EACH {
                        let line = client.ask("gets n\r\n");
                        let id = line.rsplit(' ').next().expect("an id").to_owned();
                        let number: u64 = client.line().parse().expect("a number");
                        client.expect("END\r\n");
                        let next = (number + 1).to_string();
                        let stored = client.ask(format!("cas n {flags} 0 {} {id}\r\n{next}\r\n", next.len()));
                        done += usize::from(stored == "STORED");
                    }
                });
            }
        });
        let end = (WRITERS * EACH).to_string();
        assert_eq!(ringway.client().get("n"), Some(end.into_bytes()));
    }
}

#[test]
fn what_was_stored_is_there_after_a_restart_with_a_log_on_disk() {
    let mut redis = Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.expects(
        "set plain 0 0 1\r\nx\r\nset flagged 7 90000 1\r\ny\r\n",
        "STORED\r\nSTORED\r\n",
    );
    client.expects(
        "append flagged 0 0 1\r\nz\r\nset n 0 0 1\r\n9\r\nincr n 1\r\n",
        "STORED\r\nSTORED\r\n10\r\n",
    );
    let before = ["plain", "flagged", "n"].map(|key| cas(&mut client, key));
    redis.restart();
    let mut client = ringway.client();
    wait_for("the node to be back", || client.get("plain").is_some());
    assert_eq!(["plain", "flagged", "n"].map(|key| cas(&mut client, key)), before);
    client.expects(
        "get flagged n\r\n",
        "VALUE flagged 7 2\r\nyz\r\nVALUE n 0 2\r\n10\r\nEND\r\n",
    );
    let line = client.ask("mg flagged t\r\n");
    let left: u64 = line.strip_prefix("HD t").expect(&line).parse().expect("a number");
    assert!((80_000..=90_000).contains(&left), "{line}");
    client.expects(format!("cas plain 0 0 1 {}\r\ny\r\n", before[0]), "STORED\r\n");
}

#[test]
fn a_request_that_meets_a_lost_script_is_sent_once_more_and_brings_it() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.expects("set n 0 0 1\r\n1\r\nincr n 1\r\n", "STORED\r\n2\r\n");
    redis.ask("SCRIPT FLUSH");
    client.expects(
        "incr n 1\r\nms a 2 N0 MA F7\r\nxy\r\nma b N0 J5 v\r\nget c\r\n",
        "3\r\nHD\r\nVA 1\r\n5\r\nEND\r\n",
    );
    client.expects("mg a v f\r\n", "VA 2 f7\r\nxy\r\n");
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
    // What is written behind it is executed first, so it is not sent again.
    redis.ask("SCRIPT FLUSH");
    client.expects("incr b 1\r\nset b 0 0 1\r\n9\r\n", "NOT_FOUND\r\nSTORED\r\n");
    wait_for("its key to be deleted", || redis.ask("EXISTS b") == "0");
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"refused\""]), 1.0);
}

#[test]
fn no_request_fails_while_the_script_is_lost_again_and_again() {
    const REQUESTS: u64 = 400;
    let redis = Redis::start();
    let nodes = [redis.address()];
    let ringway = Ringway::start(&format!(
        "workers: 2\n{}",
        pool(&nodes, &["request_timeout: 10s"])
    ));
    let answered: [AtomicU64; 8] = Default::default();
    scope(|threads| {
        for (number, answered) in answered.iter().enumerate() {
            let mut client = ringway.client();
            threads.spawn(move || {
                client.set(&format!("n{number}"), "0");
                for count in 1..=REQUESTS {
                    let (large, key) = ("x".repeat(number * 500), format!("n{number}"));
                    client.expects(format!("incr {key} 1\r\n"), format!("{count}\r\n"));
                    let store = format!("ms a{number} {} N0 MA\r\n{large}\r\n", large.len());
                    client.expects(store, "HD\r\n");
                    client.expects(format!("ms a{number} 0\r\n\r\n"), "HD\r\n");
                    answered.store(count, SeqCst);
                }
            });
        }
        let counts = || answered.each_ref().map(|answered| answered.load(SeqCst));
        // Nothing is sent a third time, so what met a lost script is answered before it is lost again.
        while counts() != [REQUESTS; 8] {
            redis.ask("SCRIPT FLUSH");
            let before = counts();
            wait_for("clients", || {
                let pairs = counts().into_iter().zip(before);
                pairs
                    .into_iter()
                    .all(|(now, before)| now >= (before + 2).min(REQUESTS))
            });
        }
    });
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
    assert!(ringway.metric("ringway_retries_total", &[]) > 0.0);
}

#[test]
fn nodes_shows_what_answers_and_databases_are_apart() {
    let redis = Redis::start();
    let address = format!("redis://127.0.0.1:{}/3", redis.port());
    let ringway = Ringway::start(&pool(std::slice::from_ref(&address), &[]));
    ringway.client().set("k", "v");
    assert_eq!(redis.ask("GET k"), "nil");
    let mut program = redis.client();
    program.ask(&[b"SELECT", b"3"]);
    assert_eq!(program.ask(&[b"GET", b"k"]), b"v");
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    assert_eq!(
        (&nodes[0]["kind"], &nodes[0]["database"]),
        (&"valkey".into(), &3.into())
    );
    assert_eq!(nodes[0]["address"], *address);
    assert!(
        nodes[0]["version"].as_str().expect("known").contains('.'),
        "{nodes}"
    );
    redis.ask("SET other stays");
    ringway
        .client()
        .expects("flush_all\r\nget k\r\n", "OK\r\nEND\r\n");
    assert_eq!(redis.ask("GET other"), "stays");
}

#[test]
fn memcached_and_redis_nodes_share_a_ring() {
    let (memcached, redis) = (Memcached::start(), Redis::start());
    let ringway = Ringway::start(&pool(&[memcached.address(), redis.address()], &[]));
    let mut client = ringway.client();
    let keys: Vec<String> = (0..40).map(|n| format!("key-{n}")).collect();
    for key in &keys {
        client.expects(
            format!("set {key} 2 0 1\r\nx\r\nincr {key} 1\r\n"),
            "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        );
    }
    client.send(format!("get {}\r\n", keys.join(" ")));
    let found = client.read_to("END");
    assert_eq!(found.matches("VALUE ").count(), keys.len());
    let own: usize = redis.ask("DBSIZE").parse().expect("a number");
    assert!((1..keys.len()).contains(&own), "{own}");
    client.expects("flush_all\r\n", "OK\r\n");
    assert_eq!(redis.ask("DBSIZE"), "0");
}

#[test]
fn numbers_have_64_bits() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    for (number, command, answer) in [
        ("18446744073709551615", "incr k 2", "1"),
        ("18446744073709551614", "incr k 1", "18446744073709551615"),
        (
            "12345678901234567890",
            "decr k 9999999999",
            "12345678891234567891",
        ),
        ("10000000000", "decr k 1", "9999999999"),
        ("9999999999", "incr k 1", "10000000000"),
        ("5", "incr k 18446744073709551615", "4"),
        ("18446744073709551615", "decr k 18446744073709551615", "0"),
        (
            "18446744073709551615",
            "incr k 18446744073709551615",
            "18446744073709551614",
        ),
    ] {
        client.set("k", number);
        assert_eq!(client.ask(format!("{command}\r\n")), answer, "{number} {command}");
    }
    let refused = "CLIENT_ERROR cannot increment or decrement non-numeric value";
    client.set("k", "18446744073709551616");
    assert_eq!(client.ask("incr k 1\r\n"), refused);
}
