//! TLS to nodes: Debian's own memcached with `-Z` behind Ringway.

use std::fs;

use ringway::config;
use serde_json::Value;

use crate::support::certificates::{Authority, Pair};
use crate::support::diagnostics::diagnostics;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool, wait_for};

/// A memcached that shows `pair`, with these arguments more.
fn node(pair: &Pair, more: &[&str]) -> Memcached {
    let chain = format!("ssl_chain_cert={}", pair.cert.display());
    let key = format!("ssl_key={}", pair.key.display());
    Memcached::start_with(&[&["-Z", "-o", &chain, "-o", &key], more].concat())
}

fn tls(authority: &Authority, more: &str) -> String {
    format!("tls: {{ca: {}{more}}}", authority.ca().display())
}

fn named(node: &Memcached) -> String {
    format!("localhost:{}", node.port())
}

fn last_error(ringway: &Ringway) -> String {
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    nodes[0]["last_error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn plain_clients_reach_nodes_that_speak_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let pair = authority.pair("node", &["localhost"]);
    for versions in ["1.2 and 1.3", "1.3"] {
        let least = if versions == "1.3" {
            "ssl_min_version=3"
        } else {
            "ssl_min_version=2"
        };
        let nodes = [node(&pair, &["-o", least]), node(&pair, &["-o", least])];
        let yaml = pool(&nodes.each_ref().map(named), &[&tls(&authority, "")]);
        let ringway = Ringway::start(&yaml);
        let mut client = ringway.client();
        for n in 0..50 {
            client.set(&format!("k{n}"), n.to_string());
        }
        for n in 0..50 {
            assert_eq!(
                client.get(&format!("k{n}")),
                Some(n.to_string().into_bytes()),
                "{versions}"
            );
        }
        assert!(
            ringway.metric(
                "ringway_tls_handshakes_total",
                &["side=\"node\"", "result=\"full\""]
            ) >= 2.0
        );
        assert_eq!(
            ringway.metric("ringway_tls_handshakes_total", &["result=\"failed\""]),
            0.0
        );
        assert!(ringway.get("/config").1.contains("ca.crt"));
    }
}

#[test]
fn batches_and_large_values_never_wait_for_the_rest_of_a_record() {
    let authority = Authority::new();
    let node = node(&authority.pair("node", &["localhost"]), &["-I", "4m"]);
    let settings = [
        &*tls(&authority, ""),
        "max_value_size: 4MiB",
        "request_timeout: 10s",
    ];
    let ringway = Ringway::start(&pool(&[named(&node)], &settings));
    let mut client = ringway.client();
    let sizes = [
        10,
        1000,
        4000,
        16_384,
        16_000,
        20_000,
        33_000,
        3 << 20,
        1,
        700_000,
    ];
    for protocol in ["classic", "meta"] {
        let mut batch = Vec::new();
        for n in 0..300 {
            let size = sizes[n % sizes.len()].min(if n < 20 { usize::MAX } else { 40_000 });
            let value = vec![b'a' + (n % 26) as u8; size];
            let head = match protocol {
                "classic" => format!("set {protocol}{n} 0 0 {size}\r\n"),
                _ => format!("ms {protocol}{n} {size}\r\n"),
            };
            batch.extend([head.as_bytes(), &value, b"\r\n"].concat());
        }
        client.send(&batch);
        for n in 0..300 {
            let stored = if protocol == "classic" { "STORED" } else { "HD" };
            assert_eq!(client.line(), stored, "{protocol} {n}");
        }
        for n in 0..300 {
            let size = sizes[n % sizes.len()].min(if n < 20 { usize::MAX } else { 40_000 });
            let value = client.get(&format!("{protocol}{n}")).expect("stored");
            assert!(value == vec![b'a' + (n % 26) as u8; size], "{protocol} {n}");
        }
    }
    assert_eq!(
        ringway.metric("ringway_failures_total", &[]),
        0.0,
        "{}",
        ringway.get("/metrics").1
    );
}

#[test]
fn a_node_is_refused_for_its_certificate_and_the_reason_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nodes = [
        (node(&other.pair("foreign", &["localhost"]), &[]), "tls.ca"),
        (
            node(&authority.pair("named", &["cache.example.com"]), &[]),
            "tls.name",
        ),
        (
            node(&authority.expired("old", &["localhost"]), &[]),
            "it must be renewed",
        ),
        (Memcached::start(), "TLS: "),
    ];
    for (node, reason) in &nodes {
        let ringway = Ringway::start(&pool(&[named(node)], &[&tls(&authority, "")]));
        ringway.client().expects("get k\r\n", "END\r\n");
        wait_for(reason, || last_error(&ringway).contains(reason));
        assert!(ringway.metric("ringway_tls_handshakes_total", &["result=\"failed\""]) > 0.0);
        assert_eq!(
            ringway.metric("ringway_tls_handshakes_total", &["result=\"full\""]),
            0.0
        );
    }
    let [_, (named_otherwise, _), ..] = &nodes;
    let settings = tls(&authority, ", name: cache.example.com");
    let ringway = Ringway::start(&pool(&[named(named_otherwise)], &[&settings]));
    ringway.client().set("k", "v");
}

