//! The contenders: what stands between the generator and the nodes, and how each is started. A further contender is
//! one more row in `all` and one more way in `start`.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tokio_rustls::TlsConnector;

use super::encrypt::Certificate;
use super::node::Store;
use super::nodes::Nodes;
use super::options::{Backend, Mode, Options};
use super::peers;
use super::process::{Process, Scratch, free_address};
use super::wire::Wire;
use super::workload::Workload;

/// The most bytes of a TLS record.
const RECORD: usize = 16 << 10;

/// One way from the generator to the nodes.
#[derive(Debug)]
pub struct Contender {
    /// What people call it, and what `--only` takes.
    pub name: &'static str,
    /// What its nodes are.
    pub store: Store,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Direct,
    Relay,
    Nutcracker(PathBuf),
    /// The same before stunnel, and on these sides.
    NutcrackerOverStunnel(PathBuf, Sides),
    /// memcached's own proxy; `None` if nobody said where it is.
    Memcached(Option<PathBuf>),
    /// As above.
    Mcrouter(Option<PathBuf>),
    /// With this route.
    Ringway(PathBuf, &'static str),
    /// With clients that encrypt, too.
    RingwayOnBothSides(PathBuf),
}

/// Who encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sides {
    /// The proxy to its nodes.
    Nodes,
    /// The clients, too.
    Both,
}

/// Where a client connects.
pub enum Door {
    Tcp(SocketAddr),
    /// Encrypted.
    Tls(SocketAddr, TlsConnector),
    Unix(PathBuf),
}

/// A contender at work.
pub struct Running {
    /// Where clients connect: one address of a proxy, or one for each node.
    pub addresses: Vec<SocketAddr>,
    /// Where clients that are measured connect instead, and how they encrypt.
    tls: Option<(SocketAddr, TlsConnector)>,
    /// The same by a unix socket, if it has one.
    unix: Option<PathBuf>,
    process: Option<Process>,
    /// What encrypts for it.
    stunnel: Option<Process>,
}

impl Running {
    /// The process id of the proxy, if there is one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The process ids of the proxy and of what encrypts for it.
    pub fn pids(&self) -> Vec<u32> {
        let processes = [&self.process, &self.stunnel];
        processes.into_iter().flatten().map(Process::pid).collect()
    }

    /// Where the clients of one share of the keys connect.
    pub fn door(&self, share: usize, is_unix: bool) -> Door {
        match (&self.tls, &self.unix) {
            (Some((address, connector)), _) => Door::Tls(*address, connector.clone()),
            (None, Some(path)) if is_unix => Door::Unix(path.clone()),
            _ => Door::Tcp(self.addresses[share]),
        }
    }

    /// What the proxy printed last, for a message.
    pub fn last_words(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(|| "no proxy".to_owned(), Process::last_words)
    }
}

/// What is measured with `--routes`: a plain pool, and policies over it.
const ROUTES: [(&str, &str); 6] = [
    ("ringway", PLAIN),
    ("ringway-prefix", "{prefix: {\"nobody:\": other}, else: main}"),
    ("ringway-failover", "{failover: [main, other]}"),
    ("ringway-replicate", "{replicate: [main, other]}"),
    (
        "ringway-lazy_fill",
        // The same nodes must not hold one key for both pools: what is taken out of the old one would be gone.
        "{lazy_fill: {to: main, from: {key: {to: other, add_prefix: \"old:\"}}}}",
    ),
    ("ringway-shadow", "{shadow: {of: main, to: other, share: 5%}}"),
];

/// The route of a plain pool.
const PLAIN: &str = "main";

/// The contenders that `options` name, or all.
///
/// # Errors
/// A name that no contender has.
pub fn select(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = match options {
        Options { routes: true, .. } => over_routes(),
        Options { tls: true, mode, .. } => over_tls(*mode),
        Options { redis: true, .. } => over_redis(),
        _ => all(),
    };
    let Some(names) = options.only.as_deref() else {
        return Ok(contenders);
    };
    for name in names {
        if contenders.iter().all(|contender| contender.name != name) {
            let known: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
            bail!(
                "no contender {name:?}; there are {} (ringway-base: set RINGWAY_BASE)",
                known.join(", ")
            );
        }
    }
    contenders.retain(|contender| names.iter().any(|name| name == contender.name));
    Ok(contenders)
}

fn ringway() -> PathBuf {
    env::var_os("RINGWAY_BIN").map_or_else(|| "target/release/ringway".into(), PathBuf::from)
}

/// Ringway over a plain pool and over policies.
pub fn over_routes() -> Vec<Contender> {
    ROUTES
        .map(|(name, route)| Contender::new(name, Kind::Ringway(ringway(), route)))
        .into()
}

/// Ringway over either kind of nodes, and Redis asked directly.
fn over_redis() -> Vec<Contender> {
    let over_redis = |name, kind| Contender {
        store: Store::Redis,
        ..Contender::new(name, kind)
    };
    vec![
        Contender::new("ringway", Kind::Ringway(ringway(), PLAIN)),
        over_redis("ringway-redis", Kind::Ringway(ringway(), PLAIN)),
        over_redis("direct-redis", Kind::Direct),
    ]
}

