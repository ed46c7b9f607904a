//! What each contender is told: its command line, and the configuration file written for it.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use super::encrypt::Certificate;
use super::nodes::Nodes;
use super::process::{Scratch, free_address};

/// Twemproxy's defaults for all that is not written here.
///
/// # Errors
/// A file that cannot be written.
pub fn nutcracker(
    address: SocketAddr,
    servers: &[(String, SocketAddr)],
    scratch: &Scratch,
) -> Result<Vec<String>> {
    let mut config = format!(
        "main:\n  listen: {address}\n  distribution: ketama\n  hash: fnv1a_64\n  preconnect: true\n  \
         server_connections: 1\n  servers:\n"
    );
    for (name, address) in servers {
        writeln!(config, "    - {address}:1 {name}")?;
    }
    let file = write_config("nutcracker.yml", &config, scratch)?;
    let stats_port = free_address()?.port().to_string();
    let pid_file = scratch.path("nutcracker.pid").display().to_string();
    let args = [
        "--conf-file",
        &file,
        "--output",
        "/dev/stderr",
        "--pid-file",
        &pid_file,
    ];
    let stats = ["--stats-addr", "127.0.0.1", "--stats-port", &stats_port];
    Ok([&args[..], &stats[..]]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect())
}

/// Ringway's defaults for all that is not written here. `tls`: where clients that encrypt connect.
///
/// # Errors
/// A file that cannot be written.
pub fn ringway(
    address: SocketAddr,
    unix: &Path,
    tls: Option<SocketAddr>,
    workers: usize,
    route: &str,
    nodes: &Nodes,
    scratch: &Scratch,
) -> Result<Vec<String>> {
    let admin = free_address()?;
    let mut config = format!(
        "workers: {workers}\nlisteners:\n  - bind: {address}\n    max_connections: 20000\n    route: {route}\n  \
         - bind: unix:{}\n    route: {route}\n",
        unix.display()
    );
    if let (Some(door), Some(Certificate { cert, key })) = (tls, &nodes.certificate) {
        let (cert, key) = (cert.display(), key.display());
        writeln!(
            config,
            "  - {{bind: '{door}', route: {route}, tls: {{cert: {cert}, key: {key}}}}}"
        )?;
    }
    writeln!(config, "admin:\n  bind: {admin}\npools:")?;
    // The second has the same nodes and spreads keys otherwise; an old binary knows that ring too.
    for (pool, distribution) in [("main", "twemproxy"), ("other", "ketama")] {
        writeln!(
            config,
            "  {pool}:\n    distribution: {distribution}\n    connections: 1\n    nodes:"
        )?;
        for (name, address) in nodes.named() {
            writeln!(
                config,
                "      - {{address: \"{}{address}\", name: {name}}}",
                nodes.scheme()
            )?;
        }
        if let Some(certificate) = &nodes.certificate {
            let ca = certificate.cert.display();
            writeln!(config, "    tls: {{ca: {ca}, name: localhost}}")?;
        }
    }
    let file = write_config("ringway.yaml", &config, scratch)?;
    Ok(vec!["--config".to_owned(), file])
}

/// memcached's own proxy: one pool, and its own ring.
///
/// # Errors
/// A file that cannot be written.
pub fn memcached(
    address: SocketAddr,
    workers: usize,
    nodes: &Nodes,
    scratch: &Scratch,
) -> Result<Vec<String>> {
    let mut config = "function mcp_config_pools()\n".to_owned();
    if nodes.certificate.is_some() {
        // It checks no certificate.
        config.push_str("  mcp.init_tls()\n  mcp.backend_use_tls(true)\n");
    }
    config.push_str("  return mcp.pool({\n");
    for (name, address) in nodes.named() {
        let (host, port) = (address.ip(), address.port());
        writeln!(config, "    mcp.backend(\"{name}\", \"{host}\", \"{port}\"),")?;
    }
    config.push_str(
        "  })\nend\nfunction mcp_config_routes(pool)\n  local main = mcp.funcgen_new()\n  \
         local node = main:new_handle(pool)\n  main:ready({ n = \"main\", f = function(context)\n    \
         return function(request) return context:enqueue_and_wait(request, node) end\n  end })\n  \
         mcp.attach(mcp.CMD_ANY_STORAGE, main)\nend\n",
    );
    let file = write_config("memcached.lua", &config, scratch)?;
    let (port, threads) = (address.port().to_string(), workers.to_string());
    let proxy = format!("proxy_config={file}");
    // As root it insists on -u; from anybody else it ignores it.
    let args = [
        "-l",
        "127.0.0.1",
        "-p",
        &port,
        "-U",
        "0",
        "-u",
        "root",
        "-c",
        "20000",
        "-t",
        &threads,
        "-o",
        &proxy,
    ];
    Ok(args.iter().map(ToString::to_string).collect())
}

/// mcrouter: one pool, and its own ring.
///
/// # Errors
/// A file that cannot be written.
pub fn mcrouter(
    address: SocketAddr,
    workers: usize,
    nodes: &Nodes,
    scratch: &Scratch,
) -> Result<Vec<String>> {
    let servers: Vec<String> = nodes
        .addresses()
        .iter()
        .map(|node| format!("\"{node}\""))
        .collect();
    let config = format!(
        "{{\"pools\": {{\"main\": {{\"servers\": [{}]}}}}, \"route\": \"PoolRoute|main\"}}\n",
        servers.join(", ")
    );
    let file = write_config("mcrouter.json", &config, scratch)?;
    Ok(vec![
        format!("--config=file:{file}"),
        format!("--port={}", address.port()),
        format!("--num-proxies={workers}"),
    ])
}

/// The relay, which has a door for each node.
pub fn relay(doors: &[SocketAddr], nodes: &Nodes) -> Vec<String> {
    child("relay", doors, &["--to", &list(&nodes.addresses())])
}

/// The generator's own program in another part.
pub fn child(mode: &str, doors: &[SocketAddr], more: &[&str]) -> Vec<String> {
    let doors = list(doors);
    [&["--bench", mode, "--doors", &doors], more]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(",")
}

fn write_config(name: &str, config: &str, scratch: &Scratch) -> Result<String> {
    let path = scratch.path(name);
    fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
    Ok(path.display().to_string())
}
