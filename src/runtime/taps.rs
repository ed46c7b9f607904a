//! Taps: live views of single requests, for a time.
//!
//! ```text
//!   worker: a request was answered ─ is a tap open? ─ does it want it? ─▶ channel of 1024 events ─▶ its reader
//!                                                                    full ─▶ lost, and counted
//! ```
//!
//! While no tap is open, a worker looks at one flag for each batch of requests, and nothing else. A reader that is slow
//! loses events and delays no request. A tap that is over, or is not read, takes no more events.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use crate::insight::{Event, Filter};
use crate::protocol::operation::Operation;

/// The events that wait for the reader of a tap.
const WAITING: usize = 1024;
/// The maximum number of taps, those that are over and still read included.
pub const MAX_TAPS: usize = 4;
/// A tap that was not read for this long is over; one that is over is kept this long for its last events.
pub const UNREAD: Duration = Duration::from_secs(10);

/// All taps of the process.
#[derive(Debug, Default)]
pub struct Taps {
    is_open: AtomicBool,
    /// Those that take events.
    open: ArcSwap<Vec<Arc<Tap>>>,
    all: Mutex<Vec<Arc<Tap>>>,
    next: AtomicU64,
    lost: AtomicU64,
}

/// A live view of single requests.
#[derive(Debug)]
pub struct Tap {
    /// Its number.
    pub id: u64,
    /// What it shows.
    filter: Filter,
    /// It shows one in this many, at random.
    one_in: u32,
    /// When it is over.
    until: Instant,
    sender: Sender<Event>,
    /// For its one reader.
    pub events: tokio::sync::Mutex<Receiver<Event>>,
    /// The events that were lost since they were last reported.
    lost: AtomicU64,
    read_at: Mutex<Instant>,
    is_over: AtomicBool,
}

