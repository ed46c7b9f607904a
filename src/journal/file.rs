//! The log file, and the thread that writes it. Everything that blocks is here: it runs before the process
//! serves, or on that thread.
//!
//! `missed-writes.log` in the directory is the log, `missed-writes.new` the next one while it is written,
//! and `missed-writes.lock` is locked by the process that uses them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::record::{self, Ending, MAGIC, Record};
use super::{Journal, Task};

/// The interval between attempts on a failing disk.
const RETRY: Duration = Duration::from_secs(1);
/// How much a file may grow beyond twice its size before it is rewritten.
const SLACK: u64 = 1 << 20;

/// Emits everything that is recorded now, one record at a time.
pub type Remembered = Box<dyn Fn(&mut dyn FnMut(Record<'_>) -> io::Result<()>) -> io::Result<()> + Send>;

/// The directory, used by this process alone.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked until the process ends.
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Another process uses it.
    #[error("missed_writes.dir {} is used by another Ringway: give each process a directory of its own", .0.display())]
    Taken(PathBuf),
    /// A file in it cannot be opened or read.
    #[error("missed_writes.dir: {}: {_1}", .0.display())]
    File(PathBuf, #[source] io::Error),
}

impl Directory {
    /// Locks the directory at `path`, and passes `each` the records of the previous process.
    ///
    /// # Errors
    /// [`Unusable`]; a log with a damaged end is not an error.
    pub fn open(path: &Path, each: impl FnMut(Record<'_>)) -> Result<(Directory, Ending), Unusable> {
        let directory = Directory {
            path: path.to_owned(),
            _lock: lock(path)?,
        };
        let log = directory.log();
        let ending = match File::open(&log) {
            Ok(mut file) => record::replay(&mut file, each),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ending::Whole),
            Err(error) => Err(error),
        };
        let ending = ending.map_err(|error| Unusable::File(log, error))?;
        Ok((directory, ending))
    }

    /// The path of the log.
    pub fn log(&self) -> PathBuf {
        self.path.join("missed-writes.log")
    }

    /// Rewrites the log, and starts the thread that writes what is appended to `journal` from now on.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn keep(self, journal: Arc<Journal>, remembered: Remembered) -> io::Result<()> {
        let mut writer = Writer {
            directory: self,
            journal,
            remembered,
            open: None,
        };
        if let Err(error) = writer.rewrite() {
            writer.journal.failed(&error);
        }
        let builder = thread::Builder::new().name("missed-writes".to_owned());
        builder.spawn(move || writer.run()).map(drop)
    }
}

fn lock(directory: &Path) -> Result<File, Unusable> {
    let path = directory.join("missed-writes.lock");
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    match options.open(&path).map(|file| (file.try_lock(), file)) {
        Ok((Ok(()), file)) => Ok(file),
        Ok((Err(TryLockError::WouldBlock), _)) => Err(Unusable::Taken(directory.to_owned())),
        Ok((Err(TryLockError::Error(error)), _)) | Err(error) => Err(Unusable::File(path, error)),
    }
}

/// The state of the writing thread.
struct Writer {
    directory: Directory,
    journal: Arc<Journal>,
    remembered: Remembered,
    /// `None` before the first success.
    open: Option<OpenLog>,
}

/// The open log.
struct OpenLog {
    file: File,
    length: u64,
    /// The size above which it is rewritten.
    max: u64,
}

impl Writer {
    fn run(mut self) {
        loop {
            if let Err(error) = self.step() {
                self.journal.failed(&error);
                thread::sleep(RETRY);
            }
        }
    }

    /// Waits for something to write, and writes it.
    fn step(&mut self) -> io::Result<()> {
        let (Task::Append(bytes), number) = self.journal.next() else {
            return self.rewrite();
        };
        let Some(open) = &mut self.open else {
            return self.rewrite();
        };
        open.file.write_all(&bytes)?;
        open.file.sync_data()?;
        open.length += bytes.len() as u64;
        self.journal.committed(number);
        if open.length > open.max {
            return self.rewrite();
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let number = self.journal.begin_rewrite();
        let beside = self.directory.path.join("missed-writes.new");
        let mut out = BufWriter::new(File::create(&beside)?);
        let mut length = MAGIC.len() as u64;
        out.write_all(MAGIC)?;
        let mut bytes = Vec::new();
        (self.remembered)(&mut |record| {
            bytes.clear();
            record.encode(&mut bytes);
            length += bytes.len() as u64;
            out.write_all(&bytes)
        })?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&beside, self.directory.log())?;
        File::open(&self.directory.path)?.sync_all()?;
        self.open = Some(OpenLog {
            file,
            length,
            max: 2 * length + SLACK,
        });
        self.journal.committed(number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::super::record::Change;
    use super::*;

    type KeySet = Arc<Mutex<BTreeSet<Vec<u8>>>>;

    fn record(change: Change<'_>) -> Record<'_> {
        Record {
            pool: "main",
            node: "a",
            change,
        }
    }

    fn apply(keys: &KeySet, change: Change<'_>) {
        let mut keys = keys.lock().unwrap();
        match change {
            Change::Missed(key) => drop(keys.insert(key.to_vec())),
            Change::Deleted(key) => drop(keys.remove(key)),
            _ => {}
        }
    }

    /// A process that records keys.
    struct Process {
        keys: KeySet,
        journal: Arc<Journal>,
        writer: Writer,
        ending: Ending,
    }

    fn start(path: &Path) -> Process {
        let (keys, journal) = (KeySet::default(), Arc::default());
        let (directory, ending) = Directory::open(path, |record| apply(&keys, record.change)).unwrap();
        let remembered = keys.clone();
        let mut process = Process {
            writer: Writer {
                directory,
                journal: Arc::clone(&journal),
                remembered: Box::new(move |each| {
                    let keys = remembered.lock().unwrap();
                    keys.iter().try_for_each(|key| each(record(Change::Missed(key))))
                }),
                open: None,
            },
            keys,
            journal,
            ending,
        };
        process.writer.rewrite().unwrap();
        process
    }

    impl Process {
        fn change(&self, change: Change<'_>) {
            apply(&self.keys, change);
            self.journal.append(&record(change));
        }

        fn length(&self) -> u64 {
            std::fs::metadata(self.writer.directory.log()).unwrap().len()
        }
    }

    #[test]
    fn what_was_committed_is_there_after_the_process_ended() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path());
        for change in [
            Change::Missed(b"a"),
            Change::Missed(b"b"),
            Change::Deleted(b"a"),
            Change::Missed(b"c"),
        ] {
            process.change(change);
            process.writer.step().unwrap();
        }
        assert!(process.journal.commit().is_none());
        let log = process.writer.directory.log();
        drop(process);
        let mut torn = std::fs::read(&log).unwrap();
        torn.pop();
        std::fs::write(&log, torn).unwrap();
        let mut process = start(directory.path());
        assert_eq!(process.ending, Ending::Truncated);
        assert_eq!(*process.keys.lock().unwrap(), BTreeSet::from([b"b".to_vec()]));
        process.change(Change::Missed(b"d"));
        process.writer.step().unwrap();
        drop(process);
        let process = start(directory.path());
        assert_eq!(process.ending, Ending::Whole, "the torn tail was cut");
        assert_eq!(process.keys.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_directory_has_one_user() {
        let directory = tempfile::tempdir().unwrap();
        let first = start(directory.path());
        let second = Directory::open(directory.path(), |_| {});
        assert!(matches!(second, Err(Unusable::Taken(_))));
        drop(first);
        assert!(Directory::open(directory.path(), |_| {}).is_ok());
    }

    #[test]
    fn the_file_stays_small_however_much_is_remembered_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path());
        process.change(Change::Missed(b"kept"));
        let key = vec![b'k'; 10_000];
        for _ in 0..500 {
            process.change(Change::Missed(&key));
            process.change(Change::Deleted(&key));
            process.writer.step().unwrap();
            assert!(process.length() < SLACK + 100_000);
        }
        drop(process);
        let process = start(directory.path());
        assert_eq!(*process.keys.lock().unwrap(), BTreeSet::from([b"kept".to_vec()]));
    }

    #[test]
    fn after_a_failure_the_file_has_what_was_remembered_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::create_dir(&path).unwrap();
        let mut process = start(&path);
        process.change(Change::Missed(b"a"));
        process.writer.step().unwrap();
        process.journal.failed(&io::Error::other("full"));
        std::fs::rename(&path, directory.path().join("away")).unwrap();
        process.change(Change::Missed(b"b"));
        assert!(process.writer.step().is_err(), "there is no directory");
        process.journal.failed(&io::Error::other("still"));
        process.change(Change::Missed(b"c"));
        std::fs::rename(directory.path().join("away"), &path).unwrap();
        process.writer.step().unwrap();
        drop(process);
        assert_eq!(start(&path).keys.lock().unwrap().len(), 3);
    }
}
