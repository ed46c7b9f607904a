//! What one node missed: a pure structure, to which times come as arguments.
//!
//! A key is in `ready` when it may be deleted, in `settling` when it may soon, in neither while a write of it is on
//! its way or its delete is. What is in a queue is looked at again when it leaves it: a failure since changes where it
//! belongs.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Budget, SETTLE};
use crate::journal::record::Change;

/// What a key costs beside its bytes; about so many.
const ENTRY: usize = 192;

/// A key that is to be deleted.
#[derive(Debug, Clone)]
pub struct Due {
    /// The plain key.
    pub key: Bytes,
    /// The failure that it is deleted for.
    failure: u64,
}

/// That the node is to be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// The failure that it is flushed for.
    failure: u64,
    /// A client asked for it; otherwise more was missed than is remembered.
    pub is_asked: bool,
}

/// What became of a key that was to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was remembered before, or all keys count as missing.
    Already,
    /// It is from now on.
    New,
    /// All keys count as missing from now on, since all were to be removed.
    Asked,
    /// There was no room: all keys count as missing from now on.
    Overflow,
}

/// What one node missed.
#[derive(Debug, Default)]
pub struct Keys {
    keys: HashMap<Bytes, Entry>,
    /// All keys count as missing, and none is remembered by itself.
    all: Option<Flush>,
    /// May be deleted.
    ready: VecDeque<Bytes>,
    /// The link of each broke at this time, the earliest first.
    settling: VecDeque<(Instant, Bytes)>,
    /// Failures so far: the number of the last.
    failures: u64,
    last_failure: Option<Instant>,
    /// When a link last broke over a write.
    last_break: Option<Instant>,
    /// Writes that may still be carried out.
    on_their_way: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// The last failure.
    failure: u64,
    on_their_way: u32,
    /// When a link last broke over a write of it.
    broke_at: Option<Instant>,
    /// It is in a queue, or its delete is on its way.
    is_placed: bool,
}

