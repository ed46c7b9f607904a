//! `lazy_fill` on the wire and over real nodes: what was in the old pool is found, and nothing old comes back.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, scope, sleep};
use std::time::Duration;

use crate::support::binary::{packet, response};
use crate::support::client::Client;
use crate::support::diagnostics::diagnostics;
use crate::support::echo_node::{echo_node, empty_node};
use crate::support::history::{History, random};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::routes::{event_count, with_route};

const ROUTE: &str = "{lazy_fill: {to: a, from: b}}";

/// A binary get of the key `k`, and the value in its answer.
fn binary_get(client: &mut Client) -> Vec<u8> {
    client.send(packet(0x00, &[], "k", b""));
    let head = client.exact(24);
    let body = client.exact(u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize);
    body[4..].to_vec()
}

/// Two nodes, and a Ringway that fills the first from the second.
fn two() -> ([Memcached; 2], Ringway) {
    let nodes = [Memcached::start(), Memcached::start()];
    let ringway = Ringway::start(&with_route(&nodes.each_ref().map(Memcached::address), ROUTE));
    (nodes, ringway)
}

#[test]
fn clients_of_every_protocol_read_what_only_the_old_pool_has() {
    let new = empty_node();
    let old = echo_node("old");
    let ringway = Ringway::start(&with_route(&[new.address(), old.address()], ROUTE));
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    client.expects(
        "get k l\r\n",
        "VALUE k 0 3\r\nold\r\nVALUE l 0 3\r\nold\r\nEND\r\n",
    );
    client.expects("mg k v\r\n", "VA 3 f0 c9223372036854775807\r\nold\r\n");
    client.expects("set k 0 0 1\r\nv\r\ndelete k\r\n", "STORED\r\nDELETED\r\n");
    assert_eq!(old.lines().last().map(String::as_str), Some("md k k"));
}

#[test]
fn a_value_moves_with_its_flags_and_the_time_it_has_left() {
    let ([new, old], ringway) = two();
    old.client().expects("set k 77 100 5\r\nhello\r\n", "STORED\r\n");
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 77 5\r\nhello\r\nEND\r\n");
    wait_for("the copy", || new.client().get("k").as_deref() == Some(b"hello"));
    let copy = new.client().ask("mg k t f s\r\n");
    let ttl = copy
        .split(' ')
        .find_map(|flag| flag.strip_prefix('t')?.parse::<u32>().ok());
    assert!(ttl.is_some_and(|ttl| (90..=100).contains(&ttl)), "{copy}");
    assert!(copy.contains(" f77 s5"), "{copy}");
    drop(old);
    client.expects("get k\r\n", "VALUE k 77 5\r\nhello\r\nEND\r\n");
    assert_eq!(binary_get(&mut ringway.client()), b"hello");
    assert_eq!(
        (event_count(&ringway, "found"), event_count(&ringway, "filled")),
        (1.0, 1.0)
    );
}

