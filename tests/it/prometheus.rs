//! A real Prometheus scrapes a running Ringway, and answers what its alerts ask.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, free_port, http, pool, wait_for};

/// A running Prometheus; killed when it is dropped.
struct Prometheus {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(target: u16) -> Prometheus {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n  - job_name: ringway\n    static_configs:\n      - targets: ['127.0.0.1:{target}']\n"
        );
        fs::write(&config, text).expect("written");
        let port = free_port();
        let child = program::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    directory.path().join("data").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        Prometheus {
            child,
            port,
            _directory: directory,
        }
    }

    /// The value of the first sample that `query` finds.
    fn ask(&self, query: &str) -> Option<f64> {
        let (status, body) = http(self.port, "GET", &format!("/api/v1/query?query={query}"))?;
        assert!(status == 200 || status == 503, "{status} {body}");
        let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_what_was_counted() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = ringway.client();
    for _ in 0..3 {
        client.set("k", "v");
    }
    let prometheus = Prometheus::scraping(ringway.admin);
    wait_for("the first scrape", || prometheus.ask("up") == Some(1.0));
    for (query, value) in [
        ("sum(ringway_requests_total%7Bcommand=%22set%22%7D)", 3.0),
        ("ringway_node_up", 1.0),
        ("ringway_config_last_reload_successful", 1.0),
        ("count(ringway_build_info)", 1.0),
        (
            "sum(ringway_request_duration_seconds_count%7Bclass=%22write%22%7D)",
            3.0,
        ),
    ] {
        assert_eq!(prometheus.ask(query), Some(value), "{query}");
    }
}
