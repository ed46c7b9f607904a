//! Pools of one node each under a route, and what its policies counted.

use super::ringway::Ringway;

/// A configuration with pools of one node each, called `a`, `b` and so on, and a route.
pub fn with_route(nodes: &[String], route: &str) -> String {
    let mut text = String::from("pools:\n");
    // The first is the one that is silent where a test has a silent one.
    for ((name, timeout), node) in [("a", "400ms"), ("b", "15s"), ("c", "15s")].iter().zip(nodes) {
        text += &format!(
            "  {name}: {{nodes: [\"{node}\"], request_timeout: {timeout}, health: {{down_after: 1000000}}}}\n"
        );
    }
    text + &format!("routes:\n  default: {route}\n")
}

/// How often this was counted, whatever policy counts it.
pub fn event_count(ringway: &Ringway, event: &str) -> f64 {
    ringway.metric("ringway_route_events_total", &[&format!("event=\"{event}\"")])
}
