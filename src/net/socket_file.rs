//! The file of a listening unix socket: created, guarded and removed without taking it from another
//! process.
//!
//! An existing file is replaced only if it is a socket that refuses connections, as one that a killed
//! process left behind does. At the end only the file that was created here is removed: a socket that
//! another process has put at the path stays. Both happen under a lock beside the path, so that of two
//! processes that start at once one listens and the other gets an error.
//!
//! All of it may block on the disk or the lock: never call it on a worker's thread.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::Access;

/// The number of attempts to take the lock, and the time between them.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// Permission bits of a file's mode.
const PERMISSIONS: u32 = 0o777;

/// The file of one listening socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: Id,
    /// The mode and group before [`SocketFile::permit`].
    made: (u32, u32),
}

/// The identity of a file, independent of its path.
type Id = (u64, u64);

fn id(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

impl SocketFile {
    /// Listens at `path` with the given `backlog`. No client can connect before `access` is in force.
    ///
    /// # Errors
    /// Those of the kernel; `AddrInUse` if another process listens or is about to listen there,
    /// `AlreadyExists` if the path is a file of another kind.
    pub fn listen(path: &Path, access: &Access, backlog: i32) -> io::Result<(UnixListener, SocketFile)> {
        check_folder(path)?;
        let _lock = Lock::take(path)?;
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = SocketFile {
            path: path.to_owned(),
            id: id(&metadata),
            made: (metadata.mode() & PERMISSIONS, metadata.gid()),
        };
        let listening = file.permit(access).and_then(|()| socket.listen(backlog));
        match listening {
            Ok(()) => Ok((socket.into(), file)),
            Err(error) => {
                file.remove_locked();
                Err(error)
            }
        }
    }

    /// Takes over the file at `path` of a socket that listens, from the process that created it.
    ///
    /// # Errors
    /// Those of the kernel; the file may have been removed.
    pub fn adopt(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile {
            path: path.to_owned(),
            id: id(&metadata),
            made: (metadata.mode() & PERMISSIONS, metadata.gid()),
        })
    }

    /// Sets mode and group as `access` says, or restores those that the file was created with.
    ///
    /// # Errors
    /// Those of the kernel, with the setting in question; `NotFound` if the path is another file now.
    pub fn permit(&self, access: &Access) -> io::Result<()> {
        if !self.is_ours() {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "the socket's file was removed",
            ));
        }
        let now = fs::symlink_metadata(&self.path)?;
        let group = access.group.as_ref().map_or(self.made.1, |group| group.id);
        if now.gid() != group {
            let name = access.group.as_ref().map_or("before", |group| &group.name);
            chown(&self.path, None, Some(group)).map_err(because(&format!("cannot set the group {name}")))?;
        }
        let mode = access.mode.unwrap_or(self.made.0);
        if now.mode() & PERMISSIONS != mode {
            fs::set_permissions(&self.path, Permissions::from_mode(mode))
                .map_err(because(&format!("cannot set the mode {mode:04o}")))?;
        }
        Ok(())
    }

    /// Removes the file, unless the path is another file by now. The socket must still be open: otherwise
    /// another file could have been given the same identity.
    pub fn remove(&self) {
        // Without the lock the file stays: the next process finds that it refuses connections.
        if let Ok(_lock) = Lock::take(&self.path) {
            self.remove_locked();
        }
    }

    fn remove_locked(&self) {
        if self.is_ours() {
            let _is_gone = fs::remove_file(&self.path);
        }
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.id)
    }
}

/// Reports the folder of `path` if it is missing; the kernel reports any other problem with it.
fn check_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let shown = folder.display();
    match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let reason = format!("the folder {shown} does not exist: create it first");
            Err(io::Error::new(ErrorKind::NotFound, reason))
        }
        Ok(found) if !found.is_dir() => {
            let reason = format!("{shown} is not a folder");
            Err(io::Error::new(ErrorKind::NotADirectory, reason))
        }
        _ => Ok(()),
    }
}

fn because(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |reason| Err(io::Error::new(ErrorKind::AddrInUse, reason));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "the file there is not a socket",
            ));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect to a socket with a full backlog returns only when its process accepts.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            in_use("there is a socket that this user may not try")
        }
        _ => in_use("another process listens there"),
    }
}

