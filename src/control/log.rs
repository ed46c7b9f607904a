//! Writes the log on a thread of its own: whoever reads stderr may read no more, and nothing else waits for that.
//!
//! ```text
//!  any thread ── a line, without waiting ──▶ queue ──▶ thread `log`: write ──▶ stderr
//!                        └ the queue is full: the line is lost, and counted
//! ```
//!
//! Lines come out whole and in the order in which they were queued. A line that is lost is the limit `log` of
//! [`super::limits`], which says so once somebody reads again.
//!
//! `tracing-appender` has such a queue, too. But its guard waits for a fixed time at the end, and if the queue is full by
//! then (version 0.2.5) it prints that to stdout, without a bound: a container's stdout often has the same reader.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait for stderr at most.
const MOST: usize = 1024;
/// How soon it is looked whether a full queue has room again for the last line of the process.
const LOOK: Duration = Duration::from_millis(1);

/// The log of this process; none before [`start`].
static LOG: OnceLock<Log> = OnceLock::new();

enum Work {
    Line(Vec<u8>),
    /// Tell when everything before is written.
    Tell(SyncSender<()>),
}

/// A log that never waits for its reader.
#[derive(Debug)]
pub struct Log {
    queue: SyncSender<Work>,
    lost: AtomicU64,
}

/// Starts the log of this process, which goes to stderr.
///
/// # Errors
/// The system gives no thread.
pub fn start() -> io::Result<&'static Log> {
    let log = Log::start(io::stderr())?;
    Ok(LOG.get_or_init(|| log))
}

/// Lines of the log that were lost because nobody read those before them.
pub fn lost() -> u64 {
    LOG.get().map_or(0, |log| log.lost.load(Relaxed))
}

/// Writes `text` as a line of its own, as it is.
pub fn say(text: &str) {
    if let Some(log) = LOG.get() {
        log.put(format!("{text}\n").as_bytes());
    }
}

/// Waits until all that was logged is written, or for `limit`: the process is about to end.
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

    /// Logs `line`, which has its end, or loses it.
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
        // Fails after the limit, and at once where the thread is gone.
        let _in_time = is_told.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Takes lines until the process ends. What cannot be written is gone: there is nowhere to tell it.
fn write_all(work: &Receiver<Work>, mut out: impl Write) {
    for work in work {
        match work {
            Work::Line(line) => drop(out.write_all(&line)),
            Work::Tell(told) => drop(told.send(())),
        }
    }
}

/// What events are formatted into: a whole line at a time.
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

    /// Writes to a pipe, whose other side decides when.
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
        // The rest is still there for whoever reads again.
        let reading = thread::spawn(move || io::copy(&mut { reader }, &mut io::sink()).unwrap());
        log.finish(Duration::from_secs(60));
        drop(log);
        assert_eq!(reading.join().unwrap() as usize, (lines - lost) * line.len());
    }
}
