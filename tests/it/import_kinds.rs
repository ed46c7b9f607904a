//! `ringway import`: files of the kinds that people publish, files that are none, and files that would grow.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::import::{Printed, import};

pub const POOL: &str =
    r#""pools": {"A": {"servers": ["10.0.0.1:1", "10.0.0.2:1"]}, "B": {"servers": ["10.0.1.1:1"]}}"#;

/// Imports a file of mcrouter's with the two pools `A` and `B` and what `rest` says.
pub fn mcrouter(rest: &str) -> Printed {
    import("m.json", &format!("{{{POOL},\n{rest}}}"))
}

/// The program with `arguments` in `dir`.
pub fn ringway(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .current_dir(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// Asserts that `check` finds nothing wrong with what was imported.
pub fn is_good(printed: &Printed) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("ringway.yaml"), &printed.text).expect("written");
    let checked = ringway(dir.path(), &["check", "ringway.yaml"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}\n{}", printed.text);
}

#[test]
fn a_replicated_mcrouter_reads_its_replicas_in_turn_and_writes_to_all() {
    let text = r#""route": {"type": "OperationSelectorRoute", "operation_policies": {
        "get": "LatestRoute|Pool|A", "gets": {"type": "LatestRoute", "children": "Pool|A", "failover_count": 3},
        "add": "AllSyncRoute|Pool|A", "delete": "AllSyncRoute|Pool|A", "set": "AllSyncRoute|Pool|A"}}"#;
    let printed = mcrouter(text);
    assert_eq!(
        (printed.code, printed.lost.as_str()),
        (Some(0), ""),
        "{}",
        printed.text
    );
    for line in [
        "      get: {failover: {to: [A.1, A.2]}}\n",
        "      set: {replicate: {to: [A.1, A.2], write: all, read: first}}\n",
        "    else: {error: \"no policy for the operation\"}\n",
        "these answer SERVER_ERROR, as in mcrouter: gat, replace, append, prepend, cas, incr, decr, touch.\n",
    ] {
        assert!(printed.text.contains(line), "{line}\n{}", printed.text);
    }
    is_good(&printed);
}

#[test]
fn each_route_handle_that_can_be_said_becomes_its_policy() {
    let cases = [
        (
            r#"{"type": "HashRoute", "hash_func": "Latest", "children": "Pool|A"}"#,
            "failover: {to: [A.1, A.2]}",
        ),
        (
            r#"{"type": "PoolRoute", "pool": "A", "hash": {"hash_func": "Latest"}}"#,
            "failover: {to: [A.1, A.2]}",
        ),
        (
            r#"{"type": "LoggingRoute", "target": "PoolRoute|B"}"#,
            "default: B",
        ),
        ("\"LoggingRoute|PoolRoute|B\"", "default: B"),
        (
            "\"MissFailoverRoute|Pool|A\"",
            "failover: {to: [A.1, A.2], on_miss: true}",
        ),
        (
            r#"{"type": "FailoverRoute", "children": ["PoolRoute|A", "PoolRoute|B"], "failover_limit": {"rate": 0.1}}"#,
            "failover: {to: [A, B], budget: 10%}",
        ),
        (
            r#"{"type": "FailoverRoute", "children": ["PoolRoute|A", "PoolRoute|B"],
                "failover_errors": {"gets": ["tko", "timeout", "connect_error"], "updates": [], "deletes": []}}"#,
            "by_command: {writes: A, deletes: A}\n    else: {failover: {to: [A, B]}}",
        ),
        (
            r#"{"type": "PoolRoute", "pool": "A", "rates": {"gets_rate": 0.5, "sets_rate": 100, "sets_burst": 200}}"#,
            "by_command:\n      reads: {limit: {to: A, rate: 1, burst: 1}}\n      writes: {limit: {to: A, rate: 100, burst: 200}}\n    else: A",
        ),
        (
            r#"{"type": "RateLimitRoute", "target": "PoolRoute|B", "rates": {"deletes_rate": 7}}"#,
            "by_command: {deletes: {limit: {to: B, rate: 7, burst: 7}}}\n    else: B",
        ),
        (
            r#"{"type": "HashRoute", "name": "both", "hash_func": "Crc32",
                "children": [{"type": "Pool", "name": "C", "servers": ["10.0.2.1:1"]}, "PoolRoute|B"]}"#,
            "both:\n    distribution: mcrouter-crc32\n    nodes:\n      - 10.0.2.1:1\n      - 10.0.1.1:1\n",
        ),
        ("\"DevNullRoute\"", "miss: {}"),
    ];
    for (handle, expected) in cases {
        let printed = mcrouter(&format!("\"route\": {handle}"));
        // A file in which no pool is left is none.
        let is_pool = expected != "miss: {}";
        assert_eq!(
            printed.code,
            Some(i32::from(!is_pool)),
            "{handle}\n{}{}",
            printed.lost,
            printed.text
        );
        if is_pool {
            assert!(printed.text.contains(expected), "{handle}\n{}", printed.text);
            is_good(&printed);
        }
    }
}

