//! The contenders: what stands between the generator and the nodes, and how each is started. A further contender is
//! one more row in `all` and one more way in `start`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::nodes::Nodes;
use super::options::Options;
use super::process::{Process, Scratch, free_address};
use super::wire::Wire;
use super::workload::Workload;

/// One way from the generator to the nodes.
#[derive(Debug)]
pub struct Contender {
    /// What people call it, and what `--only` takes.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Direct,
    Nutcracker(PathBuf),
    Ringway(PathBuf),
}

/// Where a client connects.
#[derive(Debug)]
pub enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A contender at work.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect: one address of a proxy, or those of all nodes.
    pub addresses: Vec<SocketAddr>,
    /// The same by a unix socket, where it has one.
    unix: Option<PathBuf>,
    process: Option<Process>,
}

impl Running {
    /// The process id of the proxy, where there is one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Where the clients of one share of the keys connect.
    pub fn door(&self, share: usize, is_unix: bool) -> Door {
        match &self.unix {
            Some(path) if is_unix => Door::Unix(path.clone()),
            _ => Door::Tcp(self.addresses[share]),
        }
    }

    /// What the proxy printed last, for a message.
    pub fn last_words(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(|| "no proxy".to_owned(), Process::last_words)
    }
}

/// The contenders of these names, or all.
///
/// # Errors
/// A name that no contender has.
pub fn select(names: Option<&[String]>) -> Result<Vec<Contender>> {
    let mut contenders = all();
    let Some(names) = names else {
        return Ok(contenders);
    };
    for name in names {
        if contenders.iter().all(|contender| contender.name != name) {
            let known: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
            bail!(
                "no contender {name:?}; there are {} (ringway-base: set RINGWAY_BASE)",
                known.join(", ")
            );
        }
    }
    contenders.retain(|contender| names.iter().any(|name| name == contender.name));
    Ok(contenders)
}

fn all() -> Vec<Contender> {
    let ringway = env::var_os("RINGWAY_BIN").map_or_else(|| "target/release/ringway".into(), PathBuf::from);
    let mut all = vec![
        Contender {
            name: "direct",
            kind: Kind::Direct,
        },
        Contender {
            name: "nutcracker",
            kind: Kind::Nutcracker("nutcracker".into()),
        },
        Contender {
            name: "ringway",
            kind: Kind::Ringway(ringway),
        },
    ];
    if let Some(base) = env::var_os("RINGWAY_BASE") {
        all.push(Contender {
            name: "ringway-base",
            kind: Kind::Ringway(base.into()),
        });
    }
    all
}

impl Contender {
    /// Starts it anew in front of `nodes`, with so many threads where it can, and waits until it listens.
    ///
    /// # Errors
    /// It is not there, or does not start; with what it said.
    pub fn start(
        &self,
        nodes: &Nodes,
        workers: usize,
        options: &Options,
        scratch: &Scratch,
    ) -> Result<Running> {
        let (program, args, address, unix) = match &self.kind {
            Kind::Direct => {
                return Ok(Running {
                    addresses: nodes.addresses(),
                    unix: None,
                    process: None,
                });
            }
            Kind::Nutcracker(program) => {
                let address = free_address()?;
                (program, nutcracker_args(address, nodes, scratch)?, address, None)
            }
            Kind::Ringway(program) => {
                let address = free_address()?;
                // One that was killed leaves its socket behind: each has a name of its own.
                let unix = scratch.path(&format!("ringway-{}.sock", address.port()));
                let args = ringway_args(address, &unix, workers, nodes, scratch)?;
                (program, args, address, Some(unix))
            }
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let cpus = [options.proxy_cpu, options.load_cpu];
        let mut process = Process::start(self.name, &cpus[..workers.min(2)], program, &args, scratch)?;
        process.wait_ready(address)?;
        Ok(Running {
            addresses: vec![address],
            unix,
            process: Some(process),
        })
    }

    /// True where it can take the clients of `workload`.
    pub fn takes(&self, workload: &Workload) -> bool {
        let is_ringway = matches!(self.kind, Kind::Ringway(_));
        let speaks = workload.wire == Wire::Classic || !matches!(self.kind, Kind::Nutcracker(_));
        speaks && (is_ringway || !workload.is_unix)
    }

    /// What it says of itself in one line.
    pub fn version(&self) -> String {
        match &self.kind {
            Kind::Direct => "no proxy: each connection talks to one node, with keys of its own".to_owned(),
            Kind::Nutcracker(program) | Kind::Ringway(program) => version_of(program),
        }
    }
}

/// The first line that `program --version` prints, or why there is none.
pub fn version_of(program: &Path) -> String {
    match Command::new(program).arg("--version").output() {
        Err(error) => format!("{}: {error}", program.display()),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            said.lines().next().unwrap_or("no version").to_owned()
        }
    }
}

/// Twemproxy's defaults for all that is not written here.
fn nutcracker_args(address: SocketAddr, nodes: &Nodes, scratch: &Scratch) -> Result<Vec<String>> {
    let mut config = format!(
        "main:\n  listen: {address}\n  distribution: ketama\n  hash: fnv1a_64\n  preconnect: true\n  \
         server_connections: 1\n  servers:\n"
    );
    for (name, address) in nodes.named() {
        writeln!(config, "    - {address}:1 {name}")?;
    }
    let file = write_config("nutcracker.yml", &config, scratch)?;
    let stats_port = free_address()?.port().to_string();
    let pid_file = scratch.path("nutcracker.pid").display().to_string();
    let args = [
        "--conf-file",
        &file,
        "--output",
        "/dev/stderr",
        "--pid-file",
        &pid_file,
    ];
    let stats = ["--stats-addr", "127.0.0.1", "--stats-port", &stats_port];
    Ok([&args[..], &stats[..]]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect())
}

/// Ringway's defaults for all that is not written here.
fn ringway_args(
    address: SocketAddr,
    unix: &Path,
    workers: usize,
    nodes: &Nodes,
    scratch: &Scratch,
) -> Result<Vec<String>> {
    let admin = free_address()?;
    let mut config = format!(
        "workers: {workers}\nlisteners:\n  - bind: {address}\n    max_connections: 20000\n  - bind: unix:{}\n\
         admin:\n  bind: {admin}\npools:\n  main:\n    distribution: twemproxy\n    connections: 1\n    nodes:\n",
        unix.display()
    );
    for (name, address) in nodes.named() {
        writeln!(config, "      - {{address: \"{address}\", name: {name}}}")?;
    }
    let file = write_config("ringway.yaml", &config, scratch)?;
    Ok(vec!["--config".to_owned(), file])
}

fn write_config(name: &str, config: &str, scratch: &Scratch) -> Result<String> {
    let path = scratch.path(name);
    fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
    Ok(path.display().to_string())
}