/// A lock held while a file is created or removed; its lock file is removed with it.
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock for `path`, which is the file `path.lock`.
    fn take(path: &Path) -> io::Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        for _ in 0..TRIES {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)
                .map_err(because(&format!("cannot lock {}", path.display())))?;
            // Its previous holder may have removed it, and another process may have locked a new one.
            let is_there = || {
                let found = fs::symlink_metadata(&path)?;
                Ok::<_, io::Error>(id(&found) == id(&file.metadata()?))
            };
            if file.try_lock().is_ok() && is_there().unwrap_or(false) {
                return Ok(Lock { path, file });
            }
            sleep(PAUSE);
        }
        Err(io::Error::new(
            ErrorKind::AddrInUse,
            format!("another process starts there: it holds {}", path.display()),
        ))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file with content is not ours, whatever its name.
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            let _is_gone = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::config::Group;

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                folder: tempfile::tempdir().expect("a folder"),
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("s")
        }

        fn listen(&self) -> io::Result<(UnixListener, SocketFile)> {
            SocketFile::listen(&self.path(), &Access::default(), 8)
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).expect("readable");
            let name = |entry: io::Result<fs::DirEntry>| entry.expect("read").file_name();
            let mut names: Vec<_> = entries
                .map(|entry| name(entry).into_string().expect("plain"))
                .collect();
            names.sort();
            names
        }

        fn mode(&self) -> u32 {
            fs::symlink_metadata(self.path()).expect("there").mode() & PERMISSIONS
        }
    }

    #[test]
    fn a_socket_that_refuses_connections_is_replaced_and_no_lock_is_left() {
        let bench = Bench::new();
        drop(UnixListener::bind(bench.path()).expect("bound"));
        let (_socket, file) = bench.listen().expect("it was stale");
        UnixStream::connect(bench.path()).expect("it listens");
        assert_eq!(bench.files(), ["s"]);
        file.remove();
        assert_eq!(bench.files(), [""; 0]);
    }

    #[test]
    fn whatever_does_not_refuse_connections_stays() {
        let bench = Bench::new();
        let is = |kind: ErrorKind| bench.listen().expect_err("taken").kind() == kind;
        let other = UnixListener::bind(bench.path()).expect("bound");
        assert!(is(ErrorKind::AddrInUse));
        drop(other);
        fs::remove_file(bench.path()).expect("removed");

        let datagrams = UnixDatagram::bind(bench.path()).expect("bound");
        assert!(is(ErrorKind::AddrInUse), "another type of socket is one too");
        drop(datagrams);
        fs::remove_file(bench.path()).expect("removed");

        fs::write(bench.path(), "mine").expect("written");
        assert!(is(ErrorKind::AlreadyExists));
        assert_eq!(fs::read(bench.path()).expect("there"), b"mine");
        assert_eq!(bench.files(), ["s"]);
    }

    #[test]
    fn one_with_a_full_queue_is_found_without_waiting_for_it() {
        let bench = Bench::new();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("made");
        let address = SockAddr::unix(bench.path()).expect("short");
        socket.bind(&address).expect("bound");
        socket.listen(0).expect("listens");
        let fill = || {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("made");
            client.set_nonblocking(true).expect("set");
            client.connect(&address).is_ok().then_some(client)
        };
        let _clients: Vec<Socket> = std::iter::from_fn(fill).take(64).collect();
        assert_eq!(
            bench.listen().expect_err("it listens").kind(),
            ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_path_that_another_process_took_is_left_to_it() {
        let bench = Bench::new();
        let (_socket, file) = bench.listen().expect("free");
        fs::remove_file(bench.path()).expect("removed");
        let (_other, others) = bench.listen().expect("free again");
        file.remove();
        UnixStream::connect(bench.path()).expect("the other one is still there");
        assert_eq!(
            file.permit(&Access::default()).expect_err("not ours").kind(),
            ErrorKind::NotFound
        );
        others.remove();
        assert_eq!(bench.files(), [""; 0]);
    }

    #[test]
    fn of_those_who_start_at_once_one_listens() {
        let bench = Bench::new();
        for _ in 0..20 {
            drop(UnixListener::bind(bench.path()).expect("bound"));
            let results: Vec<_> = std::thread::scope(|scope| {
                let starters: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.listen())).collect();
                starters
                    .into_iter()
                    .map(|starter| starter.join().expect("no panic"))
                    .collect()
            });
            let good: Vec<_> = results.into_iter().flatten().collect();
            assert_eq!(good.len(), 1);
            UnixStream::connect(bench.path()).expect("the one that listens is reached");
            good[0].1.remove();
        }
    }

    #[test]
    fn a_lock_that_is_held_ends_the_wait_and_a_file_of_that_name_is_kept() {
        let bench = Bench::new();
        let path = bench.folder.path().join("s.lock");
        fs::write(&path, "mine").expect("written");
        let holder = File::open(&path).expect("there");
        holder.lock().expect("free");
        let error = bench.listen().expect_err("held");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("s.lock"), "{error}");
        drop(holder);
        bench.listen().expect("free");
        assert_eq!(fs::read(&path).expect("kept"), b"mine");
    }

    #[test]
    fn mode_and_group_are_set_and_set_back() {
        let bench = Bench::new();
        let own = fs::metadata(bench.folder.path()).expect("there").gid();
        let access = Access {
            mode: Some(0o624),
            group: Some(Group {
                name: "own".into(),
                id: own,
            }),
        };
        let (_socket, file) = SocketFile::listen(&bench.path(), &access, 8).expect("free");
        assert_eq!(bench.mode(), 0o624);
        file.permit(&Access {
            mode: Some(0o600),
            group: None,
        })
        .expect("ours");
        assert_eq!(bench.mode(), 0o600);
        file.permit(&Access::default()).expect("ours");
        assert_eq!(bench.mode(), file.made.0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let bench = Bench::new();
        let missing = bench.folder.path().join("a/b");
        let listen = |folder: &Path| SocketFile::listen(&folder.join("s"), &Access::default(), 8);
        let error = listen(&missing).expect_err("no folder");
        let expected = format!("the folder {} does not exist: create it first", missing.display());
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, expected));
        let file = bench.folder.path().join("file");
        fs::write(&file, "").expect("written");
        let error = listen(&file).expect_err("a file");
        assert_eq!(error.to_string(), format!("{} is not a folder", file.display()));
    }
}
