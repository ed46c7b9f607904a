//! `ringway explain`: shows where keys go, and why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::ask::{self, Admin, AdminAddress, Credentials, escaped};
use super::discover;
use super::unquoted::Unquoted;
use crate::config;
use crate::control::discovery::{LOOKUP, resolve_new};
use crate::control::live_lookup;
use crate::route::explain::tree;
use crate::route::explain::{Explanation, explain};
use crate::snapshot::{Listener, Snapshot};

/// Which keys are explained, by which configuration, and how it is shown.
#[derive(Debug, Args)]
pub struct Options {
    /// The configuration; - for stdin.
    #[arg(short, long, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// Ask a running Ringway at its admin address instead, which knows the nodes that are down or
    /// drained.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config", value_parser = Unquoted(ask::admin))]
    admin: Option<AdminAddress>,
    /// What the admin listener asks for.
    #[command(flatten)]
    credentials: Credentials,
    /// Take the route of the listener with this bind address; default: the first listener.
    #[arg(short, long, value_name = "BIND")]
    listener: Option<String>,
    /// The form of the output.
    #[command(flatten)]
    form: Form,
    /// The keys.
    #[arg(required = true)]
    keys: Vec<String>,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// Show each step too: the hashed part of the key, its hash, the point on the ring, the node.
    #[arg(long)]
    steps: bool,
    /// Ask the node too, whether it answers and has the key; implies --steps.
    #[arg(long)]
    live: bool,
    /// Print one line of JSON per key, with the steps, as GET /explain does.
    #[arg(long)]
    json: bool,
}

/// Prints where keys go.
///
/// # Errors
/// The file is invalid or Ringway does not answer, there is no such listener, or a key is invalid.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let (listener, form, keys) = (options.listener.as_deref(), options.form, &options.keys);
    match (&options.config, &options.admin) {
        (_, Some(admin)) => ask_where(&Admin::new(admin, &options.credentials)?, listener, form, keys),
        (Some(config), None) => say_where(config, listener, form, keys),
        (None, None) => unreachable!("clap asks for one of both"),
    }
}

/// Prints where `keys` go by `file`, as requests of `listener` or of the first listener.
fn say_where(file: &Path, listener: Option<&str>, form: Form, keys: &[String]) -> anyhow::Result<()> {
    let mut config = config::load_from_any(file).map_err(anyhow::Error::msg)?;
    if form.live {
        discover::fill(&mut config)?;
    }
    let snapshot = Snapshot::build(config, None);
    let listener = find(&snapshot, listener)?;
    let mut explained = Vec::new();
    for key in keys {
        let route = (listener.settings.route.label(), &listener.route);
        let found = explain(route.0, route.1, &snapshot.nodes, key.as_bytes());
        let mut found = found.map_err(|error| anyhow!("{}: {error}", key.escape_debug()))?;
        found.forget_health();
        explained.push(found);
    }
    if form.live {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            resolve_new(&snapshot, LOOKUP).await;
            for (key, found) in keys.iter().zip(&mut explained) {
                if let Some((pool, key)) = tree::first(&listener.route, key.as_bytes()) {
                    let node = &snapshot.nodes[pool.pick(&key)];
                    found
                        .steps
                        .push(live_lookup::ask(node, &pool.settings, &key).await);
                }
            }
        });
    }
    explained.iter().try_for_each(|found| print(found, form))
}

fn find<'a>(snapshot: &'a Snapshot, listener: Option<&str>) -> anyhow::Result<&'a Listener> {
    let bind = |listener: &Listener| listener.settings.bind.to_string();
    let mut listeners = snapshot.listeners.iter();
    let found = listeners.find(|known| listener.is_none_or(|listener| listener == bind(known)));
    if let Some(found) = found {
        return Ok(found);
    }
    let known: Vec<String> = snapshot.listeners.iter().map(bind).collect();
    bail!(
        "no listener {}, there is {}",
        listener.unwrap_or_default(),
        known.join(", ")
    )
}

/// Like [`say_where`], as the running Ringway sees it.
fn ask_where(admin: &Admin<'_>, listener: Option<&str>, form: Form, keys: &[String]) -> anyhow::Result<()> {
    for key in keys {
        let mut path = format!("/explain?key={}", escaped(key));
        if let Some(listener) = listener {
            path += &format!("&listener={}", escaped(listener));
        }
        let mut patience = ask::PATIENCE;
        if form.live {
            path += "&live=1";
            // Ringway waits for the node, as long as the pool's settings say.
            patience = Duration::from_secs(60);
        }
        let (status, body) = admin.get(&path, patience)?;
        if status != "200" {
            bail!("{}: {}", key.escape_debug(), body.trim());
        }
        let found: Explanation = serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))?;
        print(&found, form)?;
    }
    Ok(())
}

fn print(found: &Explanation, form: Form) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if form.json {
        writeln!(out, "{}", serde_json::to_string(found)?)?;
        return Ok(());
    }
    writeln!(out, "{found}")?;
    if form.steps || form.live {
        found
            .steps
            .iter()
            .try_for_each(|step| writeln!(out, "  {step}"))?;
    }
    Ok(())
}
