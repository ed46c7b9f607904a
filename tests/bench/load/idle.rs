//! What an idle session costs: opens many, lets each ask once and fall silent, and reads the proxy's resident
//! memory before and after. What the kernel holds for the sockets is not in it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use std::io::Write;

use super::accounting::Memory;
use super::checker::Checker;
use super::contender::Contender;
use super::dataset::Dataset;
use super::measure::{preload, read_replies};
use super::node::Store;
use super::nodes::Nodes;
use super::options::Options;
use super::process::Scratch;
use super::report::Table;
use super::wire::Wire;
use super::workload::WORKLOADS;

/// Time for a proxy to give back what it held for the last requests.
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures each contender that is a proxy and prints a table. True when all could be measured.
///
/// # Errors
/// A wrong byte, or a session that could not be opened.
pub fn run(
    options: &Options,
    contenders: &[Contender],
    nodes: &mut Nodes,
    scratch: &Scratch,
) -> Result<bool> {
    let dataset = Dataset::new(&WORKLOADS[0]);
    let keys: Vec<u32> = (0..dataset.len() as u32).collect();
    let mut table = Table::new(&[
        "contender",
        "sessions",
        "RSS before MiB",
        "after MiB",
        "KiB/session",
        "peak MiB",
    ]);
    let mut complete = true;
    for contender in contenders {
        nodes.prepare(Store::Memcached, &WORKLOADS[0], options, scratch)?;
        let running = match contender.start(nodes, 1, options, scratch) {
            Ok(running) => running,
            Err(error) => {
                eprintln!("{} cannot be measured: {error:#}", contender.name);
                complete = false;
                continue;
            }
        };
        let Some(pid) = running.pid() else { continue };
        let address = running.addresses[0];
        preload(address, &keys, &dataset, Wire::Classic)
            .with_context(|| format!("preloading through {}", contender.name))?;
        let before = Memory::of(pid)?;
        eprintln!("idle: {} sessions through {}", options.sessions, contender.name);
        let sessions = (0..options.sessions)
            .map(|index| {
                open(address, keys[index % keys.len()], &dataset).with_context(|| format!("session {index}"))
            })
            .collect::<Result<Vec<_>>>()
            .with_context(|| format!("through {}", contender.name))?;
        std::thread::sleep(SETTLE);
        let after = Memory::of(pid)?;
        let grown = after.resident_kib.saturating_sub(before.resident_kib);
        table.row(vec![
            contender.name.to_owned(),
            sessions.len().to_string(),
            mib(before.resident_kib),
            mib(after.resident_kib),
            format!("{:.2}", grown as f64 / sessions.len().max(1) as f64),
            mib(after.peak_kib),
        ]);
    }
    println!(
        "\n## Idle sessions: resident memory of the proxy, without what the kernel holds for sockets\n\n{table}"
    );
    Ok(complete)
}

/// A session that asked for one key, read it, and says no more.
fn open(address: SocketAddr, key: u32, dataset: &Dataset) -> Result<TcpStream> {
    let mut stream =
        TcpStream::connect(address).context("connect (many sessions need a high `ulimit -n`)")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut checker = Checker::new(Wire::Classic);
    checker.expect_values(&[key]);
    stream.write_all(format!("get {}\r\n", dataset.item(key).key()).as_bytes())?;
    let outcome = read_replies(&mut stream, &mut checker, dataset)?;
    if outcome.hits != 1 {
        bail!(
            "{} was stored, and its get gave {outcome:?}",
            dataset.item(key).key()
        );
    }
    Ok(stream)
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
