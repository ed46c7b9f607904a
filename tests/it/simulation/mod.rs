//! A whole worker in simulated time: real sessions, links, health and control over nodes that do wrong.
//!
//! Each seed is a world of its own: clients, nodes, faults, reloads and delays are drawn from it, and time is
//! tokio's paused clock, which jumps to the next timer as soon as nothing can go on. So an hour of timeouts
//! takes milliseconds, and a seed that fails is run again with
//!
//! ```text
//! SIM_SEED=123 cargo test --test it simulation
//! ```
//!
//! `SIM_SEEDS=1000000` runs so many, `SIM_FIRST=500000` from that one on. What is checked, while it runs:
//!
//! - every request has one reply, in order, within its time ([`client`]);
//! - a value that is read was stored under its key, and was not replaced or deleted since by a request that
//!   was acknowledged ([`history`]);
//! - no write is carried out twice ([`node`]);
//!
//! and when every fault is healed: all is served again, and nothing is owed or left over ([`world`]).
//!
//! Worlds with a policy in front of their pools say what it promises less ([`route`]). Worlds whose nodes join and leave have promises of their own ([`membership`]), and so have those of two Ringways whose ring is handed over ([`handover`]).
//!
//! What is promised of one situation, with a time in it, has a test without random numbers ([`promises`]).

mod client;
mod handover;
mod history;
mod membership;
mod memcached;
mod node;
mod places;
mod promises;
mod random;
mod route;
mod sidecar;
mod socket;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Seeds in a run of the suite.
const SEEDS: u64 = 256;
/// The same of worlds with a policy.
const POLICY_SEEDS: u64 = 128;
/// The same of worlds whose nodes join and leave: each takes longer.
const MEMBERSHIP_SEEDS: u64 = 64;
/// The same of worlds whose ring changes, and changes back.
const HANDOVER_SEEDS: u64 = 12;

#[test]
fn no_fault_at_any_time_breaks_a_promise() {
    run_seeds(SEEDS, world::run);
}

#[test]
fn no_fault_at_any_time_breaks_a_promise_of_a_policy() {
    run_seeds(POLICY_SEEDS, world::run_with_policy);
}

#[test]
fn nodes_that_join_and_leave_at_any_time_break_no_promise() {
    run_seeds(MEMBERSHIP_SEEDS, membership::run);
}

#[test]
fn no_old_value_is_read_while_a_ring_changes_and_nodes_are_killed() {
    let faults = handover::Faults {
        kills: true,
        stops: false,
    };
    run_seeds(HANDOVER_SEEDS, |seed| handover::run(seed, faults));
}

#[test]
fn no_old_value_is_read_while_a_ring_changes_and_nodes_are_stopped() {
    let faults = handover::Faults {
        kills: false,
        stops: true,
    };
    run_seeds(HANDOVER_SEEDS, |seed| handover::run(seed, faults));
}

fn run_seeds(seeds: u64, run: impl Fn(u64) -> String) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    if let Some(seed) = number("SIM_SEED") {
        println!("{}", run(seed));
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    for seed in first..first + number("SIM_SEEDS").unwrap_or(seeds) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("-- run it again with SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
