//! Pools whose nodes are in DNS, asked of real name servers: dnsmasq and unbound.

use std::fs;

use tempfile::NamedTempFile;

use crate::discovery::{check_changes, discovering, keys, main_pool, nodes, places, places_in, wait_nodes};
use crate::handover::{end, phase};
use crate::support::client::Client;
use crate::support::dns::Dns;
use crate::support::hosts::start_under;
use crate::support::load::Load;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::scripted::{Act, Scripted};

pub const SERVICE: &str = "_memcache._tcp.cache.test";

/// Lines for a service with a target for each of these ports, and an address for each target.
pub fn service(ports: &[u16]) -> Vec<String> {
    service_at(&ports.iter().map(|&port| ("127.0.0.1", port)).collect::<Vec<_>>())
}

/// The same with the address of each target.
pub fn service_at(nodes: &[(&str, u16)]) -> Vec<String> {
    let lines = nodes.iter().enumerate().flat_map(|(index, (ip, port))| {
        [
            format!("srv-host={SERVICE},cache-{index}.cache.test,{port}"),
            format!("host-record=cache-{index}.cache.test,{ip}"),
        ]
    });
    lines.collect()
}

/// The names of the nodes of [`service`].
pub fn names(ports: &[u16]) -> Vec<String> {
    let names = ports.iter().enumerate();
    names
        .map(|(index, port)| format!("cache-{index}.cache.test:{port}"))
        .collect()
}

/// A configuration of a pool whose nodes `dns` knows.
pub fn asking(dns: &Dns, from: &str, more: &str) -> String {
    discovering(from, &format!("resolver: \"{}\", {more}", dns.address()))
}

pub fn error(ringway: &Ringway) -> String {
    main_pool(ringway)["discover"]["last_error"].to_string()
}

#[test]
fn a_service_grows_and_shrinks_and_no_failing_answer_takes_a_node() {
    let mut memcached: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let ports: Vec<u16> = memcached.iter().map(Memcached::port).collect();
    let all = names(&ports);
    let mut dns = Dns::start(&service(&ports[..3]));
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrvnoa+{SERVICE}"), ""));
    wait_nodes(&ringway, &all[..3]);
    assert_eq!(places_in(&ringway, &keys()), places(&all[..3], &keys()));
    let places = places(&all, &keys()).into_iter();
    let kept = keys()
        .into_iter()
        .zip(places)
        .filter(|(_, node)| all[..3].contains(node));
    let load = Load::start(ringway.port, kept.map(|(key, _)| key).collect());
    dns.set(&service(&ports));
    wait_nodes(&ringway, &all);
    check_changes(&ringway, &all[..3]);
    load.go_on();
    dns.set(&[]);
    wait_for("NXDOMAIN", || error(&ringway).contains("NXDOMAIN"));
    load.go_on();
    dns.stop();
    wait_for("nobody answers", || error(&ringway).contains("cannot be reached"));
    load.go_on();
    assert_eq!(nodes(&ringway).len(), 5);
    assert!(ringway.metric("ringway_discovery_answers_total", &["result=\"failed\""]) >= 2.0);
    memcached.truncate(3);
    dns.set(&service(&ports[..3]));
    wait_nodes(&ringway, &all[..3]);
    load.go_on();
    load.end();
}

#[test]
fn a_service_that_grows_and_shrinks_hands_its_keys_over() {
    let memcached: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let ports: Vec<u16> = memcached.iter().map(Memcached::port).collect();
    let all = names(&ports);
    let mut dns = Dns::start(&service(&ports[..4]));
    let text = asking(&dns, &format!("dnssrvnoa+{SERVICE}"), "");
    let ringway = Ringway::start(&format!("{text}    handover: {{prepare: 0s, serve: 1h}}\n"));
    wait_nodes(&ringway, &all[..4]);
    let mut client = ringway.client();
    keys().iter().for_each(|key| client.set(key, key));
    // A node that is no longer listed still runs when it leaves.
    for nodes in [5, 4] {
        dns.set(&service(&ports[..nodes]));
        wait_nodes(&ringway, &all[..nodes]);
        wait_for("requests from before", || {
            phase(&ringway).as_deref() == Some("serve")
        });
        for key in keys() {
            assert_eq!(client.get(&key).as_deref(), Some(key.as_bytes()), "{nodes} nodes");
        }
        let read_old = || main_pool(&ringway)["handover"]["read_old"].clone();
        assert!(read_old().as_u64() > Some(0));
        // A copy that did not come in time is made by the next read.
        wait_for("copies", || {
            let before = read_old();
            keys().iter().for_each(|key| drop(client.get(key)));
            read_old() == before
        });
        end(&ringway);
    }
}

