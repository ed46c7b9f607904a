//! The program: reads the command line, sets up the log, and runs.

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
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Exit code: the configuration is invalid, missing or unreadable.
const BAD_CONFIG: u8 = 1;
/// The maximum time to write the last lines of the log: stderr may be blocked.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Exit code: the command line is invalid.
const BAD_USAGE: u8 = 2;
/// Exit code: an address cannot be bound, or the system refuses a thread.
const CANNOT_RUN: u8 = 3;

fn main() -> ExitCode {
    match successor::detach() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway: cannot start the process that would take over: {error}");
            return ExitCode::from(CANNOT_RUN);
        }
    }
    // Before anything else: the default action of a signal such as SIGHUP would end the process.
    let signals = Signals::catch();
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if error.kind() == ErrorKind::InvalidSubcommand
            && let Some(meant) = cli::meant_by(&arguments)
        {
            eprintln!("{meant}");
        }
        error.exit()
    });
    if let Some(command) = &cli.command {
        return cli::run(command);
    }
    // Before there are threads: it changes the environment.
    let inherited = match Inherited::from_systemd() {
        Ok(inherited) => inherited,
        Err(error) => {
            eprintln!("ringway: cannot use a socket that systemd passed: {error}");
            return ExitCode::from(CANNOT_RUN);
        }
    };
    let Some(filter) = log_filter(&cli.log) else {
        eprintln!(
            "--log {}: no such level; try error, warn, info, debug or trace",
            cli.log.escape_debug()
        );
        return ExitCode::from(BAD_USAGE);
    };
    let lines = match log::start() {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("ringway: cannot start the log: {error}");
            return ExitCode::from(CANNOT_RUN);
        }
    };
    let to_log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // The failure of a write would be reported on stderr, which is what has just failed: that panics.
        .log_internal_errors(false)
        .with_writer(move || lines);
    match cli.log_format {
        LogFormat::Text => to_log
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => to_log.json().flatten_event(true).init(),
    }
    let config = match cli::load(cli.config.as_ref()) {
        Ok(checked) => {
            config::log_warnings(&checked.warnings);
            checked.config
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let source = match cli.config {
        Some(path) if config::is_stdin(&path) => Source::Stdin,
        Some(path) => Source::File(path),
        None => Source::Quickstart,
    };
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("ringway: cannot catch signals: {error}");
            return ExitCode::from(CANNOT_RUN);
        }
    };
    let code = match app::run(config, source, signals, inherited) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&format!("ringway: {error}"));
            ExitCode::from(CANNOT_RUN)
        }
    };
    log::finish(LAST_LINES);
    code
}

/// Parses the filter in `text`: levels, or `target=level`, separated by commas. A bare word that is not a
/// level is refused, because it would be taken for a target and silence everything else.
fn log_filter(text: &str) -> Option<EnvFilter> {
    let is_clear = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    text.split(',')
        .all(is_clear)
        .then(|| EnvFilter::try_new(text).ok())?
}
