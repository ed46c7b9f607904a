//! What holds where the operator says nothing. `config/full.yaml` shows the same to people, and a test
//! keeps both equal.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{
    Access, Address, Admin, Batching, Bind, Config, FlushAll, Health, Listener, MissedWrites, Node,
    OnNodeDown, OnReadError, OnWriteError, Pool, Protect, Protection, Protocol, Rejoin, Route, Shutdown,
};
use crate::ring::Distribution;

/// What buffers hold together, in bytes, where the largest values need no more.
pub const MEMORY_LIMIT: u64 = 256 << 20;

impl Listener {
    /// A listener on `127.0.0.1:11211` whose requests take `route`, all else by default.
    pub fn new(route: Route) -> Listener {
        Listener {
            bind: Bind::Tcp(local(11211)),
            route,
            max_connections: 10_000,
            idle_timeout: None,
            access: Access::default(),
            tls: None,
        }
    }
}

impl Default for MissedWrites {
    fn default() -> MissedWrites {
        MissedWrites {
            max: 1_000_000,
            dir: None,
        }
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            bind: local(9155),
            hosts: Vec::new(),
            token: None,
            protect: Protect::Changes,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown {
            delay: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

impl Pool {
    /// A pool of `nodes`, all else by default.
    pub fn new(nodes: Vec<Node>) -> Pool {
        Pool {
            nodes,
            discover: None,
            distribution: Distribution::default(),
            zone: None,
            hash_tag: None,
            connections: 1,
            protocol: Protocol::Auto,
            protection: Protection::default(),
            connect_timeout: Duration::from_millis(250),
            request_timeout: Duration::from_millis(500),
            on_read_error: OnReadError::Miss,
            on_write_error: OnWriteError::NotStored,
            on_node_down: OnNodeDown::Fail,
            max_down: 50,
            rejoin: Rejoin::Flush,
            fallback_expiry: Some(Duration::from_secs(600)),
            outlier: None,
            flush_all: FlushAll::Allow,
            max_value_size: 1 << 20,
            max_in_flight: 16_384,
            health: Health::default(),
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health {
            down_after: 3,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            up_after: 2,
            max_probe_interval: Duration::from_secs(5),
        }
    }
}

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
        listeners: vec![Listener::new(Route::Name("main".to_owned()))],
        admin: Admin::default(),
        shutdown: Shutdown::default(),
        pools: BTreeMap::from([("main".to_owned(), pool)]),
        routes: BTreeMap::new(),
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
