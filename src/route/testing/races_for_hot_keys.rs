//! Policies for hot keys in worlds of [`races`](super::races): alone, and over and under other policies.

use std::time::Duration;

use super::caches::{A, B, FOUR};
use super::races::survive_while_nothing_fails;
use super::world::{CALM, Trial, seeds_of_many};

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
        evicts: &[A],
        faults: true,
        is_late: true,
        ..CALM
    };
    trial.survives();
}

#[test]
fn readers_that_wait_for_each_other_show_what_any_process_wrote() {
    for (route, evicts, faults) in [
        ("{stampede: {to: a, wait: 20ms}}", &[][..], false),
        ("{stampede: {to: a, wait: 20ms, early: 0s}}", &[A], true),
        (
            "{hot_cache: {to: {stampede: {to: a, wait: 5ms}}, min_rate: 0}}",
            &[A],
            false,
        ),
    ] {
        let trial = Trial {
            route,
            filled: &[A],
            evicts,
            faults,
            is_late: true,
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
        evicts: &[A],
        faults: true,
        is_late: true,
        tick: Duration::from_millis(3),
        processes: 2,
    };
    trial.survives();
}

#[test]
fn copies_on_other_nodes_show_what_any_process_wrote() {
    for route in [
        "{spread: {to: four, min_rate: 0}}",
        "{spread: {to: {prefix: {\"k~\": b}, else: a}, min_rate: 0}}",
        "{hot_cache: {to: {spread: {to: four, min_rate: 0}}, min_rate: 0}}",
    ] {
        let trial = Trial {
            route,
            filled: &[A, B, FOUR[0], FOUR[1]],
            evicts: &[A, FOUR[0], FOUR[1]],
            is_late: true,
            processes: if route.contains("hot_cache") { 1 } else { 2 },
            ..CALM
        };
        trial.survives();
    }
}

/// Policies for hot keys, each with what follows them in their place `TO`, and whether several processes show
/// what any of them wrote.
const HOT: [(&str, bool); 4] = [
    ("{single_flight: TO}", false),
    ("{hot_cache: {to: TO, min_rate: 0}}", false),
    ("{stampede: {to: TO, wait: 20ms}}", true),
    ("{spread: {to: TO, min_rate: 0}}", true),
];

#[test]
fn policies_for_hot_keys_show_what_was_written_over_and_under_others() {
    for (around, under, faults) in [
        ("HOT", "{failover: [four, b]}", false),
        ("HOT", "{replicate: [four, b]}", false),
        ("HOT", "{prefix: {k: four}, else: b}", true),
        ("{failover: [HOT, b]}", "four", false),
        ("{prefix: {k: HOT}, else: b}", "four", true),
        ("{replicate: [HOT, b]}", "four", false),
    ] {
        for (policy, is_for_fleets) in HOT {
            let route = around.replace("HOT", &policy.replace("TO", under));
            let trial = Trial {
                route: &route,
                filled: &[B, FOUR[0], FOUR[1]],
                evicts: &FOUR,
                faults,
                is_late: true,
                tick: Duration::from_millis(3),
                processes: if is_for_fleets { 2 } else { 1 },
            };
            println!("{route}");
            trial.survives_seeds(seeds_of_many());
        }
    }
}
