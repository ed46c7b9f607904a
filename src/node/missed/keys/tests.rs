//! What is missed, and copies: a table of cases for each rule of the structure.

use std::time::Duration;

use super::*;

const MANY: usize = 1000;

struct Bench {
    keys: MissedKeys,
    budget: MissedBudget,
    now: Instant,
    calm_since: Option<Instant>,
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::now();
        Bench {
            keys: MissedKeys::default(),
            budget: MissedBudget::default(),
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
        self.keys
            .settle(key.as_bytes(), is_broken, self.now, &self.budget);
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
    let mut other = MissedKeys::default();
    bench.budget.configure(MANY, 3 * cost(b"a"));
    bench.fails("a", false);
    bench.fails("b", false);
    let kept = |keys: &mut MissedKeys, key: &[u8]| keys.remember(key, false, bench.now, &bench.budget);
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

impl Bench {
    fn copies(&mut self, key: &str, ring: u64, expires: Option<Duration>) -> CopyNoted {
        let expires = expires.map(|after| self.now + after);
        self.keys
            .copy(key.as_bytes(), ring, expires, self.now, &self.budget)
    }

    /// Checks copies against the ring with this number, in which the node owns the keys `owned`.
    fn sweeps(&mut self, ring: u64, owned: &[&str]) {
        for key in self.keys.begin_sweep(ring) {
            let is_owner = owned.iter().any(|owned| owned.as_bytes() == key);
            self.keys.sweep(key, is_owner, self.now, &self.budget);
        }
    }
}

#[test]
fn a_copy_is_missed_once_the_ring_gives_its_key_to_another_node() {
    let mut bench = Bench::new();
    for key in ["stays", "goes", "flies"] {
        assert_eq!(bench.copies(key, 1, None), CopyNoted::New);
    }
    assert_eq!(bench.copies("goes", 1, None), CopyNoted::Already);
    for key in ["stays", "goes", "goes"] {
        bench.settles(key, false);
    }
    assert!(bench.keys.is_empty() && bench.keys.copies() == 3);
    bench.sweeps(2, &["stays"]);
    assert!(!bench.keys.has(b"stays") && bench.keys.has(b"goes") && bench.keys.has(b"flies"));
    assert_eq!((bench.keys.keys(), bench.keys.copies()), (2, 1));
    assert_eq!(bench.taken(), ["goes"], "flies is still on its way");
    bench.settles("flies", false);
    assert_eq!(bench.taken(), ["flies"]);
    bench.sweeps(3, &[]);
    let taken = bench.take();
    assert!(taken.iter().all(|due| bench.keys.deleted(due, &bench.budget)));
    assert!(!bench.keys.has(b"stays"));
}

#[test]
fn a_copy_that_is_sent_by_an_older_ring_is_missed_at_once() {
    let mut bench = Bench::new();
    bench.sweeps(5, &[]);
    assert_eq!(bench.copies("k", 4, None), CopyNoted::Late);
    assert!(bench.keys.has(b"k") && bench.take().is_empty());
    bench.settles("k", false);
    assert_eq!(bench.taken(), ["k"]);
}

#[test]
fn a_missed_key_that_is_written_again_by_the_next_ring_stays_a_copy_when_it_is_deleted() {
    let mut bench = Bench::new();
    bench.copies("k", 1, None);
    bench.settles("k", false);
    bench.sweeps(2, &[]);
    let due = bench.keys.begin_clearing(b"k").expect("nothing is on its way");
    assert_eq!(bench.copies("k", 2, None), CopyNoted::New);
    assert!(bench.keys.begin_clearing(b"k").is_none());
    bench.settles("k", false);
    bench.keys.end_clearing(&due, true, &bench.budget);
    assert!(!bench.keys.has(b"k") && bench.keys.copies() == 1);
    bench.sweeps(3, &[]);
    assert!(bench.keys.has(b"k"));
}

#[test]
fn copies_take_room_until_they_have_expired_and_too_many_are_not_remembered() {
    let mut bench = Bench::new();
    bench.budget.configure(2, usize::MAX);
    let minute = Some(Duration::from_secs(60));
    for (key, expected) in [
        ("a", CopyNoted::New),
        ("b", CopyNoted::New),
        ("c", CopyNoted::Overflow),
    ] {
        assert_eq!(bench.copies(key, 1, minute), expected);
    }
    bench.settles("a", false);
    bench.pass(Duration::from_secs(30));
    assert_eq!(
        bench.copies("a", 1, minute),
        CopyNoted::Already,
        "it lives longer now"
    );
    bench.settles("a", false);
    bench.settles("b", false);
    bench.pass(Duration::from_secs(31));
    assert_eq!(bench.copies("c", 1, minute), CopyNoted::New, "b has expired");
    assert_eq!(bench.copies("d", 1, minute), CopyNoted::Overflow);
    bench.settles("c", false);
    bench.pass(Duration::from_secs(61));
    bench.sweeps(2, &[]);
    assert!(bench.keys.is_empty(), "what has expired need not be deleted");
    assert_eq!((bench.keys.copies(), bench.keys.bytes()), (0, 0));
}

#[test]
fn where_all_keys_are_missed_a_copy_on_its_way_makes_the_flush_wait() {
    let mut bench = Bench::new();
    bench.copies("k", 1, None);
    assert!(bench.keys.miss_everything(bench.now, &bench.budget));
    assert!(!bench.keys.miss_everything(bench.now, &bench.budget));
    let due = |bench: &Bench| bench.keys.flush_due(bench.now, bench.calm_since);
    assert_eq!(due(&bench), None);
    bench.settles("k", false);
    let early = due(&bench).expect("nothing is on its way");
    bench.copies("k", 1, None);
    bench.keys.flushed(early);
    bench.settles("k", false);
    assert!(bench.keys.is_all(), "it was sent while the flush was on its way");
}

#[test]
fn a_restart_of_the_node_ends_what_it_missed_but_not_its_copies() {
    let mut bench = Bench::new();
    bench.fails("missed", false);
    bench.pass(SETTLE);
    let restart = bench.now;
    bench.pass(SETTLE);
    bench.copies("copy", 1, None);
    bench.settles("copy", false);
    assert!(bench.keys.restarted(restart, &bench.budget));
    assert!(!bench.keys.has(b"missed") && bench.keys.copies() == 1);
}

#[test]
fn what_a_client_wrote_clears_its_key_unless_another_write_failed_behind_it() {
    let mut bench = Bench::new();
    bench.fails("k", false);
    let due = bench.keys.begin_clearing(b"k").expect("nothing is on its way");
    assert!(bench.keys.end_clearing(&due, true, &bench.budget));
    assert!(bench.keys.is_empty() && bench.keys.bytes() == 0);

    bench.fails("k", false);
    let due = bench.keys.begin_clearing(b"k").expect("nothing is on its way");
    bench.keys.refused(b"k");
    assert!(
        bench.take().is_empty(),
        "a delete may be executed before the write"
    );
    assert!(!bench.keys.end_clearing(&due, true, &bench.budget));
    assert!(bench.keys.has(b"k"), "its value came before what failed");
    let taken = bench.take();
    assert_eq!(taken.len(), 1);
    assert!(bench.keys.deleted(&taken[0], &bench.budget));
    assert!(bench.keys.is_empty() && bench.keys.bytes() == 0);
}

#[test]
fn a_delete_in_flight_does_not_end_a_key_whose_new_value_may_come_after_it() {
    let mut bench = Bench::new();
    bench.fails("k", false);
    let taken = bench.take();
    let due = bench.keys.begin_clearing(b"k").expect("nothing is on its way");
    bench.keys.refused(b"k");
    assert!(!bench.keys.deleted(&taken[0], &bench.budget));
    assert!(bench.take().is_empty());
    bench.keys.end_clearing(&due, false, &bench.budget);
    assert_eq!(bench.taken(), ["k"]);
}
