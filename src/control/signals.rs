//! SIGHUP asks for a reload. The signals that end the process stand in `shutdown`.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::reload::Reloader;

/// Spawns a task that reloads at each SIGHUP. From this call on SIGHUP no longer ends the process.
pub fn reload_on_hangup(reloader: Arc<Reloader>) -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            info!(signal = "SIGHUP", "reload asked for");
            // The outcome is logged and kept by the reloader; a signal has nobody to tell.
            let _ = reloader.reload().await;
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, eventually};

    #[tokio::test]
    async fn sighup_reloads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1']}}");
        std::fs::write(&path, "pools: {main: {nodes: ['127.0.0.1:2']}}").unwrap();
        reload_on_hangup(Arc::new(Reloader::new(Some(path), state.clone()))).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        eventually("the file is taken", || {
            state.snapshot.load().nodes[0].label == "127.0.0.1:2"
        })
        .await;
    }
}
