//! Handles signals on a thread of its own: whatever else blocks, a second SIGTERM or SIGINT ends the
//! process at once.
//!
//! ```text
//!  main ──▶ catch ─────────────────▶ start ──▶ thread `signals`
//!           SIGHUP, SIGUSR1, SIGUSR2           SIGHUP ────────────────────▶ reload, on the control thread
//!           no longer end the process          SIGUSR2 ───────────────────▶ another process takes over
//!                                              SIGTERM, SIGINT ── first ──▶ shutdown, on the control thread
//!                                                              ── second ─▶ the process ends
//! ```
//!
//! A SIGHUP that arrives before the file is read becomes a reload once the process serves. SIGUSR1,
//! which recipes for logrotate send to other programs, does nothing: the log goes to stderr, and there is
//! nothing to reopen. SIGUSR2 does nothing without `takeover`. Until [`Signals::start`] the signals that end a process end this one,
//! because it has no clients yet.

use std::io;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::log;
use super::reload::Reloader;
use super::systemd;

/// The maximum time for the last log line: stderr may be blocked.
const LAST_LINE: Duration = Duration::from_millis(100);

/// The signals that are caught before anything else is done.
#[derive(Debug)]
pub struct Signals {
    /// Used by the thread alone, so that no other task delays it.
    runtime: Runtime,
    hangup: Signal,
    user2: Signal,
}

/// What signals request of the process.
#[derive(Debug)]
pub struct Orders {
    /// The name of the first signal that asked it to stop.
    pub stop: oneshot::Receiver<&'static str>,
    /// Notified by a SIGHUP to reload; several before the reload begins count as one.
    pub reload: Arc<Notify>,
    /// Notified by a SIGUSR2 to start a process that takes over.
    pub succeed: Arc<Notify>,
}

impl Signals {
    /// Catches SIGHUP, SIGUSR1, SIGUSR2 and SIGXFSZ; from this call on they do not end the process.
    ///
    /// # Errors
    /// The system refuses a handler or an event loop.
    pub fn catch() -> io::Result<Signals> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let hangup = signal(SignalKind::hangup())?;
        let user2 = signal(SignalKind::user_defined2())?;
        // The handler outlives the stream that is dropped here.
        drop(signal(SignalKind::user_defined1())?);
        // Makes exceeding a file size limit an error for the writer, like a full disk.
        drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
        drop(entered);
        Ok(Signals {
            runtime,
            hangup,
            user2,
        })
    }

    /// Catches SIGTERM and SIGINT too, and starts the thread.
    ///
    /// # Errors
    /// The system refuses a handler or a thread.
    pub fn start(self) -> io::Result<Orders> {
        let Signals {
            runtime,
            mut hangup,
            mut user2,
        } = self;
        let mut ends = {
            let _entered = runtime.enter();
            Ends {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            }
        };
        let (told, stop) = oneshot::channel();
        let reload = Arc::new(Notify::new());
        let hung_up = reload.clone();
        let succeed = Arc::new(Notify::new());
        let told_to_succeed = succeed.clone();
        let take = async move {
            let mut told = Some(told);
            loop {
                tokio::select! {
                    _ = hangup.recv() => hung_up.notify_one(),
                    _ = user2.recv() => told_to_succeed.notify_one(),
                    signal = ends.next() => match told.take() {
                        // Fails if the process is already ending.
                        Some(told) => drop(told.send(signal)),
                        None => end_at_once(signal),
                    },
                }
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(take))?;
        Ok(Orders {
            stop,
            reload,
            succeed,
        })
    }
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Waits for the next one and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ends the process, and logs it if the log accepts a line.
fn end_at_once(signal: &'static str) -> ! {
    warn!(
        signal,
        "told to stop a second time: ending at once, what is owed is cut"
    );
    log::finish(LAST_LINE);
    process::exit(0);
}

/// Spawns a task that reloads whenever `asked` is notified.
pub fn reload_on_hangup(asked: Arc<Notify>, reloader: Arc<Reloader>) {
    tokio::spawn(async move {
        loop {
            asked.notified().await;
            info!(signal = "SIGHUP", "reload asked for");
            systemd::reloading();
            // The reloader logs and keeps the outcome; a signal has only systemd to report to.
            let refusal = reloader.reload().await.err().map(|error| error.to_string());
            systemd::reloaded(refusal.as_deref());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, eventually};

    #[tokio::test]
    async fn a_hangup_that_came_early_reloads_once_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1']}}");
        std::fs::write(&path, "pools: {main: {nodes: ['127.0.0.1:2']}}").unwrap();
        let asked = Arc::new(Notify::new());
        asked.notify_one();
        reload_on_hangup(asked, Arc::new(Reloader::new(Some(path), state.clone())));
        eventually("the file is taken", || {
            state.snapshot.load().nodes[0].label == "127.0.0.1:2"
        })
        .await;
    }
}
