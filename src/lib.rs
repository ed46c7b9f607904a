//! Ringway: a routing sidecar for memcached.
//!
//! Applications point their unmodified memcached clients at it. It reads each request, picks the node by a
//! consistent-hash ring that can be replaced while it runs, multiplexes all clients over few connections, and
//! reports its health over HTTP.
//!
//! # Architecture
//!
//! A file imports from lower floors and from its own folder only; `tests/it/floors.rs` enforces it.
//!
//! ```text
//! floor 9  program    main · cli · app      app starts every part; app/worker_thread runs one worker's event loop
//! floor 8  clients    client/               listener · session · requests · replies · stats
//!          control    control/              signals · reload · watch · discovery · prober · admin · shutdown
//! floor 7  compiled   snapshot              routes → pools → rings → nodes
//!                     state                 what all threads share
//!                     diff/                 what another configuration changes, and which keys it moves
//!                     worker/               what one worker sees of the snapshot, and how it forwards requests
//! floor 6  decisions  route/                where a request goes: policy/ (one file each), toolkit/, explain/
//! floor 5  links      link/                 one connection to one node: in-flight queue, retry, multi-get lines
//! floor 4  replies    reply/                the session's reply queue, and other recipients of a reply
//! floor 3  nodes      node/                 identity, health, membership, missed writes, the embedded cache
//! floor 2  machine    runtime/              what a worker owns: clock · buffers · memory · adaptive batching
//!                     net/                  stream · dial · listen · outgoing · unix sockets
//!                     journal/              missed writes, on disk
//!                     resolver/             names of machines and services
//! floor 1  operator   config/               the configuration as written and as validated, every error with its line
//!                     discovery/            the members of pools whose nodes are discovered: rules, parsers
//!                     import/               the configurations of other proxies and clients
//! floor 0  pure       protocol/{classic,meta,binary} · ring/ · hot_keys/ · insight/ · health · metrics · counter
//!                     histogram · log_limit
//! ```
//!
//! # How a request travels
//!
//! ```text
//! client ─▶ session: one read ─▶ requests: parse every whole one ─▶ route ─▶ ring.pick(key) ─▶ links
//!                                     │ a slot in the session's queue              │
//!                                     ▼                                            ▼
//! client ◀─ session: one write ◀─ replies ◀─ slots, in order ◀─ in-flight queue ◀─ link: one write, one read ─▶ node
//! ```
//!
//! # The threads
//!
//! ```text
//!   main: accepts clients, and control/        worker-0         worker-1        …
//!        │ hands sockets to workers in turn ──────▲────────────────▲
//!        └ publishes ──▶ snapshot (one ArcSwap) ◀──┴── read once a batch
//! ```
//!
//! # What is absent, on purpose
//!
//! - No lock on the request path, except that of the shard of an embedded cache, and those for records of missed
//!   writes once a node has missed one.
//! - No clock is read per request: a worker reads the time once per turn of its event loop. Two exceptions: an
//!   embedded node reads a clock for each of its requests, and a policy that rewrites expiries reads the system time.
//! - Workers read no files and resolve no names; control does, and publishes the results.
//! - The ring does not know health: nodes that must not be picked are left out when it is built.
//! - Nodes do not learn which protocol a client spoke. Links and routes know one bit of it (`Meta::is_binary`),
//!   because replies to binary clients carry cas ids.
//! - No `unsafe`.
//! - No `println!` and no `eprintln!` but in tests: they panic if their reader is gone.

#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod counter;
pub mod diff;
pub mod discovery;
pub mod health;
pub mod histogram;
pub mod hot_keys;
pub mod import;
pub mod insight;
pub mod journal;
pub mod link;
pub mod log_limit;
pub mod metrics;
pub mod net;
pub mod node;
pub mod protocol;
pub mod reply;
pub mod resolver;
pub mod ring;
pub mod route;
pub mod runtime;
pub mod snapshot;
pub mod state;
pub mod worker;
