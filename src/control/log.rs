//! Writes the log on a thread of its own, so that a reader of stderr that stalls blocks nothing else.
//!
//! ```text
//!  any thread ── a line, without waiting ──▶ queue ──▶ thread `log`: write ──▶ stderr
//!                        └ the queue is full: the line is lost, and counted
//! ```
//!
//! Lines come out whole and in the order in which they were queued. A lost line counts as the limit `log`
//! of [`super::limits`], which is logged once the reader continues.
//!
//! `tracing-appender` has such a queue, too. But its guard waits for a fixed time at the end, and if the
//! queue is full by then (version 0.2.5) it prints that to stdout, without a bound: a container's stdout
//! often has the same reader.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of lines that wait for stderr.
const MOST: usize = 1024;
/// The polling interval for room in a full queue, for the last line of the process.
const LOOK: Duration = Duration::from_millis(1);

/// The log of this process; empty before [`start`].
static LOG: OnceLock<Log> = OnceLock::new();

enum Work {
    Line(Vec<u8>),
    /// A request to signal when everything before it is written.
    Tell(SyncSender<()>),
}

/// A log that never blocks on its reader.
#[derive(Debug)]
pub struct Log {
    queue: SyncSender<Work>,
    lost: AtomicU64,
}

/// Starts the log of this process, which goes to stderr.
///
/// # Errors
/// The system refuses a thread.
pub fn start() -> io::Result<&'static Log> {
    let log = Log::start(io::stderr())?;
    Ok(LOG.get_or_init(|| log))
}

/// The number of log lines lost because stderr was not read in time.
pub fn lost() -> u64 {
    LOG.get().map_or(0, |log| log.lost.load(Relaxed))
}

/// Writes `text` unchanged as a line of its own.
pub fn say(text: &str) {
    if let Some(log) = LOG.get() {
        log.put(format!("{text}\n").as_bytes());
    }
}

/// Waits until everything logged is written, or for `limit`, before the process ends.
pub fn finish(limit: Duration) {
    if let Some(log) = LOG.get() {
        log.finish(limit);
    }
}

impl Log {
    fn start(out: impl Write + Send + 'static) -> io::Result<Log> {
        let (queue, work) = sync_channel(MOST);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&work, out))?;
        let lost = AtomicU64::new(0);
        Ok(Log { queue, lost })
    }

    /// Queues `line`, which includes its end, or loses it.
    fn put(&self, line: &[u8]) {
        if self.queue.try_send(Work::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn finish(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let (told, is_told) = sync_channel(1);
        let mut work = Work::Tell(told);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(work) {
            if Instant::now() >= until {
                return;
            }
            work = back;
            thread::park_timeout(LOOK);
        }
        // Fails after the limit, and at once if the thread is gone.
        let _in_time = is_told.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Writes lines until the process ends. Ignores failures: there is nowhere to report them.
fn write_all(work: &Receiver<Work>, mut out: impl Write) {
    for work in work {
        match work {
            Work::Line(line) => drop(out.write_all(&line)),
            Work::Tell(told) => drop(told.send(())),
        }
    }
}

/// Receives formatted events, a whole line at a time.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a log that writes to a pipe, whose reader the test controls.
    fn bench() -> (Log, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (Log::start(writer).unwrap(), reader)
    }

    #[test]
    fn lines_come_out_whole_and_in_order_before_the_end() {
        let (log, reader) = bench();
        for number in 0..200 {
            writeln!(&log, "line {number}").unwrap();
        }
        log.finish(Duration::from_secs(60));
        drop(log);
        let text = io::read_to_string(reader).unwrap();
        let wanted: String = (0..200).map(|number| format!("line {number}\n")).collect();
        assert_eq!(text, wanted);
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_is_lost_is_counted() {
        let (log, reader) = bench();
        let line = vec![b'x'; 1 << 16];
        let lines = 3 * MOST;
        for _ in 0..lines {
            assert_eq!((&log).write(&line).unwrap(), line.len());
        }
        log.finish(Duration::from_millis(1));
        let lost = log.lost.load(Relaxed) as usize;
        assert!(lost >= lines - MOST - 2, "{lost}");
        // The rest is still there for a reader that continues.
        let reading = thread::spawn(move || io::copy(&mut { reader }, &mut io::sink()).unwrap());
        log.finish(Duration::from_secs(60));
        drop(log);
        assert_eq!(reading.join().unwrap() as usize, (lines - lost) * line.len());
    }
}
