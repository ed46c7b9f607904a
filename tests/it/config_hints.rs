//! What is said to those who come from another program, or whose YAML reads otherwise than they meant it.

use crate::support::diagnostics::diagnostics;

/// Where a mistake stands and what is said of it.
fn first(text: &str) -> (String, String) {
    let told = diagnostics(text);
    assert_eq!(told.lines().count(), 1, "{told}");
    let parts: Vec<&str> = told.splitn(4, ':').collect();
    let [_, line, column, said] = parts[..] else {
        panic!("{told}")
    };
    (format!("{line}:{column}"), said.trim_start().to_owned())
}

#[test]
fn an_ipv6_address_without_quotes_is_told_to_be_quoted_wherever_it_stands() {
    let end = "an address in brackets is a list to YAML, quote it: ";
    let cases = [
        (
            "pools:\n  main:\n    nodes:\n      - [::1]:11211\n",
            "4:9",
            "[::1]:11211",
        ),
        (
            "pools:\n  main:\n    nodes: [[::1]:11211]\n",
            "3:13",
            "[::1]:11211",
        ),
        (
            "pools:\n  main:\n    nodes: [a:1, [fe80::1%eth0]:7]\n",
            "3:18",
            "[fe80::1%eth0]:7",
        ),
        ("pools:\n  main:\n    nodes: [::1]:11211\n", "3:12", "[::1]:11211"),
        (
            "pools:\n  main:\n    nodes:\n      - [::1]\n",
            "4:9",
            "[::1]:11211",
        ),
        (
            "pools:\n  main:\n    nodes:\n      - a:1\n      - [2001:db8::7]:11211\n      - b:1\n",
            "5:9",
            "[2001:db8::7]:11211",
        ),
        (
            "pools:\n  main:\n    nodes:\n      - address: [::1]:11211\n",
            "4:18",
            "[::1]:11211",
        ),
        (
            "pools:\n  main:\n    nodes:\n      - {address: [::1]:11211, name: x}\n",
            "4:19",
            "[::1]:11211",
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nlisteners:\n  - bind: [::]:11211\n",
            "3:11",
            "[::]:11211",
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nlisteners: [{bind: [::1]}]\n",
            "2:20",
            "[::1]:11211",
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nadmin: {bind: [::1]:9155}\n",
            "2:15",
            "[::1]:9155",
        ),
    ];
    for (text, place, quoted) in cases {
        let (found, said) = first(text);
        assert_eq!(found, place, "{text}");
        assert!(said.ends_with(&format!("{end}\"{quoted}\"")), "{text}{said}");
    }
    let good = "pools: {main: {nodes: [\"[::1]:11211\"]}}\nadmin: {bind: \"[::1]:9155\"}\n";
    assert_eq!(diagnostics(good), "fine");
}

#[test]
fn a_list_that_is_no_address_is_not_taken_for_one() {
    let cases = [
        "pools: {main: {nodes: [[1, 2]]}}",
        "pools: {main: {nodes: [[a]: 1]}}",
        "pools: {main: {nodes: [b]:1}}",
    ];
    for text in cases {
        assert!(!diagnostics(text).contains("quote it"), "{}", diagnostics(text));
    }
}

