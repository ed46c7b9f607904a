//! Starts the process that takes this one's place, on SIGUSR2: the program that is now at this one's path, with the same
//! arguments.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::state::State;

/// The variable that tells a process that it is the one in between.
const DETACHED: &str = "RINGWAY_DETACHED";
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
        match spawn_blocking(start).await {
            Ok(Ok(pid)) => info!(signal = "SIGUSR2", pid, "started the process that takes over"),
            Ok(Err(error)) => warn!(%error, "cannot start the process that would take over"),
            Err(_) => {}
        }
    }
}

/// Starts this program by way of a process that ends at once, and returns the number of the one that stays. So that one
/// is a child of the first process of the system, as the service manager's processes are: systemd waits only for its own
/// children when it stops a service.
fn start() -> io::Result<u32> {
    let program = program()?;
    let mut between = Command::new(&program);
    between.args(std::env::args_os().skip(1)).env(DETACHED, "1");
    let output = between.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let number = String::from_utf8_lossy(&output.stdout).trim().parse();
    number.map_err(|_| io::Error::other(format!("{} is no Ringway that can take over", program.display())))
}

/// Does the part of the process in between, if this is it: starts the program with the same arguments, says its number,
/// and returns true.
///
/// # Errors
/// The program cannot be started.
pub fn detach() -> io::Result<bool> {
    if std::env::var_os(DETACHED).is_none() {
        return Ok(false);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env_remove(DETACHED);
    let child = command.stdout(Stdio::null()).spawn()?;
    writeln!(io::stdout(), "{}", child.id())?;
    Ok(true)
}

/// Returns the path of this program. If its file was replaced meanwhile, that leads to the new one.
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    Ok(OsString::from_vec(bytes.to_vec()).into())
}
