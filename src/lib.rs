//! Ringway: a routing sidecar for memcached.
//!
//! Applications point their unmodified memcached clients at it. It reads each request, picks the node by a
//! consistent-hash ring that can be exchanged while it runs, carries all clients over few connections, and
//! shows its health over HTTP.
//!
//! # The house
//!
//! A file imports from lower floors and from its own folder only; `tests/it/floors.rs` holds that.
//!
//! ```text
//! floor 6  running    main · cli · app      the program; app is the only file that knows every part
//!                     worker                one thread, its event loop, its sessions and links
//! floor 5  near side  client/               listener · session · requests · replies · stats
//!          control    control/              signals · reload · watch · discovery · prober · admin · shutdown
//! floor 4  compiled   snapshot              routes → pools → rings → nodes
//!                     state · view          what all threads share; what one worker sees of it
//!                     carry                 how a worker carries what policies send
//!                     diff/                 what another configuration changes, and which keys it moves
//! floor 3  decisions  route/                where a request goes (one file a policy), and why (explain)
//! floor 2  far side   node/                 node · links · link · fifo · retry · slots · embedded
//!                     journal/              what nodes missed, on disk
//!                     net/                  stream · dial · outgoing · buffers · clock · nap
//! floor 1  operator   config/               what was typed, what was proved, every mistake at its line
//!                     import/               from the configurations of other proxies and clients
//! floor 0  pure       protocol/ · ring/ · health · metrics · histogram · log_limit
//! ```
//!
//! # How a request travels
//!
//! ```text
//! client ─▶ session: one read ─▶ requests: parse every whole one ─▶ route ─▶ ring.pick(key) ─▶ links
//!                                     │ a slot in the session's queue              │
//!                                     ▼                                            ▼
//! client ◀─ session: one write ◀─ replies ◀─ slots, in order ◀─ fifo ◀─ link: one write, one read ─▶ node
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
//! - No lock on the request path, but for the shard of an embedded cache that a key lies in.
//! - No clock read per request: a worker reads the time once a turn of its event loop.
//! - Workers read no files and resolve no names; control does, and publishes what it found.
//! - The ring does not know health: who is not to be picked is left out when it is built.
//! - No node learns which protocol a client spoke, and no route will.
//! - No `unsafe`.

pub mod app;
pub mod carry;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod diff;
pub mod health;
pub mod histogram;
pub mod import;
pub mod journal;
pub mod log_limit;
pub mod metrics;
pub mod net;
pub mod node;
pub mod protocol;
pub mod ring;
pub mod route;
pub mod snapshot;
pub mod state;
pub mod view;
pub mod worker;
