//! What holds where the operator says nothing. `config/full.yaml` shows the same to people, and a test
//! keeps both equal.

use std::collections::BTreeMap;

use super::{Address, Admin, Batching, Config, Listener, MissedWrites, Node, Pool, Route, Shutdown};

/// What buffers hold together, in bytes, where the largest values need no more.
pub const MEMORY_LIMIT: u64 = 256 << 20;

/// What runs where no file is given: three embedded nodes of 64 MiB behind `127.0.0.1:11211`.
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
        shutdown: Shutdown::default(),
        pools: BTreeMap::from([("main".to_owned(), pool)]),
        routes: BTreeMap::new(),
    }
}
