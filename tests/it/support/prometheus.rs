//! A real Prometheus that scrapes every second, on a free port.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::program;
use super::ringway::{free_port, http};

/// A running Prometheus; killed when it is dropped.
pub struct Prometheus {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes a Ringway's admin port; `more` are lines of its configuration.
    pub fn scraping(target: u16, more: &str) -> Prometheus {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n{more}\
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
    pub fn ask(&self, query: &str) -> Option<f64> {
        self.samples(query).first().copied()
    }

    /// The values that `query` finds; none while Prometheus is not ready yet.
    pub fn samples(&self, query: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", escaped(query));
        let Some((status, body)) = http(self.port, "GET", &path) else {
            return Vec::new();
        };
        assert!(status == 200 || status == 503, "{query}: {status} {body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let samples = answer["data"]["result"].as_array().into_iter().flatten();
        let value = |sample: &serde_json::Value| sample["value"][1].as_str()?.parse().ok();
        samples.filter_map(value).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

/// `text` as it stands in a URI: each byte that is neither a letter nor a digit as `%XX`.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
