//! A file that is read again after it has changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Distinguishes one state of a file from the next; `None` if there is no file.
type Stamp = Option<(u64, u64, u64, SystemTime)>;

/// The last content of a file, and its state.
type Seen<T> = Mutex<Option<(Stamp, Arc<T>)>>;

/// The content of a file.
#[derive(Debug)]
pub struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    seen: Arc<Seen<T>>,
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Returns the file at `path`, not read yet.
    pub fn new(path: &str, parse: fn(&str) -> T) -> Watched<T> {
        Watched {
            path: PathBuf::from(path),
            parse,
            seen: Arc::default(),
        }
    }

    /// Returns the present content. A file that does not exist or cannot be read counts as empty.
    pub async fn read(&self) -> Arc<T> {
        let (path, parse, seen) = (self.path.clone(), self.parse, self.seen.clone());
        let read = move || {
            let stamp = fs::metadata(&path)
                .ok()
                .and_then(|file| Some((file.dev(), file.ino(), file.len(), file.modified().ok()?)));
            let mut seen = seen.lock().expect("no holder panics");
            match &*seen {
                Some((known, says)) if *known == stamp => says.clone(),
                _ => {
                    let bytes = fs::read(&path).unwrap_or_default();
                    let says = Arc::new(parse(&String::from_utf8_lossy(&bytes)));
                    *seen = Some((stamp, says.clone()));
                    says
                }
            }
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| Arc::new((self.parse)("")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_or_goes_is_read_again_and_one_that_stays_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = Watched::new(path.to_str().unwrap(), str::to_owned);
        assert_eq!(*file.read().await, "");
        fs::write(&path, "one").unwrap();
        let one = file.read().await;
        assert_eq!(*one, "one");
        assert!(Arc::ptr_eq(&one, &file.read().await));
        fs::write(&path, "other").unwrap();
        assert_eq!(*file.read().await, "other");
        fs::remove_file(&path).unwrap();
        assert_eq!(*file.read().await, "");
    }
}
