//! The rules, with times set by the tests.

use std::sync::Arc;

use super::*;
use crate::config::{Address, Origin};

const RULES: Rules = Rules {
    add_after: Duration::from_secs(10),
    remove_after: Duration::from_secs(600),
    min_nodes: 1,
};

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn node(name: &str) -> Node {
    Node {
        name: None,
        address: Address::memcached(name.to_owned(), 1),
        weight: 1,
        origin: Some(Arc::new(Origin {
            from: "test".to_owned(),
            zone: None,
            resolver: None,
        })),
    }
}

fn nodes(names: &str) -> Vec<Node> {
    names.split_whitespace().map(node).collect()
}

fn labels(nodes: &[Node]) -> String {
    let labels: Vec<String> = nodes
        .iter()
        .map(|node| node.label().trim_end_matches(":1").to_owned())
        .collect();
    labels.join(" ")
}

/// Returns a pool that had its first list at second 0.
fn pool(names: &str) -> Members {
    let mut members = Members::new(RULES, Vec::new(), false);
    assert!(members.answer(at(0), nodes(names)));
    step(&mut members, 0, |_| false);
    members
}

/// Applies the change that is due, and returns the members after it; `None` if there is none.
fn step(members: &mut Members, second: u64, is_down: impl Fn(&str) -> bool) -> Option<String> {
    let change = members.change(at(second), is_down)?;
    members.apply(&change);
    Some(labels(&change.next))
}

fn answers_probes(members: &mut Members) {
    for node in members.unproven() {
        members.probed(&node.label(), Probe::Good);
    }
}

#[test]
fn the_first_list_is_taken_at_once_but_for_what_is_not_memcached() {
    let mut members = Members::new(RULES, Vec::new(), false);
    assert_eq!(step(&mut members, 0, |_| false), None, "there is no list");
    members.answer(at(0), nodes("cache-10 cache-2 exporter"));
    members.probed("exporter:1", Probe::Foreign);
    assert_eq!(step(&mut members, 0, |_| false).unwrap(), "cache-2 cache-10");
    assert!(members.has_list());
    assert_eq!(members.joining(), ["exporter:1"]);
    assert_eq!(step(&mut members, 9999, |_| false), None);
}

#[test]
fn a_first_list_of_nothing_but_other_things_is_none() {
    let mut members = Members::new(RULES, Vec::new(), false);
    members.answer(at(0), nodes("exporter"));
    members.probed("exporter:1", Probe::Foreign);
    assert_eq!(step(&mut members, 0, |_| false), None);
    assert!(!members.has_list());
}

#[test]
fn a_new_node_joins_once_it_was_seen_long_enough_and_answered() {
    let mut members = pool("a b");
    members.answer(at(100), nodes("a b c"));
    assert_eq!(step(&mut members, 500, |_| false), None, "it did not answer");
    answers_probes(&mut members);
    assert_eq!(step(&mut members, 109, |_| false), None, "not seen long enough");
    assert_eq!(step(&mut members, 110, |_| false).unwrap(), "a b c");
    assert!(members.is_settled());
}

#[test]
fn a_new_node_that_goes_before_it_joined_begins_anew() {
    let mut members = pool("a");
    members.answer(at(100), nodes("a b"));
    answers_probes(&mut members);
    members.answer(at(105), nodes("a"));
    members.answer(at(106), nodes("a b"));
    answers_probes(&mut members);
    assert_eq!(step(&mut members, 112, |_| false), None);
    assert_eq!(step(&mut members, 116, |_| false).unwrap(), "a b");
}

#[test]
fn a_missing_node_leaves_after_its_time_and_only_if_it_is_down() {
    let mut members = pool("a b c");
    members.answer(at(100), nodes("a b"));
    assert_eq!(members.missing(), ["c:1"]);
    assert_eq!(step(&mut members, 699, |_| true), None, "too early");
    assert_eq!(step(&mut members, 9999, |_| false), None, "it is up");
    assert_eq!(step(&mut members, 700, |label| label == "c:1").unwrap(), "a b");
}