fn over_tls(mode: Mode) -> Vec<Contender> {
    let nutcracker = |name, sides| {
        let kind = Kind::NutcrackerOverStunnel("nutcracker".into(), sides);
        Contender::new(name, kind)
    };
    let mut contenders = vec![nutcracker("nutcracker+stunnel", Sides::Nodes)];
    // memcached's own proxy encrypts to its nodes if it was built to; one that nobody named is no contender.
    contenders.extend(
        all()
            .into_iter()
            .filter(|it| matches!(it.kind, Kind::Ringway(..) | Kind::Memcached(Some(_)))),
    );
    // Idle sessions are plain.
    if mode == Mode::Load {
        contenders.push(nutcracker("both:nutcracker+stunnel", Sides::Both));
        contenders.push(Contender::new(
            "both:ringway",
            Kind::RingwayOnBothSides(ringway()),
        ));
    }
    contenders
}

/// Ringway and its peers.
pub fn all() -> Vec<Contender> {
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    let mut all = vec![
        ("direct", Kind::Direct),
        ("relay", Kind::Relay),
        ("nutcracker", Kind::Nutcracker("nutcracker".into())),
        (
            "memcached-proxy",
            Kind::Memcached(path("RINGWAY_BENCH_MEMCACHED")),
        ),
        ("mcrouter", Kind::Mcrouter(path("RINGWAY_BENCH_MCROUTER"))),
        ("ringway", Kind::Ringway(ringway(), PLAIN)),
    ];
    if let Some(base) = path("RINGWAY_BASE") {
        all.push(("ringway-base", Kind::Ringway(base, PLAIN)));
    }
    all.into_iter()
        .map(|(name, kind)| Contender::new(name, kind))
        .collect()
}

impl Contender {
    fn new(name: &'static str, kind: Kind) -> Self {
        let store = Store::Memcached;
        Self { name, store, kind }
    }

    /// What its clients speak, where those of a proxy speak as `workload` says.
    pub fn wire(&self, workload: &Workload) -> Wire {
        match (&self.kind, self.store) {
            (Kind::Direct, Store::Redis) => Wire::Resp,
            _ => workload.wire,
        }
    }