#[test]
fn every_address_of_a_name_is_a_node_behind_aliases_too() {
    let memcached = Memcached::start_everywhere();
    let port = memcached.port();
    let mut dns = Dns::start(&[
        "host-record=cache.test,127.0.0.1,::1".to_owned(),
        "host-record=cache.test,127.0.0.2".to_owned(),
        "cname=alias.test,cache.test".to_owned(),
        "cname=first.test,alias.test".to_owned(),
    ]);
    let ringway = Ringway::start(&asking(
        &dns,
        &format!("dns+first.test:{port}"),
        "max_moved: 100%",
    ));
    let node = |ip: &str| format!("{ip}:{port}");
    wait_nodes(&ringway, &[node("127.0.0.1"), node("127.0.0.2"), node("[::1]")]);
    dns.set(&["host-record=first.test,127.0.0.3".to_owned()]);
    // The one of IPv6 is missing and down; those that answer stay.
    wait_nodes(
        &ringway,
        &[node("127.0.0.1"), node("127.0.0.2"), node("127.0.0.3")],
    );
}

#[test]
fn a_name_that_leads_elsewhere_moves_no_key() {
    for from in ["dnssrvnoa", "dnssrv"] {
        let one = Memcached::start();
        let other = one.start_beside("127.0.0.2");
        let records = |ip: &str| {
            vec![
                format!("srv-host={SERVICE},cache-0.cache.test,{}", one.port()),
                format!("host-record=cache-0.cache.test,{ip}"),
            ]
        };
        let mut dns = Dns::start(&records("127.0.0.1"));
        let ringway = Ringway::start(&asking(&dns, &format!("{from}+{SERVICE}"), "max_moved: 0%"));
        let before = places_in(&ringway, &keys());
        let mut client = ringway.client();
        dns.set(&records("127.0.0.2"));
        wait_for("requests reach the new address", || {
            client.set("key", from);
            let mut there = Client::connect_to(("127.0.0.2", other.port()));
            there.get("key").as_deref() == Some(from.as_bytes())
        });
        assert_eq!(places_in(&ringway, &keys()), before);
    }
}

#[test]
fn three_hundred_targets_come_over_tcp_in_their_natural_order() {
    let memcached = Memcached::start_everywhere();
    let ports = vec![memcached.port(); 300];
    let dns = Dns::start(&service(&ports));
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrv+{SERVICE}"), ""));
    assert_eq!(nodes(&ringway), names(&ports));
    let load = Load::start(ringway.port, keys());
    load.go_on();
    load.end();
}

#[test]
fn a_port_that_is_given_counts_and_an_exporter_in_the_answer_is_no_node() {
    let memcached = Memcached::start();
    let exporter = Scripted::start("", |_| {
        let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        vec![Act::Say(refusal.to_vec()), Act::Close]
    });
    let records = [
        format!("srv-host={SERVICE},cache-0.cache.test,{}", memcached.port()),
        format!("srv-host={SERVICE},cache-0.cache.test,{}", exporter.port),
        "host-record=cache-0.cache.test,127.0.0.1".to_owned(),
        // No node: it has no address.
        format!("srv-host={SERVICE},gone.cache.test,{}", memcached.port()),
    ];
    let dns = Dns::start(&records);
    let port = memcached.port();
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrv+{SERVICE}"), ""));
    assert_eq!(nodes(&ringway), [format!("cache-0.cache.test:{port}")]);
    let joining = main_pool(&ringway)["discover"]["joining"].clone();
    assert_eq!(
        joining,
        serde_json::json!([format!("cache-0.cache.test:{}", exporter.port)])
    );
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrv+{SERVICE}:{port}"), ""));
    assert_eq!(nodes(&ringway), [format!("cache-0.cache.test:{port}")]);
    assert_eq!(main_pool(&ringway)["discover"]["joining"], serde_json::json!([]));
}

#[test]
fn a_server_that_fails_or_is_silent_keeps_it_unready_and_says_so() {
    let dns = Dns::start_unbound(&[
        "local-zone: \"refused.test.\" always_refuse",
        "local-zone: \"silent.test.\" always_deny",
        "local-zone: \"static.test.\" static",
        "local-data: \"alias.static.test. CNAME away.test.\"",
        "local-zone: \"away.test.\" static",
        "local-data: \"away.test. A 127.0.0.1\"",
        // Nobody listens there.
        "forward-zone:\n name: \"broken.lan.\"\n forward-addr: 127.0.0.1@9",
    ]);
    let cases = [
        ("dns+refused.test:11211", "the name server answers REFUSED"),
        ("dns+broken.lan:11211", "the name server answers SERVFAIL"),
        ("dns+silent.test:11211", "no name server answered in time"),
        ("dns+nowhere.static.test:11211", "no such name (NXDOMAIN)"),
        ("dnssrv+away.test", "the name has no such records"),
    ];
    let started = cases.map(|(from, reason)| {
        let ringway = Ringway::start_unready(&asking(&dns, from, ""));
        (ringway, reason)
    });
    for (ringway, reason) in started {
        wait_for(reason, || {
            let (status, body) = ringway.get("/readyz");
            status == 503 && body.contains(reason)
        });
    }
    let memcached = Memcached::start();
    let from = format!("dns+alias.static.test:{}", memcached.port());
    let ringway = Ringway::start(&asking(&dns, &from, ""));
    assert_eq!(
        nodes(&ringway),
        [memcached.address()],
        "an alias that the server does not follow"
    );
}

