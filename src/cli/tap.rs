//! `ringway tap`: single requests of a running Ringway as they are answered, for a time.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::ask::{Admin, escaped};
use super::note;

/// For an answer: Ringway waits a moment for the first request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which requests are shown, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// For how long.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Show a sample: one request in this many, at random.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub one_in: u64,
    /// Only keys that begin with this.
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Only requests to the nodes of this pool.
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// Only requests to this node.
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only requests that do this: get, set, delete, …
    #[arg(long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// Print JSON, a line for each request.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Deserialize)]
struct Opened {
    id: u64,
    shows_keys: bool,
}

#[derive(Debug, Deserialize)]
struct Seen {
    requests: Vec<Value>,
    lost: u64,
    over: bool,
}

#[derive(Debug, Deserialize)]
struct Request {
    at: String,
    pool: String,
    node: String,
    command: String,
    key: Option<String>,
    hash: Option<String>,
    bytes: u64,
    outcome: String,
    seconds: f64,
}

/// Shows the requests of the Ringway at `admin` on stdout; on stderr, which requests these are, and at the end how many.
///
/// # Errors
/// It does not answer, refuses, or something else answers.
pub fn run(admin: &Admin<'_>, options: &Options) -> anyhow::Result<()> {
    let opened: Opened = post(admin, &format!("/tap?{}", query(options)))?;
    note(format_args!(
        "{admin}: watching {}",
        watched(options, opened.shows_keys)
    ));
    let mut out = std::io::stdout().lock();
    let (mut shown, mut lost) = (0, 0);
    loop {
        let seen: Seen = post(admin, &format!("/tap/{}", opened.id))?;
        shown += seen.requests.len();
        lost += seen.lost;
        if seen.lost > 0 {
            note(format_args!(
                "{} requests are missing here: they came faster than they are read",
                seen.lost
            ));
        }
        for request in seen.requests {
            match options.json {
                true => writeln!(out, "{request}")?,
                false => writeln!(out, "{}", line(&serde_json::from_value(request)?))?,
            }
        }
        out.flush()?;
        if seen.over {
            note(summary(shown, lost));
            return Ok(());
        }
    }
}

/// Which requests are shown, such as `every get of pool main for 10 s`.
fn watched(options: &Options, shows_keys: bool) -> String {
    let command = options.command.as_deref().unwrap_or("request");
    let mut text = match options.one_in {
        1 => format!("every {command}"),
        one_in => format!("one {command} in {one_in}"),
    };
    let fields = [
        (" of pool ", &options.pool),
        (" to node ", &options.node),
        (" whose key begins with ", &options.prefix),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            text += &format!("{name}{}", value.escape_debug());
        }
    }
    let keys = if shows_keys { "" } else { ", with hashed keys" };
    format!("{text} for {} s{keys}", options.seconds)
}

fn summary(shown: usize, lost: u64) -> String {
    let plural = if shown == 1 { "" } else { "s" };
    match lost {
        0 => format!("{shown} request{plural}"),
        lost => format!("{shown} request{plural}, and {lost} that came faster than they were read"),
    }
}

fn query(options: &Options) -> String {
    let mut query = format!("seconds={}&one_in={}", options.seconds, options.one_in);
    let fields = [
        ("prefix", &options.prefix),
        ("pool", &options.pool),
        ("node", &options.node),
        ("command", &options.command),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            query += &format!("&{name}={}", escaped(value));
        }
    }
    query
}

fn post<T: for<'a> Deserialize<'a>>(admin: &Admin<'_>, path: &str) -> anyhow::Result<T> {
    let (status, body) = admin.post(path, PATIENCE)?;
    if status != "200" {
        bail!("{admin}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))
}

/// Renders a request. Names and keys come from outside: they are escaped.
fn line(request: &Request) -> String {
    let key = request.key.as_ref().or(request.hash.as_ref());
    // The date is today's.
    let time = request.at.split('T').next_back().unwrap_or_default();
    let text = format!(
        "{time:13} {:>9.3}ms {:9} {:10} {:>8}B  {}/{}  {}",
        request.seconds * 1e3,
        request.command,
        request.outcome,
        request.bytes,
        request.pool,
        request.node,
        key.map_or("", |key| key)
    );
    text.escape_debug().to_string()
}
