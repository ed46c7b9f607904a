//! Shared by the tests of this folder: states made from a line of YAML, and waiting with a deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config};
use crate::snapshot::Snapshot;
use crate::state::State;

/// The configuration that `yaml` says.
pub fn config(yaml: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringway.yaml");
    std::fs::write(&path, yaml).unwrap();
    config::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// The state of a process that runs the configuration that `yaml` says.
pub fn state(yaml: &str) -> Arc<State> {
    Arc::new(State::new(Snapshot::build(config(yaml), None)))
}

/// Waits until `claim` holds, at most ten seconds.
pub async fn eventually(what: &str, claim: impl Fn() -> bool) {
    for _ in 0..1000 {
        if claim() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
