//! `ringway import`: the configuration of another proxy or client as one of Ringway's.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::import::{Format, guess, import};

/// Whose configuration is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// twemproxy's nutcracker.yml.
    Nutcracker,
    /// An option string of libmemcached.
    Libmemcached,
    /// mcrouter's JSON.
    Mcrouter,
}

/// Imports `file`, or stdin where that is `-`, and writes the result to `output` or stdout.
///
/// # Errors
/// A file cannot be read or written, or there is something that cannot be said: a line for each.
pub fn run(file: &Path, output: Option<&Path>, from: Option<From>) -> anyhow::Result<()> {
    let mut text = String::new();
    let source = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        "stdin".to_owned()
    } else {
        let source = file.display().to_string();
        text = fs::read_to_string(file).with_context(|| source.clone())?;
        source
    };
    let format = match from {
        Some(From::Nutcracker) => Format::Nutcracker,
        Some(From::Libmemcached) => Format::Libmemcached,
        Some(From::Mcrouter) => Format::Mcrouter,
        None => guess(&text),
    };
    let imported = import(&text, &source, format);
    match output {
        Some(path) => fs::write(path, imported.text).with_context(|| path.display().to_string())?,
        None => std::io::stdout().lock().write_all(imported.text.as_bytes())?,
    }
    if !imported.lost.is_empty() {
        let lines: Vec<String> = imported.lost.iter().map(ToString::to_string).collect();
        bail!("{}", lines.join("\n"));
    }
    Ok(())
}
