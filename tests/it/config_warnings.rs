//! What runs, but hardly as it was meant: told by `ringway check`, and no mistake.

use std::collections::BTreeSet;

use crate::support::program::fed;
use crate::support::ringway::{Ringway, pool};

/// The exit code of `ringway check` and its stderr.
fn check(text: &str) -> (Option<i32>, String) {
    let (code, out, err) = fed(&["check", "-"], text);
    assert_eq!(out.starts_with("stdin: ok: "), code == Some(0), "{out}");
    (code, err)
}

const THREE: &str = "pools: {main: {nodes: [a:1, b:1, c:1]}, gutter: {nodes: [d:1]}}\n";

#[test]
fn a_pool_that_no_route_leads_to_is_a_warning() {
    let (code, told) = check(&format!("{THREE}listeners: [{{route: main}}]\n"));
    let expected = "stdin:1:41: warning: pools.gutter: no route leads to the pool \"gutter\", \
                    name it in a route or at a listener, or take it out\n";
    assert_eq!((code, told.as_str()), (Some(0), expected));
    let good = [
        "listeners: [{route: {failover: [main, gutter]}}]\n",
        "listeners: [{route: main}, {bind: 127.0.0.1:1, route: gutter}]\n",
        "routes: {default: {shadow: {of: main, to: gutter}}}\n",
        "routes: {default: safe, safe: {failover: [main, gutter]}}\n",
    ];
    for route in good {
        assert_eq!(
            check(&format!("{THREE}{route}")),
            (Some(0), String::new()),
            "{route}"
        );
    }
}

#[test]
fn a_pool_that_only_unused_routes_lead_to_is_a_warning() {
    let routes = "routes: {default: main, spare: {failover: [main, gutter]}}\n";
    let (code, told) = check(&format!("{THREE}{routes}"));
    let expected = "stdin:1:41: warning: pools.gutter: only routes that no listener uses lead to the pool \"gutter\", \
                    name such a route at a listener, or take the pool out\n";
    assert_eq!((code, told.as_str()), (Some(0), expected));
    let used = "listeners: [{route: spare}]\n";
    assert_eq!(check(&format!("{THREE}{routes}{used}")), (Some(0), String::new()));
}

