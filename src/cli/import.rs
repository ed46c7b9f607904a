//! `ringway import`: converts the configuration of another proxy or client.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::import::{Format, guess, import};

/// The format of the imported configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// twemproxy's nutcracker.yml.
    Nutcracker,
    /// An option string of libmemcached.
    Libmemcached,
    /// mcrouter's JSON.
    Mcrouter,
}

/// The maximum size of an imported file in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// Imports `file`, or stdin if that is `-`, and writes the result to `output` or stdout. Writes nothing if
/// no pool was read, and never leaves half a file in `output`.
///
/// # Errors
/// A file cannot be read or written, or some of it cannot be expressed: a line for each.
pub fn run(
    file: &Path,
    output: Option<&Path>,
    from: Option<From>,
    route_prefix: Option<&str>,
) -> anyhow::Result<()> {
    let (source, text) = if file == Path::new("-") {
        (
            "stdin".to_owned(),
            read(std::io::stdin().lock()).context("stdin")?,
        )
    } else {
        let source = file.display().to_string();
        let text = fs::File::open(file).map_err(Into::into).and_then(read);
        (source.clone(), text.context(source)?)
    };
    let format = match from {
        Some(From::Nutcracker) => Format::Nutcracker,
        Some(From::Libmemcached) => Format::Libmemcached,
        Some(From::Mcrouter) => Format::Mcrouter,
        None => guess(&text),
    };
    let imported = import(&text, &source, format, route_prefix);
    let printed = match (imported.text, output) {
        (None, _) => Ok(()),
        (Some(text), Some(path)) if path != Path::new("-") => {
            replace(path, &text).with_context(|| path.display().to_string())?;
            writeln!(std::io::stdout(), "wrote {}", path.display())
        }
        (Some(text), _) => std::io::stdout().lock().write_all(text.as_bytes()),
    };
    if !imported.lost.is_empty() {
        let lines: Vec<String> = imported.lost.iter().map(ToString::to_string).collect();
        bail!("{}", lines.join("\n"));
    }
    Ok(printed?)
}

fn read(from: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        bail!("larger than 4 MiB");
    }
    Ok(text)
}

/// Writes `text` beside `path` and renames it, so that readers find the old file or the complete new one. A
/// path that is not a regular file, such as /dev/stdout, is written to directly.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A symbolic link is kept: the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return fs::write(&path, text);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written =
        write_new(&beside, text, old.map(|old| old.permissions())).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(path: &Path, text: &str, permissions: Option<fs::Permissions>) -> std::io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
