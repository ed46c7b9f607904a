//! A client that checks every value that it reads, while a test changes what is behind Ringway.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::client::Client;
use super::ringway::{Ringway, wait_for};

/// Runs `work` while three other clients of `ringway` read `key` without pause.
pub fn while_others_read(ringway: &Ringway, key: &str, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|clients| {
        let _ends_them = OverOnDrop(&is_over);
        for _ in 0..3 {
            clients.spawn(|| {
                let mut client = ringway.client();
                while !is_over.load(Relaxed) {
                    client.get(key);
                }
            });
        }
        work();
    });
}

/// Ends the clients also if the work fails.
struct OverOnDrop<'a>(&'a AtomicBool);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A client that sets its keys and reads them, one by one and all together, without pause. Each write must be stored, and
/// each read must find what was written last. Misses are noted, and a test that expects none finds that at the end.
pub struct Load {
    keys: Vec<String>,
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    misses: Arc<Mutex<BTreeSet<String>>>,
    client: JoinHandle<()>,
}

impl Load {
    pub fn start(port: u16, keys: Vec<String>) -> Load {
        assert!(!keys.is_empty());
        let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let misses = Arc::<Mutex<BTreeSet<String>>>::default();
        let (asked, over, done, missed) = (keys.clone(), is_over.clone(), rounds.clone(), misses.clone());
        let client = thread::spawn(move || {
            let mut client = Client::connect(port);
            while !over.load(Relaxed) {
                let round = done.load(Relaxed);
                for key in &asked {
                    client.set(key, value(key, round));
                }
                let found = read(&mut client, &asked, round);
                missed.lock().expect("no panics").extend(found);
                done.fetch_add(1, Relaxed);
            }
        });
        Load {
            keys,
            is_over,
            rounds,
            misses,
            client,
        }
    }

    /// Waits until it has set and read all keys again.
    pub fn go_on(&self) {
        let enough = self.rounds.load(Relaxed) + 2;
        wait_for("the client to go on", || {
            assert!(!self.client.is_finished(), "the client gave up");
            self.rounds.load(Relaxed) >= enough
        });
    }

    /// The keys that were missed since they were last taken.
    pub fn take_misses(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.misses.lock().expect("no panics"))
    }

    /// Ends it. Returns what it wrote last.
    pub fn end(self) -> Written {
        self.is_over.store(true, Relaxed);
        self.client.join().expect("every value was right");
        let misses = self.misses.lock().expect("no panics");
        assert!(misses.is_empty(), "missed {misses:?}");
        Written {
            keys: self.keys,
            round: self.rounds.load(Relaxed) - 1,
        }
    }
}

/// What a [`Load`] left behind.
pub struct Written {
    keys: Vec<String>,
    round: u64,
}

impl Written {
    /// Reads it all through whoever listens on `port`.
    pub fn check(&self, port: u16) {
        let missed = read(&mut Client::connect(port), &self.keys, self.round);
        assert!(missed.is_empty(), "missed {missed:?}");
    }
}

fn value(key: &str, round: u64) -> String {
    format!("{key} {round}")
}

/// Reads `keys`, one by one and then together. Returns those that were missed.
fn read(client: &mut Client, keys: &[String], round: u64) -> BTreeSet<String> {
    let mut missed = BTreeSet::new();
    for key in keys {
        match client.get(key) {
            Some(found) => assert_eq!(String::from_utf8_lossy(&found), value(key, round)),
            None => drop(missed.insert(key.clone())),
        }
    }
    client.send(format!("get {}\r\n", keys.join(" ")));
    let mut line = client.line();
    for key in keys {
        let value = value(key, round);
        if line == format!("VALUE {key} 0 {}", value.len()) {
            client.expect(value + "\r\n");
            line = client.line();
        } else {
            missed.insert(key.clone());
        }
    }
    assert_eq!(line, "END", "after the values in the order of their keys");
    missed
}