#[test]
fn the_log_has_each_warning_at_the_start_and_at_each_reload_that_takes_the_file() {
    let told = |ringway: &Ringway| {
        let log = ringway.log();
        let lines = log.lines().filter(|line| line.contains("configuration warning"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let nodes = ["127.0.0.1:1".to_owned()];
    let ringway = Ringway::start(&pool(&nodes, &["on_read_error: error"]));
    let lines = told(&ringway);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(" WARN ") && lines[0].contains("problem=\""),
        "{}",
        lines[0]
    );
    let problem = "ringway.yaml:9:20: pools.main.on_read_error: some client libraries";
    assert!(lines[0].contains(problem), "{}", lines[0]);
    let spare = "  spare: {nodes: ['127.0.0.1:2']}\nlisteners: [{bind: '127.0.0.1:PORT', route: main}]\n";
    let (status, _) = ringway.reload(&(pool(&nodes, &[]) + spare));
    assert_eq!(status, 200);
    ringway.wait_logged("pools.spare: no route leads to the pool");
    // One that is refused warns of nothing.
    let (status, _) = ringway.reload(&format!("workers: 0\n{}{spare}", pool(&nodes, &[])));
    assert_ne!(status, 200);
    ringway.wait_logged("configuration refused");
    // A file may be taken twice, when it changes and by the request; its warnings name the same places then.
    let problems: BTreeSet<String> = told(&ringway)
        .iter()
        .filter_map(|line| line.split_once("problem="))
        .map(|(_, problem)| problem.to_owned())
        .collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn a_budget_below_the_share_of_one_node_is_a_warning() {
    let pools = |rest: &str| {
        format!("pools:\n  main: {{nodes: [a:1, b:1, c:1]{rest}}}\n  gutter: {{nodes: [d:1]}}\n")
    };
    let budget = |percent: u32| {
        format!("routes:\n  default:\n    failover:\n      to: [main, gutter]\n      budget: {percent}%\n")
    };
    let expected = "stdin:8:15: warning: routes.default.failover.budget: 10% is less than the share of one node of \
                    \"main\", which is 34%, write 34% or more, or not all keys of a dead node are covered\n";
    assert_eq!(check(&(pools("") + &budget(10))), (Some(0), expected.to_owned()));
    assert_eq!(check(&(pools("") + &budget(33))).1.lines().count(), 1);
    assert_eq!(check(&(pools("") + &budget(34))), (Some(0), String::new()));
    // The other nodes take the keys.
    let rehash = pools(", on_node_down: rehash") + &budget(10);
    assert_eq!(check(&rehash), (Some(0), String::new()));
    // Nobody knows yet how many nodes a source names.
    let discovered = "pools: {main: {discover: {from: file+/nodes}}, gutter: {nodes: [d:1]}}\n";
    assert_eq!(
        check(&(discovered.to_owned() + &budget(10))),
        (Some(0), String::new())
    );
    // The heaviest node counts, and what the first leads to, however it is named.
    let heavy = "pools: {main: {nodes: [{address: a:1, weight: 3}, b:1]}, gutter: {nodes: [d:1]}}\n\
                 routes: {first: main, default: {failover: {to: [{read_only: first}, gutter], budget: 60%}}}\n";
    let (code, told) = check(heavy);
    assert!(code == Some(0) && told.contains("which is 75%"), "{told}");
}

#[test]
fn read_errors_that_hang_client_libraries_are_a_warning() {
    let text = "pools: {main: {nodes: [a:1], on_read_error: error}}\n";
    let (code, told) = check(text);
    assert!(
        code == Some(0)
            && told.starts_with("stdin:1:45: warning: pools.main.on_read_error: some client libraries"),
        "{told}"
    );
    assert_eq!(
        check("pools: {main: {nodes: [a:1], on_read_error: miss}}\n"),
        (Some(0), String::new())
    );
}

#[test]
fn missed_writes_of_discovered_nodes_on_disk_without_the_nodes_are_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().display();
    let missed = format!("missed_writes: {{dir: {path}}}\n");
    let pools = "pools: {listed: {nodes: [a:1]}, main: {discover: {from: file+/nodes}}, other: {discover: {from: file+/b}}}\n\
                 routes: {default: {replicate: [main, listed, other]}}\n";
    let expected = "stdin:1:22: warning: missed_writes.dir: the nodes of \"main\" are discovered, and a restart does \
                    not know which of them missed these writes, add `state_dir:` at the top of the file, which keeps \
                    the nodes\n";
    assert_eq!(check(&(missed.clone() + pools)), (Some(0), expected.to_owned()));
    let good = [
        format!("{missed}state_dir: {path}\n{pools}"),
        pools.to_owned(),
        format!("{missed}pools: {{main: {{nodes: [a:1]}}}}\n"),
    ];
    for text in good {
        assert_eq!(check(&text), (Some(0), String::new()), "{text}");
    }
}

#[test]
fn a_remove_after_that_ends_before_the_next_answer_is_a_warning() {
    let pool = |settings: &str| format!("pools: {{main: {{discover: {{from: file+/nodes, {settings}}}}}}}\n");
    let expected = "stdin:1:60: warning: pools.main.discover.remove_after: a node that one answer lacks leaves after \
                    5s, before the next answer could list it again, write 10s or more, which is the interval, or 0s\n";
    assert_eq!(check(&pool("remove_after: 5s")), (Some(0), expected.to_owned()));
    for settings in [
        "remove_after: 10s",
        "remove_after: 0s, interval: 1h",
        "remove_after: 5s, interval: 2s",
        "interval: 10m",
        // A new node may be taken from the first answer that lists it.
        "add_after: 1s",
        "add_after: 0s",
    ] {
        assert_eq!(check(&pool(settings)), (Some(0), String::new()), "{settings}");
    }
}

#[test]
fn where_there_are_mistakes_no_warning_is_told() {
    let (code, told) = check(&format!("{THREE}workers: 0\nlisteners: [{{route: main}}]\n"));
    assert!(
        code == Some(1) && told.lines().count() == 1 && told.contains("workers"),
        "{told}"
    );
}

#[test]
fn a_handover_whose_processes_may_be_two_phases_apart_is_a_warning() {
    let check = |phases: &str| {
        check(&format!(
            "pools: {{main: {{nodes: [a:1], handover: {{{phases}}}}}}}\n"
        ))
    };
    for (phases, prepare) in [
        ("serve: 1m", "2m"),
        ("prepare: 11m", "11m"),
        ("prepare: 5s, serve: 4s", "5s"),
    ] {
        let (code, told) = check(phases);
        let expected = format!(
            "warning: pools.main.handover: `serve` is shorter than `prepare`, which is {prepare}: processes may \
             be two phases apart, write `serve: {prepare}` or more\n"
        );
        assert!(code == Some(0) && told.ends_with(&expected), "{phases}: {told}");
    }
    for phases in ["serve: 2m", "prepare: 0s, serve: 1s", "prepare: 1m, serve: 1m"] {
        assert_eq!(check(phases), (Some(0), String::new()), "{phases}");
    }
}

#[test]
fn a_ring_before_that_does_nothing_is_a_warning() {
    let from = "from: {began: '2026-11-29T15:00:00Z', nodes: [a:1]}";
    let pools = |nodes: &str| format!("pools: {{main: {{{nodes}, handover: {{{from}}}}}}}\n");
    let (code, told) = check(&pools("discover: {from: file+/nodes.json}"));
    let expected = "warning: pools.main.handover: `from` does nothing in a pool that discovers its nodes, take it out; \
                    with `state_dir` a restarted process goes on with the handover\n";
    assert_eq!(code, Some(0), "{told}");
    assert!(told.ends_with(expected), "{told}");
    assert_eq!(check(&pools("nodes: [a:1, b:1]")), (Some(0), String::new()));
}