#[test]
fn what_a_route_handle_does_and_ringway_cannot_is_told_with_its_consequence() {
    let pools = "PoolRoute|A\", \"PoolRoute|B";
    for (handle, expected) in [
        (
            r#"{"type": "OperationSelectorRoute", "default_policy": "PoolRoute|A", "operation_policies": {"get": {"type": "OddRoute"}}}"#.to_owned(),
            "get has no route now: it answers SERVER_ERROR",
        ),
        (
            r#"{"type": "OperationSelectorRoute", "operation_policies": {"set": "PoolRoute|A"}}"#.to_owned(),
            "neither get nor a default_policy is there: get answers SERVER_ERROR",
        ),
        (
            r#"{"type": "OperationSelectorRoute", "default_policy": {"type": "OddRoute"}, "operation_policies": {"get": "PoolRoute|A"}}"#.to_owned(),
            "operations without a policy of their own have no route now",
        ),
        (format!(r#"{{"type": "HashRoute", "children": ["{pools}"]}}"#), "a HashRoute over other routes than servers"),
        (format!(r#"{{"type": "RandomRoute", "children": ["{pools}"]}}"#), "here all ask the first"),
        (r#"{"type": "PoolRoute", "pool": "A", "hash": "ConstShard"}"#.to_owned(), "ConstShard reads the server's number"),
        (
            r#"{"type": "OutstandingLimitRoute", "target": "PoolRoute|A", "max_outstanding": 5}"#.to_owned(),
            "in mcrouter further requests wait",
        ),
        (
            format!(r#"{{"type": "FailoverRoute", "children": ["{pools}"], "failover_errors": ["remote_error"]}}"#),
            "not only after remote_error",
        ),
    ] {
        let printed = mcrouter(&format!("\"route\": {handle}"));
        assert_eq!(printed.code, Some(1), "{handle}");
        assert!(printed.lost.contains(expected), "{handle}\n{}", printed.lost);
        is_good(&printed);
    }
}

#[test]
fn a_lost_read_is_an_error_route_and_never_the_default() {
    let printed = mcrouter(
        r#""route": {"type": "OperationSelectorRoute", "default_policy": "PoolRoute|A",
            "operation_policies": {"get": {"type": "OddRoute"}}}"#,
    );
    let line = "get: {error: \"the route of get was not imported\"}";
    assert!(printed.text.contains(line), "{}", printed.text);
}

#[test]
fn a_star_in_a_routing_prefix_leads_to_every_route_that_fits() {
    let text = r#""routes": [{"aliases": ["/e/one/"], "route": "PoolRoute|A"}, {"aliases": ["/e/two/"], "route": "PoolRoute|B"},
        {"aliases": ["/w/one/"], "route": "PoolRoute|B"}]"#;
    let printed = mcrouter(text);
    for line in [
        "/*/*/\": {replicate: {to: [route-e-one, route-e-two, route-w-one], write: async}}",
        "/*/one/\": {replicate: {to: [route-e-one, route-w-one], write: async}}",
        "/e/*/\": {replicate: {to: [route-e-one, route-e-two], write: async}}",
        "/*/two/\": route-e-two",
    ] {
        assert!(printed.text.contains(line), "{line}\n{}", printed.text);
    }
    is_good(&printed);
}

#[test]
fn named_handles_that_name_each_other_are_routes_with_names() {
    let mut handles: Vec<String> = (0..30)
        .map(|n| {
            format!(
                r#""h{n}": {{"type": "FailoverRoute", "children": ["h{0}", "h{0}"]}}"#,
                n + 1
            )
        })
        .collect();
    handles.push(r#""h30": "PoolRoute|A""#.to_owned());
    let text = format!(r#""named_handles": {{{}}}, "route": "h0""#, handles.join(", "));
    let printed = mcrouter(&text);
    assert!(printed.text.contains("  default: h0\n"), "{}", printed.text);
    assert!(
        printed.text.contains("  h29:\n    failover:\n      to: [A, A]\n")
            || printed.text.contains("  h29: {failover: {to: [A, A]}}\n")
            || printed.text.contains("  h29:\n    failover: {to: [A, A]}\n"),
        "{}",
        printed.text
    );
    assert!(printed.text.len() < 8192);

    let printed =
        mcrouter(r#""named_handles": {"a": "AllSyncRoute|b", "b": "AllSyncRoute|a"}, "route": "a""#);
    assert!(
        printed.lost.contains("the route handles go in a circle"),
        "{}",
        printed.lost
    );
}

#[test]
fn what_would_grow_without_bound_is_told_and_bounded() {
    let doubling = |first: &str, next: &dyn Fn(usize) -> String| {
        let macros: Vec<String> = (1..60)
            .map(|n| format!(r#""p{n}": {{"type": "constDef", "result": {}}}"#, next(n - 1)))
            .collect();
        format!(
            r#""macros": {{"p0": {{"type": "constDef", "result": {first}}}, {}}}, "x": "%p59%", "route": "PoolRoute|A""#,
            macros.join(", ")
        )
    };
    let lists = doubling("[\"x\"]", &|n| {
        format!(r#"{{"type": "merge", "params": ["%p{n}%", "%p{n}%"]}}"#)
    });
    let texts = doubling("\"xxxxxxxx\"", &|n| format!("\"%p{n}%%p{n}%\""));
    let deep = format!("\"route\": \"{}Pool|A\"", "AllSyncRoute|".repeat(60_000));
    for (text, expected) in [
        (lists, "the macros make too much"),
        (texts, "macros go on and on"),
        (deep, "nested too deep"),
    ] {
        let printed = mcrouter(&text);
        assert_eq!(printed.code, Some(1));
        assert!(
            printed.lost.contains(expected),
            "{}",
            &printed.lost[..printed.lost.len().min(500)]
        );
        assert!(printed.lost.len() < 20_000);
    }
}

#[test]
fn what_changes_nothing_for_clients_is_a_comment() {
    let printed = import(
        "nutcracker.yml",
        "web:\n  listen: 127.0.0.1:22121\n  timeout: 400\n  backlog: 1024\n  preconnect: true\n  tcpkeepalive: true\n  \
         client_connections: 1000\n  server_connections: 2\n  servers:\n   - 10.0.0.1:11211:1\n   - 10.0.0.2:11211:1\n",
    );
    assert_eq!((printed.code, printed.lost.as_str()), (Some(0), ""));
    for line in [
        "# web.backlog: left out, Ringway asks for as much as the system gives.\n",
        "# web.preconnect: left out, ",
        "# web.tcpkeepalive: left out, ",
        "  - {bind: 127.0.0.1:22121, max_connections: 1000, route: web}\n",
    ] {
        assert!(printed.text.contains(line), "{line}\n{}", printed.text);
    }
    is_good(&printed);

    let printed = import(
        "a.yml",
        "a:\n  listen: 127.0.0.1:1\n  servers:\n   - 10.0.0.1:11211:1\n",
    );
    assert!(
        printed.text.contains("as Ringway's default is"),
        "{}",
        printed.text
    );
}

#[test]
fn a_file_is_replaced_whole_and_only_if_something_was_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let own = "pools:\n  main:\n    nodes: [10.0.0.1:11211]\n";
    fs::write(at("good.yaml"), own).expect("written");
    fs::set_permissions(at("good.yaml"), fs::Permissions::from_mode(0o640)).expect("a mode");
    for (name, text, expected) in [
        ("broken.yml", "a: [", "broken.yml:"),
        ("broken.json", "{", "broken.json:"),
        ("empty.yml", "\n", "the file is empty"),
        ("list.yml", "- a\n", "no pools"),
        ("own.yaml", own, "already"),
        (
            "own.json",
            "{\"pools\": {\"main\": {\"nodes\": [\"10.0.0.1:1\"]}}}",
            "already",
        ),
        ("none.json", "{}", "there is no route"),
    ] {
        fs::write(at(name), text).expect("written");
        let output = ringway(dir.path(), &["import", name, "-o", "good.yaml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(output.stdout, b"", "{name}");
        assert_eq!(fs::read_to_string(at("good.yaml")).expect("there"), own, "{name}");
    }
    fs::write(
        at("n.yml"),
        "a:\n  listen: 127.0.0.1:1\n  servers:\n   - 10.0.0.1:11211:1\n",
    )
    .expect("written");
    std::os::unix::fs::symlink("good.yaml", at("link.yaml")).expect("a link");
    for to in ["good.yaml", "link.yaml", "new.yaml"] {
        let output = ringway(dir.path(), &["import", "n.yml", "-o", to]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("wrote {to}\n"));
        let written = fs::read_to_string(at(to)).expect("there");
        assert!(written.starts_with("# Imported from n.yml.\n"), "{written}");
    }
    let mode = fs::metadata(at("good.yaml")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(fs::symlink_metadata(at("link.yaml")).expect("there").is_symlink());
    let names = fs::read_dir(dir.path()).expect("a directory");
    let left: Vec<_> = names
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_dash_is_stdin_and_stdout() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["import", "-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(b"a:\n  listen: 127.0.0.1:1\n  servers:\n   - 10.0.0.1:11211:1\n")
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"# Imported from stdin.\n"));
}

#[test]
fn a_pool_that_cannot_be_ringways_is_left_out_whole() {
    let good = "mc:\n  listen: 127.0.0.1:1\n  timeout: 400\n  servers:\n   - 10.0.0.1:11211:1\n";
    let rest = "  listen: 127.0.0.1:2\n  sentinels:\n   - 10.0.0.9:26379:1\n";
    let servers = "  servers:\n   - 10.0.0.2:6379:1 one\n";
    for (bad, said) in [
        (format!("r:\n  redis: true\n{rest}{servers}"), "2:10: r.redis: "),
        (
            format!("r:\n  protocol: redis\n{rest}{servers}"),
            "2:13: r.protocol: ",
        ),
        (
            format!("r:\n  hash: md5\n{rest}  servers:\n"),
            "r.servers: the pool has no servers",
        ),
    ] {
        let alone = import("r.yml", &bad);
        assert_eq!((alone.code, alone.text.as_str()), (Some(1), ""), "{bad}");
        assert!(alone.lost.contains(said), "{bad}\n{}", alone.lost);
        let both = import("both.yml", &format!("{bad}{good}"));
        assert_eq!(both.code, Some(1), "{bad}");
        assert!(both.lost.contains("left out"), "{}", both.lost);
        assert!(!both.text.contains("127.0.0.1:2"), "{}", both.text);
        is_good(&both);
    }
}

#[test]
fn what_forks_of_nutcracker_write_is_read_as_far_as_it_means_something() {
    let text = "global:\n  worker_processes: 4\npools:\n  a:\n    listen: /run/a.sock\n    mode: 0660\n    timeout: 400\n    \
                servers:\n     - 10.0.0.1:11211:1\n  b:\n    listen: 127.0.0.1:2\n    mode: 0755\n    protocol: memcached\n    \
                timeout: 400\n    servers:\n     - 10.0.0.2:11211:1\n";
    let printed = import("fork.yml", text);
    assert_eq!(printed.lost.lines().count(), 1, "{}", printed.lost);
    assert!(
        printed.lost.starts_with("fork.yml:1:1: global: "),
        "{}",
        printed.lost
    );
    for line in [
        "bind: unix:/run/a.sock, mode: \"0660\"",
        "{bind: 127.0.0.1:2, route: b}",
    ] {
        assert!(printed.text.contains(line), "{line}\n{}", printed.text);
    }
    // Without their processes the file says nothing that is lost.
    let pools = import("pools.yml", &text[text.find("pools:").expect("there")..]);
    assert_eq!((pools.code, pools.lost.as_str()), (Some(0), ""));
}

#[test]
fn a_template_says_that_it_is_one() {
    for (name, text, place) in [
        (
            "a.yml",
            "a:\n  listen: {{ addr }}\n  servers:\n  {% for %}- x\n",
            ":2:11: ",
        ),
        ("b.yml", "{{ name }}:\n  listen: 127.0.0.1:1\n", ":1:1: "),
        ("c.json", "{\n <%= @pools %>\n}", ":2:2: "),
    ] {
        let printed = import(name, text);
        assert_eq!((printed.code, printed.text.as_str()), (Some(1), ""), "{text}");
        let line = format!("{name}{place}this is a template");
        assert!(printed.lost.contains(&line), "{line}\n{}", printed.lost);
    }
}

/// Imports pools of mcrouter's with the servers `servers` and the settings `rest`.
fn with_servers(servers: &str, rest: &str) -> Printed {
    let text = format!(r#"{{"pools": {{"A": {{"servers": [{servers}]{rest}}}}}, "route": "PoolRoute|A"}}"#);
    import("m.json", &text)
}

#[test]
fn encrypted_servers_of_mcrouter_make_a_pool_with_tls() {
    for (servers, rest) in [
        (
            r#""a.example:11211:ascii:ssl", "b.example:11211:ascii:ssl:notcompressed""#,
            "",
        ),
        (
            r#""a.example:11211", "b.example:11211:ascii""#,
            r#", "security_mech": "ssl""#,
        ),
    ] {
        let printed = with_servers(servers, rest);
        assert_eq!(printed.code, Some(1), "{}", printed.lost);
        assert!(printed.lost.contains("--pem-ca-path"), "{}", printed.lost);
        assert!(printed.text.contains("    tls: true\n"), "{}", printed.text);
        assert!(
            printed.text.contains("      - b.example:11211\n"),
            "{}",
            printed.text
        );
        is_good(&printed);
    }
}

#[test]
fn a_pool_of_mcrouter_that_is_encrypted_in_part_is_encrypted_as_a_whole() {
    let printed = with_servers(r#""a.example:1:ascii:plain", "b.example:1:ascii:ssl""#, "");
    assert_eq!(printed.code, Some(1), "{}", printed.lost);
    assert!(printed.lost.contains("some are not"), "{}", printed.lost);
    assert!(printed.text.contains("    tls: true\n"), "{}", printed.text);
    // A server that is plain in a pool that is not.
    let printed = with_servers(r#""a.example:1:ascii:plain""#, r#", "security_mech": "ssl""#);
    assert_eq!(
        (printed.code, printed.lost.as_str()),
        (Some(0), ""),
        "{}",
        printed.text
    );
    for mechanism in ["tls_to_plain", "kerberos"] {
        let printed = with_servers(&format!(r#""a.example:1:ascii:{mechanism}""#), "");
        assert!(printed.lost.contains("is not known"), "{}", printed.lost);
        let printed = with_servers(
            r#""a.example:1""#,
            &format!(r#", "security_mech": "{mechanism}""#),
        );
        assert!(printed.lost.contains("is not known"), "{}", printed.lost);
    }
}

#[test]
fn what_follows_a_servers_address_in_mcrouter_is_no_part_of_it() {
    let servers =
        r#""unix:/run/m.sock:ascii:plain", "/run/n.sock", "[::1]:5:ascii", "[c.example]:6:", "d.example:7""#;
    let printed = with_servers(servers, "");
    assert_eq!(
        (printed.code, printed.lost.as_str()),
        (Some(0), ""),
        "{}",
        printed.text
    );
    for node in [
        "- unix:/run/m.sock\n",
        "- unix:/run/n.sock\n",
        "- \"[::1]:5\"\n",
        "- c.example:6\n",
        "- d.example:7\n",
    ] {
        assert!(printed.text.contains(node), "{node}{}", printed.text);
    }
    let printed = with_servers(r#""a.example:1:caret""#, "");
    assert!(
        printed.lost.contains("caret: nodes are memcached"),
        "{}",
        printed.lost
    );
}
