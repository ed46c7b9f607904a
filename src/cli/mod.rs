//! The command line: options, commands, and exit codes.

mod ask;
mod check;
mod demo;
mod diff;
mod discover;
mod explain;
mod import;
mod nodes;
mod observe;
mod stderr;
mod tap;
mod top;
mod unquoted;
mod version;
mod warm;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Checked};
use ask::{Admin, Target};

pub use stderr::note;

/// Exit code: the command failed.
const FAILED: u8 = 1;
/// Exit code: an address cannot be bound, as if Ringway itself could not bind it.
const CANNOT_LISTEN: u8 = 3;

/// A routing sidecar for memcached.
///
/// Without a command Ringway runs, with the given configuration or, without one, as a quickstart with three
/// embedded nodes.
#[derive(Debug, Parser)]
#[command(
    name = "ringway",
    version = version::SHORT.as_str(),
    long_version = version::LONG.as_str(),
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// The configuration to run; - for stdin.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, or a filter such as ringway=debug.
    #[arg(long, value_name = "LEVEL", env = "RINGWAY_LOG", default_value = "info")]
    pub log: String,
    /// The format of log lines.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// A command that is executed instead of running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Validate a configuration without running it; report every error and warning with its line.
    Check {
        /// Connect to every node too, those that sources of discovered nodes name among them, and print the version of
        /// each, or why it cannot be used.
        #[arg(long)]
        live: bool,
        /// The configuration; - for stdin.
        file: PathBuf,
    },
    /// Show where keys are routed, one line per key: key, route, pool and node.
    Explain(#[command(flatten)] explain::Options),
    /// Show what another configuration changes, how many keys it moves, and between which nodes.
    Diff {
        /// The present configuration; - for stdin.
        old: PathBuf,
        /// The new configuration; - for stdin.
        new: PathBuf,
        /// What is compared, and how it is shown.
        #[command(flatten)]
        options: diff::Options,
    },
    /// Convert the configuration of nutcracker, mcrouter or libmemcached to Ringway's, with every key on
    /// the same node.
    ///
    /// Parts that cannot be expressed are reported on stderr with line and reason; then the exit code is 1.
    Import {
        /// The configuration to convert; - for stdin.
        file: PathBuf,
        /// The file to write; default: stdout.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The format of the configuration, if it cannot be recognised.
        #[arg(long, value_name = "FORMAT")]
        from: Option<import::From>,
        /// The route prefix that mcrouter is started with: where keys without a routing prefix go.
        #[arg(long, value_name = "/REGION/CLUSTER/")]
        route_prefix: Option<String>,
    },
    /// Print the JSON schema of configurations, for editors and validators.
    Schema,
    /// Ask a running Ringway whether it is ready, and print its answer; for container health checks.
    Health(#[command(flatten)] Target),
    /// Show the nodes of a running Ringway: the state of each, since when, and its last error.
    Nodes {
        /// The Ringway.
        #[command(flatten)]
        target: Target,
        /// Print JSON, as GET /nodes does.
        #[arg(long)]
        json: bool,
    },
    /// Show what Ringway does, in a minute: nodes, load and the status page, and a node that is killed and revived.
    ///
    /// The nodes are memcached if it is installed, and otherwise processes of this program with an embedded node.
    Demo(#[command(flatten)] demo::Options),
    /// Copy the keys that move in a handover to their new nodes, before clients ask for them.
    ///
    /// A running Ringway must be in the phase serve of the handover; in prepare it is waited for. The copies are
    /// race-free, and a second run goes on where the first one ended. Run it where Ringway runs, because it connects to
    /// the nodes with the same certificates and passwords.
    Warm {
        /// The Ringway.
        #[command(flatten)]
        target: Target,
        /// Which keys, and how fast.
        #[command(flatten)]
        options: warm::Options,
    },
    /// Run in front of one memcached without a configuration, and show what it is asked.
    ///
    /// Clients connect to --listen instead of the node. The status page is at the admin address, where `ringway top`,
    /// `ringway tap` and the rest ask, too.
    Observe(#[command(flatten)] observe::Options),
    /// Watch single requests of a running Ringway as they are answered: which key, at which node, how long.
    ///
    /// Needs the token of `admin.token`, if that is set. Keys are hashed unless `admin.show_keys` says otherwise.
    Tap {
        /// The Ringway.
        #[command(flatten)]
        target: Target,
        /// Which requests.
        #[command(flatten)]
        options: tap::Options,
    },
    /// Watch the pools and nodes of a running Ringway: requests, hits, errors and durations, every two seconds.
    Top {
        /// The Ringway.
        #[command(flatten)]
        target: Target,
        /// What is shown, and how.
        #[command(flatten)]
        form: top::Form,
    },
}

/// Loads the configuration that the command line asks to run: that of a file, of `observe`, or the quickstart's.
///
/// # Errors
/// Every error in the file, one per line.
pub fn load(cli: &Cli) -> Result<Checked, config::Error> {
    match (&cli.command, &cli.config) {
        (Some(Command::Observe(options)), _) => observe::load(options),
        (_, Some(file)) => config::check(file),
        (_, None) => Ok(Checked {
            config: config::quickstart(),
            warnings: Vec::new(),
        }),
    }
}

/// Executes the command of `cli`; `None` if the program is to run: there is no command, or it is to observe.
pub fn run(cli: &Cli) -> Option<ExitCode> {
    match &cli.command {
        None | Some(Command::Observe(_)) => None,
        Some(command) => Some(execute(command)),
    }
}

fn execute(command: &Command) -> ExitCode {
    let result = match command {
        Command::Observe(_) => unreachable!("it runs, and is not executed"),
        Command::Check { file, live } => check::run(file, *live),
        Command::Explain(options) => explain::run(options),
        Command::Diff { old, new, options } => diff::run(old, new, options),
        Command::Import {
            file,
            output,
            from,
            route_prefix,
        } => import::run(file, output.as_deref(), *from, route_prefix.as_deref()),
        Command::Schema => print_schema(),
        Command::Health(target) => target.open().and_then(|admin| ask_health(&admin)),
        Command::Nodes { target, json } => target.open().and_then(|admin| nodes::run(&admin, *json)),
        Command::Demo(options) => demo::run(options),
        Command::Warm { target, options } => target.open().and_then(|admin| warm::run(&admin, options)),
        Command::Tap { target, options } => target.open().and_then(|admin| tap::run(&admin, options)),
        Command::Top { target, form } => target.open().and_then(|admin| top::run(&admin, form)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output, such as `head`, has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("{error:#}"));
            ExitCode::from(code(&error))
        }
    }
}

/// Returns the exit code for a command that failed.
fn code(error: &anyhow::Error) -> u8 {
    match error.is::<demo::CannotListen>() {
        true => CANNOT_LISTEN,
        false => FAILED,
    }
}

fn print_schema() -> anyhow::Result<()> {
    let schema = serde_json::to_string_pretty(&config::json_schema())?;
    writeln!(io::stdout(), "{schema}")?;
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Suggests the command for a command line that has a file in place of a command; `None` if it has no file.
pub fn meant_by(arguments: &[String]) -> Option<String> {
    let file = arguments.iter().find(|argument| !argument.starts_with('-'))?;
    let is_file = Path::new(file).is_file() || file.ends_with(".yaml") || file.ends_with(".yml");
    let shown = file.escape_debug();
    is_file.then(|| format!("to run it: ringway --config {shown}; to check it: ringway check {shown}"))
}

fn ask_health(admin: &Admin<'_>) -> anyhow::Result<()> {
    match admin.get("/readyz", ask::PATIENCE)? {
        (status, body) if status == "200" => Ok(writeln!(io::stdout(), "{}", body.trim())?),
        (_, body) => bail!("{admin} is not ready: {}", body.trim()),
    }
}
