//! The processes of the demo: nodes and one Ringway. Each is killed when it is dropped.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::Context;

/// A running process.
pub struct Child(process::Child);

impl Child {
    /// Starts the program itself with a configuration; it logs to `log`.
    pub fn ringway(config: &Path, log: &Path) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--config").arg(config).stderr(File::create(log)?);
        Child::start(&mut command)
    }

    fn start(command: &mut Command) -> anyhow::Result<Child> {
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Child(started.with_context(|| format!("cannot start {program}"))?))
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended before, with the terminal's Ctrl-C.
        let _is_gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// What nodes are.
pub enum Program {
    /// memcached.
    Memcached,
    /// This program, each with one embedded node, and its configuration in this folder.
    Embedded(PathBuf),
}

impl Program {
    /// In words.
    pub fn shown(&self) -> &'static str {
        match self {
            Program::Memcached => "which are memcached processes",
            Program::Embedded(_) => "which are embedded nodes, since memcached is not installed",
        }
    }
}

/// memcached, if it is in the path, and otherwise this program.
pub fn node_program(folder: &Path) -> Program {
    let asked = Command::new("memcached")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match asked {
        Ok(status) if status.success() => Program::Memcached,
        _ => Program::Embedded(folder.to_owned()),
    }
}

/// A node of the demo.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it was not killed.
    pub is_up: bool,
    arguments: Vec<String>,
    program: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Starts the node with this number on a free port.
    pub fn start(number: usize, program: &Program) -> anyhow::Result<Node> {
        let name = format!("cache-{number}");
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (program, arguments) = match program {
            Program::Memcached => ("memcached".into(), memcached(address)),
            Program::Embedded(folder) => {
                let config = folder.join(format!("{name}.yaml"));
                fs::write(&config, embedded(address))?;
                let config = config.display().to_string();
                (
                    std::env::current_exe()?,
                    vec!["--log=error".to_owned(), "--config".to_owned(), config],
                )
            }
        };
        let mut node = Node {
            name,
            address,
            is_up: false,
            arguments,
            program,
            child: None,
        };
        node.revive()?;
        Ok(node)
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.child = None;
        self.is_up = false;
    }

    /// Starts it again, empty.
    pub fn revive(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        self.child = Some(Child::start(command.args(&self.arguments))?);
        self.is_up = true;
        Ok(())
    }
}

fn memcached(address: SocketAddr) -> Vec<String> {
    let (ip, port) = (address.ip(), address.port());
    let mut arguments = vec![
        format!("-l{ip}"),
        format!("-p{port}"),
        "-U0".to_owned(),
        "-m64".to_owned(),
    ];
    // memcached asks for a user if it is started by root, and changes nothing otherwise.
    arguments.push("-unobody".to_owned());
    arguments
}

fn embedded(address: SocketAddr) -> String {
    format!(
        "listeners: [{{bind: '{address}'}}]\nadmin: {{bind: '127.0.0.1:0'}}\nshutdown: {{drain: 0s}}\n\
         pools: {{main: {{nodes: [{{name: e, embedded: 64MiB}}]}}}}\n"
    )
}
