//! What runs without a file, and a default that depends on other keys. All other defaults are in the rows.

use std::collections::BTreeMap;

use super::{Address, Admin, Batching, Config, Listener, Metrics, MissedWrites, Node, Pool, Route, Shutdown};

/// What buffers hold together, in bytes, unless the largest values need more.
pub const MEMORY_LIMIT: u64 = 256 << 20;

/// What runs without a file: three embedded nodes of 64 MiB behind `127.0.0.1:11211`.
pub fn quickstart() -> Config {
    let node = |name: &str| Node {
        name: Some(name.to_owned()),
        address: Address::Embedded(64 << 20),
        weight: 1,
        origin: None,
    };
    let pool = Pool::new(["cache-a", "cache-b", "cache-c"].map(node).into());
    Config {
        zone: None,
        workers: 1,
        batching: Batching::WhenBusy,
        memory_limit: MEMORY_LIMIT,
        missed_writes: MissedWrites::default(),
        state_dir: None,
        takeover: None,
        listeners: vec![Listener::new(Route::Name("main".to_owned()))],
        admin: Admin::default(),
        metrics: Metrics::default(),
        shutdown: Shutdown::default(),
        pools: BTreeMap::from([("main".to_owned(), pool)]),
        routes: BTreeMap::new(),
    }
}
