//! Configuration files as operators write them: the samples that ship, and mistakes with what is said of
//! them, word by word.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use ringway::config::{self, Config, Error};
use ringway::ring::{Distribution, Hash, Naming};

use crate::support::diagnostics::diagnostics;

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn full() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/full.yaml")).unwrap()
}

fn read(text: &str) -> Config {
    config::parse(text, "r.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn each_sample_is_good_and_is_shown_as_a_file_that_means_the_same() {
    let samples = samples();
    assert!(samples.len() >= 10, "{samples:?}");
    for path in samples {
        let config = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let shown = config::show(&config).to_string();
        assert_eq!(read(&shown), config, "{}", path.display());
        assert_eq!(read(&shown).hash(), config.hash());
    }
}

#[test]
fn whatever_the_full_file_calls_a_default_may_be_left_out() {
    let full = full();
    let config = read(&full);
    let lines: Vec<&str> = full.lines().collect();
    let is_default = |line: &&str| {
        line.split_once(" # ")
            .is_some_and(|(_, comment)| comment.starts_with("default"))
    };
    let defaults: Vec<usize> = (0..lines.len())
        .filter(|index| is_default(&lines[*index]))
        .collect();
    assert_eq!(defaults.len(), 54, "one for each key with a default");
    for index in defaults {
        let mut without = lines.clone();
        // The first key of a list's item leaves its dash to the second.
        without[index] = if lines[index].starts_with("  - ") {
            "  -"
        } else {
            ""
        };
        assert_eq!(read(&without.join("\n")), config, "without {}", lines[index]);
    }
}

#[test]
fn the_full_file_says_what_the_defaults_are() {
    let full = read(&full());
    let least = read("pools: {main: {nodes: [a:1]}}");
    assert_eq!(full.workers, 1);
    assert_eq!((full.memory_limit, least.memory_limit), (256 << 20, 256 << 20));
    assert_eq!(full.admin.bind.to_string(), "127.0.0.1:9155");
    assert_eq!(full.shutdown.delay, Duration::ZERO);
    assert_eq!(full.shutdown.drain, Duration::from_secs(10));
    assert_eq!(
        (full.workers, &full.admin, full.shutdown),
        (least.workers, &least.admin, least.shutdown)
    );
    let (mut one, other) = (full.listeners[0].clone(), &least.listeners[0]);
    one.route.clone_from(&other.route);
    assert_eq!(&one, other);
    assert_eq!(one.bind.to_string(), "127.0.0.1:11211");
    let (mut one, other) = (full.pools["main"].clone(), &least.pools["main"]);
    one.nodes.clone_from(&other.nodes);
    assert_eq!(&one, other);
    assert_eq!(one.distribution, Distribution::preset("ketama").unwrap());
    assert_eq!(one.connect_timeout, Duration::from_millis(250));
    assert_eq!(one.max_value_size, 1 << 20);
    let md5 = Hash::from_name("md5").unwrap();
    let twemproxy = Distribution::preset("twemproxy").unwrap().with_hash(md5);
    assert_eq!(full.pools["sessions"].distribution, twemproxy);
}

#[test]
fn where_no_memory_limit_is_typed_it_is_enough_for_the_largest_values() {
    let limit = |workers: usize, largest: &str| {
        let pools = format!("{{a: {{nodes: [a:1]}}, b: {{nodes: [b:1], max_value_size: {largest}}}}}");
        read(&format!(
            "workers: {workers}\npools: {pools}\nroutes: {{default: a}}"
        ))
        .memory_limit
    };
    assert_eq!(limit(64, "1MiB"), 256 << 20);
    assert_eq!(limit(65, "1MiB"), 260 << 20);
    assert_eq!(limit(2, "1GiB"), 8 << 30);
}

/// The keys that a mapping may have are told where one is unknown and looks like none of them.
#[test]
fn the_full_file_has_every_key_there_is() {
    let full = full();
    let keys_of = |text: &str| -> Vec<String> {
        let told = diagnostics(text);
        let (_, known) = told
            .split_once("unknown key, known here: ")
            .unwrap_or_else(|| panic!("{told}"));
        known
            .lines()
            .next()
            .unwrap()
            .split(", ")
            .map(str::to_owned)
            .collect()
    };
    let places = [
        ("\nworkers: 1", "\n\"@\": 0\nworkers: 1", 13),
        ("missed_writes:\n", "missed_writes:\n  \"@\": 0\n", 2),
        ("  - bind: 127", "  - \"@\": 0\n    bind: 127", 6),
        ("admin:\n", "admin:\n  \"@\": 0\n", 7),
        ("metrics:\n", "metrics:\n  \"@\": 0\n", 2),
        ("shutdown:\n", "shutdown:\n  \"@\": 0\n", 2),
        ("  main:\n", "  main:\n    \"@\": 0\n", 24),
        ("    handover:\n", "    handover:\n      \"@\": 0\n", 3),
        ("    discover:\n", "    discover:\n      \"@\": 0\n", 7),
        ("{address: ", "{\"@\": 0, address: ", 4),
        ("{preset: twemproxy", "{\"@\": 0, preset: twemproxy", 7),
        ("{kind: ", "{\"@\": 0, kind: ", 8),
        (
            "{preset: mcrouter-weighted",
            "{\"@\": 0, preset: mcrouter-weighted",
            5,
        ),
        ("    health:\n", "    health:\n      \"@\": 0\n", 5),
        ("    insight:\n", "    insight:\n      \"@\": 0\n", 2),
    ];
    for (before, after, count) in places {
        let keys = keys_of(&full.replacen(before, after, 1));
        assert_eq!(keys.len(), count, "{keys:?}");
        for key in keys {
            let is_key = |line: &str| line.split('#').next().unwrap().contains(&format!("{key}:"));
            assert!(full.lines().any(is_key), "{key}");
        }
    }
}

#[test]
fn all_mistakes_of_one_file_are_told_in_order() {
    let text = "\
workers: 0
listeners:
  - bind: localhost:11211
    route: mian
pools:
  main:
    nodes:
      - 10.0.0.1
    request_timeot: 500ms
    max_value_size: 2GiB
";
    let expected = "\
r.yaml:1:10: workers: 0 is out of range, the range is 1 to 1024, or write auto for one per core
r.yaml:3:11: listeners[0].bind: \"localhost\" is not an IP address, and only those can be bound, write 127.0.0.1:11211
r.yaml:4:12: listeners[0].route: no route or pool has the name \"mian\", did you mean \"main\"?
r.yaml:8:9: pools.main.nodes[0]: \"10.0.0.1\" has no port, did you mean 10.0.0.1:11211?
r.yaml:9:5: pools.main.request_timeot: unknown key, did you mean \"request_timeout\"?
r.yaml:10:21: pools.main.max_value_size: 2GiB is out of range, the range is 1B to 1GiB";
    assert_eq!(diagnostics(text), expected);
}

#[test]
fn each_mistake_is_told_where_it_stands_with_its_reason_and_a_way_out() {
    for (text, expected) in bad_files() {
        assert_eq!(diagnostics(&text), format!("r.yaml:{expected}"), "\n{text}");
    }
}

/// Files with a mistake, each with its place, its reason, and the way out.
pub fn bad_files() -> Vec<(String, String)> {
    let presets = Distribution::PRESETS.join(", ");
    let hashes = Hash::NAMES.join(", ");
    let kinds = Distribution::KINDS.join(", ");
    let names = Naming::NAMES.join(", ");
    let main = "pools: {main: {nodes: [a:1]}}\n";
    let pool = |rest: &str| format!("pools:\n  main:\n    nodes: [a:1]\n    {rest}\n");
    let nodes = |nodes: &str| format!("pools:\n  main:\n    nodes: {nodes}\n");
    let and = |rest: &str| format!("{main}{rest}\n");
    [
        // The file as a whole.
        (String::new(), "1:1: the file is empty, add `pools:` with a pool and its nodes"),
        ("# nothing\n".to_owned(), "1:1: the file is empty, add `pools:` with a pool and its nodes"),
        ("hello".to_owned(), "1:1: a mapping is expected here, not text"),
        ("workers: 2".to_owned(), "1:1: there are no pools, add `pools:` with a pool and its nodes"),
        ("pool: {main: {nodes: [a:1]}}".to_owned(), "1:1: pool: unknown key, did you mean \"pools\"?"),
        (and("colour: red"), "2:1: colour: unknown key, known here: workers, batching, memory_limit, missed_writes, state_dir, takeover, zone, listeners, admin, metrics, shutdown, pools, routes"),
        (and("workers: 1\nworkers: 2"), "3:1: workers: the key is on line 2 already"),
        (and("[a]: 1"), "2:1: a key is expected here, not a list or a mapping"),
        (and("workers: !!int 2"), "2:10: a tag has no meaning here, leave out what begins with \"!\""),
        (and("---\na: 1"), "2:1: a second document begins here, a file holds one configuration"),
        // Threads, listeners, admin, shutdown.
        (and("workers: many"), "2:10: workers: \"many\" is not a whole number, write one from 1 to 1024, or write auto for one per core"),
        (and("workers:"), "2:8: workers: there is no value, write one or leave it out"),
        (and("memory_limit: 1MiB"), "2:15: memory_limit: 1MiB is out of range, the range is 16MiB to 1TiB"),
        (
            "pools: {main: {nodes: [a:1], max_value_size: 8MiB}}\nworkers: 2\nmemory_limit: 32MiB".to_owned(),
            "3:15: memory_limit: 32MiB is too little for values of 8MiB, \
             the minimum for this number of workers is 64MiB, or make max_value_size smaller",
        ),
        (and("listeners: []"), "2:12: listeners: there are no listeners, leave the key out for one on 127.0.0.1:11211"),
        (and("listeners: {bind: 127.0.0.1:1}"), "2:12: listeners: a list is expected here, not a mapping, begin each of its lines with \"- \""),
        (and("listeners:\n  - 127.0.0.1:1"), "3:5: listeners[0]: a mapping is expected here, not text"),
        (and("listeners: [{max_connections: 0}]"), "2:31: listeners[0].max_connections: 0 is out of range, the range is 1 to 10000000"),
        (and("listeners: [{idle_timeout: 30}]"), "2:28: listeners[0].idle_timeout: \"30\" is not a duration, give it a unit: 30ms or 30s"),
        (and("listeners: [{bind: 127.0.0.1:1, mode: \"0660\"}]"), "2:33: listeners[0].mode: a TCP port has none, it is for listeners on unix:/path"),
        (and("listeners: [{group: root}]"), "2:14: listeners[0].group: a TCP port has none, it is for listeners on unix:/path"),
        (
            and("listeners: [{bind: \"unix:/s\", mode: rw-rw----}]"),
            "2:37: listeners[0].mode: \"rw-rw----\" is not an octal mode, write three octal digits, such as \"0660\": read and write for owner and group",
        ),
        (and("listeners: [{bind: \"unix:/s\", mode: 1777}]"), "2:37: listeners[0].mode: \"1777\" is out of range, the maximum is 0777"),
        (and("listeners: [{bind: \"unix:/s\", group: rooot}]"), "2:38: listeners[0].group: there is no group \"rooot\", did you mean root?"),
        (and("listeners: [{}, {}]"), "2:17: listeners[1]: 127.0.0.1:11211 is taken: listeners[0] binds 127.0.0.1:11211, choose another port"),
        (
            and("listeners: [{bind: 127.0.0.1:9155}]"),
            "2:20: listeners[0].bind: 127.0.0.1:9155 is taken: admin binds 127.0.0.1:9155, choose another port",
        ),
        (
            and("admin: {bind: 0.0.0.0:11211}"),
            "2:15: admin.bind: 0.0.0.0:11211 is taken: listeners[0] binds 127.0.0.1:11211, choose another port",
        ),
        (and("admin: {bind: 9155}"), "2:15: admin.bind: \"9155\" is not an address, did you mean 127.0.0.1:9155?"),
        (and("admin: {key_delimiter: '::'}"), "2:24: admin.key_delimiter: \"::\" is not one character, write the one that ends the prefixes of keys, such as \":\", or false"),
        (and("admin: {show_keys: maybe}"), "2:20: admin.show_keys: \"maybe\" is not a valid value, choose one of: true, false"),
        (and("shutdown: {drain: soon}"), "2:19: shutdown.drain: \"soon\" is not a duration, write a whole number and a unit, such as 250ms, 1s, 2m or 1h"),
        (and("shutdown: {wait: 1s}"), "2:12: shutdown.wait: unknown key, known here: delay, drain"),
        // Pools and nodes.
        (
            "pools:\n  main:\n".to_owned(),
            "2:7: pools.main: the pool has no nodes, give it at least one: `nodes: [host:port]`",
        ),
        (nodes("[a:1, ~]"), "3:18: pools.main.nodes[1]: there is no value, write one or leave it out"),
        ("pools: {}".to_owned(), "1:8: pools: there are no pools, add one with its nodes"),
        ("pools: {main: {}}".to_owned(), "1:15: pools.main: the pool has no nodes, give it at least one: `nodes: [host:port]`"),
        ("pools: {main: {node: [a:1]}}".to_owned(), "1:16: pools.main.node: unknown key, did you mean \"nodes\"?"),
        ("pools: {a b: {nodes: [a:1]}}".to_owned(), "1:9: pools.\"a b\": \"a b\" is not a name, a name has 1 to 250 bytes, and no spaces or control characters"),
        (nodes("[]"), "3:12: pools.main.nodes: the pool has no nodes, give it at least one"),
        (nodes("a:1"), "3:12: pools.main.nodes: a list is expected here, not text, begin each of its lines with \"- \""),
        (nodes("[\"a:0\"]"), "3:13: pools.main.nodes[0]: port 0 is out of range, ports go from 1 to 65535"),
        (nodes("[\"::1:11211\"]"), "3:13: pools.main.nodes[0]: \"::1:11211\" is not an address, an IPv6 address needs brackets: did you mean \"[::1]:11211\"?"),
        (nodes("[{address: a:1, weight: 0}]"), "3:36: pools.main.nodes[0].weight: 0 is out of range, the range is 1 to 1000000"),
        (nodes("[{address: a:1, wieght: 2}]"), "3:28: pools.main.nodes[0].wieght: unknown key, did you mean \"weight\"?"),
        (nodes("[{name: x}]"), "3:13: pools.main.nodes[0]: the node has no address, add `address: host:port`, or `embedded: 64MiB`"),
        (nodes("[{embedded: 64MiB}]"), "3:13: pools.main.nodes[0]: an embedded node needs a name, the ring hashes it: add `name:`"),
        (nodes("[{name: x, embedded: 64}]"), "3:33: pools.main.nodes[0].embedded: 64 is out of range, the range is 1MiB to 1TiB"),
        (
            nodes("[{name: x, embedded: 4MiB, address: a:1}]"),
            "3:13: pools.main.nodes[0]: a node has an address or is embedded, leave out `address` or `embedded`",
        ),
        (
            nodes("[\"Cache.local:1\", \"b:1\", \"cache.LOCAL.:1\"]"),
            "3:37: pools.main.nodes[2]: nodes[0] has the address \"cache.LOCAL.:1\" too, \
             list a node once, with a `weight` if it should get more keys",
        ),
        (
            nodes("[{address: a:1, name: x}, {address: b:1, name: x}]"),
            "3:59: pools.main.nodes[1].name: nodes[0] has the name \"x\" too, names in a pool must differ, the ring hashes them",
        ),
        // A pool's settings.
        (pool("hash_tag: {}"), "4:15: pools.main.hash_tag: text is expected here, not a mapping, put \"{}\" in quotes"),
        (pool("hash_tag: \"{\""), "4:15: pools.main.hash_tag: \"{\" is not a pair of characters, write two of ASCII, such as \"{}\", or \"\" for none"),
        (pool("distribution:"), "4:17: pools.main.distribution: there is no value, write one or leave it out"),
        (pool("fallback_expiry: 0s"), "4:22: pools.main.fallback_expiry: \"0s\" is too short, nodes count in seconds: write at least 1s, or \"off\""),
        (pool("fallback_expiry: 999ms"), "4:22: pools.main.fallback_expiry: \"999ms\" is too short, nodes count in seconds: write at least 1s, or \"off\""),
        (pool("fallback_expiry: 0.5s"), "4:22: pools.main.fallback_expiry: \"0.5s\" is not a duration, the shortest is 1s"),
        (pool("connections: 0"), "4:18: pools.main.connections: 0 is out of range, the range is 1 to 1024"),
        (pool("connections: [1]"), "4:18: pools.main.connections: text is expected here, not a list"),
        (pool("protocol: binary"), "4:15: pools.main.protocol: \"binary\" is not a valid value, choose one of: auto, meta, classic"),
        (pool("on_read_error: mis"), "4:20: pools.main.on_read_error: \"mis\" is not a valid value, did you mean \"miss\"?"),
        (pool("on_write_error: miss"), "4:21: pools.main.on_write_error: \"miss\" is not a valid value, choose one of: not_stored, error"),
        (pool("flush_all: no"), "4:16: pools.main.flush_all: \"no\" is not a valid value, choose one of: allow, deny"),
        (pool("connect_timeout: 0s"), "4:22: pools.main.connect_timeout: must be longer than zero, the shortest is 1ms"),
        (pool("request_timeout: -1s"), "4:22: pools.main.request_timeout: \"-1s\" is not a duration, write a whole number and a unit, such as 250ms, 1s, 2m or 1h"),
        (pool("max_value_size: 0"), "4:21: pools.main.max_value_size: 0 is out of range, the range is 1B to 1GiB"),
        (pool("max_in_flight: 0"), "4:20: pools.main.max_in_flight: 0 is out of range, the range is 1 to 1048576"),
        (pool("health: {down_after: 0}"), "4:26: pools.main.health.down_after: 0 is out of range, the range is 1 to 1000000"),
        (pool("distribution: ketma"), "4:19: pools.main.distribution: no preset has the name \"ketma\", did you mean \"ketama\"?"),
        (pool("distribution: jump"), "4:19: pools.main.distribution: \"jump\" is a kind, not a preset, write {kind: jump}"),
        (pool("distribution: {kind: mcrouter}"), "4:26: pools.main.distribution.kind: \"mcrouter\" is a preset, not a kind, write {preset: mcrouter}"),
        (pool("distribution: {kind: jump, preset: dalli}"), "4:19: pools.main.distribution: a distribution has a preset or a kind, leave out `preset` or `kind`"),
        (pool("distribution: {kind: jump, points: 7}"), "4:32: pools.main.distribution.points: jump does not use it, leave it out"),
        (pool("distribution: {preset: mcrouter, hash: md5}"), "4:38: pools.main.distribution.hash: mcrouter hashes keys only in its own way, leave it out"),
        (pool("distribution: {kind: jump, hash: md5, seed: s}"), "4:43: pools.main.distribution.seed: only the hash xxh3 takes a seed, leave it out"),
        (pool("distribution: {points: 0}"), "4:28: pools.main.distribution.points: 0 is out of range, the range is 1 to 4096"),
        ("pools: {main: {nodes: [{address: \"a:1\", weight: 2}], distribution: gomemcache}}".to_owned(), "1:68: pools.main.distribution: gomemcache knows no weights, leave out `weight` of its nodes: it would count for nothing"),
        (pool("distribution: {hash: mad5}"), "4:26: pools.main.distribution.hash: no hash has the name \"mad5\", did you mean \"md5\"?"),
        // Names.
        (and("routes: {r: man}"), "2:13: routes.r: no route or pool has the name \"man\", did you mean \"main\"?"),
        (and("routes: {main: main}"), "2:10: routes.main: a pool on line 1 has this name, a pool and a route must differ in name"),
        (and("routes: {a: b, b: a}"), "2:13: routes.a: the route goes in a circle: a → b → a, end it in a pool"),
        (and("routes: {r: [main]}"), "2:13: routes.r: a route is expected here, not a list, write a name or a policy, such as {failover: [a, b]}"),
        (and("routes: {r: {failover: [main]}}"), "2:24: routes.r.failover: at least two routes are needed, not 1, name them in the order in which they are asked"),
        (and("routes: {r: {failover: [main, man]}}"), "2:31: routes.r.failover[1]: no route or pool has the name \"man\", did you mean \"main\"?"),
        (and("routes: {r: {failovr: [main, main]}}"), "2:14: routes.r.failovr: unknown key, did you mean \"failover\"?"),
        (and("routes: {r: {}}"), "2:13: routes.r: there is no policy, choose one of: prefix, routing_prefix, by_command, by_listener, failover, replicate, lazy_fill, layers, single_flight, hot_cache, stampede, spread, shadow, limit, expiry, key, read_only, deny, miss, error, blackhole, delay"),
        (and("routes: {r: {miss: {}, error: no}}"), "2:13: routes.r: a route has one policy, not miss and error, put one of them under the other, behind its `to:`"),
        (and("routes: {r: {failover: {to: [main, main], budjet: 5%}}}"), "2:43: routes.r.failover.budjet: unknown key, did you mean \"budget\"?"),
        (and("routes: {r: {prefix: {\"a:\": main}}}"), "2:13: routes.r: `else` is missing, add `else:` with a pool or a route"),
        (and("routes: {r: {prefix: {}, else: main}}"), "2:22: routes.r.prefix: there is nothing to choose from, add at least one, with its route"),
        (and("routes: {r: {prefix: {\"a b\": main}, else: main}}"), "2:23: routes.r.prefix.\"a b\": no key begins with \"a b\", write 1 to 250 bytes without spaces and control characters"),
        (and("routes: {r: {routing_prefix: {/a/: main}, else: main}}"), "2:31: routes.r.routing_prefix.\"/a/\": \"/a/\" is not a routing prefix, write it as mcrouter does: /region/cluster/"),
        (and("routes: {r: {by_command: {read: main}, else: main}}"), "2:27: routes.r.by_command.read: \"read\" is not a command, did you mean \"reads\"?"),
        (and("routes: {r: {by_listener: {here: main}, else: main}}"), "2:28: routes.r.by_listener.here: \"here\" has no port, did you mean here:11211?"),
        (and("routes: {r: {failover: [main, main], else: main}}"), "2:13: routes.r: `else` is beside a policy that does not choose, leave it out"),
        (and("routes: {r: {limit: {to: main}}}"), "2:21: routes.r.limit: there is no limit, add `rate:`, requests a second, or `in_flight:`"),
        (and("routes: {r: {expiry: {to: main, min: 2s, max: 1s}}}"), "2:22: routes.r.expiry: `min` is longer than `max`, exchange them"),
        (and("routes: {r: {key: {to: main}}}"), "2:19: routes.r.key: the key stays as it is, add `add_prefix:` or `strip_prefix:`"),
        (and("routes: {r: {deny: {to: main}}}"), "2:20: routes.r.deny: `commands` is missing, add `commands:`, such as [flush_all]"),
        (and("routes: {r: {delay: {to: main}}}"), "2:21: routes.r.delay: `by` is missing, add `by:`, such as 10ms"),
        (and("routes: {r: {error: \"\"}}"), "2:21: routes.r.error: \"\" does not fit into one line, write 1 to 250 bytes without control characters"),
        (
            and("routes: {a: {failover: [main, b]}, b: {key: {to: c, add_prefix: x}}, c: a}"),
            "2:31: routes.a.failover[1]: the route goes in a circle: a → b → c → a, end it in a pool",
        ),
        (
            and("listeners: [{route: {failover: [main, other]}}]"),
            "2:39: listeners[0].route.failover[1]: no route or pool has the name \"other\", there are: main",
        ),
        (
            "pools: {main: {nodes: [\"127.0.0.1:11211\"]}}".to_owned(),
            "1:1: listeners: the node 127.0.0.1:11211 of the pool \"main\" is this very listener, \
             its requests would return forever: bind another port",
        ),
    ]
    .into_iter()
    .map(|(text, expected)| (text, expected.to_owned()))
    .chain([
        (pool("distribution: zzz"), format!("4:19: pools.main.distribution: no preset has the name \"zzz\", choose one of: {presets}")),
        (pool("distribution: {hash: zzz}"), format!("4:26: pools.main.distribution.hash: no hash has the name \"zzz\", choose one of: {hashes}")),
        (pool("distribution: {kind: zzz, hash: md5}"), format!("4:26: pools.main.distribution.kind: no kind has the name \"zzz\", choose one of: {kinds}")),
        (pool("distribution: {names: zzz}"), format!("4:27: pools.main.distribution.names: no way to name nodes has the name \"zzz\", choose one of: {names}")),
        (
            and(&format!("listeners: [{{bind: \"unix:/{}\"}}]", "p".repeat(107))),
            "2:20: listeners[0].bind: the path of the socket has 108 bytes, the system allows 107".to_owned(),
        ),
    ])
    .collect()
}

#[test]
fn routes_are_neither_endlessly_deep_nor_endlessly_wide() {
    let chain = |links: usize| {
        let mut text = "pools: {main: {nodes: [a:1]}}\nroutes:\n  r0: main\n".to_owned();
        for link in 1..=links {
            text += &format!("  r{link}: {{failover: [r{}, r{}]}}\n", link - 1, link - 1);
        }
        text + "listeners: [{route: r0}]"
    };
    assert_eq!(diagnostics(&chain(8)), "fine");
    assert_eq!(
        diagnostics(&chain(9)),
        "r.yaml:12:3: routes.r9: the route leads to 512 pools, the maximum is 256, each counted as often as it is named"
    );
    let deep = |links: usize| {
        let inner = (0..links).fold("main".to_owned(), |to, _| format!("{{read_only: {to}}}"));
        format!("pools: {{main: {{nodes: [a:1]}}}}\nroutes: {{r: {inner}}}")
    };
    assert_eq!(diagnostics(&deep(16)), "fine");
    assert_eq!(
        diagnostics(&deep(17)),
        "r.yaml:2:10: routes.r: 17 policies are nested, the maximum is 16"
    );
}

#[test]
fn what_is_no_yaml_is_told_at_its_place() {
    let cases = [
        ("pools: {main: {nodes: [a:1]}", "r.yaml:1:29: invalid YAML: "),
        ("pools:\n\tmain: {nodes: [a:1]}", "r.yaml:2:"),
        ("pools: *nobody", "r.yaml:1:8: invalid YAML: "),
        ("a: \"b\nc", "r.yaml:"),
    ];
    for (text, expected) in cases {
        assert!(
            diagnostics(text).starts_with(expected),
            "{text}\n{}",
            diagnostics(text)
        );
        assert_eq!(diagnostics(text).lines().count(), 1, "{}", diagnostics(text));
    }
    assert!(diagnostics("pools:\n\tmain: {nodes: [a:1]}").ends_with(", indent by spaces, not by tabs"));
}

#[test]
fn anchors_aliases_and_merge_keys_work_and_mistakes_stand_where_they_were_typed() {
    let text = "\
pools:
  a: &a
    nodes: [a:1]
    connections: 2
    health: &h {down_after: 7}
  b: {<<: *a, connections: 3}
  c: {<<: [{hash_tag: \"[]\"}, *a], nodes: [c:1], health: *h}
listeners: [{route: a}]
";
    let config = read(text);
    let [a, b, c] = ["a", "b", "c"].map(|name| &config.pools[name]);
    assert_eq!((a.connections, b.connections, c.connections), (2, 3, 2));
    assert_eq!((b.health.down_after, c.health.down_after), (7, 7));
    assert_eq!(a.nodes, b.nodes);
    assert_eq!(c.hash_tag, Some(*b"[]"));

    let expected = "\
r.yaml:5:29: pools.a.health.down_after: 0 is out of range, the range is 1 to 1000000";
    assert_eq!(
        diagnostics(&text.replace("down_after: 7", "down_after: 0")),
        expected
    );
    let alias = "pools: {main: {nodes: [&n \"a:1\", *n]}}";
    let expected = "r.yaml:1:34: pools.main.nodes[1]: nodes[0] has the address \"a:1\" too, \
                    list a node once, with a `weight` if it should get more keys";
    assert_eq!(diagnostics(alias), expected);
    let merged = "pools: {main: {nodes: [a:1], <<: 3}}";
    assert_eq!(
        diagnostics(merged),
        "r.yaml:1:30: pools.main.<<: what is merged must be a mapping, write <<: *anchor"
    );
}

#[test]
fn one_mistake_does_not_make_others_up() {
    let cases = [
        ("pools: [x]\nroutes: {r: main}\nlisteners: [{route: r}]", 1),
        (
            "pools: {main: {nodes: [\"a\"]}}\nlisteners: [{route: main}, {bind: x, route: main}]",
            2,
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nroute: {r: main}\nlisteners: [{route: r}]",
            1,
        ),
        (
            "pools: {main: {nodes: [a:1]}, b: {nodes: [b:1]}}\nlisteners: [{rout: main}]",
            1,
        ),
        (
            "pools: {main: {nodes: [a:1]}, b: {nodes: [b:1]}}\nlisteners: 1",
            1,
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nlisteners: [{bind: x}, {bind: y}]\nadmin: {bind: z}",
            3,
        ),
        ("pools: {main: {nodes: [{name: a, adress: b:1}]}}", 1),
        (
            "pools: {main: {nodes: [a:1]}}\nroutes: {r: s, s: r, t: [main]}\nlisteners: [{route: t}]",
            2,
        ),
    ];
    for (text, count) in cases {
        assert_eq!(
            diagnostics(text).lines().count(),
            count,
            "{text}\n{}",
            diagnostics(text)
        );
    }
}

#[test]
fn a_section_may_be_empty() {
    let least = read("pools: {main: {nodes: [a:1]}}");
    let empty =
        "listeners:\n  -\nadmin:\nshutdown:\npools:\n  main:\n    nodes: [a:1]\n    health:\nroutes:\n";
    assert_eq!(read(empty), least);
}

#[test]
fn what_cannot_be_read_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yaml");
    let error = config::load(&missing).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }));
    assert!(
        error.to_string().starts_with(&format!("{}: ", missing.display())),
        "{error}"
    );
    assert!(matches!(
        config::load(folder.path()).unwrap_err(),
        Error::Unreadable { .. }
    ));

    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, b"a: 1\n\xc3\xa9\xff\n").unwrap();
    let told = config::load(&binary).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "{}:2:2: not valid UTF-8, save the file as UTF-8",
            binary.display()
        )
    );
}

