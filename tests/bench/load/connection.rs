//! One client connection: writes `depth` requests together, reads until all are answered and checked, and starts
//! again, at once (closed loop) or when the next batch is due (fixed load). The latency of a request runs from the
//! write of its batch, or from when it was due, to the read that brought the end of its reply.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ringway::net::unix::UnixSocket;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::checker::{Checker, Outcome};
use super::contender::Door;
use super::dataset::Dataset;
use super::latency::Latency;
use super::random::Random;
use super::workload::Workload;

/// What the connections of a run saw, all together.
#[derive(Debug, Default)]
pub struct Tally {
    pub outcome: Outcome,
    pub latency: Latency,
}

/// What the connections of a run share.
#[derive(Debug)]
pub struct Run {
    pub workload: Workload,
    pub dataset: Rc<Dataset>,
    pub tally: RefCell<Tally>,
    /// Set once: no connection starts another batch.
    pub stopped: Cell<bool>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One client connection and the keys it asks for.
pub struct Connection {
    stream: Box<dyn Stream>,
    keys: Rc<[u32]>,
    random: Random,
    /// Looked at from outside when a reply does not come.
    checker: Rc<RefCell<Checker>>,
    /// When batches are due; `None`: at once.
    dues: Option<UnboundedReceiver<Instant>>,
    requests: Vec<u8>,
    chosen: Vec<u32>,
}

impl Connection {
    /// Connects. `keys` must hold at least as many as one get asks for.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn open(
        door: &Door,
        keys: Rc<[u32]>,
        random: Random,
        checker: Rc<RefCell<Checker>>,
        dues: Option<UnboundedReceiver<Instant>>,
    ) -> Result<Self> {
        let stream: Box<dyn Stream> = match door {
            Door::Tcp(address) => Box::new(connect(*address).await?),
            Door::Tls(address, connector) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = connector.connect(name, connect(*address).await?).await;
                Box::new(stream.with_context(|| format!("encrypt to {address}"))?)
            }
            Door::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .with_context(|| format!("connect to {}", path.display()))?;
                // As clients that poll for replies only: who waits for room too is woken by each read of the proxy.
                Box::new(UnixSocket::new(stream.into_std()?)?)
            }
        };
        Ok(Self {
            stream,
            keys,
            random,
            checker,
            dues,
            requests: Vec::new(),
            chosen: Vec::new(),
        })
    }

    /// Sends batches until the run is stopped and the last one is answered.
    ///
    /// # Errors
    /// A wrong byte, or a connection that was closed.
    pub async fn drive(mut self, run: Rc<Run>) -> Result<()> {
        // Room for a whole value, which must come together, and as much again of what follows it.
        let mut buffer = vec![0; run.dataset.largest() + 16 * 1024];
        while !run.stopped.get() {
            let due = match &mut self.dues {
                None => None,
                Some(dues) => match dues.recv().await {
                    None => return Ok(()),
                    due => due,
                },
            };
            self.compose(&run);
            let start = due.unwrap_or_else(Instant::now);
            self.stream.write_all(&self.requests).await?;
            // What is encrypted may wait.
            self.stream.flush().await?;
            let mut filled = 0;
            while !self.checker.borrow().is_idle() {
                let count = self.stream.read(&mut buffer[filled..]).await?;
                if count == 0 {
                    bail!(
                        "closed while owing: {}",
                        self.checker.borrow().describe_owed(&run.dataset)
                    );
                }
                filled += count;
                let mut outcome = Outcome::default();
                let done = self
                    .checker
                    .borrow_mut()
                    .check(&buffer[..filled], &run.dataset, &mut outcome)?;
                buffer.copy_within(done..filled, 0);
                filled -= done;
                if outcome.replies > 0 {
                    run.tally.borrow_mut().add(outcome, start);
                }
            }
        }
        Ok(())
    }

    fn compose(&mut self, run: &Run) {
        self.requests.clear();
        let mut checker = self.checker.borrow_mut();
        for _ in 0..run.workload.depth {
            if self.random.below(100) < run.workload.sets_percent {
                let key = self.keys[self.random.place(run.workload.popularity, self.keys.len())];
                let item = run.dataset.item(key);
                run.workload.wire.write_set(item, key, &mut self.requests);
                checker.expect_stored(key);
                continue;
            }
            choose(&self.keys, &run.workload, &mut self.random, &mut self.chosen);
            match self.chosen[..] {
                [key] => {
                    let item = run.dataset.item(key);
                    run.workload.wire.write_get(item, key, &mut self.requests);
                }
                _ => {
                    let items = self.chosen.iter().map(|key| run.dataset.item(*key));
                    run.workload.wire.write_multi_get(items, &mut self.requests);
                }
            }
            checker.expect_values(&self.chosen);
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Tally {
    fn add(&mut self, outcome: Outcome, start: Instant) {
        self.latency.record(start.elapsed(), outcome.replies);
        self.outcome.replies += outcome.replies;
        self.outcome.hits += outcome.hits;
        self.outcome.misses += outcome.misses;
        self.outcome.errors += outcome.errors;
    }
}

/// The different keys of one get: one from each of so many equal parts of `keys`.
fn choose(keys: &[u32], workload: &Workload, random: &mut Random, chosen: &mut Vec<u32>) {
    let count = workload.keys_per_get;
    let part = keys.len() / count;
    chosen.clear();
    chosen.extend((0..count).map(|index| keys[index * part + random.place(workload.popularity, part)]));
}
