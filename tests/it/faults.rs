//! Nodes that fail under load: one of four does wrong in every way that a network or a machine knows, while
//! many sessions use all keys, over links in meta and over links in classic text, plain and over TLS.
//!
//! Whatever the fault: no value is wrong; each request is answered in its time; no session is closed; the
//! keys of the other nodes are served as before and as fast as before; and when the fault is over, all keys
//! are served again within a stated time, nothing is owed, and no write was carried out twice.

mod ask;
mod keys;
mod load;
mod trial;

use crate::support::relay::Fault;
use trial::{Costs, Injected, survives, survives_over_tls};

#[test]
fn a_node_that_refuses_connections_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::Refuse), Costs::Answers);
}

#[test]
fn a_node_that_accepts_and_says_nothing_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::Hang), Costs::Answers);
}

#[test]
fn a_node_that_answers_byte_by_byte_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::Slow), Costs::Answers);
}

#[test]
fn packets_of_one_byte_cost_nothing() {
    survives(Injected::Relay(Fault::SingleBytes), Costs::Nothing);
}

#[test]
fn a_node_that_resets_in_the_middle_of_a_value_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::ResetInValue), Costs::Answers);
}

#[test]
fn a_node_that_ends_its_replies_and_still_reads_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::HalfClose), Costs::Answers);
}

#[test]
fn a_node_whose_replies_are_cut_short_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::CutShort), Costs::Answers);
}

#[test]
fn a_node_that_answers_garbage_under_load_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::Garbage), Costs::Answers);
}

#[test]
fn a_node_that_brings_values_of_other_keys_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::OtherValue), Costs::Answers);
}

#[test]
fn a_node_that_says_one_reply_too_many_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::OneMore), Costs::Answers);
}

#[test]
fn a_node_that_says_one_reply_too_few_costs_its_own_keys_only() {
    survives(Injected::Relay(Fault::OneFewer), Costs::Answers);
}

#[test]
fn a_memcached_that_is_stopped_and_goes_on_costs_its_own_keys_only() {
    survives(Injected::Stop, Costs::Answers);
}

#[test]
fn a_memcached_that_is_killed_and_started_anew_costs_its_own_keys_only() {
    survives(Injected::Kill, Costs::Answers);
}

#[test]
fn over_tls_a_node_that_refuses_connections_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::Refuse), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_says_nothing_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::Hang), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_answers_byte_by_byte_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::Slow), Costs::Answers);
}

#[test]
fn over_tls_records_of_one_byte_cost_nothing() {
    survives_over_tls(Injected::Relay(Fault::SingleBytes), Costs::Nothing);
}

#[test]
fn over_tls_a_node_that_ends_in_the_middle_of_a_value_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::ResetInValue), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_ends_its_replies_and_still_reads_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::HalfClose), Costs::Answers);
}

#[test]
fn over_tls_a_node_whose_replies_are_cut_short_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::CutShort), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_answers_garbage_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::Garbage), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_brings_values_of_other_keys_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::OtherValue), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_says_one_reply_too_many_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::OneMore), Costs::Answers);
}

#[test]
fn over_tls_a_node_that_says_one_reply_too_few_costs_its_own_keys_only() {
    survives_over_tls(Injected::Relay(Fault::OneFewer), Costs::Answers);
}

#[test]
fn over_tls_a_memcached_that_is_stopped_and_goes_on_costs_its_own_keys_only() {
    survives_over_tls(Injected::Stop, Costs::Answers);
}

#[test]
fn over_tls_a_memcached_that_is_killed_and_started_anew_costs_its_own_keys_only() {
    survives_over_tls(Injected::Kill, Costs::Answers);
}
