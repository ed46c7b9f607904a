//! The program: reads the command line, sets up the log, and runs.

#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use ringway::app::{self, Source};
use ringway::cli::{self, Cli, LogFormat};
use ringway::config;
use ringway::control::log;
use ringway::control::signals::Signals;
use ringway::control::takeover::successor;
use ringway::net::inherited::Inherited;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Exit code: the configuration is invalid, missing or unreadable.
const BAD_CONFIG: u8 = 1;
/// The maximum time to write the last lines of the log: stderr may be blocked.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Exit code: the command line is invalid.
const BAD_USAGE: u8 = 2;
/// Exit code: an address cannot be bound, or the system refuses a thread.
const CANNOT_RUN: u8 = 3;

/// Why the program ends, for people and for scripts.
struct Failed {
    /// What is written to stderr.
    message: String,
    code: u8,
}

/// Returns the failure to do `what`, for which the system is to blame.
fn cannot<E: Display>(what: &str) -> impl Fn(E) -> Failed {
    move |error| Failed {
        message: format!("ringway: cannot {what}: {error}"),
        code: CANNOT_RUN,
    }
}

fn main() -> ExitCode {
    start().unwrap_or_else(|failed| {
        cli::note(&failed.message);
        ExitCode::from(failed.code)
    })
}

fn start() -> Result<ExitCode, Failed> {
    if successor::detach().map_err(cannot("start the process that would take over"))? {
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything else: the default action of a signal such as SIGHUP would end the process.
    let signals = Signals::catch();
    let cli = parse();
    if let Some(code) = cli::run(&cli) {
        return Ok(code);
    }
    // Before there are threads: it changes the environment.
    let inherited = Inherited::from_systemd().map_err(cannot("use a socket that systemd passed"))?;
    start_log(&cli)?;
    let checked = cli::load(&cli).map_err(|error| Failed {
        message: error.to_string(),
        code: BAD_CONFIG,
    })?;
    config::log_warnings(&checked.warnings);
    let source = match cli.config {
        Some(path) if config::is_stdin(&path) => Source::Stdin,
        Some(path) => Source::File(path),
        None if cli.command.is_some() => Source::Observed,
        None => Source::Quickstart,
    };
    let signals = signals.map_err(cannot("catch signals"))?;
    let ran = app::run(checked.config, source, signals, inherited);
    if let Err(error) = &ran {
        log::say(&format!("ringway: {error}"));
    }
    log::finish(LAST_LINES);
    Ok(ran.map_or(ExitCode::from(CANNOT_RUN), |()| ExitCode::SUCCESS))
}

/// Parses the command line, and exits if it is invalid or asks for help.
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if error.kind() == ErrorKind::InvalidSubcommand
            && let Some(meant) = cli::meant_by(&arguments)
        {
            cli::note(meant);
        }
        error.exit()
    })
}

fn start_log(cli: &Cli) -> Result<(), Failed> {
    let filter = log_filter(&cli.log).ok_or_else(|| Failed {
        message: format!(
            "--log {}: no such level; try error, warn, info, debug or trace",
            cli.log.escape_debug()
        ),
        code: BAD_USAGE,
    })?;
    let lines = log::start().map_err(cannot("start the log"))?;
    let filtered = tracing_subscriber::registry().with(filter);
    let format = tracing_subscriber::fmt::layer()
        // The failure of a write would be reported on stderr, which is what has just failed: that panics.
        .log_internal_errors(false)
        .with_writer(move || lines);
    match cli.log_format {
        LogFormat::Text => {
            let has_colours = std::io::stderr().is_terminal();
            let format = format.with_ansi(has_colours).with_target(false);
            filtered.with(format).init();
        }
        LogFormat::Json => filtered.with(format.json().flatten_event(true)).init(),
    }
    Ok(())
}

/// Parses the filter in `text`: levels, or `target=level`, separated by commas. A bare word that is not a
/// level is refused, because it would be taken for a target and silence everything else.
fn log_filter(text: &str) -> Option<Targets> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_clear = |part: &&str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    parts.iter().all(is_clear).then(|| parts.join(",").parse().ok())?
}
