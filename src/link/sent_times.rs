//! When a link handed the requests in flight to its connection.
//!
//! Nearly every request is handed over in the turn in which it was read, so nothing is kept of it. Kept is what makes
//! requests wait: that the link was not open, and that the connection took no more bytes. One request in [`PERIOD`] that
//! are sampled is timed with a clock of its own, so that Ringway's share of a turn shows too.

use std::collections::VecDeque;

use crate::insight::Times;

/// One sampled request in this many is timed: of all requests one in 64.
const PERIOD: u32 = 4;
/// The maximum number of remembered writes that came late; further ones count as the last.
const MAX_LATE: usize = 1024;

/// When requests were handed over. Offsets are among all bytes of the connection, times in microseconds.
#[derive(Debug, Default)]
pub struct SentTimes {
    /// Since when the connection may be written to: requests that were read before waited for that.
    writable_since: u64,
    /// The first byte that the connection did not take at once.
    stalled_at: Option<u64>,
    late: VecDeque<Late>,
    timed: Option<Timed>,
    /// Sampled requests since the last one that was timed.
    skipped: u32,
}

/// Bytes that the connection took late.
#[derive(Debug)]
struct Late {
    from: u64,
    until: u64,
    at: u64,
}

/// The request that is timed.
#[derive(Debug)]
struct Timed {
    offset: u64,
    /// When its first byte was handed over.
    sent: Option<u64>,
}

impl SentTimes {
    /// The connection may be written to from `now` on.
    pub fn open(&mut self, now: u64) {
        self.writable_since = now;
    }

    /// A sampled request begins at `offset`: it may become the one that is timed.
    #[cold]
    pub fn sample(&mut self, offset: u64) {
        self.skipped += 1;
        if self.timed.is_none() && self.skipped >= PERIOD {
            self.skipped = 0;
            self.timed = Some(Timed { offset, sent: None });
        }
    }

    /// Whether the next write to the connection must be [noted](SentTimes::note).
    #[inline]
    pub fn must_note(&self) -> bool {
        self.stalled_at.is_some() || self.timed.as_ref().is_some_and(|timed| timed.sent.is_none())
    }

    /// Notes that at `now` the connection has taken all bytes before `start`, of those before `end`. Requests before
    /// `oldest` are answered.
    #[cold]
    pub fn note(&mut self, start: u64, end: u64, oldest: u64, now: u64) {
        if let Some(timed) = self.timed.as_mut().filter(|timed| timed.offset < start) {
            timed.sent.get_or_insert(now);
        }
        while self.late.front().is_some_and(|late| late.until <= oldest) {
            self.late.pop_front();
        }
        if let Some(from) = self.stalled_at.filter(|from| *from < start) {
            let is_full = self.late.len() >= MAX_LATE;
            match self.late.back_mut().filter(|_| is_full) {
                Some(last) => last.until = start,
                None => self.late.push_back(Late {
                    from,
                    until: start,
                    at: now,
                }),
            }
        }
        self.stalled_at = (start < end).then_some(start);
    }

    /// Returns the times of the request that begins at `offset`, was read at `started` and is answered at `now`, and
    /// whether it is the one that was timed.
    pub fn take(&mut self, offset: u64, started: u64, now: u64) -> (Times, bool) {
        let late = self.late.iter().find(|late| offset < late.until);
        let late = late.filter(|late| late.from <= offset).map_or(0, |late| late.at);
        let opened = if started < self.writable_since {
            self.writable_since
        } else {
            0
        };
        let waited_until = opened.max(late).clamp(started, now.max(started));
        let timed = self.timed.take_if(|timed| timed.offset == offset);
        let sent = timed
            .as_ref()
            .and_then(|timed| timed.sent)
            .unwrap_or(waited_until);
        let sent = sent.clamp(waited_until, now.max(waited_until));
        let times = Times {
            own: sent - waited_until,
            queue: waited_until - started,
            node: now.saturating_sub(sent),
        };
        (times, timed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(own: u64, queue: u64, node: u64) -> Times {
        Times { own, queue, node }
    }

    #[test]
    fn a_request_that_was_written_at_once_was_at_the_node_all_the_time() {
        let mut sent = SentTimes::default();
        sent.open(100);
        assert!(!sent.must_note());
        assert_eq!(sent.take(0, 100, 150), (times(0, 0, 50), false));
    }

    #[test]
    fn what_was_read_before_the_link_opened_waited_for_that() {
        let mut sent = SentTimes::default();
        sent.open(100);
        assert_eq!(sent.take(0, 30, 150).0, times(0, 70, 50));
    }

    #[test]
    fn what_the_connection_took_late_waited_and_what_it_had_taken_before_did_not() {
        let mut sent = SentTimes::default();
        // 100 of 300 bytes are taken at 10, 200 at 50, all at 90.
        sent.note(100, 300, 0, 10);
        assert!(sent.must_note());
        sent.note(200, 300, 0, 50);
        sent.note(300, 300, 0, 90);
        assert!(!sent.must_note());
        for (offset, expected) in [
            (0, times(0, 0, 190)),
            (100, times(0, 40, 150)),
            (199, times(0, 40, 150)),
            (200, times(0, 80, 110)),
            (300, times(0, 0, 190)),
        ] {
            assert_eq!(sent.take(offset, 10, 200).0, expected, "{offset}");
        }
        sent.note(300, 300, 300, 95);
        assert!(sent.late.is_empty(), "those requests are answered");
    }

    #[test]
    fn a_connection_that_takes_few_bytes_at_a_time_keeps_a_bounded_number_of_times() {
        let mut sent = SentTimes::default();
        for start in 0..10_000 {
            sent.note(start, 20_000, 0, start);
        }
        assert_eq!(sent.late.len(), MAX_LATE);
        assert_eq!(sent.take(9_000, 0, 20_000).0.queue, MAX_LATE as u64);
    }

    #[test]
    fn one_request_at_a_time_is_timed_from_its_first_byte() {
        let mut sent = SentTimes::default();
        (0..PERIOD).for_each(|n| sent.sample(u64::from(n) * 10));
        (0..PERIOD).for_each(|n| sent.sample(u64::from(n) * 100 + 100));
        assert!(sent.must_note());
        sent.note(30, 30, 0, 7);
        assert!(sent.must_note(), "its first byte is not written");
        sent.note(31, 31, 0, 8);
        assert!(!sent.must_note());
        assert_eq!(sent.take(20, 5, 50), (times(0, 0, 45), false));
        assert_eq!(sent.take(30, 5, 50), (times(3, 0, 42), true));
        assert!(!sent.take(30, 5, 50).1, "it is told once");
        sent.sample(1000);
        assert!(sent.must_note());
    }
}
