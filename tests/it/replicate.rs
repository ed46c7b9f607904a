//! `replicate` on the wire: what clients of each protocol read, and what each replica sees.

use crate::support::binary::packet;
use crate::support::diagnostics::diagnostics;
use crate::support::echo_node::echo_node;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, free_port, wait_for};
use crate::support::routes::{event_count, with_route};
use crate::support::scripted::{Act, Scripted};

#[test]
fn every_replica_gets_what_clients_of_every_protocol_write_and_one_is_read() {
    let nodes = [echo_node("one"), echo_node("two")];
    let addresses: Vec<String> = nodes.iter().map(Scripted::address).collect();
    let ringway = Ringway::start(&with_route(&addresses, "{replicate: [a, b]}"));
    let mut client = ringway.client();
    client.expects(
        "set k 1 60 1\r\nv\r\nget k l\r\n",
        "STORED\r\nVALUE k 0 3\r\none\r\nVALUE l 0 3\r\none\r\nEND\r\n",
    );
    client.expects("add k 1 60 1 noreply\r\nv\r\nms k 1 ME T60\r\nv\r\n", "HD\r\n");
    client.expects("delete k\r\nmd k q\r\nmn\r\n", "DELETED\r\nMN\r\n");
    let mut other = ringway.client();
    other.send(packet(0x01, &[0; 8], "k", b"v"));
    assert_eq!(other.exact(24)[7], 0, "stored");
    other.send(packet(0x00, &[], "k", b""));
    assert_eq!(&other.exact(24 + 4 + 3)[28..], b"one");
    let seen = nodes.each_ref().map(Scripted::lines);
    let written = |seen: &[String]| -> Vec<String> {
        let writes = |line: &&String| !line.starts_with("mg ");
        seen.iter().filter(writes).cloned().collect()
    };
    let adds = [
        ["ms k 1 k ME F1 T60", "ms k 1 ME T60 k"],
        ["ms k 1 k F1 T60", "ms k 1 T60 k"],
    ];
    for (seen, adds) in seen.iter().zip(adds) {
        let rest = ["md k k", "md k k", "ms k 1 c F0 T0 k"];
        assert_eq!(written(seen), [&["ms k 1 k F1 T60"][..], &adds, &rest].concat());
    }
    assert_eq!(written(&seen[1]), seen[1], "only the first is read");
}

#[test]
fn a_write_is_done_when_the_mode_says_so_and_reaches_the_slow_replica_all_the_same() {
    let quick = echo_node("quick");
    let slow = Scripted::start("1.6.18", |seen| {
        vec![
            Act::Await("gate"),
            Act::Say(format!("HD k{}\r\n", seen.word(1)).into_bytes()),
        ]
    });
    let nodes = [quick.address(), slow.address()];
    for (write, count) in [("first", 1), ("async", 2)] {
        let route = format!("{{replicate: {{to: [a, b], write: {write}}}}}");
        let ringway = Ringway::start(&with_route(&nodes, &route));
        ringway.client().expects("set k 0 0 1\r\nv\r\n", "STORED\r\n");
        slow.wait_seen(count);
    }
    let ringway = Ringway::start(&with_route(&nodes, "{replicate: [a, b]}"));
    let mut client = ringway.client();
    client.send("set k 0 0 1\r\nv\r\n");
    slow.wait_seen(3);
    slow.open("gate");
    client.expect("STORED\r\n");
}

#[test]
fn a_value_is_read_while_one_of_its_replicas_is_away() {
    let (gone, stays) = (Memcached::start(), Memcached::start());
    let nodes = [gone.address(), stays.address()];
    let ringway = Ringway::start(&with_route(&nodes, "{replicate: {to: [a, b], write: majority}}"));
    let mut client = ringway.client();
    client.set("k", "v");
    client.set("l", "w");
    drop(gone);
    client.expects("get k l\r\n", "VALUE k 0 1\r\nv\r\nVALUE l 0 1\r\nw\r\nEND\r\n");
    let answer = client.ask("set k 0 0 1\r\nx\r\n");
    assert_eq!(answer, "NOT_STORED", "one of two is no majority");
    assert_eq!(client.ask("delete k\r\n"), "NOT_FOUND", "nor for a delete");
    assert!(event_count(&ringway, "failover") >= 2.0);
}

