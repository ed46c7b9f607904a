//! What holds where the operator says nothing. `config/full.yaml` shows the same to people, and a test
//! keeps both equal.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{
    Access, Address, Admin, Batching, Bind, Config, Listener, MissedWrites, Node, Pool, Protect, Route,
    Shutdown,
};

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
