//! Shared by the tests of this folder: states built from a line of YAML, and waiting with a deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config};
use crate::snapshot::Snapshot;
use crate::state::State;

/// Returns the configuration in `yaml`.
pub fn config(yaml: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringway.yaml");
    std::fs::write(&path, yaml).unwrap();
    config::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the state of a process that runs the configuration in `yaml`.
pub fn state(yaml: &str) -> Arc<State> {
    Arc::new(State::new(Snapshot::build(config(yaml), None)))
}

/// Waits until `claim` is true, at most ten seconds.
pub async fn eventually(what: &str, claim: impl Fn() -> bool) {
    for _ in 0..1000 {
        if claim() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
