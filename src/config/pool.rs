//! `pools.NAME`: nodes under one ring, how keys are spread over them, and how they are reached.

use std::time::Duration;

use serde_json::json;

use super::error::{Diagnostics, Problem, quote};
use super::kind::{Kind, number, percent, size, timeout, word, words};
use super::map_reader::YamlNode;
use super::rows::{Section, mapping, section};
use super::units::{self, count, show_duration};
use super::{Discover, Handover, Health, Insight, Node, Protection};
use super::{discover, distribution, foreign, handover, hash_tag, nodes, protection, schema};
use crate::protocol::OnError;
use crate::ring::Distribution;

/// A gibibyte: what memcached's `-I` allows at most.
const MAX_VALUE: u64 = 1 << 30;

const MAX_LINKS: u64 = 1024;

/// A link's queue is memory: this many requests are some hundred MiB.
const MAX_IN_FLIGHT: u64 = 1 << 20;

section! {
    /// Nodes under one ring.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pool {
        /// A node: `host:port`, `unix:/path`, `valkey://host:port/database`, or a mapping with the keys below.
        ///
        /// At least one; no two of one name or address. First those that are listed, then those that were discovered.
        nodes: Vec<Node> = Vec::new(), nodes::kind();
        /// Where further nodes come from.
        discover: Option<Discover> = None, discover::kind().optional();
        /// How keys are handed over when the ring changes: `off`, or a mapping with the keys below, all of them
        /// optional.
        handover: Option<Handover> = None, handover::kind();
        /// Which node a key goes to; a new cluster takes `ringway`.
        distribution: Distribution = Distribution::default(), distribution::kind();
        /// The name of the zone in which the nodes are.
        zone: Option<String> = None, nodes::name_kind().optional();
        /// Two characters such as `"{}"`: only the part of a key between them is hashed.
        hash_tag: Option<[u8; 2]> = None, hash_tag::kind();
        /// Links (connections) from each worker to each node.
        connections: usize = 1, number(1..=MAX_LINKS);
        /// The protocol of links: `meta`, `classic`, or `auto`, which asks the node.
        protocol: Protocol = Protocol::Auto, word();
        /// The time for all addresses of a name together, which are tried with a staggered start; `1s` if the pool has
        /// `tls`.
        connect_timeout: Duration = Duration::from_millis(250), timeout();
        /// The time from reading a request to its reply.
        request_timeout: Duration = Duration::from_millis(500), timeout();
        /// What the client of a read gets if the node fails: `miss`, or `error`.
        on_read_error: OnReadError = OnReadError::Miss, word();
        /// What the client of a write gets if the node fails: `not_stored`, or `error`.
        on_write_error: OnWriteError = OnWriteError::NotStored, word();
        /// What happens to the keys of a node that is down: requests `fail` at once, or the keys `rehash` to the other
        /// nodes.
        on_node_down: OnNodeDown = OnNodeDown::Fail, word();
        /// If a larger share of the nodes is down, Ringway assumes that its own network is at fault.
        max_down: u32 = 50, percent();
        /// How a node that left the ring comes back: `flush`, `trust`, or `manual`.
        rejoin: Rejoin = Rejoin::Flush, word();
        /// While a node is out of the ring, values that are written to other nodes in its place expire there after this
        /// time at the latest: at least `1s`, or `"off"`.
        fallback_expiry: Option<Duration> = Some(Duration::from_secs(600)), fallback_expiry();
        /// A node that is this many times slower than the median is shown as suspect: from 2 to 1000, or `"off"`.
        outlier: Option<u32> = None, outlier();
        /// Whether flush_all may empty the pool: `allow`, or `deny`.
        flush_all: FlushAll = FlushAll::Allow, word();
        /// The largest value, at most 1GiB. Nodes must allow it too (`memcached -I`).
        max_value_size: usize = 1 << 20, size(1..=MAX_VALUE);
        /// How many requests may be outstanding on a link; further ones fail at once.
        max_in_flight: usize = 16_384, number(1..=MAX_IN_FLIGHT);
        /// When a node is down and when it is up again.
        health: Health = Health::default(), mapping();
        /// What is reported about its requests.
        insight: Insight = Insight::default(), mapping();
        ..
        /// How connections to the nodes are protected.
        protection: Protection;
    }
}

words! {
    /// What links speak to a pool's nodes.
    pub enum Protocol {
        /// Ask the node for its version, then choose.
        Auto = "auto",
        /// memcached's meta commands.
        Meta = "meta",
        /// memcached's classic text commands.
        Classic = "classic",
    }
}

words! {
    /// What a read of a failing node answers.
    pub enum OnReadError {
        /// A miss.
        Miss = "miss",
        /// `SERVER_ERROR` and the reason.
        Error = "error",
    }
}