#[test]
fn a_node_that_is_back_in_time_never_left() {
    let mut members = pool("a b");
    members.answer(at(100), nodes("a"));
    members.answer(at(600), nodes("a b"));
    members.answer(at(650), nodes("a"));
    assert_eq!(
        step(&mut members, 1249, |_| true),
        None,
        "counted from the last time"
    );
    assert_eq!(step(&mut members, 1250, |label| label == "b:1").unwrap(), "a");
}

#[test]
fn empty_lists_and_those_below_the_least_change_nothing() {
    let mut members = pool("a b c");
    assert!(!members.answer(at(100), Vec::new()));
    assert!(members.missing().is_empty());
    members.rules.min_nodes = 2;
    assert!(!members.answer(at(100), nodes("a")));
    assert!(members.missing().is_empty());
    assert!(!members.answer(at(100), nodes("a a")), "one node, named twice");
    assert!(members.answer(at(100), nodes("a b")));
    assert_eq!(members.missing(), ["c:1"]);
}

#[test]
fn members_never_become_fewer_than_the_least() {
    let mut members = pool("a b");
    members.answer(at(100), nodes("c"));
    assert_eq!(step(&mut members, 9999, |_| true), None, "c does not answer");
    answers_probes(&mut members);
    assert_eq!(step(&mut members, 9999, |_| true).unwrap(), "c");
}

#[test]
fn nodes_that_are_about_to_leave_count_as_if_they_left_with_the_first() {
    let mut members = pool("a b c d");
    members.answer(at(100), nodes("a b"));
    let change = members.change(at(700), |label| label == "c:1").unwrap();
    assert_eq!(labels(&change.next), "a b d");
    assert_eq!(labels(&change.at_most), "a b");
    assert_eq!(change.missing, ["c:1", "d:1"]);
}

#[test]
fn what_an_operator_accepted_covers_those_that_leave_later_and_nothing_else() {
    let mut members = pool("a b c d");
    members.answer(at(100), nodes("a b"));
    let change = members.change(at(700), |label| label == "c:1").unwrap();
    assert!(!members.is_accepted(&change));
    members.accept(&change);
    assert!(members.is_accepted(&change));
    members.apply(&change);
    let later = members.change(at(701), |label| label == "d:1").unwrap();
    assert!(members.is_accepted(&later));
    members.answer(at(710), nodes("a b d"));
    members.answer(at(720), nodes("a b"));
    let again = members.change(at(9999), |label| label == "d:1").unwrap();
    assert!(!members.is_accepted(&again), "it was back meanwhile");
}

#[test]
fn another_address_or_weight_is_a_change_and_moves_nobody_in_or_out() {
    let mut members = pool("a b");
    let mut heavier = nodes("a b");
    heavier[1].weight = 3;
    members.answer(at(100), heavier);
    assert!(!members.is_settled());
    let change = members.change(at(100), |_| false).unwrap();
    assert_eq!(
        (change.changed.as_slice(), change.added.len()),
        (&["b:1".to_owned()][..], 0)
    );
    assert_eq!(change.next[1].weight, 3);
    members.apply(&change);
    assert!(members.is_settled());
}

#[test]
fn members_of_another_source_stay_until_the_first_list_of_this_one() {
    let mut members = Members::new(RULES, nodes("old"), false);
    assert_eq!(step(&mut members, 0, |_| true), None);
    members.answer(at(1), nodes("new"));
    assert_eq!(step(&mut members, 1, |_| false).unwrap(), "new");
    let mut same = Members::new(RULES, nodes("a b"), true);
    same.answer(at(1), nodes("a"));
    assert_eq!(
        step(&mut same, 1, |_| true),
        None,
        "these are members as any others"
    );
}