#[test]
fn a_client_certificate_is_shown_to_nodes_that_ask_for_one() {
    let authority = Authority::new();
    let pair = authority.pair("node", &["localhost"]);
    let ca = format!("ssl_ca_cert={}", authority.ca().display());
    let node = node(&pair, &["-o", "ssl_verify_mode=2", "-o", &ca]);
    let own = authority.pair("own", &["ringway"]);
    let identity = format!(", cert: {}, key: {}", own.cert.display(), own.key.display());
    let yaml = |more: &str| pool(&[named(&node)], &[&tls(&authority, more)]);
    let ringway = Ringway::start(&yaml(&identity));
    // Several links and probes, all of which show it.
    (0..3).for_each(|_| ringway.client().set("k", "v"));
    assert_eq!(
        ringway.metric("ringway_tls_handshakes_total", &["result=\"failed\""]),
        0.0
    );

    let without = Ringway::start(&yaml(""));
    without.client().expects("get k\r\n", "END\r\n");
    wait_for("the node to refuse", || {
        last_error(&without).contains("CertificateRequired")
    });
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new();
    let node = node(&authority.pair("node", &["localhost"]), &[]);
    let ringway = Ringway::start(&pool(&[named(&node)], &[&tls(&authority, "")]));
    // The probe has a connection already, and its ticket.
    ringway.client().set("k", "v");
    let resumed = || {
        ringway.metric(
            "ringway_tls_handshakes_total",
            &["side=\"node\"", "result=\"resumed\""],
        )
    };
    wait_for("a session that is resumed", || resumed() > 0.0);
}

#[test]
fn an_authority_that_changes_in_its_file_is_taken_without_a_word() {
    let (old, new) = (Authority::new(), Authority::new());
    let node = node(&new.pair("node", &["localhost"]), &[]);
    let ringway = Ringway::start(&pool(&[named(&node)], &[&tls(&old, "")]));
    wait_for("a refusal", || last_error(&ringway).contains("tls.ca"));

    fs::write(old.ca(), "garbage").expect("written");
    wait_for("a mistake", || {
        ringway.get("/readyz").1.contains("has no certificate")
    });
    ringway.wait_logged("configuration refused");
    assert_eq!(ringway.metric("ringway_config_last_reload_successful", &[]), 0.0);

    fs::copy(new.ca(), old.ca()).expect("copied");
    wait_for("the new authority", || {
        let mut client = ringway.client();
        client.send("set k 0 0 1\r\nv\r\n");
        client.line() == "STORED"
    });
    assert_eq!(ringway.get("/readyz"), (200, "ready\n".to_owned()));
}

