//! `ringway nodes`: shows the nodes of a running Ringway as a table.

use std::io::Write;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::ask::{self, Admin};

/// The displayed fields of a node in `GET /nodes`.
#[derive(Debug, Deserialize)]
struct ListedNode {
    pool: String,
    node: String,
    address: String,
    state: String,
    since: String,
    in_ring: bool,
    drained: bool,
    requests: u64,
    hits: u64,
    misses: u64,
    errors: u64,
    last_error: Option<String>,
}

const HEADINGS: [&str; 9] = [
    "POOL",
    "NODE",
    "STATE",
    "SINCE",
    "RING",
    "REQUESTS",
    "HITS",
    "ERRORS",
    "LAST ERROR",
];

/// Prints the nodes of the Ringway at `admin`, as a table or as the JSON that it answers.
///
/// # Errors
/// Ringway does not answer, or another server does.
pub fn run(admin: &Admin<'_>, json: bool) -> anyhow::Result<()> {
    let (status, body) = admin.get("/nodes", ask::PATIENCE)?;
    if status != "200" {
        bail!("{admin}: {}", body.trim());
    }
    let mut out = std::io::stdout().lock();
    if json {
        out.write_all(body.as_bytes())?;
        return Ok(());
    }
    let nodes: Vec<ListedNode> = serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))?;
    out.write_all(table(&nodes).as_bytes())?;
    Ok(())
}

/// Renders columns as wide as their widest cell. Escapes names, which come from a configuration, and errors, which come
/// from nodes.
fn table(nodes: &[ListedNode]) -> String {
    let rows: Vec<[String; 9]> = nodes.iter().map(row).collect();
    let headings = HEADINGS.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(&rows);
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths);
        let line: String = cells.map(|(cell, width)| format!("{cell:width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(node: &ListedNode) -> [String; 9] {
    let name = if node.node == node.address || node.address == "embedded" {
        node.node.clone()
    } else {
        format!("{} ({})", node.node, node.address)
    };
    let ring = match (node.in_ring, node.drained) {
        (_, true) => "drained",
        (true, false) => "in",
        (false, false) => "out",
    };
    let found = node.hits + node.misses;
    let hits = if found == 0 {
        "-".to_owned()
    } else {
        format!("{:.1}%", node.hits as f64 * 100.0 / found as f64)
    };
    let last_error = node.last_error.as_deref().unwrap_or("-");
    [
        &node.pool,
        &name,
        &node.state,
        &node.since,
        ring,
        &node.requests.to_string(),
        &hits,
        &node.errors.to_string(),
        last_error,
    ]
    .map(|cell| cell.escape_debug().to_string())
}
