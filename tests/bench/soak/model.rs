//! What may be in each key. A key has one session that writes it, and every value tells its key and its version, so
//! a value that is read is checked byte for byte, and must not be older than what was known to be there.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, bail};

use super::quiescence::Quiescence;
use super::random::Random;
use super::stats::Stats;

/// Keys of each session.
pub const KEYS: usize = 40;
/// Counters of each session.
pub const COUNTERS: usize = 4;
/// Longest value, in bytes.
const LONGEST: usize = 900_000;
/// What a value begins with that was never sent whole.
const BROKEN: &[u8] = b"broken:";

/// The keys of all sessions, and what may be in them.
#[derive(Debug)]
pub struct Model {
    keys: RefCell<Vec<Entry>>,
    counters: RefCell<Vec<Counter>>,
    /// Values are pieces of this.
    bytes: Vec<u8>,
    quiescence: Rc<Quiescence>,
    stats: Rc<Stats>,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The latest version that was ever sent.
    sent: u32,
    /// The latest of them when the key was last told to be deleted.
    deleted: u32,
    floor: Floor,
}

/// The least that a read may find.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// No older version.
    version: u32,
    /// A version is there, and not nothing.
    is_there: bool,
    /// The node said so; false after a request without a reply, which may have failed.
    is_certain: bool,
    /// When this was known.
    at: Instant,
}

/// What is known of a counter, which begins at 0 and grows by 1.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// How often it was told to grow, in all its lives.
    sent: u64,
    known: Option<(u64, Instant)>,
    /// It was there when it was last asked, or is being made.
    is_there: bool,
}

