//! A configuration as JSON that reads like the file it came from, and its hash.
//!
//! The JSON holds every setting, defaults too, in the words and units of the file: read as a file it is the same
//! configuration. Nodes that were discovered are not part of it.

use md5::{Digest, Md5};
use serde_json::Value;

use super::file::Keys;
use super::rows::render;
use super::{Config, Pool};

impl Config {
    /// 16 hexadecimal digits that are the same for configurations that mean the same.
    pub fn hash(&self) -> String {
        let digest = Md5::digest(show(self).to_string());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Every setting, as it could be written.
pub fn show(config: &Config) -> Value {
    let mut shown = render(&Keys {
        workers: config.workers,
        batching: config.batching,
        memory_limit: Some(config.memory_limit),
        missed_writes: config.missed_writes.clone(),
        state_dir: config.state_dir.clone(),
        takeover: config.takeover.clone(),
        zone: config.zone.clone(),
        admin: config.admin.clone(),
        metrics: config.metrics,
        shutdown: config.shutdown,
        ..Keys::default()
    });
    shown["listeners"] = config.listeners.iter().map(render).collect();
    let pools = config
        .pools
        .iter()
        .map(|(name, pool)| (name.clone(), render(pool)));
    shown["pools"] = Value::Object(pools.collect());
    let routes = config
        .routes
        .iter()
        .map(|(name, route)| (name.clone(), route.to_json()));
    shown["routes"] = Value::Object(routes.collect());
    shown
}

/// Every setting of a pool, as it could be written, without the nodes that were discovered.
pub fn show_pool(pool: &Pool) -> Value {
    render(pool)
}

#[cfg(test)]
mod tests {
    use super::super::{parse, quickstart};
    use super::*;

    #[test]
    fn what_is_shown_reads_as_the_same_configuration() {
        let text = r#"
workers: 3
batching: never
memory_limit: 100MB
missed_writes: {max: 7, dir: /tmp}
state_dir: /tmp
takeover: unix:/run/ringway/takeover.sock
listeners:
  - {bind: "[::1]:11311", route: main, max_connections: 7, idle_timeout: 90s}
  - {bind: "unix:/run/ringway.sock", route: away, mode: "0660", group: root}
admin: {bind: 0.0.0.0:9200, hosts: [ringway.example.com, shop]}
metrics: {nodes: off, buckets: 7}
shutdown: {delay: 5s, drain: 0s}
pools:
  main:
    nodes: [10.0.0.1:1, {address: "[::2]:2", name: b, weight: 3}, {name: c, embedded: 1GB}, "unix:/m"]
    distribution: {preset: twemproxy, hash: md5}
    hash_tag: "{}"
    handover: off
    connections: 2
    protocol: classic
    connect_timeout: 1500ms
    request_timeout: 2m
    on_read_error: error
    on_write_error: error
    on_node_down: rehash
    max_down: 34%
    rejoin: manual
    outlier: 7
    flush_all: deny
    max_value_size: 1234567
    max_in_flight: 5
    health: {down_after: 4, probe_interval: 1h, probe_timeout: 1ms, up_after: 1, max_probe_interval: 9m}
  "odd.name: \"x\"": {nodes: [a:1]}
  found: {discover: {from: file+/nodes.yaml, interval: 3s, add_after: 0s, remove_after: 1h, min_nodes: 3, max_moved: 7%}}
  a: {discover: {from: "dns+cache.example:11211", resolver: "[::1]:5353"}}
  srv: {discover: {from: dnssrv+_memcache._tcp.example}}
  moving: {nodes: [b:1], handover: {prepare: 0s, serve: 3m}}
  noa: {discover: {from: "dnssrvnoa+_memcache._tcp.example.:11211", resolver: 10.0.0.1}}
  both: {nodes: [b:1], discover: {from: "elasticache+[::1]:11211"}}
routes: {default: main, away: default}
"#;
        // A name with a space is invalid.
        let text = text.replace("odd.name: ", "odd.name:");
        for config in [parse(&text, "f").expect("good"), quickstart()] {
            let shown = show(&config);
            assert_eq!(
                parse(&shown.to_string(), "shown").expect("good"),
                config,
                "{shown:#}"
            );
        }
    }

    #[test]
    fn the_hash_is_of_the_meaning() {
        let hash = |text: &str| parse(text, "f").expect("good").hash();
        let one = hash(
            "pools: {main: {nodes: [a:1], request_timeout: 1000ms}, b: {nodes: [b:1]}}\nroutes: {r: main}",
        );
        let same = hash(
            "# c\nroutes: {r: main}\npools:\n  b: {nodes: [b:1]}\n  main: {request_timeout: 1s, nodes: [a:1]}",
        );
        let other =
            hash("pools: {main: {nodes: [a:2], request_timeout: 1s}, b: {nodes: [b:1]}}\nroutes: {r: main}");
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(one.len(), 16);
    }
}
