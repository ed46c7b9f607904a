//! The machine's clock is set while Ringway runs, as NTP, an operator or a resumed virtual machine does. Debian's
//! libfaketime stands in for that: it moves the wall clock of one process and leaves its monotonic clock alone.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};

const HOUR: i64 = 3600;
const EMBEDDED: &str = "pools:\n  main:\n    nodes: [{embedded: 8MiB, name: a}]\n";

/// A Ringway whose wall clock can be set.
struct Machine {
    ringway: Ringway,
    offset: PathBuf,
    _dir: TempDir,
}

impl Machine {
    fn start(yaml: &str) -> Machine {
        let dir = tempfile::tempdir().expect("a directory");
        let offset = dir.path().join("offset");
        fs::write(&offset, "+0").expect("written");
        let shell = format!(
            "export FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n\
             export LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1)\n\
             test -e \"$LD_PRELOAD\" || {{ echo 'libfaketime is missing: tests/run installs it' >&2; exit 1; }}\n\
             exec \"$@\"",
            offset.display()
        );
        Machine {
            ringway: Ringway::start_by(&shell, yaml),
            offset,
            _dir: dir,
        }
    }

    /// Sets the wall clock `seconds` ahead of the real one, or back, and waits until Ringway sees it.
    fn set_clock(&self, seconds: i64) {
        fs::write(&self.offset, format!("{seconds:+}")).expect("written");
        let expected = now() + seconds;
        wait_for("the wall clock to be set", || {
            (self.stat_time() - expected).abs() < HOUR / 2
        });
    }

    /// The Unix time that Ringway says it is.
    fn stat_time(&self) -> i64 {
        let mut client = self.ringway.client();
        client.send("stats\r\n");
        let stats = client.read_to("END");
        let time = stats.lines().find_map(|line| line.strip_prefix("STAT time "));
        time.expect("a time").parse().expect("a number")
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_secs() as i64
}

#[test]
fn an_item_of_an_embedded_node_ends_in_its_time_though_the_clock_is_set_back() {
    let machine = Machine::start(EMBEDDED);
    let mut client = machine.ringway.client();
    client.expects("set text 0 2 1\r\nv\r\n", "STORED\r\n");
    client.expects("ms meta 1 T2\r\nv\r\n", "HD\r\n");
    client.expects(
        "set touched 0 0 1\r\nv\r\ntouch touched 2\r\n",
        "STORED\r\nTOUCHED\r\n",
    );
    machine.set_clock(-2 * HOUR);
    for key in ["text", "meta", "touched"] {
        wait_for("the item to end", || client.get(key).is_none());
    }
    client.expects("set later 0 2 1\r\nv\r\n", "STORED\r\n");
    wait_for("an item stored afterwards to end", || {
        client.get("later").is_none()
    });
}

#[test]
fn the_items_of_an_embedded_node_stay_though_the_clock_is_set_forward() {
    let machine = Machine::start(EMBEDDED);
    let mut client = machine.ringway.client();
    client.expects("set text 0 3600 1\r\nv\r\n", "STORED\r\n");
    client.expects("flush_all 3600\r\n", "OK\r\n");
    client.expects("mg text t\r\n", "HD t3600\r\n");
    machine.set_clock(48 * HOUR);
    assert_eq!(client.get("text").as_deref(), Some(&b"v"[..]));
}

#[test]
fn an_expiry_that_is_a_unix_time_is_compared_with_the_clock_as_it_is_now() {
    let machine = Machine::start(EMBEDDED);
    let mut client = machine.ringway.client();
    machine.set_clock(48 * HOUR);
    let soon = now() + 48 * HOUR + 1000;
    client.expects(format!("set past 0 {} 1\r\nv\r\n", now() + HOUR), "STORED\r\n");
    client.expects(format!("set soon 0 {soon} 1\r\nv\r\n"), "STORED\r\n");
    client.expects(format!("ms meta 1 T{soon}\r\nv\r\n"), "HD\r\n");
    assert_eq!(client.get("past"), None);
    for key in ["soon", "meta"] {
        let left = client.ask(format!("mg {key} t\r\n"));
        let left: i64 = left
            .strip_prefix("HD t")
            .expect("a hit")
            .parse()
            .expect("seconds");
        assert!((900..=1001).contains(&left), "{key}: {left}");
    }
}

#[test]
fn a_near_copy_ends_in_its_time_though_the_clock_is_set_back() {
    let memcached = Memcached::start();
    let yaml = format!(
        "listeners: [{{bind: '127.0.0.1:PORT', route: {{layers: {{near: near, far: far, near_expiry: 2s}}}}}}]\n\
         pools:\n  near:\n    nodes: [{{embedded: 8MiB, name: a}}]\n  far:\n    nodes: ['{}']\n",
        memcached.address()
    );
    let machine = Machine::start(&yaml);
    let mut client = machine.ringway.client();
    client.expects("set k 0 0 3\r\nold\r\n", "STORED\r\n");
    wait_for("a copy", || {
        assert!(client.get("k").is_some());
        machine.ringway.metric("ringway_route_events_total", &["filled"]) > 0.0
    });
    machine.set_clock(-2 * HOUR);
    let mut direct = memcached.client();
    direct.expects("set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    wait_for("what others wrote", || client.get("k").as_deref() == Some(b"new"));
}
