//! Policies that copy values, over two caches that execute requests in any order, and lose items and replies: no value
//! that was replaced may be read.

use std::time::Duration;

use crate::protocol::Failure;
use crate::route::Call;
use crate::route::testing::caches::Caches;
use crate::route::testing::compile;
use crate::route::testing::world::{CALM, Process, Trial, live, survives};

/// The minimum share of reads that must find a value, in percent.
const MIN_HITS: u64 = 25;

impl Trial {
    fn survives(self) {
        survives(MIN_HITS, async |seed| survive(self, seed).await);
    }
}

/// Runs one world. Returns how many reads were answered, and how many of them found a value.
async fn survive(trial: Trial, seed: u64) -> (u64, u64) {
    fastrand::seed(seed);
    let caches = Caches::new(Failure::Connect);
    let process = |_| {
        let forwarder = caches.clone();
        Process {
            call: Box::new(move || Call {
                forwarder: forwarder.clone(),
                hold: None,
            }),
            route: compile(trial.route).0,
        }
    };
    let processes = (0..trial.processes).map(process).collect();
    live(trial, caches.clone(), processes, |_| {}).await
}

const A: usize = 0;
const B: usize = 1;

#[test]
fn lazy_fill_brings_no_old_value_back() {
    let trial = Trial {
        route: "{lazy_fill: {to: a, from: b}}",
        filled: &[B],
        evicts: false,
        faults: false,
        ..CALM
    };
    trial.survives();
}

#[test]
fn lazy_fill_brings_no_old_value_back_if_items_and_replies_are_lost() {
    let trial = Trial {
        route: "{lazy_fill: {to: a, from: b}}",
        filled: &[B],
        evicts: true,
        faults: true,
        ..CALM
    };
    trial.survives();
}

#[test]
fn layers_show_what_was_written_through_them() {
    let trial = Trial {
        route: "{layers: {near: a, far: b, near_expiry: 60s}}",
        filled: &[B],
        evicts: true,
        faults: false,
        ..CALM
    };
    trial.survives();
}

#[test]
fn replicas_that_all_did_a_write_show_no_older_value() {
    for route in [
        "{replicate: [a, b]}",
        "{replicate: {to: [a, b], read: fastest}}",
        "{replicate: {to: [a, b], on_miss: true}}",
    ] {
        let trial = Trial {
            route,
            filled: &[A, B],
            evicts: true,
            faults: true,
            ..CALM
        };
        trial.survives();
    }
}

#[test]
fn shared_reads_show_what_was_written() {
    survive_while_nothing_fails(["{single_flight: a}", "{single_flight: {failover: [a, b]}}"]);
}

#[test]
fn kept_values_show_what_was_written() {
    survive_while_nothing_fails([
        "{hot_cache: {to: a, min_rate: 0}}",
        "{hot_cache: {to: {single_flight: a}, min_rate: 0, misses: true}}",
    ]);
}

#[test]
fn kept_values_show_what_was_written_while_a_cold_pool_is_filled() {
    let trial = Trial {
        route: "{hot_cache: {to: {lazy_fill: {to: a, from: b}}, min_rate: 0}}",
        filled: &[B],
        evicts: true,
        faults: true,
        ..CALM
    };
    trial.survives();
}

#[test]
fn readers_that_wait_for_each_other_show_what_any_process_wrote() {
    for (route, evicts, faults) in [
        ("{stampede: {to: a, wait: 20ms}}", false, false),
        ("{stampede: {to: a, wait: 20ms, early: 0s}}", true, true),
        (
            "{hot_cache: {to: {stampede: {to: a, wait: 5ms}}, min_rate: 0}}",
            true,
            false,
        ),
    ] {
        let trial = Trial {
            route,
            filled: &[A],
            evicts,
            faults,
            tick: Duration::from_millis(3),
            processes: if route.contains("hot_cache") { 1 } else { 2 },
        };
        trial.survives();
    }
}

#[test]
fn readers_that_wait_for_each_other_show_what_was_written_while_a_cold_pool_is_filled() {
    let trial = Trial {
        route: "{stampede: {to: {lazy_fill: {to: a, from: b}}, wait: 20ms}}",
        filled: &[B],
        evicts: true,
        faults: true,
        tick: Duration::from_millis(3),
        processes: 2,
    };
    trial.survives();
}

#[test]
fn copies_on_other_nodes_show_what_any_process_wrote() {
    for route in [
        "{spread: {to: a, min_rate: 0}}",
        "{spread: {to: {prefix: {\"k~\": b}, else: a}, min_rate: 0}}",
        "{hot_cache: {to: {spread: {to: a, min_rate: 0}}, min_rate: 0}}",
    ] {
        let trial = Trial {
            route,
            filled: &[A],
            evicts: true,
            processes: if route.contains("hot_cache") { 1 } else { 2 },
            ..CALM
        };
        trial.survives();
    }
}

#[test]
fn failover_shows_what_was_written_as_long_as_nothing_fails() {
    survive_while_nothing_fails(["{failover: [a, b]}", "{failover: {to: [a, b], on_miss: true}}"]);
}

fn survive_while_nothing_fails(routes: [&'static str; 2]) {
    for route in routes {
        let trial = Trial {
            route,
            filled: &[A],
            evicts: true,
            faults: false,
            ..CALM
        };
        trial.survives();
    }
}

#[test]
#[should_panic(expected = "reads hit")]
fn worlds_in_which_each_read_misses_prove_nothing() {
    let trial = Trial {
        route: "{by_command: {reads: {miss: {}}}, else: a}",
        filled: &[A],
        evicts: false,
        faults: false,
        ..CALM
    };
    trial.survives();
}
