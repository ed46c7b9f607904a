//! The command line: what can be asked, and how it answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Config};
use crate::route::explain::{Explanation, explain};
use crate::snapshot::Snapshot;

/// A routing sidecar for memcached.
///
/// Without a command Ringway runs: as the file says, or, without a file, as a quickstart with three
/// embedded nodes.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The configuration to run.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, or a filter such as ringway=debug.
    #[arg(long, value_name = "LEVEL", env = "RINGWAY_LOG", default_value = "info")]
    pub log: String,
    /// How to write a log line.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What can be done instead of running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove a configuration without running it; every mistake is told at its line.
    Check {
        /// The configuration.
        file: PathBuf,
    },
    /// Say where keys go: a line for each, with key, route, pool and node.
    Explain {
        /// The configuration.
        #[arg(short, long, value_name = "FILE", required_unless_present = "admin")]
        config: Option<PathBuf>,
        /// Ask a running Ringway at its admin address instead: it knows which nodes are down or drained.
        #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
        admin: Option<SocketAddr>,
        /// The listener whose route they take, as it is bound; the first if left out.
        #[arg(short, long, value_name = "BIND")]
        listener: Option<String>,
        /// The keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Ask a running Ringway whether it is ready; made for a container's health check.
    Health {
        /// Its admin address.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155")]
        admin: SocketAddr,
    },
}

/// Reads the configuration in `file`, or the quickstart's.
///
/// # Errors
/// Every mistake in the file, a line each.
pub fn load(file: Option<&PathBuf>) -> Result<Config, config::Error> {
    file.map_or_else(|| Ok(config::quickstart()), |file| config::load(file))
}

/// Carries out `command`.
pub fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Check { file } => config::load(file).map(|_| ()).map_err(anyhow::Error::msg),
        Command::Explain {
            config,
            admin,
            listener,
            keys,
        } => match (config, admin) {
            (_, Some(admin)) => ask_where(*admin, listener.as_deref(), keys),
            (Some(config), None) => say_where(config, listener.as_deref(), keys),
            (None, None) => unreachable!("clap asks for one of both"),
        },
        Command::Health { admin } => ask_health(*admin),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(1)
        }
    }
}

fn say_where(file: &Path, listener: Option<&str>, keys: &[String]) -> anyhow::Result<()> {
    let snapshot = Snapshot::build(config::load(file).map_err(anyhow::Error::msg)?, None);
    let wanted = |bind: String| listener.is_none_or(|listener| listener == bind);
    let Some(listener) = snapshot
        .listeners
        .iter()
        .find(|known| wanted(known.settings.bind.to_string()))
    else {
        let known: Vec<String> = snapshot
            .listeners
            .iter()
            .map(|known| known.settings.bind.to_string())
            .collect();
        bail!(
            "no listener {}, there is {}",
            listener.unwrap_or_default(),
            known.join(", ")
        );
    };
    let mut out = std::io::stdout().lock();
    for key in keys {
        let found = explain(
            &listener.settings.route,
            &listener.route,
            &snapshot.nodes,
            key.as_bytes(),
        )
        .map_err(|error| anyhow::anyhow!("{}: {error}", key.escape_debug()))?;
        writeln!(out, "{found}")?;
    }
    Ok(())
}

/// The same, as the running Ringway sees it.
fn ask_where(admin: SocketAddr, listener: Option<&str>, keys: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for key in keys {
        let mut path = format!("/explain?key={}", escaped(key));
        if let Some(listener) = listener {
            path += &format!("&listener={}", escaped(listener));
        }
        let (status, body) = ask(admin, &path)?;
        if status != "200" {
            bail!("{}: {}", key.escape_debug(), body.trim());
        }
        let found: Explanation = serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))?;
        writeln!(out, "{found}")?;
    }
    Ok(())
}

/// `text` as a field of a query has it.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn ask_health(admin: SocketAddr) -> anyhow::Result<()> {
    match ask(admin, "/readyz")? {
        (status, _) if status == "200" => Ok(()),
        (_, body) => bail!("{admin} is not ready: {}", body.trim()),
    }
}

/// The status and the body of the answer to `GET path`.
fn ask(admin: SocketAddr, path: &str) -> anyhow::Result<(String, String)> {
    let patience = Duration::from_secs(2);
    let mut stream =
        TcpStream::connect_timeout(&admin, patience).with_context(|| format!("cannot reach {admin}"))?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}
