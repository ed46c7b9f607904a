//! What was typed of one pool: its nodes, how keys are spread over them, and its settings.

use std::time::Duration;

use super::choices::{self, choose};
use super::error::{Diagnostics, Problem, Spanned, quote};
use super::foreign;
use super::map_reader::YamlNode;
use super::nodes;
use super::settings::{narrow, number, set};
use super::units::{count, percent, size, timeout};
use super::{Health, Node, OnReadError, Pool, discover, distribution, protection, warnings};

/// A gibibyte: what memcached's `-I` allows at most.
const LARGEST_VALUE: u64 = 1 << 30;

const MOST_LINKS: u64 = 1024;

/// A link's queue is memory: this many requests are some hundred MiB.
const MOST_IN_FLIGHT: u64 = 1 << 20;

/// Reads a pool. Where there were mistakes what is returned only stands in for it.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Pool {
    let mut keys = value.keys(diagnostics);
    let mut pool = Pool::new(keys.get("nodes", nodes::read).unwrap_or_default());
    set(
        &mut pool.distribution,
        keys.get("distribution", |value, diagnostics| {
            distribution::read(value, &pool.nodes, diagnostics)
        }),
    );
    pool.discover = keys.get("discover", discover::read);
    if pool.discover.is_some() && pool.nodes.is_empty() {
        pool.nodes.push(Node::undiscovered());
    }
    pool.zone = keys.value("zone", nodes::name);
    set(&mut pool.hash_tag, keys.value("hash_tag", hash_tag));
    set(
        &mut pool.connections,
        number(&mut keys, "connections", 1..=MOST_LINKS),
    );
    set(
        &mut pool.protocol,
        keys.value("protocol", choose(choices::PROTOCOL)),
    );
    pool.protection = protection::read(&mut keys, &pool.nodes);
    if pool.protection.tls.is_some() {
        pool.connect_timeout = protection::CONNECT_TIMEOUT;
    }
    set(&mut pool.connect_timeout, keys.value("connect_timeout", timeout));
    set(&mut pool.request_timeout, keys.value("request_timeout", timeout));
    if let Some(Spanned { value, location }) = keys.at("on_read_error", choose(choices::ON_READ_ERROR)) {
        pool.on_read_error = value;
        if value == OnReadError::Error {
            keys.warn_at(&location, warnings::read_errors());
        }
    }
    set(
        &mut pool.on_write_error,
        keys.value("on_write_error", choose(choices::ON_WRITE_ERROR)),
    );
    set(
        &mut pool.on_node_down,
        keys.value("on_node_down", choose(choices::ON_NODE_DOWN)),
    );
    set(&mut pool.max_down, keys.value("max_down", percent));
    set(&mut pool.rejoin, keys.value("rejoin", choose(choices::REJOIN)));
    set(
        &mut pool.fallback_expiry,
        keys.value("fallback_expiry", fallback_expiry),
    );
    set(&mut pool.outlier, keys.value("outlier", outlier));
    set(
        &mut pool.flush_all,
        keys.value("flush_all", choose(choices::FLUSH_ALL)),
    );
    set(
        &mut pool.max_value_size,
        keys.value("max_value_size", size(1..=LARGEST_VALUE)).map(narrow),
    );
    set(
        &mut pool.max_in_flight,
        number(&mut keys, "max_in_flight", 1..=MOST_IN_FLIGHT),
    );
    set(&mut pool.health, keys.get("health", health));
    keys.translate(foreign::POOL);
    keys.require_one_of(
        &["nodes", "discover"],
        Problem::new("the pool has no nodes").hint("give it at least one: `nodes: [host:port]`"),
    );
    keys.finish();
    pool
}

fn health(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Health> {
    const MOST: u64 = 1_000_000;
    let row = |count: u64| u32::try_from(count).expect("a million is less than 2^32");
    let mut health = Health::default();
    let mut keys = value.keys(diagnostics);
    set(
        &mut health.down_after,
        keys.value("down_after", count(1..=MOST)).map(row),
    );
    set(&mut health.probe_interval, keys.value("probe_interval", timeout));
    set(&mut health.probe_timeout, keys.value("probe_timeout", timeout));
    set(
        &mut health.up_after,
        keys.value("up_after", count(1..=MOST)).map(row),
    );
    set(
        &mut health.max_probe_interval,
        keys.value("max_probe_interval", timeout),
    );
    keys.finish();
    Some(health)
}

/// A time of at least a second, or `off`.
fn fallback_expiry(text: &str) -> Result<Option<Duration>, Problem> {
    if text == "off" {
        return Ok(None);
    }
    let expiry = timeout(text)?;
    if expiry < Duration::from_secs(1) {
        return Err(Problem::new(format!("{} is too short", quote(text)))
            .hint("nodes count in seconds: write at least 1s, or \"off\""));
    }
    Ok(Some(expiry))
}

/// How many times slower than the median, or `off`.
fn outlier(text: &str) -> Result<Option<u32>, Problem> {
    if text == "off" {
        return Ok(None);
    }
    let times = count(2..=1000)(text).map_err(|problem| {
        let hint = problem.hint.unwrap_or_default();
        Problem {
            reason: problem.reason,
            hint: Some(format!("{hint}, times the pool's median, or off")),
        }
    })?;
    Ok(Some(u32::try_from(times).expect("a thousand is less than 2^32")))
}

/// Characters are bytes here, and keys have no spaces or control characters.
fn hash_tag(text: &str) -> Result<Option<[u8; 2]>, Problem> {
    match *text.as_bytes() {
        [] => Ok(None),
        [open, close] if open.is_ascii_graphic() && close.is_ascii_graphic() => Ok(Some([open, close])),
        _ => Err(Problem::new(format!("{} is no pair of characters", quote(text)))
            .hint("write two of ASCII, such as \"{}\", or \"\" for none")),
    }
}
