//! Sessions that carry the load: each sends a batch of requests at once, reads what it is answered, and checks it.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{sleep, timeout};

use super::model::{COUNTERS, Floor, KEYS, Model};
use super::quiescence::Quiescence;
use super::random::Random;
use super::stats::Stats;
use super::wire::{Answer, Ask, Reader, WireFormat};

/// Requests in a batch at most, and keys in a get.
const BATCH: usize = 8;
const MANY: usize = 30;
/// For the answers to a batch: far more than `request_timeout`, for a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two batches, in milliseconds at most.
const THINK: usize = 60;
/// Between two visits.
const AWAY: usize = 500;

/// What all sessions share.
#[derive(Debug)]
pub struct Stage {
    pub address: SocketAddr,
    pub model: Model,
    pub quiescence: Rc<Quiescence>,
    pub stats: Rc<Stats>,
    /// Visitors may come.
    pub is_open: Cell<bool>,
    /// Nobody begins another batch.
    pub is_paused: Cell<bool>,
    /// Sessions in the middle of a batch, and visitors who are there.
    pub busy: Cell<usize>,
    /// The soak is over.
    pub is_over: Cell<bool>,
}

/// One who asks, in one session or in one after the other.
#[derive(Debug)]
pub struct Driver {
    stage: Rc<Stage>,
    index: usize,
    wire: WireFormat,
    random: Random,
}

/// An open session.
struct Session {
    reader: Reader,
    writer: OwnedWriteHalf,
}

/// A request that was sent, and what is to be held against its answer.
struct Sent {
    ask: Ask,
    about: About,
}

enum About {
    /// Keys, each with the least that is to be found.
    Keys(Vec<(usize, Floor)>),
    /// A key, and what is there once it is done.
    Key(usize, Floor),
    /// A counter.
    Counter(usize),
}

impl Driver {
    /// The driver with this number.
    pub fn new(index: usize, seed: u64, stage: Rc<Stage>) -> Self {
        let wire = match index % 6 {
            0..=2 => WireFormat::Classic,
            3 | 4 => WireFormat::Meta,
            _ => WireFormat::Binary,
        };
        Self {
            stage,
            index,
            wire,
            random: Random::new(seed.wrapping_add(index as u64)),
        }
    }

    /// One session from the beginning to the end.
    ///
    /// # Errors
    /// A wrong answer, none in time, or a session that was closed.
    pub async fn stay(mut self) -> Result<()> {
        let mut session = self.connect().await?;
        while !self.stage.is_over.get() {
            self.think(THINK).await;
            if self.stage.is_paused.get() {
                continue;
            }
            let batch = Busy::new(&self.stage);
            self.play(&mut session).await?;
            drop(batch);
        }
        Ok(())
    }

    /// Session after session, each short, some broken off.
    ///
    /// # Errors
    /// As [`Driver::stay`].
    pub async fn come_and_go(mut self) -> Result<()> {
        while !self.stage.is_over.get() {
            self.think(AWAY).await;
            if self.stage.is_paused.get() || !self.stage.is_open.get() {
                continue;
            }
            let visit = Busy::new(&self.stage);
            let mut session = self.connect().await?;
            for _ in 0..1 + self.random.below(20) {
                if self.stage.is_paused.get() {
                    break;
                }
                self.play(&mut session).await?;
                self.think(THINK).await;
            }
            self.leave(session).await?;
            drop(visit);
            self.stage.stats.visits.add(1);
        }
        Ok(())
    }

    async fn think(&mut self, most: usize) {
        sleep(Duration::from_millis(self.random.below(most) as u64)).await;
    }

    async fn connect(&self) -> Result<Session> {
        let stream = TcpStream::connect(self.stage.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Session {
            reader: BufReader::with_capacity(64 << 10, reader),
            writer,
        })
    }

    /// Ends a session in one of the ways in which clients do.
    async fn leave(&mut self, mut session: Session) -> Result<()> {
        match self.random.below(4) {
            0 => {
                session.writer.write_all(&self.wire.quit()).await?;
                let mut rest = Vec::new();
                let end = session.reader.read_to_end(&mut rest);
                timeout(PATIENCE, end).await.context("quit did not close")??;
                let is_farewell = self.wire == WireFormat::Binary && rest.len() == 24;
                if !rest.is_empty() && !is_farewell {
                    bail!("{:?}: after quit came {}", self.wire, rest.escape_ascii());
                }
            }
            1 => {}
            2 => {
                // In the middle of a value.
                let key = self.own_key();
                let (length, half) = self.stage.model.broken(&mut self.random);
                let name = self.stage.model.name(key);
                let bytes = [self.wire.set_head(&name, length), half].concat();
                timeout(PATIENCE, session.writer.write_all(&bytes)).await??;
                self.stage.stats.broken_off.add(1);
            }
            _ => {
                // Without reading what was asked, of which the first key is large.
                let mut bytes = Vec::new();
                let keys = (0..8).map(|key| self.stage.model.name(self.index * KEYS + key));
                keys.for_each(|key| self.wire.write(&Ask::Get(vec![key]), &mut bytes));
                timeout(PATIENCE, session.writer.write_all(&bytes)).await??;
                self.think(THINK).await;
                self.stage.stats.broken_off.add(1);
            }
        }
        Ok(())
    }