#[test]
fn each_key_of_another_program_is_answered_with_ringways_own() {
    let pool = "pools:\n  main:\n    nodes: [a:1]\n    ";
    let cases = [
        ("servers: [a:1]", "`nodes: [host:port]`"),
        (
            "listen: 127.0.0.1:22121",
            "`listeners: [{bind: 127.0.0.1:11211, route: main}]`",
        ),
        (
            "hash: fnv1a_64",
            "`distribution: {preset: twemproxy, hash: fnv1a_64}`",
        ),
        ("distribution: modula", "twemproxy-modula"),
        ("distribution: random", "the same node always"),
        ("timeout: 400", "`request_timeout`"),
        ("server_timeout: 400", "`request_timeout`"),
        ("auto_eject_hosts: true", "`on_node_down: rehash`"),
        ("server_retry_timeout: 2000", "`health: {probe_interval: 2s}`"),
        ("server_failure_limit: 1", "`health: {down_after: 3}`"),
        ("server_connections: 1", "`connections`"),
        ("client_connections: 1", "`max_connections`"),
        ("preconnect: true", "leave it out"),
        ("backlog: 512", "leave it out"),
        ("redis: false", "memcached's protocols"),
    ];
    for (key, hint) in cases {
        let (place, said) = first(&format!("{pool}{key}\n"));
        assert!(place.starts_with("4:") && said.contains(hint), "{key}: {said}");
    }
    let others = [
        ("servers: [a:1]", "`pools: {main: {nodes: [host:port]}}`"),
        (
            "pools: {main: {nodes: [a:1]}}\nlisten: 127.0.0.1:1",
            "`listeners: ",
        ),
        ("pools: {main: {nodes: [a:1]}}\ntimeout: 1s", "`request_timeout`"),
        (
            "pools: {main: {nodes: [a:1]}}\nlisteners: [{listen: 127.0.0.1:1}]",
            "write `bind`",
        ),
        (
            "pools: {main: {nodes: [a:1]}}\nlisteners: [{pool: main}]",
            "write `route`",
        ),
        ("pools: {main: {nodes: [{host: a}]}}", "`address: host:port`"),
    ];
    for (text, hint) in others {
        let (_, said) = first(text);
        assert!(said.contains(hint), "{text}: {said}");
    }
}

/// What is offered in a hint is something that Ringway takes.
#[test]
fn what_a_hint_offers_is_good() {
    let pool = "pools:\n  main:\n    nodes: [a:1]\n    ";
    for key in [
        "distribution: {preset: twemproxy, hash: fnv1a_64}",
        "distribution: twemproxy-modula",
        "on_node_down: rehash",
        "health: {probe_interval: 2s}",
        "health: {down_after: 3}",
        "request_timeout: 400ms",
    ] {
        assert_eq!(diagnostics(&format!("{pool}{key}\n")), "fine", "{key}");
    }
    let top = "listeners: [{bind: 127.0.0.1:11211, route: main}]";
    assert_eq!(
        diagnostics(&format!("pools: {{main: {{nodes: [a:1]}}}}\n{top}\n")),
        "fine"
    );
}

#[test]
fn a_whole_file_of_another_program_is_one_mistake_that_names_import() {
    let cases = [
        (
            "alpha:\n  listen: 127.0.0.1:22121\n  hash: fnv1a_64\n  servers:\n   - 127.0.0.1:6379:1\n",
            "nutcracker (twemproxy)",
        ),
        (
            "x: &x {timeout: 400}\nalpha:\n  <<: *x\n  servers: [a:1:1]\n",
            "nutcracker (twemproxy)",
        ),
        (
            r#"{"pools": {"A": {"servers": ["127.0.0.1:1"]}}, "route": "PoolRoute|A"}"#,
            "mcrouter",
        ),
        (
            r#"{"pools": {"A": {"servers": ["a:1"]}}, "routes": [{"aliases": ["/a/b/"], "route": "PoolRoute|A"}]}"#,
            "mcrouter",
        ),
        (
            "/* ours */\n{\"pools\": {\"A\": {\"servers\": [\"a:1\"]}}, // all\n \"route\": \"PoolRoute|A\"}",
            "mcrouter",
        ),
        ("--SERVER=a:1 --SERVER=b:1\n", "libmemcached"),
    ];
    for (text, whose) in cases {
        let expected = format!(
            "r.yaml:1:1: this is a configuration of {whose}, turn it into one of Ringway's: ringway import r.yaml"
        );
        assert_eq!(diagnostics(text), expected, "{text}");
    }
}

#[test]
fn what_follows_from_a_mistake_is_not_told_besides() {
    let cases = [
        // The pool is there, though it cannot be read.
        "pools:\n  main: [a:1]\nroutes: {default: main}\nlisteners: [{route: main}]\n",
        "pools:\n  main:\n    servers: [a:1]\nroutes: {default: {failover: [main, main]}}\n",
        "pools:\n  main:\n    nodes: [a]\nlisteners: [{route: main}]\n",
        // So are the keys that cannot be.
        "pools: {main: {nodes: [{name: a, embeded: 64MiB}]}}\n",
        "pools: {main: {nodes: [{<<: 3}]}}\n",
        "pools: {main: {<<: a}}\n",
        "pools: {main: {[a]: 3}}\n",
    ];
    for text in cases {
        assert_eq!(
            diagnostics(text).lines().count(),
            1,
            "{text}{}",
            diagnostics(text)
        );
    }
}