impl Taps {
    /// Whether a worker must offer its requests.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Opens a tap until `until`; `None` if there are too many.
    pub fn open(&self, filter: Filter, one_in: u32, until: Instant) -> Option<Arc<Tap>> {
        let mut all = self.all();
        if all.len() >= MAX_TAPS {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let tap = Arc::new(Tap {
            id: self.next.fetch_add(1, Relaxed) + 1,
            filter,
            one_in: one_in.max(1),
            until,
            sender,
            events: tokio::sync::Mutex::new(receiver),
            lost: AtomicU64::new(0),
            read_at: Mutex::new(Instant::now()),
            is_over: AtomicBool::new(false),
        });
        all.push(tap.clone());
        self.choose(&all);
        Some(tap)
    }

    /// Returns the tap with this number.
    pub fn find(&self, id: u64) -> Option<Arc<Tap>> {
        self.all().iter().find(|tap| tap.id == id).cloned()
    }

    /// Ends `tap` when its time is over or it is not read any more, and drops it when its last events were read or are
    /// not wanted.
    pub async fn end(&self, tap: &Arc<Tap>) {
        while Instant::now() < tap.until && !tap.is_unread() {
            let next = tap.until.min(Instant::now() + Duration::from_secs(1));
            tokio::time::sleep_until(next).await;
        }
        tap.is_over.store(true, Relaxed);
        self.choose(&self.all());
        tokio::time::sleep(UNREAD).await;
        self.all().retain(|one| one.id != tap.id);
    }

    /// The number of taps that take events.
    pub fn count(&self) -> usize {
        self.open.load().len()
    }

    /// The number of events that were ever lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Offers a request for `key` at a node of a pool to every tap; `event` returns what those that want it get.
    #[cold]
    pub fn offer(&self, asked: Asked<'_>, event: impl Fn() -> Event) {
        for tap in &**self.open.load() {
            let is_wanted = tap
                .filter
                .matches(asked.pool, asked.node, asked.operation, asked.key);
            if !is_wanted || (tap.one_in > 1 && fastrand::u32(..tap.one_in) > 0) {
                continue;
            }
            if tap.sender.try_send(event()).is_err() {
                tap.lost.fetch_add(1, Relaxed);
                self.lost.fetch_add(1, Relaxed);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.all.lock().expect("no holder panics")
    }

    /// Has workers offer their requests to those of `all` that are not over.
    fn choose(&self, all: &[Arc<Tap>]) {
        let open: Vec<Arc<Tap>> = all.iter().filter(|tap| !tap.is_over()).cloned().collect();
        self.is_open.store(!open.is_empty(), Relaxed);
        self.open.store(Arc::new(open));
    }
}

/// What filters look at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The pool.
    pub pool: &'a str,
    /// The node.
    pub node: &'a str,
    /// What the request does.
    pub operation: Operation,
    /// Its plain key.
    pub key: &'a [u8],
}

impl Tap {
    /// Whether it takes no more events; some may still wait.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Notes that it is read. Returns the number of events that were lost since the last call.
    pub fn begin_read(&self) -> u64 {
        *self.read_at.lock().expect("no holder panics") = Instant::now();
        self.lost.swap(0, Relaxed)
    }

    fn is_unread(&self) -> bool {
        self.read_at.lock().expect("no holder panics").elapsed() > UNREAD
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::insight::Times;

    fn offer(taps: &Taps, key: &str) {
        let asked = Asked {
            pool: "main",
            node: "a",
            operation: Operation::Get,
            key: key.as_bytes(),
        };
        taps.offer(asked, || Event {
            at: SystemTime::UNIX_EPOCH,
            pool: "main".into(),
            node: "a".into(),
            operation: Operation::Get,
            key: key.as_bytes().into(),
            bytes: 0,
            outcome: "hit",
            is_retry: false,
            times: Times::default(),
        });
    }

    fn open(taps: &Taps, seconds: u64, one_in: u32) -> Option<Arc<Tap>> {
        let until = Instant::now() + Duration::from_secs(seconds);
        taps.open(Filter::default(), one_in, until)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_loses_events_and_is_told_how_many() {
        let taps = Taps::default();
        assert!(!taps.is_open());
        let tap = open(&taps, 5, 1).unwrap();
        assert!(taps.is_open());
        (0..WAITING + 7).for_each(|n| offer(&taps, &format!("k{n}")));
        assert_eq!((tap.begin_read(), tap.begin_read(), taps.lost()), (7, 0, 7));
        let mut events = tap.events.lock().await;
        assert_eq!(*events.try_recv().unwrap().key, *b"k0");
        assert_eq!(events.len(), WAITING - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tap_ends_by_itself_and_keeps_its_last_events_for_a_while() {
        let taps = Taps::default();
        let tap = open(&taps, 5, 1).unwrap();
        offer(&taps, "k");
        let begun = Instant::now();
        let ending = taps.end(&tap);
        tokio::pin!(ending);
        tokio::select! {
            () = &mut ending => panic!("its events are still wanted"),
            () = tokio::time::sleep(Duration::from_millis(5500)) => {}
        }
        assert!(tap.is_over() && !taps.is_open() && taps.find(tap.id).is_some());
        offer(&taps, "late");
        assert_eq!(tap.events.lock().await.len(), 1);
        ending.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5) + UNREAD);
        assert!(taps.find(tap.id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tap_that_is_not_read_is_over_early_and_there_are_few_of_them() {
        let taps = Taps::default();
        let all: Vec<_> = (0..MAX_TAPS).map(|_| open(&taps, 600, 1).unwrap()).collect();
        assert!(open(&taps, 600, 1).is_none());
        let begun = Instant::now();
        taps.end(&all[0]).await;
        assert!(begun.elapsed() <= 2 * UNREAD + Duration::from_secs(2));
        assert_eq!(taps.count(), MAX_TAPS - 1);
        assert!(open(&taps, 600, 1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_is_one_in_so_many() {
        let taps = Taps::default();
        let tap = open(&taps, 5, 10).unwrap();
        (0..5000).for_each(|_| offer(&taps, "k"));
        let shown = tap.events.lock().await.len();
        assert!((300..700).contains(&shown), "{shown}");
    }
}