impl Keys {
    /// True where nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.all.is_none()
    }

    /// Keys that are remembered one by one.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where all keys count as missing.
    pub fn is_all(&self) -> bool {
        self.all.is_some()
    }

    /// True where `key` counts as missing.
    pub fn has(&self, key: &[u8]) -> bool {
        self.all.is_some() || self.keys.contains_key(key)
    }

    /// A write of `key` failed; of every key where that is empty. `is_sent`: it may still be carried out.
    pub fn remember(&mut self, key: &[u8], is_sent: bool, now: Instant, budget: &Budget) -> Kept {
        self.failures += 1;
        self.last_failure = Some(now);
        self.on_their_way += u64::from(is_sent);
        if let Some(all) = &mut self.all {
            all.failure = self.failures;
            return Kept::Already;
        }
        if key.is_empty() {
            self.miss_all(true, budget);
            return Kept::Asked;
        }
        let is_new = !self.keys.contains_key(key);
        if is_new {
            if !budget.take(self.keys.len(), cost(key)) {
                self.miss_all(false, budget);
                return Kept::Overflow;
            }
            self.bytes += cost(key);
            let entry = Entry {
                failure: 0,
                on_their_way: 0,
                broke_at: None,
                is_placed: false,
            };
            self.keys.insert(Bytes::copy_from_slice(key), entry);
        }
        let entry = self.keys.get_mut(key).expect("it was put there");
        entry.failure = self.failures;
        entry.on_their_way += u32::from(is_sent);
        self.place(key);
        if is_new { Kept::New } else { Kept::Already }
    }

    fn miss_all(&mut self, is_asked: bool, budget: &Budget) {
        self.forget_all(budget);
        self.all = Some(Flush {
            failure: self.failures,
            is_asked,
        });
    }

    fn forget_all(&mut self, budget: &Budget) {
        budget.give_back(self.bytes);
        self.bytes = 0;
        self.keys = HashMap::new();
        self.ready = VecDeque::new();
        self.settling = VecDeque::new();
    }

    /// Puts `key` into the queue that it belongs to, where it belongs to one.
    fn place(&mut self, key: &[u8]) {
        let Some((key, entry)) = self.keys.get_key_value(key) else {
            return;
        };
        if entry.is_placed || entry.on_their_way > 0 {
            return;
        }
        match entry.broke_at {
            Some(at) => self.settling.push_back((at, key.clone())),
            None => self.ready.push_back(key.clone()),
        }
        let key = key.clone();
        self.keys.get_mut(&key).expect("it is there").is_placed = true;
    }

    /// A write of `key` is no longer on its way.
    pub fn settle(&mut self, key: &[u8], is_broken: bool, now: Instant) {
        debug_assert!(self.on_their_way > 0, "nothing was on its way");
        self.on_their_way = self.on_their_way.saturating_sub(1);
        if is_broken {
            self.last_break = Some(now);
        }
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        entry.on_their_way = entry.on_their_way.saturating_sub(1);
        if is_broken {
            entry.broke_at = Some(now);
        }
        self.place(key);
    }

    /// Up to `most` keys whose deletes come after all that was on its way.
    pub fn take(&mut self, now: Instant, calm_since: Option<Instant>, most: usize) -> Vec<Due> {
        self.let_settle(now, calm_since);
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = self.ready.pop_front()
        {
            let Some(entry) = self.keys.get_mut(&key) else {
                continue;
            };
            let is_settled = entry.broke_at.is_none_or(|at| has_settled(at, now, calm_since));
            if entry.on_their_way == 0 && is_settled {
                let failure = entry.failure;
                taken.push(Due { key, failure });
                continue;
            }
            // It failed again while it waited here.
            entry.is_placed = false;
            self.place(&key);
        }
        taken
    }

    /// `key`, where a write of it that is sent now comes after all that was on its way.
    pub fn clearable(&self, key: &[u8]) -> Option<Due> {
        let (key, entry) = self.keys.get_key_value(key)?;
        let is_settled = entry.on_their_way == 0 && entry.broke_at.is_none();
        is_settled.then(|| Due {
            key: key.clone(),
            failure: entry.failure,
        })
    }

    fn let_settle(&mut self, now: Instant, calm_since: Option<Instant>) {
        while let Some((at, _)) = self.settling.front()
            && has_settled(*at, now, calm_since)
            && let Some((_, key)) = self.settling.pop_front()
        {
            self.ready.push_back(key);
        }
    }

    /// The node has answered the delete of `due`. True if it is forgotten now.
    pub fn deleted(&mut self, due: &Due, budget: &Budget) -> bool {
        let Some(entry) = self.keys.get_mut(&due.key) else {
            return false;
        };
        if entry.failure != due.failure {
            entry.is_placed = false;
            self.place(&due.key);
            return false;
        }
        self.forget(&due.key, budget);
        true
    }

    fn forget(&mut self, key: &[u8], budget: &Budget) {
        if self.keys.remove(key).is_some() {
            self.bytes -= cost(key);
            budget.give_back(cost(key));
        }
        if self.keys.is_empty() {
            self.forget_all(budget);
        }
    }

    /// The delete of `due` was not answered.
    pub fn not_deleted(&mut self, due: &Due) {
        if let Some(entry) = self.keys.get_mut(&due.key) {
            entry.is_placed = false;
            self.place(&due.key);
        }
    }

    /// That the node is to be flushed, where that comes after all that was on its way.
    pub fn flush_due(&self, now: Instant, calm_since: Option<Instant>) -> Option<Flush> {
        let is_settled = self.last_break.is_none_or(|at| has_settled(at, now, calm_since));
        self.all.filter(|_| self.on_their_way == 0 && is_settled)
    }

    /// The node has answered the flush_all of `flush`. True if nothing is remembered now.
    pub fn flushed(&mut self, flush: Flush) -> bool {
        self.all.take_if(|all| all.failure == flush.failure).is_some()
    }

    /// The node began to run at this time, and had nothing then. True if something was remembered, and is no more.
    pub fn restarted(&mut self, at: Instant, budget: &Budget) -> bool {
        let has_nothing = self.on_their_way == 0 && self.last_failure.is_some_and(|failure| failure < at);
        let was_any = has_nothing && !self.is_empty();
        if has_nothing {
            self.clear(budget);
        }
        was_any
    }

    fn clear(&mut self, budget: &Budget) {
        self.all = None;
        self.forget_all(budget);
    }

    /// What was missed and not remembered is accepted as it is. True if there was any.
    pub fn accept(&mut self) -> bool {
        self.all.take().is_some()
    }

    /// Takes what the journal of an earlier process said. What that sent may still be carried out.
    pub fn recover(&mut self, change: Change<'_>, now: Instant, budget: &Budget) {
        match change {
            Change::Missed(key) => self.recover_failure(key, now, budget),
            Change::FlushMissed => self.recover_failure(b"", now, budget),
            Change::Overflowed => {
                self.recover_failure(b"", now, budget);
                self.miss_all(false, budget);
            }
            Change::Deleted(key) => self.forget(key, budget),
            Change::Cleared => self.clear(budget),
            Change::Left | Change::Admitted => {}
        }
    }

    fn recover_failure(&mut self, key: &[u8], now: Instant, budget: &Budget) {
        self.remember(key, true, now, budget);
        self.settle(key, true, now);
    }

    /// That all keys count as missing, where they do.
    pub fn all(&self) -> Option<Flush> {
        self.all
    }

    /// Every key that is remembered by itself.
    pub fn to_vec(&self) -> Vec<Bytes> {
        self.keys.keys().cloned().collect()
    }
}

