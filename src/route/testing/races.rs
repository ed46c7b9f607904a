//! Policies that copy values, over caches that execute requests in any order, and lose items and replies: no value
//! that was replaced may be read.

use std::sync::Arc;

use crate::protocol::Failure;
use crate::route::Call;
use crate::route::testing::Source;
use crate::route::testing::caches::{A, B, Caches};
use crate::route::testing::world::{CALM, Process, Trial, live, survives, survives_seeds};

/// The minimum share of reads that must find a value, in percent.
const MIN_HITS: u64 = 25;

impl Trial<'_> {
    /// Runs worlds of this kind.
    pub fn survives(self) {
        let source = Source::new(self.route);
        survives(MIN_HITS, async |seed| survive(self, &source, seed).await);
    }

    /// Runs this number of worlds of this kind.
    pub fn survives_seeds(self, seeds: u64) {
        let source = Source::new(self.route);
        survives_seeds(seeds, MIN_HITS, async |seed| survive(self, &source, seed).await);
    }
}

/// Runs one world, whose route is `source`. Returns how many reads were answered, and how many of them found a
/// value.
async fn survive(trial: Trial<'_>, source: &Source, seed: u64) -> (u64, u64) {
    fastrand::seed(seed);
    let caches = Caches::new(4, Failure::Connect);
    let process = |_| -> Process {
        let (forwarder, route) = (caches.clone(), source.compile(&Arc::default()).0);
        let call = move || Call {
            forwarder: forwarder.clone(),
            hold: None,
        };
        Box::new(move || (call(), route.clone()))
    };
    let processes = (0..trial.processes).map(process).collect();
    live(trial, caches.clone(), processes, |_| {}).await
}

#[test]
fn lazy_fill_brings_no_old_value_back() {
    let trial = Trial {
        route: "{lazy_fill: {to: a, from: b}}",
        filled: &[B],
        evicts: &[],
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
        evicts: &[A],
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
        evicts: &[A],
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
            evicts: &[A],
            faults: true,
            ..CALM
        };
        trial.survives();
    }
}

#[test]
fn failover_shows_what_was_written_as_long_as_nothing_fails() {
    survive_while_nothing_fails(["{failover: [a, b]}", "{failover: {to: [a, b], on_miss: true}}"]);
}

/// Runs worlds with each of `routes`, in which requests are executed and answered.
pub fn survive_while_nothing_fails(routes: [&'static str; 2]) {
    for route in routes {
        let trial = Trial {
            route,
            filled: &[A],
            evicts: &[A],
            faults: false,
            is_late: true,
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
        evicts: &[],
        faults: false,
        ..CALM
    };
    trial.survives();
}
