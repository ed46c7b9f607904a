//! Child processes: each on a CPU of its own choosing, its output in a file, ended with the generator.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The directory of configurations and logs; removed when dropped.
#[derive(Debug)]
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// # Errors
    /// No room for temporary files.
    pub fn new() -> Result<Self> {
        Ok(Self(
            tempfile::tempdir().context("create a directory for temporary files")?,
        ))
    }

    /// Where a file of this name would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A running child. Killed when dropped, or when the generator ends in any other way.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Process {
    /// Starts `program`, on `cpus` where any are given, else where the generator is. Its output goes to a log named after `name`.
    ///
    /// # Errors
    /// `setpriv` or `taskset` (util-linux) is missing.
    pub fn start(
        name: &str,
        cpus: &[usize],
        program: &Path,
        args: &[&str],
        scratch: &Scratch,
    ) -> Result<Self> {
        let log = scratch.path(&format!("{name}.log"));
        let output = File::create(&log)?;
        // Both replace themselves by what they start, so the child's id is the program's.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if !cpus.is_empty() {
            let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
            command.args(["taskset", "--cpu-list", &list.join(",")]);
        }
        let child = command
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("start setpriv")?;
        Ok(Self {
            child,
            log,
            name: name.to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `address` accepts a connection.
    ///
    /// # Errors
    /// The process ended, or did not listen in time; with what it printed last.
    pub fn wait_ready(&mut self, address: SocketAddr) -> Result<()> {
        let start = Instant::now();
        loop {
            let listens = TcpStream::connect(address).is_ok();
            // Asked in this order: should somebody else listen there, ours ends.
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it listened: {}",
                    self.name,
                    self.last_words()
                );
            }
            if listens {
                return Ok(());
            }
            if start.elapsed() > READY_WITHIN {
                bail!(
                    "{} does not listen on {address}: {}",
                    self.name,
                    self.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let name = &self.name;
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("{signal:?} to {name}"))
    }

    /// Asks it to end (SIGINT), and waits until it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn interrupt(&mut self) -> Result<()> {
        // One that has ended by itself takes no signal, and is waited for all the same.
        let _ = self.signal(Signal::INT);
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has ended, and well.
    ///
    /// # Errors
    /// It failed; with what it printed last.
    pub fn has_ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.last_words()),
        }
    }

    /// The last lines it printed, for a message.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        if lines.is_empty() {
            "it printed nothing".to_owned()
        } else {
            lines.join(" | ")
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the generator itself, and what it starts without another wish, on `cpu`.
///
/// # Errors
/// No such CPU, or no `taskset`.
pub fn pin_self(cpu: usize) -> Result<()> {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["--cpu-list", "--pid", &cpu.to_string(), &pid])
        .stdout(Stdio::null())
        .status()
        .context("start taskset (util-linux)")?;
    if !pinned.success() {
        bail!("taskset cannot pin the generator to CPU {cpu}: the benchmark needs two CPUs");
    }
    Ok(())
}

/// An address nobody listens on, from below the ports that the kernel gives to clients: thousands of those come and
/// go while this runs. Should another process take it before ours does, ours will say so.
///
/// # Errors
/// No free port in the range.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    // Two benchmarks at once start their search at different places.
    let offset = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port from {FIRST} on is free")
}
