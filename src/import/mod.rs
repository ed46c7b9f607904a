//! Converts the configuration of another proxy or client to Ringway's, with every key on the same node.
//!
//! Whatever cannot be expressed is reported with its line and the reason, never silently dropped, including
//! anything in the result that Ringway itself would refuse.
//!
//! ```text
//! nutcracker.yml ─ tree ───────────▶ nutcracker   ─┐
//! options        ──────────────────▶ libmemcached ─┼▶ Draft ─ yaml ─▶ text ─ config::parse ─▶ what is lost
//! mcrouter.json  ─ json ─ macros ──▶ mcrouter     ─┘
//! ```

mod json;
mod libmemcached;
mod macros;
mod mcrouter;
mod nutcracker;
mod yaml;

use crate::config::error::{Diagnostic, Diagnostics, Error, Location, Problem};
use crate::config::{self, tree};
use yaml::{Line, Origin, Value};

/// The format of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// twemproxy's `nutcracker.yml`.
    Nutcracker,
    /// An option string of libmemcached.
    Libmemcached,
    /// mcrouter's JSON.
    Mcrouter,
}

/// Guesses the format of `text`.
pub fn guess(text: &str) -> Format {
    if text.trim_start().starts_with("--") && !text.trim_start().starts_with("---") {
        return Format::Libmemcached;
    }
    if text.trim_start().starts_with(['{', '/']) {
        return Format::Mcrouter;
    }
    Format::Nutcracker
}

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// A configuration for Ringway; `None` if no pool was read.
    pub text: Option<String>,
    /// Everything that it does not express, with locations in the original file, in order.
    pub lost: Vec<Diagnostic>,
}

/// The result of a format's reader.
#[derive(Debug, Default)]
struct Draft {
    listeners: Vec<Value>,
    pools: Vec<(String, Value)>,
    routes: Vec<(String, Value)>,
    /// The comments above it, one per line.
    comments: Vec<String>,
}

/// Imports `text`, the content of the file called `source`. `route_prefix` is the one that mcrouter is
/// started with.
pub fn import(text: &str, source: &str, format: Format, route_prefix: Option<&str>) -> Imported {
    let mut lost = Diagnostics::new(source);
    let draft = match format {
        _ if text.trim().is_empty() => {
            lose(&mut lost, (1, 1), "", "the file is empty");
            None
        }
        Format::Nutcracker => tree::parse(text, &mut lost)
            .filter(|tree| is_foreign(tree, &mut lost))
            .map(|tree| nutcracker::read(&tree, &mut lost)),
        Format::Mcrouter => json::parse(text, &mut lost)
            .filter(|tree| is_foreign(tree, &mut lost))
            .map(|tree| macros::expand(tree, &mut lost))
            .map(|tree| mcrouter::read(&tree, route_prefix, &mut lost)),
        Format::Libmemcached => Some(libmemcached::read(text, &mut lost)),
    };
    let source_text = text;
    let text = draft
        .filter(|draft| !draft.pools.is_empty())
        .map(|draft| write(draft, source, &mut lost));
    if text.is_none()
        && let Some((line, column)) = template(source_text)
    {
        let why = "this is a template: import the file that is made from it";
        lose(&mut lost, (line, column), "", why);
    }
    let mut lost = lost.into_list();
    if text.is_none() && lost.is_empty() {
        let mut none = Diagnostics::new(source);
        lose(&mut none, (1, 1), "", "there are no pools");
        lost = none.into_list();
    }
    Imported { text, lost }
}

/// A limit that other proxies lack and that the nodes' own limit may exceed.
const ON_VALUES: &str =
    "# Values above 1MiB: if nodes run with memcached's -I, set max_value_size of their pool as large.\n";

/// Renders `draft` as a file. Reports what Ringway would refuse of it.
fn write(draft: Draft, source: &str, lost: &mut Diagnostics) -> String {
    let comments: String = draft
        .comments
        .iter()
        .map(|line| format!("# {}\n", in_one_line(line)))
        .collect();
    let lines = yaml::write(&draft.into_value());
    let written: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    check(&written, &lines, lost);
    format!(
        "# Imported from {}.\n{comments}{ON_VALUES}{written}",
        in_one_line(source)
    )
}

/// Escapes the control characters of `text`.
fn in_one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Returns the location of a placeholder for a template engine in `text`.
fn template(text: &str) -> Option<Origin> {
    let at = ["{{", "{%", "<%"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min()?;
    let (before, _) = text.split_at(at);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    Some((line, before[line_start..].chars().count() + 1))
}

/// Returns false, and reports it, if `tree` is already a configuration for Ringway.
fn is_foreign(tree: &tree::SpannedValue, lost: &mut Diagnostics) -> bool {
    let pools = macros::get(tree, "pools").map(|pools| &pools.value);
    let is_own = matches!(pools, Some(tree::Value::Map(entries)) if entries.iter().any(|(_, pool)| {
        ["nodes", "discover"].iter().any(|key| macros::get(pool, key).is_some())
    }));
    if is_own {
        let why = "this is a configuration of Ringway's already: there is nothing to import";
        lose(lost, (1, 1), "", why);
    }
    !is_own
}

impl Draft {
    fn into_value(self) -> Value {
        let mut root = Value::map(Vec::new(), None);
        if !self.listeners.is_empty() {
            root.push("listeners", Value::list(self.listeners, None));
        }
        let mut pools = Value::map(Vec::new(), None);
        for (name, pool) in self.pools {
            pools.push(&name, pool);
        }
        root.push("pools", pools);
        if !self.routes.is_empty() {
            let mut routes = Value::map(Vec::new(), None);
            for (name, route) in self.routes {
                routes.push(&name, route);
            }
            root.push("routes", routes);
        }
        root
    }
}

/// Reports what Ringway would refuse of the result, at the location that it was made from.
fn check(written: &str, lines: &[Line], lost: &mut Diagnostics) {
    let Err(Error::Diagnostics(diagnostics)) = config::parse(written, "the result") else {
        return;
    };
    for diagnostic in diagnostics {
        let above = lines.iter().take(diagnostic.line).rev();
        let (line, column) = above.flat_map(|(_, origin)| *origin).next().unwrap_or((1, 1));
        let problem = Problem {
            reason: format!("Ringway would refuse this: {}", diagnostic.reason),
            hint: diagnostic.hint,
        };
        let location = Location {
            line,
            column,
            path: diagnostic.path,
        };
        lost.add(&location, problem);
    }
}

/// Reports that the part at `origin`, with this `path`, cannot be expressed, and why.
fn lose(lost: &mut Diagnostics, (line, column): Origin, path: &str, why: impl Into<String>) {
    let location = Location {
        line,
        column,
        path: path.to_owned(),
    };
    lost.add(&location, Problem::new(why));
}
