//! `ringway diff`: shows what another configuration changes, and how many keys it moves.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config;
use crate::diff::{Difference, percent};

/// The options of `ringway diff`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file with keys, one per line, of which to count those that move; - for stdin.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Exit with 1 if more of a pool's keys move than this share, such as 30%: of those in --keys, or
    /// otherwise of all possible keys.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail_over: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints how the configurations in `old` and `new` differ.
///
/// # Errors
/// A file is invalid or unreadable, or more keys of a pool move than allowed.
pub fn run(old: &Path, new: &Path, options: &Options) -> anyhow::Result<()> {
    let load = |path| config::load_from_any(path).map_err(anyhow::Error::msg);
    let from_stdin = [Some(old), Some(new), options.keys.as_deref()]
        .into_iter()
        .flatten();
    if from_stdin.filter(|path| config::is_stdin(path)).count() > 1 {
        bail!("stdin can be read once: name a file for all but one");
    }
    let keys = options.keys.as_deref().map(keys).transpose()?;
    let difference = Difference::between(&load(old)?, &load(new)?, keys.as_deref());
    let mut out = std::io::stdout().lock();
    let printed = match options.json {
        true => writeln!(out, "{}", serde_json::to_string(&difference)?),
        false => write!(out, "{difference}"),
    };
    let Some(limit) = options.fail_over else {
        return Ok(printed?);
    };
    let over = difference.pools.iter().filter(|moves| moves.share() > limit);
    let told: Vec<String> = over
        .map(|moves| {
            format!(
                "{}: {}{} of the keys move, more than {}",
                moves.name(),
                moves.up_to(),
                percent(moves.share()),
                percent(limit)
            )
        })
        .collect();
    if !told.is_empty() {
        bail!("{}", told.join("\n"));
    }
    Ok(printed?)
}

/// The keys in a file, at least one.
fn keys(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    if config::is_stdin(path) {
        std::io::stdin().read_to_end(&mut bytes).context("stdin")?;
    } else {
        bytes = fs::read(path).with_context(|| path.display().to_string())?;
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let lines = lines.filter(|line| !line.is_empty());
    let keys: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    if keys.is_empty() {
        let name = match config::is_stdin(path) {
            true => "stdin".into(),
            false => path.display().to_string(),
        };
        bail!("{name} has no keys: write one per line");
    }
    Ok(keys)
}

/// What is not a share of a whole.
#[derive(Debug, thiserror::Error)]
#[error("write a share from 0% to 100%, such as 30%")]
pub struct BadShare;

/// Parses a share such as `30%` or `12.5%`.
///
/// # Errors
/// The text is not a share from 0% to 100%.
pub fn share(text: &str) -> Result<f64, BadShare> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(BadShare),
    }
}
