//! Names that a test decides: an `/etc/hosts` that only the program under test sees.
//!
//! The program runs in a mount namespace of its own, in which a file of the test lies over `/etc/hosts`. The system's
//! resolver reads it at each lookup, so a test changes an answer by writing the file.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use super::program;
use super::ringway::Ringway;

/// The private `/etc/hosts`.
pub struct Hosts {
    file: NamedTempFile,
}

impl Hosts {
    /// A file in which `name` stands for `addresses`.
    pub fn new(name: &str, addresses: &[&str]) -> Hosts {
        let hosts = Hosts {
            file: NamedTempFile::new().expect("a file"),
        };
        hosts.set(name, addresses);
        hosts
    }

    /// From the next lookup on `name` stands for `addresses`.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let lines = addresses.iter().map(|address| format!("{address} {name}\n"));
        // Written in place: another file would not be seen through the mount.
        let text: String = lines.collect();
        fs::write(self.file.path(), "127.0.0.1 localhost\n".to_owned() + &text).expect("written");
    }

    /// Starts Ringway where these names hold, and waits until it is ready.
    pub fn start(&self, yaml: &str) -> Ringway {
        start_under(self.file.path(), "/etc/hosts", yaml)
    }
}

/// Starts Ringway where `file` lies over `place`, and waits until it is ready.
pub fn start_under(file: &Path, place: &str, yaml: &str) -> Ringway {
    let path = file.display();
    // Those who are not root are so in a namespace of users.
    let user = if is_root() { "" } else { "--map-root-user" };
    let mount = format!("mount --bind {path} {place} && exec \"$@\"");
    Ringway::start_by(
        &format!("exec unshare {user} --mount sh -c '{mount}' sh \"$@\""),
        yaml,
    )
}

fn is_root() -> bool {
    let id = program::output(Command::new("id").arg("-u"));
    id.stdout == b"0\n"
}