words! {
    /// What a write to a failing node answers.
    pub enum OnWriteError {
        /// That nothing was stored, or that the key is not there.
        NotStored = "not_stored",
        /// `SERVER_ERROR` and the reason.
        Error = "error",
    }
}

words! {
    /// What happens to the keys of a node that is down.
    pub enum OnNodeDown {
        /// Their requests fail.
        Fail = "fail",
        /// The other nodes take them.
        Rehash = "rehash",
    }
}

words! {
    /// How a node comes back that left the ring and was not restarted meanwhile: it may hold values that were
    /// changed elsewhere since.
    pub enum Rejoin {
        /// It is flushed first.
        Flush = "flush",
        /// As it is.
        Trust = "trust",
        /// When an operator says so.
        Manual = "manual",
    }
}

words! {
    /// What flush_all does.
    pub enum FlushAll {
        /// Every node of the pool is flushed.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
    }
}

impl Pool {
    /// A pool of `nodes`, all else by default.
    pub fn new(nodes: Vec<Node>) -> Pool {
        Pool {
            nodes,
            ..Pool::default()
        }
    }

    /// How the failures of its nodes read.
    #[inline]
    pub fn on_error(&self) -> OnError {
        OnError {
            read_is_miss: self.on_read_error == OnReadError::Miss,
            write_is_not_stored: self.on_write_error == OnWriteError::NotStored,
        }
    }
}

/// Reads a pool. If it holds mistakes the result must not be run.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Pool {
    let mut pool = Pool::default();
    let mut keys = value.keys(diagnostics);
    pool.read_rows(&mut keys);
    if let Some(location) = keys.location("distribution") {
        distribution::check_weights(&pool.distribution, &pool.nodes, &location, &mut keys);
    }
    let source = pool.discover.as_ref().map(|discover| &discover.from);
    if keys.is_good("tls") {
        protection::check_schemes(&pool.nodes, source, pool.protection.tls.is_some(), &mut keys);
    }
    if pool.protection.tls.is_some() {
        protection::check_addresses(&pool.nodes, &mut keys);
        if !keys.has("connect_timeout") {
            pool.connect_timeout = protection::CONNECT_TIMEOUT;
        }
    }
    if let (Some(handover), Some(location)) = (&pool.handover, keys.location("handover")) {
        let is_classic = pool.protocol == Protocol::Classic;
        handover::check(handover, &pool.nodes, is_classic, &location, &mut keys);
        if handover.from.is_some() && pool.discover.is_some() {
            keys.warn_at(&location, handover::unused_from());
        }
        if let Some(problem) = handover::short_serve(handover) {
            keys.warn_at(&location, problem);
        }
    }
    if pool.on_read_error == OnReadError::Error
        && let Some(location) = keys.location("on_read_error")
    {
        keys.warn_at(&location, read_errors());
    }
    keys.translate(foreign::POOL);
    keys.require_one_of(
        &["nodes", "discover"],
        Problem::new("the pool has no nodes").hint("give it at least one: `nodes: [host:port]`"),
    );
    keys.finish();
    if pool.discover.is_some() && pool.nodes.is_empty() {
        pool.nodes.push(Node::undiscovered());
    }
    pool
}

/// The schema of a pool.
pub fn schema() -> serde_json::Value {
    let rules = json!({ "anyOf": [{ "required": ["nodes"] }, { "required": ["discover"] }] });
    schema::mapping(Pool::rows(), rules)
}

/// What harms clients in `on_read_error: error`.
fn read_errors() -> Problem {
    Problem::new("some client libraries hang or mix up replies at a multi-get that ends in an error")
        .hint("write miss, or see in docs/clients.md what your library does")
}

/// A time of at least a second, or `off`.
fn fallback_expiry() -> Kind<Option<Duration>> {
    let parse = |text: &str| {
        if text == "off" {
            return Ok(None);
        }
        let least = Duration::from_secs(1);
        let expiry = units::duration_near(least, text)?;
        if expiry < least {
            return Err(Problem::new(format!("{} is too short", quote(text)))
                .hint("nodes count in seconds: write at least 1s, or \"off\""));
        }
        Ok(Some(expiry))
    };
    let show = |expiry: &Option<Duration>| expiry.map_or(json!("off"), |expiry| json!(show_duration(expiry)));
    Kind::text(parse, show, || {
        schema::pattern("^(off|0*([1-9][0-9]{3,}ms|[1-9][0-9]*(s|m|h)))$")
    })
}

/// How many times slower than the median, or `off`.
fn outlier() -> Kind<Option<u32>> {
    let parse = |text: &str| {
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
    };
    let show = |times: &Option<u32>| times.map_or(json!("off"), |times| json!(times));
    let schema =
        || json!({ "anyOf": [{ "const": "off" }, { "type": "integer", "minimum": 2, "maximum": 1000 }] });
    Kind::text(parse, show, schema)
}