    /// Sends a batch and checks all answers.
    async fn play(&mut self, session: &mut Session) -> Result<()> {
        let batch = self.compose();
        let mut bytes = Vec::new();
        for sent in &batch {
            self.wire.write(&sent.ask, &mut bytes);
        }
        // Read while it is written: large values go both ways.
        let Session { reader, writer } = session;
        let write = async { writer.write_all(&bytes).await.context("write") };
        let read = async {
            for sent in &batch {
                let answer = self.wire.read(&sent.ask, reader).await?;
                self.check(sent, answer)?;
            }
            Ok(())
        };
        let both = async { tokio::try_join!(write, read) };
        match timeout(PATIENCE, both).await {
            Ok(done) => done.with_context(|| format!("driver {}", self.index))?,
            Err(_) => bail!(
                "driver {}, {:?}: not answered in {PATIENCE:?}",
                self.index,
                self.wire
            ),
        };
        Ok(())
    }

    fn compose(&mut self) -> Vec<Sent> {
        let stage = self.stage.clone();
        // What this batch leaves in a key, which its own later reads are to find.
        let mut written: HashMap<usize, Floor> = HashMap::new();
        (0..1 + self.random.below(BATCH))
            .map(|_| match self.random.below(100) {
                0..45 => {
                    let keys = self.keys_to_read();
                    let names = keys.iter().map(|key| stage.model.name(*key)).collect();
                    let floor = |key| {
                        written
                            .get(&key)
                            .copied()
                            .unwrap_or_else(|| stage.model.floor(key))
                    };
                    Sent {
                        ask: Ask::Get(names),
                        about: About::Keys(keys.into_iter().map(|key| (key, floor(key))).collect()),
                    }
                }
                45..80 => {
                    let key = self.own_key();
                    let (version, value) = stage.model.write(key);
                    let is_quiet = self.random.below(4) == 0;
                    let floor = Model::stored(version, !is_quiet);
                    written.insert(key, floor);
                    let name = stage.model.name(key);
                    Sent {
                        ask: if is_quiet {
                            Ask::QuietSet(name, value)
                        } else {
                            Ask::Set(name, value)
                        },
                        about: About::Key(key, floor),
                    }
                }
                80..88 => {
                    let key = self.own_key();
                    let floor = stage.model.delete(key);
                    written.insert(key, floor);
                    Sent {
                        ask: Ask::Delete(stage.model.name(key)),
                        about: About::Key(key, floor),
                    }
                }
                _ => {
                    let counter = self.index * COUNTERS + self.random.below(COUNTERS);
                    let name = stage.model.counter_name(counter);
                    let is_there = stage.model.count(counter);
                    Sent {
                        ask: if is_there {
                            Ask::Count(name)
                        } else {
                            Ask::Create(name)
                        },
                        about: About::Counter(counter),
                    }
                }
            })
            .collect()
    }

    fn own_key(&mut self) -> usize {
        self.index * KEYS + self.random.below(KEYS)
    }

    /// One key of its own, or many of anybody's, all different.
    fn keys_to_read(&mut self) -> Vec<usize> {
        if self.random.below(3) > 0 {
            return vec![self.own_key()];
        }
        let count = 2 + self.random.below(MANY);
        let part = self.stage.model.len() / count;
        // One from each part, beginning anywhere, so that they do not always come in one order.
        let first = self.random.below(count);
        (first..first + count)
            .map(|index| index % count * part + self.random.below(part))
            .collect()
    }

    fn check(&self, sent: &Sent, answer: Answer) -> Result<()> {
        let Stage {
            model,
            quiescence,
            stats,
            ..
        } = &*self.stage;
        stats.requests.add(1);
        match (&sent.about, answer) {
            (_, Answer::Failed) => {
                stats.errors.add(1);
                quiescence.disturb();
                if let About::Counter(counter) = sent.about {
                    model.forget_count(counter);
                }
            }
            (About::Keys(keys), Answer::Values(mut values)) => {
                for (place, (key, floor)) in keys.iter().enumerate() {
                    let value = values.pop_front_if(|value| value.0 == place);
                    model.read(*key, *floor, value.as_ref().map(|value| &value.1[..]))?;
                }
            }
            (About::Key(key, floor), Answer::Done | Answer::Silence | Answer::NotFound) => {
                model.raise(*key, *floor);
            }
            (About::Counter(counter), Answer::Number(number)) => model.counted(*counter, number)?,
            (About::Counter(counter), Answer::Done) => model.create(*counter),
            (About::Counter(counter), Answer::NotStored) => model.forget_count(*counter),
            (About::Counter(counter), Answer::NotFound) => model.lose_count(*counter),
            (_, answer) => bail!("{:?} was answered {answer:?}", sent.ask),
        }
        Ok(())
    }
}

/// Counts one who is busy while it lives.
pub struct Busy(Rc<Stage>);

impl Busy {
    /// Somebody is busy now.
    pub fn new(stage: &Rc<Stage>) -> Self {
        stage.busy.set(stage.busy.get() + 1);
        Self(stage.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}
