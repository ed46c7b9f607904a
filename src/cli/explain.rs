//! `ringway explain`: where keys go.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};

use super::ask;
use crate::config;
use crate::route::explain::{Explanation, explain};
use crate::snapshot::Snapshot;

/// Prints where `keys` go by `file`, as the requests of `listener` or the first one.
///
/// # Errors
/// The file is bad, there is no such listener, or a key is none.
pub fn say_where(file: &Path, listener: Option<&str>, keys: &[String]) -> anyhow::Result<()> {
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
///
/// # Errors
/// It does not answer, or refuses a key.
pub fn ask_where(admin: SocketAddr, listener: Option<&str>, keys: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for key in keys {
        let mut path = format!("/explain?key={}", escaped(key));
        if let Some(listener) = listener {
            path += &format!("&listener={}", escaped(listener));
        }
        let (status, body) = ask::get(admin, &path)?;
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