impl Model {
    /// For so many sessions.
    pub fn new(sessions: usize, quiescence: Rc<Quiescence>, stats: Rc<Stats>) -> Self {
        let mut random = Random::new(0);
        let bytes = (0..LONGEST / 4).flat_map(|_| random.next().to_le_bytes());
        let entry = Entry {
            sent: 0,
            deleted: 0,
            floor: Floor {
                version: 0,
                is_there: false,
                is_certain: true,
                at: Instant::now(),
            },
        };
        Self {
            keys: RefCell::new(vec![entry; sessions * KEYS]),
            counters: RefCell::new(vec![Counter::default(); sessions * COUNTERS]),
            bytes: bytes.collect(),
            quiescence,
            stats,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.borrow().len()
    }

    /// The name of a key.
    pub fn name(&self, key: usize) -> String {
        format!("soak:{}:{}", key / KEYS, key % KEYS)
    }

    /// The name of a counter.
    pub fn counter_name(&self, counter: usize) -> String {
        format!("soak:count:{}:{}", counter / COUNTERS, counter % COUNTERS)
    }

    /// A new version of a key: its number and its value.
    pub fn write(&self, key: usize) -> (u32, Vec<u8>) {
        let entry = &mut self.keys.borrow_mut()[key];
        entry.sent += 1;
        (entry.sent, self.value(key, entry.sent))
    }

    /// The first half of a value of which the rest will never come, and the length that it is to have.
    pub fn broken(&self, random: &mut Random) -> (usize, Vec<u8>) {
        let length = 1000 + random.below(LONGEST - 1000);
        let half = &self.bytes[..random.below(length)];
        (length, [BROKEN, half].concat()[..half.len()].to_vec())
    }

    /// The value of a version. One key in forty is large, one in ten is middling.
    fn value(&self, key: usize, version: u32) -> Vec<u8> {
        let mut random = Random::new((key as u64) << 32 | u64::from(version));
        let length = match key % 40 {
            0 => 300_000 + random.below(LONGEST - 300_000),
            1..=4 => 10_000 + random.below(50_000),
            _ => 40 + random.below(1000),
        };
        let mut value = format!("{}:{version}:", self.name(key)).into_bytes();
        let start = random.below(self.bytes.len() - length);
        value.extend_from_slice(&self.bytes[start..start + length - value.len()]);
        value
    }

    /// The least that a read of `key` may find, which is sent now.
    pub fn floor(&self, key: usize) -> Floor {
        self.keys.borrow()[key].floor
    }

    /// The least that a read finds once `version` of a key is stored.
    pub fn stored(version: u32, is_certain: bool) -> Floor {
        Floor {
            version,
            is_there: true,
            is_certain,
            at: Instant::now(),
        }
    }

    /// A key is told to be deleted: the least that a read finds once it is.
    pub fn delete(&self, key: usize) -> Floor {
        let entry = &mut self.keys.borrow_mut()[key];
        entry.deleted = entry.sent;
        Floor {
            version: entry.sent + 1,
            is_there: false,
            is_certain: true,
            at: Instant::now(),
        }
    }

    /// From now on a read finds this at least.
    pub fn raise(&self, key: usize, floor: Floor) {
        self.keys.borrow_mut()[key].floor = Floor {
            at: Instant::now(),
            ..floor
        };
    }

    /// `value` was read, where `floor` was the least when the read was sent; `None`: a miss.
    ///
    /// # Errors
    /// A value that was never sent.
    pub fn read(&self, key: usize, floor: Floor, value: Option<&[u8]>) -> Result<()> {
        let is_quiescent = self.quiescence.since().is_some_and(|since| floor.at >= since);
        self.stats.quiescent.add(u64::from(is_quiescent));
        let Some(value) = value else {
            self.stats.misses.add(1);
            let was_there = floor.is_there && self.keys.borrow()[key].deleted < floor.version;
            self.stats.lost.add(u64::from(is_quiescent && was_there));
            return Ok(());
        };
        self.stats.hits.add(1);
        let version = self.version(key, value)?;
        if is_quiescent && version < floor.version {
            if floor.is_certain {
                let name = self.name(key);
                self.quiescence.suspect(format!(
                    "{name}: read version {version} after {} was known",
                    floor.version
                ));
            } else {
                self.stats.lost.add(1);
            }
        }
        Ok(())
    }

    /// The version of a value, each byte of which was found right.
    fn version(&self, key: usize, value: &[u8]) -> Result<u32> {
        let name = self.name(key);
        let head = value
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b":"));
        let number = head.and_then(|rest| rest.split(|&byte| byte == b':').next());
        let version = number.and_then(|number| std::str::from_utf8(number).ok()?.parse::<u32>().ok());
        let start = value[..value.len().min(60)].escape_ascii();
        let Some(version) = version else {
            bail!("{name}: a value that is not its own: {start}");
        };
        if version > self.keys.borrow()[key].sent {
            bail!("{name}: version {version}, which nobody sent");
        }
        if value != self.value(key, version) {
            bail!(
                "{name}: version {version} has other bytes or another length, {}: {start}",
                value.len()
            );
        }
        Ok(version)
    }

    /// A counter is told to grow, or to be made: false if it is not there.
    pub fn count(&self, counter: usize) -> bool {
        let entry = &mut self.counters.borrow_mut()[counter];
        let is_there = std::mem::replace(&mut entry.is_there, true);
        entry.sent += u64::from(is_there);
        is_there
    }

    /// A counter was made.
    pub fn create(&self, counter: usize) {
        self.counters.borrow_mut()[counter].known = Some((0, Instant::now()));
    }

    /// A counter is not there.
    pub fn lose_count(&self, counter: usize) {
        let entry = &mut self.counters.borrow_mut()[counter];
        if let Some((_, at)) = entry.known.take() {
            let is_quiescent = self.quiescence.since().is_some_and(|since| at >= since);
            self.stats.quiescent.add(u64::from(is_quiescent));
            self.stats.lost.add(u64::from(is_quiescent));
        }
        entry.is_there = false;
    }

    /// A counter answered `number` when it was told to grow.
    ///
    /// # Errors
    /// It grew more often than it was told to.
    pub fn counted(&self, counter: usize, number: u64) -> Result<()> {
        let entry = &mut self.counters.borrow_mut()[counter];
        let name = self.counter_name(counter);
        if number > entry.sent {
            bail!(
                "{name}: {number} after {} increments: one was carried out twice",
                entry.sent
            );
        }
        let is_quiescent = |at: Instant| self.quiescence.since().is_some_and(|since| at >= since);
        if let Some((known, at)) = entry.known {
            self.stats.quiescent.add(u64::from(is_quiescent(at)));
            if is_quiescent(at) && number != known + 1 {
                self.quiescence.suspect(format!("{name}: {number} after {known}"));
            }
        }
        entry.known = Some((number, Instant::now()));
        Ok(())
    }

    /// A counter may be anything now.
    pub fn forget_count(&self, counter: usize) {
        self.counters.borrow_mut()[counter].known = None;
    }
}

/// A soak that cannot see a wrong value proves nothing.
pub fn self_check() {
    let (quiescence, stats) = (Rc::new(Quiescence::new()), Rc::new(Stats::default()));
    let model = Model::new(1, quiescence, stats);
    let (first, value) = model.write(7);
    let floor = Model::stored(first, true);
    assert!(model.read(7, floor, Some(&value)).is_ok() && model.read(7, floor, None).is_ok());
    assert!(model.read(8, floor, Some(&value)).is_err(), "another key's");
    assert!(model.read(7, floor, Some(&value[1..])).is_err(), "cut");
    assert!(
        model.read(7, floor, Some(&model.value(7, 2))).is_err(),
        "never sent"
    );
    for at in 0..value.len() {
        let mut wrong = value.clone();
        wrong[at] ^= 1;
        assert!(model.read(7, floor, Some(&wrong)).is_err(), "byte {at} is wrong");
    }
    let (length, half) = model.broken(&mut Random::new(1));
    assert!(
        half.len() < length && model.read(7, floor, Some(&half)).is_err(),
        "half"
    );
    assert!(!model.count(0) && model.count(0), "made, and told to grow once");
    assert!(
        model.counted(0, 1).is_ok() && model.counted(0, 2).is_err(),
        "counted twice"
    );
}