#[test]
fn a_short_name_is_searched_in_the_domains_of_resolv_conf_which_is_read_again_when_it_changes() {
    let memcached = Memcached::start();
    let dns = Dns::start(&service(&[memcached.port()]));
    let file = NamedTempFile::new().expect("a file");
    // Written in place: another file would not be seen through the mount.
    let search = |domains: &str| {
        let text = format!("search {domains}\noptions ndots:5 timeout:1 attempts:1\nnameserver 127.0.0.1\n");
        fs::write(file.path(), text).expect("written");
    };
    search("nothing.test cache.test");
    let yaml = asking(&dns, "dnssrvnoa+_memcache._tcp", "");
    let ringway = start_under(file.path(), "/etc/resolv.conf", &yaml);
    assert_eq!(nodes(&ringway), names(&[memcached.port()]));
    search("nothing.test");
    wait_for("the name is not found any more", || error(&ringway) != "null");
    search("cache.test");
    wait_for("it is found again", || error(&ringway) == "null");
}

#[test]
fn a_restart_while_dns_is_down_begins_with_the_last_list_if_there_is_a_state_dir() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let ports: Vec<u16> = memcached.iter().map(Memcached::port).collect();
    let mut dns = Dns::start(&service(&ports));
    let state = tempfile::tempdir().expect("a directory");
    let pools = asking(&dns, &format!("dnssrvnoa+{SERVICE}"), "");
    let yaml = format!("state_dir: {}\n{pools}", state.path().display());
    let ringway = Ringway::start(&yaml);
    wait_nodes(&ringway, &names(&ports));
    let file = state.path().join("discovered.json");
    wait_for("the file", || file.exists());
    drop(ringway);
    dns.stop();
    let ringway = Ringway::start(&yaml);
    assert_eq!(nodes(&ringway), names(&ports));
    ringway.wait_logged("begins with the nodes that the last run discovered");
    wait_for("the reason", || error(&ringway).contains("cannot be reached"));
    assert_eq!(ringway.get("/readyz").0, 200);
    drop(ringway);
    fs::write(&file, "{").expect("written");
    let ringway = Ringway::start_unready(&yaml);
    ringway.wait_logged("what was discovered cannot be read");
    assert_eq!(ringway.get("/readyz").0, 503);
}

#[test]
fn check_live_tells_what_the_name_servers_of_resolv_conf_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let dead = "nameserver 127.0.0.2\nnameserver 127.0.0.1\nsearch cache.test\noptions ndots:5 timeout:1\n";
    let resolv = write("resolv.conf", dead);
    let mut lines = service(&[11211, 11212]);
    lines.push(
        "port=53\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nlocal=/test/".to_owned(),
    );
    let server = write("dnsmasq.conf", &lines.join("\n"));
    let yaml = write(
        "ringway.yaml",
        "pools: {main: {discover: {from: dnssrv+_memcache._tcp, min_nodes: 2}}}",
    );
    // A network of its own, whose port 53 is free. The second server of the file is the one that is there.
    let script = format!(
        "set -e; PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; mount --bind {resolv} /etc/resolv.conf; \
         dnsmasq --no-daemon --log-facility=/dev/null --pid-file= --conf-file={server} & trap \"kill $!\" EXIT; \
         until (exec 3<>/dev/tcp/127.0.0.1/53) 2>/dev/null; do sleep 0.1; done; \"$0\" check --live {yaml}"
    );
    let output = program::output(
        std::process::Command::new("unshare")
            .args([
                "--map-root-user",
                "--net",
                "--mount",
                "timeout",
                "60",
                "bash",
                "-c",
                &script,
            ])
            .arg(env!("CARGO_BIN_EXE_ringway")),
    );
    let (code, out, err) = program::said(&output);
    let from = "main: 2 nodes, 2 of them from dnssrv+_memcache._tcp\n";
    let node = |number: u16| {
        format!(
            "  cache-{}.cache.test:{}: cannot be used: Connection refused (os error 111)\n",
            number,
            11211 + number
        )
    };
    let named = format!("{from}{}{}", node(0), node(1));
    assert!(code == Some(1) && out.ends_with(&named), "{out}{err}");
}
