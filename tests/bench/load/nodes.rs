//! The four nodes behind each contender, at the same addresses for the whole run: memcached, started anew for each
//! measurement, since one that was emptied lays its items out anyhow and answers more slowly than the first time; Redis,
//! likewise; or the responder, started anew where the keys of another workload are asked for.

use std::env;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::contender::version_of;
use super::encrypt::Certificate;
use super::node::{self, Node, Store};
use super::options::{Backend, Options};
use super::peers;
use super::process::{Process, Scratch, free_address};
use super::workload::Workload;

const NODES: usize = 4;

/// The nodes behind each contender.
#[derive(Debug)]
pub struct Nodes {
    addresses: Vec<SocketAddr>,
    /// One for each address, or none where the responder stands for all.
    processes: Vec<Node>,
    /// What they are.
    store: Store,
    /// With the workload whose keys it has.
    responder: Option<(&'static str, Process)>,
    /// What they show, if they encrypt.
    pub certificate: Option<Certificate>,
}

impl Nodes {
    /// Chooses their addresses. [`Nodes::prepare`] starts them.
    ///
    /// # Errors
    /// No free ports, or no room for a certificate.
    pub fn new(options: &Options, scratch: &Scratch) -> Result<Self> {
        Ok(Self {
            certificate: options.tls.then(|| Certificate::new(scratch)).transpose()?,
            addresses: (0..NODES).map(|_| free_address()).collect::<Result<Vec<_>>>()?,
            processes: Vec::new(),
            store: Store::Memcached,
            responder: None,
        })
    }

    /// What they are, in one line.
    pub fn describe(options: &Options) -> String {
        let memcached = version_of(Path::new("memcached"));
        match options.nodes {
            Backend::Memcached if options.redis => {
                let redis = version_of(Path::new(&node::redis()));
                format!("4 × {memcached}, one thread, or 4 × {redis}, which keep nothing on disk; 256 MiB each")
            }
            Backend::Memcached => format!("4 × {memcached}, one thread, 256 MiB each"),
            Backend::Responder => {
                "4 addresses of one responder, which answers from replies made beforehand and costs next to nothing"
                    .to_owned()
            }
        }
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// What stands before the address of a node in Ringway's configuration.
    pub fn scheme(&self) -> &'static str {
        match self.store {
            Store::Memcached => "",
            Store::Redis => "redis://",
        }
    }

    /// The names they bear in a ring, so that keys spread alike whatever ports were free, and their addresses.
    pub fn named(&self) -> impl Iterator<Item = (String, SocketAddr)> {
        self.addresses
            .iter()
            .enumerate()
            .map(|(index, address)| (format!("node-{index}"), *address))
    }

    /// Their process ids.
    pub fn pids(&self) -> Vec<u32> {
        let processes = self.processes.iter().map(|node| node.process.pid());
        let responder = self.responder.iter().map(|(_, process)| process.pid());
        processes.chain(responder).collect()
    }

    /// Makes them ready for `workload`: what is asked for of memcached and Redis holds nothing, so that each contender finds only what it stored
    /// itself; the responder has all keys.
    ///
    /// # Errors
    /// A node that does not start.
    pub fn prepare(
        &mut self,
        store: Store,
        workload: &Workload,
        options: &Options,
        scratch: &Scratch,
    ) -> Result<()> {
        if options.nodes == Backend::Memcached {
            return self.start_all(store, options, scratch);
        }
        if self
            .responder
            .as_ref()
            .is_some_and(|(name, _)| *name == workload.name)
        {
            return Ok(());
        }
        // Its addresses must be free for the next.
        self.responder = None;
        let args = peers::child("responder", &self.addresses, &["--workloads", workload.name]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let cpus = [options.load_cpu];
        let mut process = Process::start("responder", &cpus, &env::current_exe()?, &args, scratch)?;
        for address in &self.addresses {
            process.wait_ready(*address)?;
        }
        self.responder = Some((workload.name, process));
        Ok(())
    }

    fn start_all(&mut self, store: Store, options: &Options, scratch: &Scratch) -> Result<()> {
        // Their addresses must be free for the next.
        self.processes.clear();
        self.store = store;
        let cpus = [options.load_cpu];
        for (index, &address) in self.addresses.iter().enumerate() {
            let name = format!("node-{index}");
            let more = self.certificate.as_ref().map(Certificate::arguments);
            self.processes.push(match store {
                Store::Memcached => Node::start(&name, address, &more.unwrap_or_default(), &cpus, scratch)?,
                Store::Redis => Node::start_redis(&name, address, &cpus, scratch)?,
            });
        }
        Ok(())
    }
}