    /// Starts it anew in front of `nodes`, with so many threads where it can, and waits until it listens.
    ///
    /// # Errors
    /// It is not there, or does not start; with what it said.
    pub fn start(
        &self,
        nodes: &Nodes,
        workers: usize,
        options: &Options,
        scratch: &Scratch,
    ) -> Result<Running> {
        if let Some(reason) = self.missing() {
            bail!(reason);
        }
        let own = env::current_exe()?;
        let (mut addresses, mut unix, mut stunnel) = (vec![free_address()?], None, None);
        let tls = match self.encrypts_clients() {
            true => Some((free_address()?, certificate(nodes)?.client()?)),
            false => None,
        };
        let address = addresses[0];
        let (program, args) = match &self.kind {
            Kind::Relay => {
                for _ in 1..nodes.addresses().len() {
                    addresses.push(free_address()?);
                }
                (&own, peers::relay(&addresses, nodes))
            }
            Kind::Nutcracker(program) => {
                let servers: Vec<_> = nodes.named().collect();
                (program, peers::nutcracker(address, &servers, scratch)?)
            }
            Kind::NutcrackerOverStunnel(program, _) => {
                let names = nodes.named().map(|(name, _)| Ok((name, free_address()?)));
                let servers = names.collect::<Result<Vec<_>>>()?;
                let front = tls.as_ref().map(|(door, _)| [*door, address]);
                stunnel = Some(start_stunnel(&servers, front, nodes, options, scratch)?);
                (program, peers::nutcracker(address, &servers, scratch)?)
            }
            Kind::Memcached(Some(program)) => (program, peers::memcached(address, workers, nodes, scratch)?),
            Kind::Mcrouter(Some(program)) => (program, peers::mcrouter(address, workers, nodes, scratch)?),
            Kind::Ringway(program, route) => {
                // One that was killed leaves its socket behind: each has a name of its own.
                let path = scratch.path(&format!("ringway-{}.sock", address.port()));
                let args = peers::ringway(address, &path, None, workers, route, nodes, scratch)?;
                unix = Some(path);
                (program, args)
            }
            Kind::RingwayOnBothSides(program) => {
                let path = scratch.path(&format!("ringway-{}.sock", address.port()));
                let door = tls.as_ref().map(|(door, _)| *door);
                let args = peers::ringway(address, &path, door, workers, PLAIN, nodes, scratch)?;
                (program, args)
            }
            Kind::Direct | Kind::Memcached(None) | Kind::Mcrouter(None) => {
                return Ok(Running {
                    addresses: nodes.addresses(),
                    tls: None,
                    unix: None,
                    process: None,
                    stunnel: None,
                });
            }
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let cpus = [options.proxy_cpu, options.load_cpu];
        let mut process = Process::start(self.name, &cpus[..workers.min(2)], program, &args, scratch)?;
        for address in addresses.iter().chain(tls.as_ref().map(|(door, _)| door)) {
            process.wait_ready(*address)?;
        }
        Ok(Running {
            addresses,
            tls,
            unix,
            process: Some(process),
            stunnel,
        })
    }

    /// Why it cannot be measured on this machine, if that is known before it is started.
    pub fn missing(&self) -> Option<String> {
        let variable = match self.kind {
            Kind::Memcached(None) => "RINGWAY_BENCH_MEMCACHED (1.6.23 or later, built with its proxy)",
            Kind::Mcrouter(None) => "RINGWAY_BENCH_MCROUTER",
            _ => return None,
        };
        Some(format!("missing: no path in {variable}"))
    }

    /// Whether clients encrypt to it.
    fn encrypts_clients(&self) -> bool {
        matches!(
            self.kind,
            Kind::NutcrackerOverStunnel(_, Sides::Both) | Kind::RingwayOnBothSides(_)
        )
    }

    /// Whether it can take the clients of `workload`, with such nodes behind it.
    pub fn takes(&self, workload: &Workload, backend: Backend) -> bool {
        let speaks = match self.kind {
            Kind::Ringway(..) | Kind::RingwayOnBothSides(_) => true,
            Kind::Direct if self.store == Store::Redis => workload.wire == Wire::Classic,
            // What clients speak reaches the nodes.
            Kind::Direct | Kind::Relay => workload.wire != Wire::Binary || backend == Backend::Memcached,
            Kind::Memcached(_) => workload.wire != Wire::Binary,
            // memcached may wait for ever for the rest of a request whose records stunnel cut.
            Kind::NutcrackerOverStunnel(..) if workload.sizes.largest() > RECORD => false,
            Kind::Nutcracker(_) | Kind::NutcrackerOverStunnel(..) | Kind::Mcrouter(_) => {
                workload.wire == Wire::Classic
            }
        };
        speaks && (matches!(self.kind, Kind::Ringway(..)) || !workload.is_unix)
    }

    /// What it says of itself in one line.
    pub fn version(&self) -> String {
        match &self.kind {
            Kind::Direct if self.store == Store::Redis => {
                "no proxy: each connection asks one Redis in its own protocol, with keys of its own"
                    .to_owned()
            }
            Kind::Direct => "no proxy: each connection talks to one node, with keys of its own".to_owned(),
            Kind::Relay => "hands on bytes, parses nothing; a node connection for each client".to_owned(),
            Kind::Nutcracker(program) => version_of(program),
            Kind::NutcrackerOverStunnel(program, _) => {
                let stunnel = version_by(Path::new("stunnel4"), "-version");
                format!("{}, and {stunnel}", version_of(program))
            }
            Kind::Ringway(program, PLAIN) if self.store == Store::Memcached => version_of(program),
            Kind::Ringway(_, PLAIN) => "the same, over Redis".to_owned(),
            Kind::RingwayOnBothSides(_) => "the same, with clients that encrypt".to_owned(),
            Kind::Ringway(_, route) => format!("the same, with the route {route}"),
            Kind::Memcached(program) | Kind::Mcrouter(program) => match program {
                Some(program) => version_of(program),
                None => self.missing().unwrap_or_default(),
            },
        }
    }
}

/// The certificate of the nodes, which proxies show too.
fn certificate(nodes: &Nodes) -> Result<&Certificate> {
    nodes
        .certificate
        .as_ref()
        .context("the nodes do not encrypt: add --tls")
}

/// Starts stunnel, which encrypts from the addresses of `servers` to the nodes, on the CPU of the proxy. With `front` it
/// stands before the proxy, too: see [`Certificate::stunnel`].
fn start_stunnel(
    servers: &[(String, SocketAddr)],
    front: Option<[SocketAddr; 2]>,
    nodes: &Nodes,
    options: &Options,
    scratch: &Scratch,
) -> Result<Process> {
    let doors: Vec<SocketAddr> = servers.iter().map(|(_, door)| *door).collect();
    let config = certificate(nodes)?.stunnel(&doors, front, nodes, scratch)?;
    let cpus = [options.proxy_cpu];
    let mut process = Process::start("stunnel", &cpus, Path::new("stunnel4"), &[&config], scratch)?;
    for door in doors {
        process.wait_ready(door)?;
    }
    Ok(process)
}

/// The first line that `program --version` prints, or why there is none.
pub fn version_of(program: &Path) -> String {
    version_by(program, "--version")
}

fn version_by(program: &Path, argument: &str) -> String {
    match Command::new(program).arg(argument).output() {
        Err(error) => format!("{}: {error}", program.display()),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            said.lines().next().unwrap_or("no version").to_owned()
        }
    }
}
