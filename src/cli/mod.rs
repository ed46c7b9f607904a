//! The command line: what can be asked, and how it answers.

mod ask;
mod diff;
mod explain;
mod import;
mod nodes;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Checked};
use ask::Admin;

/// A routing sidecar for memcached.
///
/// Without a command Ringway runs: as the file says, or, without a file, as a quickstart with three
/// embedded nodes.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The configuration to run; - for stdin.
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
    /// Prove a configuration without running it; every mistake and warning is told at its line.
    Check {
        /// The configuration; - for stdin.
        file: PathBuf,
    },
    /// Say where keys go: a line for each, with key, route, pool and node.
    Explain {
        /// The configuration; - for stdin.
        #[arg(short, long, value_name = "FILE", required_unless_present = "admin")]
        config: Option<PathBuf>,
        /// Ask a running Ringway at its admin address instead: it knows which nodes are down or drained.
        #[arg(long, value_name = "ADDRESS", conflicts_with = "config", value_parser = ask::admin)]
        admin: Option<Admin>,
        /// The listener whose route they take, as it is bound; the first if left out.
        #[arg(short, long, value_name = "BIND")]
        listener: Option<String>,
        /// Tell each step too: what of the key is hashed, its number, the point on the ring, the node.
        #[arg(long)]
        steps: bool,
        /// Ask the node too whether it answers and has the key; tells the steps.
        #[arg(long)]
        live: bool,
        /// Print a line of JSON for each key, with the steps: what GET /explain answers.
        #[arg(long)]
        json: bool,
        /// The keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Say what another configuration changes, how many keys it moves, and from which node to which.
    Diff {
        /// The configuration as it is; - for stdin.
        old: PathBuf,
        /// The configuration as it would be; - for stdin.
        new: PathBuf,
        /// A file with keys, a line each: how many of these move; - for stdin.
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
        /// Exit with 1 where more of a pool's keys move than this share, such as 30%: of those in --keys, or else
        /// of all.
        #[arg(long, value_name = "SHARE", value_parser = diff::share)]
        fail_over: Option<f64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Turn the configuration of nutcracker, mcrouter or libmemcached into one of Ringway's that places every key the same.
    ///
    /// What cannot be said is told on stderr with its line and its reason; then the exit code is 1.
    Import {
        /// The other's configuration; - for stdin.
        file: PathBuf,
        /// Where to write Ringway's; stdout if left out.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Whose configuration it is, if it does not tell by itself.
        #[arg(long, value_name = "FORMAT")]
        from: Option<import::From>,
        /// What mcrouter is started with: where keys without a routing prefix go.
        #[arg(long, value_name = "/REGION/CLUSTER/")]
        route_prefix: Option<String>,
    },
    /// Ask a running Ringway whether it is ready; made for a container's health check.
    Health {
        /// Its admin address: host:port, port or http://host:port.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155", value_parser = ask::admin)]
        admin: Admin,
    },
    /// Show the nodes of a running Ringway: how each is, since when, and what went wrong last.
    Nodes {
        /// Its admin address: host:port, port or http://host:port.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155", value_parser = ask::admin)]
        admin: Admin,
        /// Print JSON: what GET /nodes answers.
        #[arg(long)]
        json: bool,
    },
}

/// Reads the configuration in `file`, or the quickstart's.
///
/// # Errors
/// Every mistake in the file, a line each.
pub fn load(file: Option<&PathBuf>) -> Result<Checked, config::Error> {
    let quickstart = || Checked {
        config: config::quickstart(),
        warnings: Vec::new(),
    };
    file.map_or_else(|| Ok(quickstart()), |file| config::check(file))
}

/// Proves the configuration in `file`; tells its warnings.
fn check(file: &Path) -> anyhow::Result<()> {
    let checked = config::check(file).map_err(anyhow::Error::msg)?;
    for warning in &checked.warnings {
        eprintln!("{warning}");
    }
    Ok(())
}

/// Carries out `command`.
pub fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Check { file } => check(file),
        Command::Explain {
            config,
            admin,
            listener,
            steps,
            live,
            json,
            keys,
        } => {
            let form = explain::Form {
                steps: *steps,
                live: *live,
                json: *json,
            };
            match (config, admin) {
                (_, Some(admin)) => explain::ask_where(admin, listener.as_deref(), form, keys),
                (Some(config), None) => explain::say_where(config, listener.as_deref(), form, keys),
                (None, None) => unreachable!("clap asks for one of both"),
            }
        }
        Command::Diff {
            old,
            new,
            keys,
            fail_over,
            json,
        } => {
            let options = diff::Options {
                keys: keys.as_deref(),
                fail_over: *fail_over,
                json: *json,
            };
            diff::run(old, new, &options)
        }
        Command::Import {
            file,
            output,
            from,
            route_prefix,
        } => import::run(file, output.as_deref(), *from, route_prefix.as_deref()),
        Command::Health { admin } => ask_health(admin),
        Command::Nodes { admin, json } => nodes::run(admin, *json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has read enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(1)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// What was meant by a command line that names a file where a command is expected; `None` if it names none.
pub fn meant_by(arguments: &[String]) -> Option<String> {
    let file = arguments.iter().find(|argument| !argument.starts_with('-'))?;
    let is_file = Path::new(file).is_file() || file.ends_with(".yaml") || file.ends_with(".yml");
    let shown = file.escape_debug();
    is_file.then(|| format!("to run it: ringway --config {shown}; to check it: ringway check {shown}"))
}

fn ask_health(admin: &Admin) -> anyhow::Result<()> {
    match ask::get(admin, "/readyz", ask::PATIENCE)? {
        (status, _) if status == "200" => Ok(()),
        (_, body) => bail!("{admin} is not ready: {}", body.trim()),
    }
}