#[test]
fn what_a_cas_changed_is_the_same_in_all_replicas() {
    let replicas = [Memcached::start(), Memcached::start()];
    let nodes = replicas.each_ref().map(Memcached::address);
    let route = "{replicate: {to: [a, b], read: fastest}}";
    let ringway = Ringway::start(&with_route(&nodes, route));
    let mut client = ringway.client();
    // The cas ids of the two differ.
    replicas[1].client().set("other", "x");
    client.set("k", "v");
    let gets = client.ask("gets k\r\n");
    let id = gets.rsplit(' ').next().expect("a cas id").to_owned();
    client.expect("v\r\nEND\r\n");
    assert_eq!(client.ask(format!("cas k 0 0 1 {id}\r\nw\r\n")), "STORED");
    assert_eq!(client.ask(format!("cas k 0 0 1 {id}\r\nx\r\n")), "EXISTS");
    for replica in &replicas {
        assert_eq!(replica.client().get("k").as_deref(), Some(&b"w"[..]));
    }
    client.expects(
        "incr n 1\r\nadd n 0 0 1\r\n1\r\nincr n 4\r\nget n\r\n",
        "NOT_FOUND\r\nSTORED\r\n5\r\nVALUE n 0 1\r\n5\r\nEND\r\n",
    );
    client.expects("delete k\r\n", "DELETED\r\n");
    for replica in &replicas {
        assert_eq!(replica.client().get("k"), None);
        assert_eq!(replica.client().get("n").as_deref(), Some(&b"5"[..]));
    }
}

#[test]
fn reads_prefer_the_zone_that_the_environment_names() {
    let nodes = [echo_node("east"), echo_node("west")];
    let [east, west] = nodes.each_ref().map(Scripted::address);
    let text = format!(
        "zone: $POD_ZONE\npools:\n  a: {{nodes: [\"{east}\"], zone: east}}\n  b: {{nodes: [\"{west}\"], zone: west}}\n\
         routes:\n  default: {{replicate: {{to: [a, b], read: local}}}}\n"
    );
    for zone in ["east", "west"] {
        let ringway = Ringway::start_by(&format!("POD_ZONE={zone} exec \"$@\""), &text);
        ringway
            .client()
            .expects("get k\r\n", format!("VALUE k 0 4\r\n{zone}\r\nEND\r\n"));
    }
}

#[test]
fn a_zone_that_nobody_knows_is_told_where_it_is_needed() {
    let check = |zone: &str, read: &str| {
        let text = format!(
            "{zone}\npools: {{a: {{nodes: [a:1]}}, b: {{nodes: [b:1]}}}}\nroutes:\n  r: {{replicate: {{to: [a, b], {read}}}}}\n"
        );
        diagnostics(&text).replace("r.yaml:", "")
    };
    assert_eq!(check("", "read: hedged, budget: 5%"), "fine");
    assert_eq!(check("zone: east", "read: local"), "fine");
    assert_eq!(
        check("", "read: local"),
        "4:37: routes.r.replicate.read: the zone of this process is unknown, add `zone:` at the top of \
         the file, with a name, or with $VARIABLE of the environment"
    );
    assert_eq!(
        check("zone: $NOBODY_SET_THIS", "read: first"),
        "1:7: zone: the environment has no \"NOBODY_SET_THIS\", set it to the zone this process runs in, or write \
         the zone here"
    );
    assert_eq!(
        check("", "read: fastest, budget: 5%"),
        "4:46: routes.r.replicate.budget: only hedged reads have a budget, add `read: hedged`, or take the budget out"
    );
}

#[test]
fn a_hedged_read_does_not_wait_for_a_replica_that_is_silent() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let other = echo_node("other");
    let nodes = [silent.address(), other.address()];
    let route = "{replicate: {to: [a, b], read: hedged, budget: 50%}}";
    let ringway = Ringway::start(&with_route(&nodes, route).replace("400ms", "60s"));
    let mut client = ringway.client();
    client.expects(
        "get k l\r\n",
        "VALUE k 0 5\r\nother\r\nVALUE l 0 5\r\nother\r\nEND\r\n",
    );
    assert_eq!(event_count(&ringway, "hedged"), 2.0);
}

#[test]
fn replicas_may_be_routes_themselves() {
    let (port, cache) = (free_port(), Memcached::start());
    let nodes = [format!("127.0.0.1:{port}"), cache.address(), cache.address()];
    let text = with_route(
        &nodes,
        "{replicate: [{failover: [a, b]}, {key: {to: c, add_prefix: \"copy:\"}}]}",
    );
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    wait_for("the value", || client.ask("set k 0 0 1\r\nv\r\n") == "STORED");
    assert_eq!(cache.client().get("k").as_deref(), Some(&b"v"[..]));
    assert_eq!(cache.client().get("copy:k").as_deref(), Some(&b"v"[..]));
}
