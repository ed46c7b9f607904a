//! What tools read of `stats`: the names that monitoring asks for, counted as memcached counts, and answers of the shape that
//! memcached's own tools and libmemcached's read, in text and in binary.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::binary::{packet, response};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool};

/// What memcached counts of requests, but for `cmd_meta`, in which 1.6.18 leaves out all but `me`.
const COUNTED: [&str; 18] = [
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "get_hits",
    "get_misses",
    "delete_hits",
    "delete_misses",
    "incr_hits",
    "incr_misses",
    "decr_hits",
    "decr_misses",
    "cas_hits",
    "cas_misses",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "threads",
];

/// What, besides [`COUNTED`], memcached's Prometheus exporter, telegraf's memcached input and Datadog's mcache read of
/// `stats`. The exporter calls a server down that has `cmd_set` and not all of `cas_hits`, `cas_misses` and `cas_badval`.
const READ_BESIDES: [&str; 31] = [
    "version",
    "uptime",
    "time",
    "pointer_size",
    "rusage_user",
    "rusage_system",
    "bytes",
    "limit_maxbytes",
    "curr_items",
    "total_items",
    "bytes_read",
    "bytes_written",
    "max_connections",
    "curr_connections",
    "total_connections",
    "rejected_connections",
    "connection_structures",
    "conn_yields",
    "listen_disabled_num",
    "accepting_conns",
    "evictions",
    "reclaimed",
    "store_too_large",
    "store_no_memory",
    "lru_crawler_starts",
    "direct_reclaims",
    "crawler_items_checked",
    "crawler_reclaimed",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
];

fn one() -> (Memcached, Ringway) {
    let node = Memcached::start();
    let settings = ["request_timeout: 10s", "max_value_size: 512KiB"];
    let ringway = Ringway::start(&format!("workers: 2\n{}", pool(&[node.address()], &settings)));
    (node, ringway)
}

/// The figures of `stats <what>`, in text.
fn figures(client: &mut Client, what: &str) -> BTreeMap<String, String> {
    client.send(format!("stats {what}\r\n"));
    let text = client.read_to("END");
    let lines = text.lines().filter(|line| *line != "END");
    let figure = |line: &str| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let figures: Option<BTreeMap<_, _>> = lines.map(figure).collect();
    figures.unwrap_or_else(|| panic!("a line is no figure: {text}"))
}

/// The figures of a binary stat of `what`, each as `name:value`, and the status of what came last.
fn binary_figures(client: &mut Client, what: &str) -> (Vec<String>, String) {
    client.send(packet(0x10, b"", what, b""));
    let mut figures = Vec::new();
    loop {
        let response = response(client);
        let mut parts = response.splitn(3, ' ');
        let (status, figure) = (parts.nth(1).expect("a status"), parts.next().expect("a figure"));
        if status != "0" || figure == ":" {
            return (figures, format!("{status} {figure}"));
        }
        figures.push(figure.to_owned());
    }
}

/// Speaks every command that memcached counts, in each protocol.
fn converse(port: u16) {
    let mut text = Client::connect(port);
    for line in [
        "set a 0 0 1\r\n1\r\n",
        "add a 0 0 1\r\n1\r\n",
        "replace none 0 0 1\r\n1\r\n",
        "append a 0 0 1\r\n1\r\n",
        "prepend none 0 0 1\r\n1\r\n",
        "cas none 0 0 1 1\r\n1\r\n",
        "cas a 0 0 1 99999\r\n1\r\n",
        "touch a 0\r\n",
        "touch none 0\r\n",
        "incr a 1\r\n",
        "incr none 1\r\n",
        "decr a 1\r\n",
        "decr none 1\r\n",
        "delete none\r\n",
        "mg a\r\n",
        "mg a T0\r\n",
        "mg none v\r\n",
        "ma a\r\n",
        "ma none\r\n",
        "ma a MD\r\n",
        "ms a 1\r\n1\r\n",
        "ms a 1 ME\r\n1\r\n",
        "ms a 1 C1\r\n1\r\n",
        "ms none 1 C1\r\n1\r\n",
        "ms a 1 MS\r\n1\r\n",
        "md none\r\n",
        "md a C1\r\n",
        "ma a C1\r\n",
        "ma a MD C1\r\n",
    ] {
        text.ask(line);
    }
    for line in ["get a none\r\n", "gets a\r\n", "gat 0 a\r\n", "gat 0 none\r\n"] {
        text.send(line);
        text.read_to("END");
    }
    let mut binary = Client::connect(port);
    for request in [
        packet(0x01, &[0; 8], "b", b"1"),
        packet(0x02, &[0; 8], "b", b"1"),
        packet(0x03, &[0; 8], "none", b"1"),
        packet(0x00, b"", "b", b""),
        packet(0x00, b"", "none", b""),
        packet(0x1c, &[0; 4], "b", b""),
        packet(0x1c, &[0; 4], "none", b""),
        packet(0x1d, &[0; 4], "b", b""),
        packet(0x1d, &[0; 4], "none", b""),
        packet(0x04, b"", "b", b""),
        packet(0x04, b"", "b", b""),
        packet(0x08, b"", "", b""),
    ] {
        binary.send(request);
        response(&mut binary);
    }
}

