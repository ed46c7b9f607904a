//! Reads the configuration file, and tells whether a file that it names has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use tokio::time::timeout;

use crate::config;

/// The maximum time to wait for the file system.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The bytes of its file.
    pub bytes: Vec<u8>,
    /// A digest of the files that it names.
    named: Vec<u8>,
}

/// Reads the file and a digest of the files in `named`. Refuses a pipe, a device or a folder, and gives up a file system
/// that hangs.
pub async fn read(path: &Path, named: Vec<PathBuf>) -> io::Result<Seen> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || look(&path, &named));
    timeout(PATIENCE, reading).await??
}

/// Reads the file and the digest at once.
pub fn look(path: &Path, named: &[PathBuf]) -> io::Result<Seen> {
    let mut digest = Md5::new();
    for path in named {
        // One that cannot be read is a mistake of the configuration that names it.
        let bytes = config::read_regular(path).unwrap_or_default();
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    }
    Ok(Seen {
        bytes: config::read_regular(path)?,
        named: digest.finalize().to_vec(),
    })
}