#[test]
fn each_mistake_in_the_tls_of_a_pool_is_told_where_it_stands() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (one, two) = (authority.pair("one", &["a"]), other.pair("two", &["a"]));
    let folder = authority.folder().display();
    let [one_cert, one_key, two_key] = [&one.cert, &one.key, &two.key].map(|path| path.display());
    let ca = authority.ca();
    let ca = ca.display();
    let cases = [
        (
            "tls: maybe".to_owned(),
            "5:10: pools.main.tls: \"maybe\" is neither true nor false, write true".to_owned(),
        ),
        (
            format!("tls: {{ca: {folder}/none.crt}}"),
            format!("5:15: pools.main.tls.ca: cannot read \"{folder}/none.crt\": No such file"),
        ),
        (
            format!("tls: {{ca: {one_key}}}"),
            format!("5:15: pools.main.tls.ca: \"{one_key}\" has no certificate, it must be PEM"),
        ),
        (
            format!("tls: {{ca: {ca}, cert: {one_cert}}}"),
            "`cert` needs `key`, name the file".to_owned(),
        ),
        (
            format!("tls: {{ca: {ca}, cert: {one_cert}, key: {ca}}}"),
            format!("pools.main.tls.key: \"{ca}\" has no private key"),
        ),
        (
            format!("tls: {{ca: {ca}, cert: {one_cert}, key: {two_key}}}"),
            format!("\"{two_key}\" is not the key of \"{one_cert}\""),
        ),
        (
            format!("tls: {{ca: {ca}, name: \"a b\"}}"),
            "\"a b\" is not a host name, write the name".to_owned(),
        ),
        (
            format!("tls: {{ca: {ca}, crl: {ca}}}"),
            format!("pools.main.tls.crl: \"{ca}\" has no list of revoked certificates, it must be PEM"),
        ),
        (
            format!("tls: {{ca: {ca}, nmae: a}}"),
            "pools.main.tls.nmae: unknown key, did you mean \"name\"?".to_owned(),
        ),
    ];
    for (setting, expected) in cases {
        let told = diagnostics(&pool(&["a:1".to_owned()], &[&setting]));
        assert!(told.contains(&expected), "{setting}:\n{told}\n{expected}");
    }
    let told = diagnostics(&pool(&["unix:/s".to_owned()], &[&format!("tls: {{ca: {ca}}}")]));
    assert!(
        told.contains("the node unix:/s is reached over a unix socket, TLS is for TCP"),
        "{told}"
    );

    let crl = authority.revoke(&[]);
    let crl = crl.display();
    let exposed = format!("tls: {{ca: {ca}, crl: {crl}, cert: {one_cert}, key: {one_key}}}");
    let checked = config::check_bytes(pool(&["a:1".to_owned()], &[&exposed]).as_bytes(), "f").expect("good");
    assert!(
        checked.warnings[0].to_string().contains("every user may read"),
        "{:?}",
        checked.warnings
    );
    let shown = config::show(&checked.config).to_string();
    assert_eq!(config::parse(&shown, "shown").expect("good"), checked.config);
}

#[test]
fn the_examples_of_the_page_load() {
    let authority = Authority::new();
    authority.pair("tls", &["localhost"]);
    authority.revoke(&[]);
    fs::write(authority.folder().join("password"), "secret").expect("written");
    fs::write(authority.folder().join("users"), "user:password").expect("written");
    let page = include_str!("../../docs/tls.md");
    let blocks: Vec<&str> = page.split("```yaml tls\n").skip(1).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let (text, _) = block.split_once("```").expect("it ends");
        let text = text
            .replace("/etc/ringway/tls", &authority.folder().display().to_string())
            .replace(
                "/run/credentials/ringway.service",
                &authority.folder().display().to_string(),
            )
            .replace("tls: true", &tls(&authority, ""));
        assert_eq!(diagnostics(&text), "fine", "{text}");
    }
}

#[test]
fn an_explanation_says_how_the_node_is_reached_and_the_metric_knows_the_certificate_that_is_shown() {
    let authority = Authority::new();
    let own = authority.pair("own", &["ringway"]);
    fs::write(authority.folder().join("password"), "secret").expect("written");
    let (cert, key, ca) = (own.cert.display(), own.key.display(), authority.ca());
    let password = authority.folder().join("password");
    let settings = [
        format!("tls: {{ca: {}, cert: {cert}, key: {key}}}", ca.display()),
        format!("auth: {{user: shop, password: {{file: {}}}}}", password.display()),
    ];
    let ringway = Ringway::start(&pool(
        &["localhost:1".to_owned()],
        &settings.each_ref().map(|it| &**it),
    ));
    let address = format!("127.0.0.1:{}", ringway.admin);
    let output = program::output(&mut program::ringway(&[
        "explain", "--admin", &address, "--steps", "key",
    ]));
    let said = String::from_utf8(output.stdout).expect("text");
    let expected = format!(
        "  over TLS: certificate of localhost from {}, with a certificate of its own, as the user shop\n",
        ca.display()
    );
    assert!(said.contains(&expected), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let explained = ringway.get("/explain?key=key").1;
    assert!(explained.contains("\"step\":\"protection\""), "{explained}");
    let expiry = ringway.metric(
        "ringway_tls_certificate_expiry_timestamp_seconds",
        &["part=\"pool\"", "name=\"main\""],
    );
    assert!(expiry > 2e9, "{expiry}");
}