#[test]
fn requests_count_as_memcached_counts_them() {
    let (_node, ringway) = one();
    let memcached = Memcached::start_with(&["-t", "2"]);
    converse(ringway.port);
    converse(memcached.port());
    let ours = figures(&mut ringway.client(), "");
    let theirs = figures(&mut memcached.client(), "");
    let differs: Vec<String> = COUNTED
        .iter()
        .filter(|name| ours.get(**name) != theirs.get(**name))
        .map(|name| format!("{name}: {:?}, memcached {:?}", ours.get(*name), theirs.get(*name)))
        .collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

#[test]
fn monitoring_finds_every_name_that_it_reads_and_a_number_under_each() {
    let (_node, ringway) = one();
    let mut client = ringway.client();
    let stats = figures(&mut client, "");
    for name in COUNTED.iter().chain(&READ_BESIDES).copied() {
        let value = stats.get(name).unwrap_or_else(|| panic!("no {name}"));
        let holds = match name {
            "version" => true,
            "rusage_user" | "rusage_system" => value.parse::<f64>().is_ok(),
            _ => value.parse::<u64>().is_ok(),
        };
        assert!(holds, "{name}: {value}");
    }
    assert_eq!(stats["curr_connections"], "1");
    assert_eq!(stats["get_misses"], "0");
    // It took time to start.
    assert!(
        ["rusage_user", "rusage_system"]
            .iter()
            .any(|name| !stats[*name].starts_with("0.000000"))
    );
    let slabs = figures(&mut client, "slabs");
    assert_eq!(slabs["total_malloced"], "0");
    // The exporter asks for more under these, had they been `yes`.
    let settings = figures(&mut client, "settings");
    assert!(settings["maxconns"].parse::<u64>().is_ok());
    assert_eq!(settings["lru_crawler"], "no");
}

#[test]
fn a_value_that_is_too_large_is_counted() {
    let (_node, ringway) = one();
    let memcached = Memcached::start_with(&["-I", "512k"]);
    for mut client in [ringway.client(), memcached.client()] {
        let value = "v".repeat(600 << 10);
        for line in ["set a 0 0", "add a 0 0", "ms a"] {
            let asked = format!("{line} {}\r\n{value}\r\n", value.len());
            client.expects(asked, "SERVER_ERROR object too large for cache\r\n");
        }
        assert_eq!(figures(&mut client, "")["store_too_large"], "3");
    }
}

#[test]
fn the_figures_of_items_are_those_of_embedded_nodes() {
    let node = "{embedded: 8MiB, name: here}".to_owned();
    let ringway = Ringway::start(&pool(&[node], &[]));
    let mut client = ringway.client();
    client.set("a", "value");
    client.set("b", "value");
    let stats = figures(&mut client, "");
    let number = |name: &str| stats[name].parse::<u64>().expect("a number");
    assert_eq!((number("curr_items"), number("total_items")), (2, 2));
    assert_eq!(number("limit_maxbytes"), 8 << 20);
    assert!(number("bytes") > 10 && number("bytes") < number("limit_maxbytes"));
}

#[test]
fn settings_say_what_is_configured_under_memcacheds_names() {
    let (_node, ringway) = one();
    let memcached = Memcached::start();
    let ours = figures(&mut ringway.client(), "settings");
    let theirs = figures(&mut memcached.client(), "settings");
    let unknown: Vec<&String> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "memcached has no {unknown:?}");
    for (name, value) in [
        ("tcpport", ringway.port.to_string().as_str()),
        ("inter", "127.0.0.1"),
        ("domain_socket", "NULL"),
        ("num_threads", "2"),
        ("item_size_max", "524288"),
        ("cas_enabled", "yes"),
        ("flush_enabled", "yes"),
        ("binding_protocol", "auto-negotiate"),
        ("verbosity", "0"),
        ("evictions", "on"),
    ] {
        assert_eq!(ours[name], value, "{name}");
    }
    assert_eq!(
        ours["maxconns"],
        figures(&mut ringway.client(), "")["max_connections"]
    );
}