#[test]
fn what_depends_on_the_old_value_finds_it_in_the_new_pool() {
    let ([new, old], ringway) = two();
    let mut before = old.client();
    for key in ["n", "joined", "cas", "touched", "taken", "gat", "b1", "stays"] {
        before.set(key, "5");
    }
    let mut client = ringway.client();
    client.expects("incr n 2\r\nget n\r\n", "7\r\nVALUE n 0 1\r\n7\r\nEND\r\n");
    client.expects(
        "append joined 0 0 1\r\n6\r\nget joined\r\n",
        "STORED\r\nVALUE joined 0 2\r\n56\r\nEND\r\n",
    );
    let gets = client.ask("gets cas\r\n");
    let id = gets.rsplit(' ').next().expect("a cas id").to_owned();
    client.expect("5\r\nEND\r\n");
    client.expects(format!("cas cas 0 0 1 {id}\r\n6\r\n"), "STORED\r\n");
    client.expects(
        "touch touched 100\r\ntouch nothing 100\r\n",
        "TOUCHED\r\nNOT_FOUND\r\n",
    );
    client.expects(
        "add taken 0 0 1\r\n6\r\nadd free 0 0 1\r\n6\r\n",
        "NOT_STORED\r\nSTORED\r\n",
    );
    client.expects("gat 100 gat\r\n", "VALUE gat 0 1\r\n5\r\nEND\r\n");
    client.expects(
        "ma b1 v\r\nmg stays k v t\r\n",
        "VA 1\r\n6\r\nVA 1 kstays t-1\r\n5\r\n",
    );
    client.expects(
        "get nothing\r\nmg nothing v\r\ndelete nothing\r\n",
        "END\r\nEN\r\nNOT_FOUND\r\n",
    );
    for key in ["n", "joined", "cas", "touched", "gat", "b1"] {
        assert_eq!(
            before.get(key),
            None,
            "{key} is changed, so that the old one must not come back"
        );
    }
    let stats = new.client().ask("mg nothing s\r\n");
    assert_eq!(stats, "EN", "no place is held for what is nowhere");
}

#[test]
fn an_empty_value_is_a_value_and_a_held_place_is_none() {
    let ([new, _old], ringway) = two();
    let mut client = ringway.client();
    client.set("empty", "");
    client.expects("get empty\r\n", "VALUE empty 0 0\r\n\r\nEND\r\n");
    let held = new.client().ask("mg held N30 s c\r\n");
    assert!(held.ends_with(" W"), "{held}");
    client.expects(
        "get held empty\r\nmg held v\r\n",
        "VALUE empty 0 0\r\n\r\nEND\r\nEN\r\n",
    );
    client.expects(
        "append held 0 0 1\r\nx\r\nincr held 1\r\ntouch held 9\r\n",
        "NOT_STORED\r\nNOT_FOUND\r\nNOT_FOUND\r\n",
    );
    client.expects(
        "add held 0 0 1\r\nx\r\nget held\r\n",
        "STORED\r\nVALUE held 0 1\r\nx\r\nEND\r\n",
    );
}

#[test]
fn a_pool_that_speaks_classic_text_only_is_refused() {
    let text = "pools: {a: {nodes: [a:1]}, b: {nodes: [b:1], protocol: classic}}\nroutes:\n  r: {lazy_fill: {to: a, from: {failover: [a, b]}}}\n";
    assert_eq!(
        diagnostics(text),
        "r.yaml:3:32: routes.r.lazy_fill.from: the pool \"b\" speaks classic text only, this policy needs \
         memcached's meta commands: take `protocol: classic` out of the pool"
    );
}

/// The pool `five` of all `nodes`, and the pool `four` of all but the last.
fn five_and_four(nodes: &[Memcached]) -> String {
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    format!(
        "pools:\n  five: {{nodes: [{}]}}\n  four: {{nodes: [{}]}}\n",
        addresses.join(", "),
        addresses[..4].join(", ")
    )
}

#[test]
fn a_node_that_joins_costs_next_to_no_hits() {
    const KEYS: usize = 4000;
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let pools = five_and_four(&nodes);
    let ringway = Ringway::start(&format!("{pools}routes:\n  default: four\n"));
    let mut client = ringway.client();
    for key in 0..KEYS {
        client.set(&format!("key:{key}"), "value");
    }
    let mut hits = |what: &str| -> f64 {
        let hits = (0..KEYS)
            .filter(|key| client.get(&format!("key:{key}")).is_some())
            .count();
        let share = hits as f64 / KEYS as f64;
        eprintln!("{what}: {:.1} % of reads hit", 100.0 * share);
        share
    };
    assert_eq!(hits("four nodes"), 1.0);
    let route = "{lazy_fill: {to: five, from: four}}";
    assert_eq!(
        ringway.reload(&format!("{pools}routes:\n  default: {route}\n")).0,
        200
    );
    assert!(hits("a fifth, with lazy_fill") >= 0.995);
    assert!(hits("and once more") >= 0.995);
    assert_eq!(
        ringway.reload(&format!("{pools}routes:\n  default: five\n")).0,
        200
    );
    assert!(
        hits("five nodes, filled") >= 0.995,
        "they stand on their own feet"
    );
    for node in &nodes[4..] {
        node.client().expects("flush_all\r\n", "OK\r\n");
    }
    let without = hits("five nodes, the fifth empty");
    assert!(
        (0.7..0.9).contains(&without),
        "about a fifth of the keys moved: {without}"
    );
}