fn cost(key: &[u8]) -> usize {
    ENTRY + key.len()
}

/// True where what a link left that broke at this time is carried out, or never will be.
fn has_settled(broke_at: Instant, now: Instant, calm_since: Option<Instant>) -> bool {
    calm_since.is_some_and(|calm| calm.max(broke_at) + SETTLE <= now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MANY: usize = 1000;

    struct Bench {
        keys: Keys,
        budget: Budget,
        now: Instant,
        calm_since: Option<Instant>,
    }

    impl Bench {
        fn new() -> Bench {
            let now = Instant::now();
            Bench {
                keys: Keys::default(),
                budget: Budget::default(),
                now,
                calm_since: Some(now),
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
        }

        fn fails(&mut self, key: &str, is_sent: bool) -> Kept {
            self.keys
                .remember(key.as_bytes(), is_sent, self.now, &self.budget)
        }

        fn settles(&mut self, key: &str, is_broken: bool) {
            self.keys.settle(key.as_bytes(), is_broken, self.now);
        }

        fn take(&mut self) -> Vec<Due> {
            self.keys.take(self.now, self.calm_since, MANY)
        }

        fn taken(&mut self) -> Vec<String> {
            let taken = self.take();
            taken
                .iter()
                .map(|due| String::from_utf8_lossy(&due.key).into_owned())
                .collect()
        }
    }

    #[test]
    fn what_was_not_sent_may_be_deleted_at_once_in_the_order_in_which_it_failed() {
        let mut bench = Bench::new();
        for key in ["b", "a", "b", "c"] {
            bench.fails(key, false);
        }
        assert_eq!(bench.keys.keys(), 3);
        let taken = bench.take();
        let keys: Vec<&[u8]> = taken.iter().map(|due| &due.key[..]).collect();
        assert_eq!(keys, [b"b", b"a", b"c"]);
        assert!(bench.take().is_empty(), "each delete is sent once");
        assert!(bench.keys.has(b"a"), "until it is answered");
        for due in &taken {
            assert!(bench.keys.deleted(due, &bench.budget));
        }
        assert!(bench.keys.is_empty() && bench.keys.bytes() == 0);
        assert_eq!(bench.budget.bytes().load(std::sync::atomic::Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_sent_is_deleted_after_its_late_reply() {
        let mut bench = Bench::new();
        bench.fails("k", true);
        bench.fails("k", true);
        bench.settles("k", false);
        assert!(bench.take().is_empty(), "one of them is still on its way");
        bench.settles("k", false);
        assert_eq!(bench.taken(), ["k"]);
    }

    #[test]
    fn where_the_link_broke_the_node_must_have_been_calm_for_long_enough_since() {
        let mut bench = Bench::new();
        bench.pass(10 * SETTLE);
        bench.fails("k", true);
        bench.settles("k", true);
        bench.pass(SETTLE - Duration::from_millis(1));
        assert!(bench.take().is_empty());
        bench.calm_since = Some(bench.now);
        bench.pass(Duration::from_millis(1));
        assert!(bench.take().is_empty(), "it was not calm all the time");
        bench.calm_since = None;
        bench.pass(SETTLE);
        assert!(bench.take().is_empty(), "nor is it now");
        bench.calm_since = Some(bench.now - SETTLE);
        assert_eq!(bench.taken(), ["k"]);
    }

    #[test]
    fn a_key_that_fails_again_is_deleted_again_wherever_it_stood() {
        let mut bench = Bench::new();
        bench.fails("k", false);
        bench.fails("k", true);
        assert!(
            bench.take().is_empty(),
            "it left the queue for what is on its way"
        );
        bench.settles("k", false);
        let first = bench.take();
        bench.fails("k", false);
        bench.keys.deleted(&first[0], &bench.budget);
        assert!(bench.keys.has(b"k"), "the delete was sent before it failed again");
        let second = bench.take();
        bench.fails("k", true);
        bench.keys.not_deleted(&second[0]);
        assert!(bench.take().is_empty());
        bench.settles("k", true);
        bench.pass(SETTLE);
        let third = bench.take();
        bench.keys.not_deleted(&third[0]);
        let again = bench.take();
        bench.keys.deleted(&again[0], &bench.budget);
        assert!(bench.keys.is_empty());
    }

    #[test]
    fn where_more_is_missed_than_may_be_remembered_all_keys_count_as_missing_until_the_flush() {
        let mut bench = Bench::new();
        bench.budget.configure(2, usize::MAX);
        assert_eq!(bench.fails("a", true), Kept::New);
        assert_eq!(bench.fails("b", false), Kept::New);
        assert_eq!(bench.fails("a", false), Kept::Already);
        assert_eq!(bench.fails("c", false), Kept::Overflow);
        assert!(bench.keys.has(b"whatever") && bench.keys.keys() == 0 && bench.keys.bytes() == 0);
        assert_eq!(bench.fails("d", false), Kept::Already, "it overflows once");
        let due = |bench: &Bench| bench.keys.flush_due(bench.now, bench.calm_since);
        assert_eq!(due(&bench), None, "a is still on its way");
        bench.settles("a", false);
        let flush = due(&bench).expect("nothing is on its way");
        assert!(!flush.is_asked);
        bench.fails("e", false);
        bench.keys.flushed(flush);
        assert!(bench.keys.is_all(), "e failed after the flush was sent");
        let flush = due(&bench).expect("due");
        bench.keys.flushed(flush);
        assert!(bench.keys.is_empty());
    }

    #[test]
    fn bytes_are_bounded_over_all_nodes_and_given_back() {
        let mut bench = Bench::new();
        let mut other = Keys::default();
        bench.budget.configure(MANY, 3 * cost(b"a"));
        bench.fails("a", false);
        bench.fails("b", false);
        let kept = |keys: &mut Keys, key: &[u8]| keys.remember(key, false, bench.now, &bench.budget);
        assert_eq!(kept(&mut other, b"a"), Kept::New);
        assert_eq!(kept(&mut other, b"b"), Kept::Overflow);
        assert_eq!(
            kept(&mut bench.keys, b"c"),
            Kept::New,
            "the other gave its bytes back"
        );
    }

    #[test]
    fn a_flush_that_failed_misses_all_and_a_broken_link_makes_it_wait() {
        let mut bench = Bench::new();
        bench.fails("k", false);
        bench.fails("", true);
        assert!(bench.keys.has(b"other") && bench.keys.keys() == 0);
        bench.settles("", true);
        assert_eq!(bench.keys.flush_due(bench.now, bench.calm_since), None);
        bench.pass(SETTLE);
        let flush = bench.keys.flush_due(bench.now, bench.calm_since).expect("due");
        assert!(flush.is_asked);
        bench.keys.flushed(flush);
        assert!(!bench.keys.has(b"k"));
    }

    #[test]
    fn a_node_that_was_started_after_the_last_failure_needs_nothing() {
        let mut bench = Bench::new();
        bench.pass(SETTLE);
        bench.fails("a", false);
        bench.fails("", false);
        bench.keys.restarted(bench.now, &bench.budget);
        assert!(bench.keys.is_all(), "it may have been started before");
        bench
            .keys
            .restarted(bench.now + Duration::from_millis(1), &bench.budget);
        assert!(bench.keys.is_empty());
        bench.fails("a", true);
        bench.keys.restarted(bench.now + SETTLE, &bench.budget);
        assert!(bench.keys.has(b"a"), "a write of it is on its way to somebody");
    }
}