#[test]
fn every_section_has_the_shape_of_an_empty_memcacheds() {
    let (_node, ringway) = one();
    let memcached = Memcached::start();
    let (mut ours, mut theirs) = (ringway.client(), memcached.client());
    for what in [
        "slabs",
        "sizes",
        "items",
        "extstore",
        "detail",
        "detail on",
        "detail dump",
        "detail off",
        "detail maybe",
        "reset",
        "reset now",
        "cachedump",
        "cachedump 1",
        "cachedump 1 0",
        "cachedump 64 1",
        "cachedump x y",
        "nothing",
        "ITEMS",
        "noreply",
    ] {
        for client in [&mut ours, &mut theirs] {
            client.send(format!("stats {what}\r\nmn\r\n"));
        }
        assert_eq!(ours.read_to("MN"), theirs.read_to("MN"), "stats {what}");
    }
    let conns = figures(&mut ours, "conns");
    assert_eq!(conns["0:addr"], format!("tcp:127.0.0.1:{}", ringway.port));
    assert_eq!(conns["0:state"], "conn_listening");
}

#[test]
fn every_section_has_memcacheds_shape_in_binary_too() {
    let (_node, ringway) = one();
    let memcached = Memcached::start();
    let (mut ours, mut theirs) = (ringway.client(), memcached.client());
    for what in [
        "slabs",
        "sizes",
        "items",
        "detail",
        "detail on",
        "detail dump",
        "detail off",
        "reset",
        "nothing",
    ] {
        let wanted = binary_figures(&mut theirs, what);
        assert_eq!(binary_figures(&mut ours, what), wanted, "stats {what}");
    }
    for what in ["", "settings", "conns"] {
        let (binary, end) = binary_figures(&mut ours, what);
        let text = figures(&mut ringway.client(), what);
        assert_eq!(binary.len(), text.len(), "stats {what}");
        for name in text.keys().map(|name| format!("{name}:")) {
            assert!(
                binary.iter().any(|figure| figure.starts_with(&name)),
                "{binary:?}"
            );
        }
        assert_eq!(end, "0 :");
    }
}

/// What `command` prints; it must succeed and complain of nothing.
fn printed(command: &mut Command) -> String {
    let output = program::output(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{command:?}: {errors}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn memcacheds_own_tool_reads_every_section() {
    let (_node, ringway) = one();
    let tool = |mode: &str| {
        let address = format!("127.0.0.1:{}", ringway.port);
        printed(
            Command::new("perl")
                .arg("/usr/share/memcached/scripts/memcached-tool")
                .args([&address, mode]),
        )
    };
    let has = |text: &str, name: &str, value: &str| {
        let mut lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(
            lines.any(|words| words == [name, value]),
            "no {name} {value} in {text}"
        );
    };
    ringway.client().set("a", "b");
    has(&tool("stats"), "cmd_set", "1");
    has(&tool("settings"), "item_size_max", "524288");
    has(&tool("sizes"), "sizes_status", "disabled");
    assert!(tool("display").trim_end().ends_with("OOM"), "{}", tool("display"));
}

#[test]
fn libmemcacheds_memcstat_reads_text_and_binary() {
    let (_node, ringway) = one();
    ringway.client().set("a", "b");
    for protocol in [&[][..], &["--binary"]] {
        let stat = |arguments: &[&str]| {
            let servers = format!("--servers=127.0.0.1:{}", ringway.port);
            printed(
                Command::new("memcstat")
                    .arg(servers)
                    .args(protocol)
                    .args(arguments),
            )
        };
        let stats = stat(&[]);
        assert!(stats.contains("cmd_set: 1"), "{protocol:?}: {stats}");
        let settings = stat(&["--args=settings"]);
        assert!(settings.contains("item_size_max"), "{protocol:?}: {settings}");
    }
}