/// What a client can do with a key, in text.
pub const COMMANDS: &[&str] = &[
    "get K",
    "gets K",
    "set K 1 0 2\r\n22",
    "add K 1 0 2\r\n22",
    "replace K 1 0 2\r\n22",
    "append K 0 0 1\r\n0",
    "prepend K 0 0 1\r\n9",
    "cas K 0 0 2 9999\r\n22",
    "incr K 5",
    "decr K 5",
    "touch K 100",
    "gat 100 K",
    "gats 100 K",
    "delete K",
    "mg K s v f k",
    "mg K s v c",
    "mg K v N30",
    "mg K v T30",
    "mg K v R30",
    "ms K 2 T60\r\n22",
    "ms K 2 ME\r\n22",
    "ms K 2 MR\r\n22",
    "ms K 1 MA\r\n0",
    "ms K 2 C9999\r\n22",
    "ma K",
    "ma K v MD",
    "ma K N0 J13 v",
    "md K",
    "md K q",
    "md K C9999",
    "md K I T30",
];

/// Without the cas ids, which each cache counts itself.
fn without_cas(reply: &str) -> String {
    let line = |line: &str| {
        let words = line.split(' ').enumerate();
        let is_cas = |(at, word): &(usize, &str)| {
            let digits = word.strip_prefix('c').unwrap_or(word);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number && (line.starts_with("VALUE") && *at == 4 || word.starts_with('c'))
        };
        let kept = words.filter(|word| !is_cas(word)).map(|(_, word)| word);
        kept.collect::<Vec<_>>().join(" ")
    };
    reply.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The replies to `command` on `key`, and to a get after it. The placeholder that a vivifying mg leaves is an empty
/// value to a get of memcached, and none to `lazy_fill`.
pub fn replies(client: &mut Client, command: &str, key: &str) -> String {
    let get = match command.ends_with("N30") {
        true => String::new(),
        false => format!("get {key}\r\n"),
    };
    client.send(format!("{}\r\n{get}mn\r\n", command.replace('K', key)));
    without_cas(&client.read_to("MN"))
}

#[test]
fn pools_that_share_nodes_answer_every_command_as_one_memcached() {
    const KEYS: usize = 25;
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let pools = five_and_four(&nodes) + "  gutter: {nodes: [{name: g, embedded: 1MiB}]}\n";
    let routes = [
        "{lazy_fill: {to: five, from: four}}",
        "{lazy_fill: {to: {failover: [five, gutter]}, from: {limit: {to: four, rate: 1000000}}}}",
        "{layers: {near: five, far: four, near_expiry: 10s}}",
    ];
    let ringway = Ringway::start(&format!("{pools}routes:\n  default: four\n"));
    let plain = Memcached::start();
    for (number, route) in routes.into_iter().enumerate() {
        let back = format!("{pools}routes:\n  default: four\n");
        assert_eq!(ringway.reload(&back).0, 200);
        let (mut client, mut reference) = (ringway.client(), plain.client());
        let keys = || (0..COMMANDS.len() * KEYS).map(|key| format!("{number}:{key}"));
        // Of each command, every second key is there.
        for (_, key) in keys()
            .enumerate()
            .filter(|(at, _)| (at / COMMANDS.len()).is_multiple_of(2))
        {
            let set = format!("set {key} 7 0 2\r\n10\r\n");
            client.expects(&set, "STORED\r\n");
            reference.expects(&set, "STORED\r\n");
        }
        let with_route = format!("{pools}routes:\n  default: {route}\n");
        assert_eq!(ringway.reload(&with_route).0, 200);
        for (at, key) in keys().enumerate() {
            let command = COMMANDS[at % COMMANDS.len()];
            assert_eq!(
                replies(&mut client, command, &key),
                replies(&mut reference, command, &key),
                "{route}: {command} of {key}"
            );
        }
    }
}

#[test]
fn binary_clients_read_a_miss_of_a_key_whose_node_both_pools_have() {
    let node = Memcached::start();
    let shared = [node.address(), node.address()];
    let ringway = Ringway::start(&with_route(&shared, ROUTE));
    let mut client = ringway.client();
    client.send(packet(0x00, &[], "k", b""));
    assert_eq!(response(&mut client), "00 1 :Not found");
    client.send(packet(0x02, &[0; 8], "k", b"1"));
    assert_eq!(response(&mut client), "02 0 :");
    let by_five = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    client.send(packet(0x05, &by_five, "k", b""));
    assert_eq!(
        response(&mut client),
        "05 0 :\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x06"
    );
    assert_eq!(node.client().get("k").as_deref(), Some(&b"6"[..]));
}

/// Keys that all clients change.
pub const KEYS: usize = 12;
/// Counters, which only grow.
pub const COUNTERS: usize = 4;
const CLIENTS: u64 = 4;
/// How many faults there are.
const TURNS: usize = 16;

/// What the clients share.
pub struct World {
    history: History,
    /// Of each counter, how often an incr was answered.
    counted: Vec<AtomicU64>,
    /// How many values were written.
    pub values: AtomicU64,
    /// Whether the clients are to end.
    pub is_over: AtomicBool,
    /// How many requests each client has begun, by its seed.
    turns: Mutex<BTreeMap<u64, u64>>,
}

impl World {
    /// Keys with their first values, and so many counters at 1000, which `client` sets.
    pub fn begin(client: &mut Client, counters: usize) -> World {
        for key in 0..KEYS {
            client.set(&format!("k{key}"), format!("first{key}"));
        }
        for counter in 0..counters {
            client.set(&format!("n{counter}"), "1000");
        }
        World {
            history: History::new(KEYS, |key| format!("first{key}")),
            counted: (0..counters).map(|_| AtomicU64::new(0)).collect(),
            values: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            turns: Mutex::default(),
        }
    }

    /// Notes what happened to one key, or to all, for the case that an old value is read.
    pub fn note(&self, key: impl Into<Option<usize>>, what: &str) {
        let thread = thread::current();
        let who = thread.name().unwrap_or_default();
        self.history.note(key, format!("{who}: {what}"));
    }

    /// Waits until every request that is under way now is answered.
    pub fn wait_answered(&self) {
        let turns = || self.turns.lock().expect("no panics").clone();
        let now = turns();
        wait_for("answers", || {
            assert!(!self.is_over.load(SeqCst), "a client gave up");
            let then = turns();
            now.iter().all(|(client, turn)| then[client] > *turn)
        });
    }

    /// A random client: every answer is checked.
    pub fn run(&self, ringway: &Ringway, seed: u64) {
        let mut client = ringway.client();
        let mut below = random(seed);
        while !self.is_over.load(SeqCst) {
            *self.turns.lock().expect("no panics").entry(seed).or_default() += 1;
            let key = below(KEYS as u64) as usize;
            match below(16) {
                0..=5 => self.read(&mut client, &[key]),
                6 if below(2) == 0 => self.read(&mut client, &[key, (key + 1) % KEYS, (key + 5) % KEYS]),
                6 => self.read(
                    &mut client,
                    &[key; 12].map(|key| (key + below(KEYS as u64) as usize) % KEYS),
                ),
                7 => self.read_meta(&mut client, key),
                8 | 9 => self.write(&mut client, key, "set"),
                10 => self.write(&mut client, key, "add"),
                11 => self.write(&mut client, key, "replace"),
                12 => self.cas(&mut client, key),
                13 => self.delete(&mut client, key),
                14 => drop(client.ask(format!("touch k{key} 1000\r\n"))),
                _ if self.counted.is_empty() => {}
                _ => self.count(&mut client, key % COUNTERS),
            }
        }
    }

    /// A client that only reads, of a process that may show a value until `bound` after another one has replaced it.
    pub fn read_late(&self, ringway: &Ringway, seed: u64, bound: Duration) {
        let mut client = ringway.client();
        let mut below = random(seed);
        while !self.is_over.load(SeqCst) {
            let begin = self.history.now().saturating_sub(bound.as_nanos());
            client.send(format!("get k{}\r\n", below(KEYS as u64)));
            self.values(&mut client, begin);
        }
    }

    fn read(&self, client: &mut Client, keys: &[usize]) {
        let begin = self.history.now();
        keys.iter().for_each(|&key| self.note(key, "get"));
        let names: Vec<String> = keys.iter().map(|key| format!("k{key}")).collect();
        client.send(format!("get {}\r\n", names.join(" ")));
        self.values(client, begin);
    }

    /// Reads values up to `END`; the cas id of the last.
    fn values(&self, client: &mut Client, begin: u128) -> Option<String> {
        let mut cas = None;
        loop {
            let line = client.line();
            if line == "END" || line.starts_with("SERVER_ERROR") {
                return cas;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let key = words[1][1..].parse().expect("a key");
            let value = client.exact(words[3].parse().expect("a length"));
            client.expect("\r\n");
            self.check(key, &value, begin);
            cas = words.get(4).map(|&word| word.to_owned());
        }
    }

    fn read_meta(&self, client: &mut Client, key: usize) {
        let begin = self.history.now();
        let line = client.ask(format!("mg k{key} v f\r\n"));
        if let Some(rest) = line.strip_prefix("VA ") {
            let length = rest.split(' ').next().expect("a length");
            let value = client.exact(length.parse().expect("a length"));
            client.expect("\r\n");
            self.check(key, &value, begin);
        }
    }

    fn check(&self, key: usize, value: &[u8], begin: u128) {
        let value = String::from_utf8_lossy(value);
        self.note(key, &format!("reads {value}"));
        self.history.check(key, &value, begin);
    }

    fn value(&self) -> String {
        format!("v{}", self.values.fetch_add(1, SeqCst))
    }

    fn write(&self, client: &mut Client, key: usize, command: &str) {
        let value = self.value();
        let begun = self.history.begin(key, &value);
        self.note(key, &format!("{command} {value}"));
        let answer = client.ask(format!("{command} k{key} 7 0 {}\r\n{value}\r\n", value.len()));
        self.note(key, &format!("{command} {value}: {answer}"));
        if answer == "STORED" {
            self.history.done(&begun);
        }
    }

    fn cas(&self, client: &mut Client, key: usize) {
        let begin = self.history.now();
        client.send(format!("gets k{key}\r\n"));
        let Some(id) = self.values(client, begin) else {
            return;
        };
        let value = self.value();
        let begun = self.history.begin(key, &value);
        self.note(key, &format!("cas {value}"));
        let answer = client.ask(format!("cas k{key} 7 0 {} {id}\r\n{value}\r\n", value.len()));
        self.note(key, &format!("cas {value}: {answer}"));
        if answer == "STORED" {
            self.history.done(&begun);
        }
    }

    fn delete(&self, client: &mut Client, key: usize) {
        let begun = self.history.begin(key, "");
        self.note(key, "delete");
        let answer = client.ask(format!("delete k{key}\r\n"));
        self.note(key, &format!("delete: {answer}"));
        if ["DELETED", "NOT_FOUND"].contains(&answer.as_str()) {
            self.history.done(&begun);
        }
    }

    /// Adds to a counter, or reads it. Where no node loses its memory it never has less than what was answered.
    fn count(&self, client: &mut Client, counter: usize) {
        let counted = self.counted[counter].load(SeqCst);
        let answer = client.ask(format!("incr n{counter} 1\r\n"));
        if let Ok(number) = answer.parse::<u64>() {
            self.counted[counter].fetch_add(1, SeqCst);
            assert!(
                number > 1000 + counted,
                "n{counter} is {number} after {counted} were added to 1000"
            );
        } else {
            // A failed incr may cost the counter.
            assert!(
                answer.starts_with("SERVER_ERROR") || answer == "NOT_FOUND",
                "{answer}"
            );
        }
    }
}

/// Many clients at once, while `inject` brings faults upon the four nodes: two new ones, two old ones. Counters are used
/// only where `keeps_memory`.
fn survives(keeps_memory: bool, mut inject: impl FnMut(&mut [Option<Memcached>; 4], usize)) {
    let mut nodes = [(); 4].map(|()| Some(Memcached::start()));
    let address = |index: usize| nodes[index].as_ref().expect("it runs").address();
    let pool = |name, first: usize| {
        format!(
            "  {name}: {{nodes: [{}, {}], request_timeout: 250ms, on_read_error: error, on_write_error: error, health: {{down_after: 1000000}}}}\n",
            address(first),
            address(first + 1)
        )
    };
    let text = format!(
        "workers: 2\npools:\n{}{}routes:\n  default: {ROUTE}\n",
        pool("a", 0),
        pool("b", 2)
    );
    let old = Ringway::start(&format!("pools:\n{}", pool("b", 2)));
    let counters = if keeps_memory { COUNTERS } else { 0 };
    let world = World::begin(&mut old.client(), counters);
    let ringway = Ringway::start(&text);
    scope(|clients| {
        for client in 0..CLIENTS {
            let (world, ringway) = (&world, &ringway);
            clients.spawn(move || {
                let _ends_all = EndOnDrop(world);
                world.run(ringway, client + 1);
            });
        }
        // Were the injection to fail, clients would go on for ever, and this scope waits for them.
        let _ends_all = EndOnDrop(&world);
        for turn in (0..TURNS).take_while(|_| !world.is_over.load(SeqCst)) {
            inject(&mut nodes, turn);
        }
    });
    let found = event_count(&ringway, "found");
    let written = world.values.load(SeqCst);
    assert!(written > 200, "only {written} writes");
    assert!(found > 0.0, "nothing was found in the old pool");
}

/// Ends the clients, also where one or the injection failed.
pub struct EndOnDrop<'a>(pub &'a World);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

#[test]
fn no_old_value_comes_back_while_nodes_are_slow() {
    survives(true, |nodes, turn| {
        let node = nodes[turn % 4].as_ref().expect("it runs");
        node.signal("STOP");
        sleep(Duration::from_millis(if turn % 3 == 0 { 600 } else { 40 }));
        node.signal("CONT");
        sleep(Duration::from_millis(60));
    });
}

#[test]
fn no_old_value_comes_back_while_nodes_lose_their_memory() {
    survives(false, |nodes, turn| {
        sleep(Duration::from_millis(150));
        // Mostly a new one: what it had is found in the old ones again, or not at all.
        let node = &mut nodes[[0, 1, 0, 1, 2][turn % 5]];
        let port = node.take().expect("it runs").port();
        sleep(Duration::from_millis(if turn % 4 == 0 { 300 } else { 0 }));
        wait_for("the port to be free", || {
            *node = Memcached::start_on(port);
            node.is_some()
        });
    });
}