#[test]
fn the_quickstart_is_three_embedded_nodes() {
    let config = config::quickstart();
    let labels: Vec<String> = config.pools["main"]
        .nodes
        .iter()
        .map(config::Node::label)
        .collect();
    assert_eq!(labels, ["cache-a", "cache-b", "cache-c"]);
    assert_eq!(read(&config::show(&config).to_string()), config);
}

#[test]
fn auto_is_a_worker_for_each_core() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(
        read("workers: auto\npools: {main: {nodes: [a:1]}}").workers,
        cores
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        diagnostics(&text);
    }

    #[test]
    fn no_text_of_yaml_signs_makes_it_panic(
        text in r#"([-?:,\[\]{}#&*!|>'"%@`~ \t\r\n]|<<: |a|nodes: |pools: |&a |\*a|é|\u{0}|- ){0,60}"#,
    ) {
        diagnostics(&text);
    }

    /// Samples, cut, spliced and sprinkled with signs.
    #[test]
    fn no_mutated_file_makes_it_panic(
        file in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, "[-?:,\\[\\]{}#&*!|>'\"%~<0-9a-z \\t\\n]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = std::fs::read_to_string(file.get(&samples())).unwrap().chars().collect();
        for (at, length, with) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        let told = diagnostics(&text);
        prop_assert!(told == "fine" || told.lines().all(|line| line.starts_with("r.yaml:")), "{}", told);
    }
}
