//! Starts the process that takes this one's place, on SIGUSR2: the program that is now at this one's path, with the same
//! arguments.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::state::State;

/// What Linux adds to the path of a program whose file was replaced.
const REPLACED: &[u8] = b" (deleted)";

/// Starts a successor whenever `asked` is notified. `is_file` tells whether the configuration came from a file, which
/// the successor can read too.
pub async fn run(state: Arc<State>, asked: Arc<Notify>, is_file: bool) {
    loop {
        asked.notified().await;
        if state.snapshot.load().config.takeover.is_none() || !is_file {
            info!(
                signal = "SIGUSR2",
                "nothing to do: without `takeover` in a file no process can take over"
            );
            continue;
        }
        match start() {
            Ok(child) => watch(child).await,
            Err(error) => warn!(%error, "cannot start the process that would take over"),
        }
    }
}

fn start() -> io::Result<Child> {
    let program = program()?;
    let child = Command::new(&program).args(std::env::args_os().skip(1)).spawn()?;
    info!(signal = "SIGUSR2", program = %program.display(), pid = child.id(), "started the process that takes over");
    Ok(child)
}

/// Returns the path of this program. If its file was replaced meanwhile, that leads to the new one.
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

/// Waits for the end of `child`. One that takes over outlives this process.
async fn watch(mut child: Child) {
    match spawn_blocking(move || child.wait()).await {
        Ok(Ok(status)) => warn!(%status, "the process that should take over ended: this one goes on"),
        Ok(Err(error)) => warn!(%error, "cannot wait for the process that should take over"),
        Err(_) => {}
    }
}
