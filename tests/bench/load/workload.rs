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
    pub sizes: Sizes,
    /// How often each key is asked for.
    pub popularity: Popularity,
    /// Keys in one get.
    pub keys_per_get: usize,
    /// Share of the requests that are sets.
    pub sets_percent: usize,
    /// What the clients speak.
    pub wire: Wire,
    /// Threads that the proxy may use, each on a CPU; a proxy that has but one uses one.
    pub workers: usize,
    /// Clients come through a unix socket, not by TCP.
    pub is_unix: bool,
}

/// How long the values are.
#[derive(Debug, Clone, Copy)]
pub enum Sizes {
    /// All as long as each other.
    Fixed(usize),
    /// From the first to the second, each power of two as often as the others; fixed by the key.
    Spread(usize, usize),
}

impl Sizes {
    /// The size of the largest value.
    pub fn largest(self) -> usize {
        match self {
            Sizes::Fixed(bytes) | Sizes::Spread(_, bytes) => bytes,
        }
    }
}

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popularity {
    /// All alike.
    Even,
    /// The second half as often as the first, the third a third as often, and so on.
    Zipf,
}

const PLAIN: Workload = Workload {
    name: "W1",
    about: "50 connections, one request at a time, 100 B values, 90 % gets",
    connections: 50,
    depth: 1,
    keys: 10_000,
    sizes: Sizes::Fixed(100),
    popularity: Popularity::Even,
    keys_per_get: 1,
    sets_percent: 10,
    wire: Wire::Classic,
    workers: 1,
    is_unix: false,
};

/// All workloads.
pub const WORKLOADS: [Workload; 12] = [
    PLAIN,
    Workload {
        name: "W1u",
        about: "as W1, through a unix socket",
        is_unix: true,
        ..PLAIN
    },
    Workload {
        name: "W2",
        about: "50 connections, 16 requests pipelined, 100 B values, 90 % gets",
        depth: 16,
        ..PLAIN
    },
    Workload {
        name: "W3",
        about: "one connection, one request at a time, 100 B values, 90 % gets: latency",
        connections: 1,
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
        sizes: Sizes::Fixed(100 * 1024),
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
        sizes: Sizes::Fixed(16),
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
        name: "W9",
        about: "as W1, with two workers on two CPUs, one of them shared with nodes and generator",
        workers: 2,
        ..PLAIN
    },
    Workload {
        name: "W10",
        about: "50 connections, one request at a time, zipf keys, values of 10 B to 500 KB, 90 % gets",
        // 90 MiB in all.
        keys: 2000,
        sizes: Sizes::Spread(10, 500_000),
        popularity: Popularity::Zipf,
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
