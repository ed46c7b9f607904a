//! The workloads: one row each. How requests are chosen from a row is the business of `connection`.

use anyhow::{Result, bail};

use super::wire::Wire;

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// What people call it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Client connections, all at once.
    pub connections: usize,
    /// Requests which a connection sends together and then awaits.
    pub depth: usize,
    /// Keys in the set, all stored before the measurement.
    pub keys: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Keys in one get.
    pub keys_per_get: usize,
    /// Share of the requests that are sets.
    pub sets_percent: usize,
    /// What the clients speak.
    pub wire: Wire,
}

const PLAIN: Workload = Workload {
    name: "W1",
    about: "50 connections, one request at a time, 100 B values, 90 % gets",
    connections: 50,
    depth: 1,
    keys: 10_000,
    value_bytes: 100,
    keys_per_get: 1,
    sets_percent: 10,
    wire: Wire::Classic,
};

/// All workloads. The numbering leaves out those that do not exist yet.
pub const WORKLOADS: [Workload; 8] = [
    PLAIN,
    Workload {
        name: "W2",
        about: "50 connections, 16 requests pipelined, 100 B values, 90 % gets",
        depth: 16,
        ..PLAIN
    },
    Workload {
        name: "W4",
        about: "50 connections, multi-get of 100 keys, one at a time, 100 B values",
        keys_per_get: 100,
        sets_percent: 0,
        ..PLAIN
    },
    Workload {
        name: "W5",
        about: "50 connections, one request at a time, 100 KiB values, 90 % gets",
        // 40 MiB in all: far from what four nodes hold, far above what a CPU caches.
        keys: 400,
        value_bytes: 100 * 1024,
        ..PLAIN
    },
    Workload {
        name: "W6",
        about: "1000 connections, one request at a time, 100 B values, 90 % gets",
        connections: 1000,
        ..PLAIN
    },
    Workload {
        name: "W7",
        about: "200 connections, 32 requests pipelined, 16 B values, gets only",
        connections: 200,
        depth: 32,
        value_bytes: 16,
        sets_percent: 0,
        ..PLAIN
    },
    Workload {
        name: "W8",
        about: "as W2, in the meta protocol",
        depth: 16,
        wire: Wire::Meta,
        ..PLAIN
    },
    Workload {
        name: "W11",
        about: "as W2, in the binary protocol",
        depth: 16,
        wire: Wire::Binary,
        ..PLAIN
    },
];

impl Workload {
    /// The workloads of these names, in the order of the table.
    ///
    /// # Errors
    /// A name that no workload has.
    pub fn select(names: &[String]) -> Result<Vec<Workload>> {
        let known = || WORKLOADS.map(|workload| workload.name).join(", ");
        if let Some(name) = names
            .iter()
            .find(|name| WORKLOADS.iter().all(|workload| workload.name != **name))
        {
            bail!("no workload {name:?}; there are {}", known());
        }
        Ok(WORKLOADS
            .into_iter()
            .filter(|workload| names.iter().any(|name| name == workload.name))
            .collect())
    }
}
