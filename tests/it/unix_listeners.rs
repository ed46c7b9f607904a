//! Listeners on unix sockets: who may connect, and to whom the path belongs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ringway::{Ringway, wait_for};

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 4MiB}]}}\n";

fn yaml(path: &Path, settings: &str) -> String {
    format!(
        "listeners:\n  - bind: 127.0.0.1:PORT\n  - {{bind: 'unix:{}'{settings}}}\n{POOL}",
        path.display()
    )
}

fn version(path: &Path) -> String {
    let mut client = UnixStream::connect(path).expect("somebody listens");
    client.write_all(b"version\r\nquit\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("read");
    answer
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").mode() & 0o777
}

#[test]
fn mode_and_group_are_as_configured_and_follow_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let own = fs::metadata(folder.path()).expect("there").gid();
    // Root may give the socket to any group, others to their own only.
    let other = if own == 0 { 4242 } else { own };
    let ringway = Ringway::start_by("umask 022; exec \"$@\"", &yaml(&path, ", mode: '0660'"));
    assert_eq!(mode(&path), 0o660);
    let mut client = UnixStream::connect(&path).expect("somebody listens");

    let settings = format!(", mode: 604, group: {other}");
    assert_eq!(ringway.reload(&yaml(&path, &settings)).0, 200);
    wait_for("the mode of the reload", || mode(&path) == 0o604);
    assert_eq!(fs::symlink_metadata(&path).expect("there").gid(), other);

    assert_eq!(ringway.reload(&yaml(&path, "")).0, 200);
    wait_for("the mode of the umask", || mode(&path) == 0o755);
    assert_eq!(fs::symlink_metadata(&path).expect("there").gid(), own);

    client.write_all(b"mn\r\n").expect("sent");
    let mut answer = [0; 4];
    client.read_exact(&mut answer).expect("the session stayed");
    assert_eq!(&answer, b"MN\r\n");
    assert!(ringway.get("/config").1.contains("s"), "it serves");
}

#[test]
fn the_path_of_a_process_that_took_it_over_survives_the_end_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let mut first = Ringway::start(&yaml(&path, ""));
    fs::remove_file(&path).expect("an operator removes it");
    let second = Ringway::start(&yaml(&path, ""));
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(version(&path).starts_with("VERSION "), "{}", second.log());
}

#[test]
fn a_path_where_somebody_listens_is_refused_though_nobody_accepts_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let busy = UnixListener::bind(&path).expect("bound");
    let config = folder.path().join("r.yaml");
    let text = yaml(&path, "").replace("PORT", "0") + "admin: {bind: '127.0.0.1:0'}\n";
    fs::write(&config, text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("another process listens there"), "{told}");
    assert!(
        fs::symlink_metadata(&path)
            .expect("there")
            .file_type()
            .is_socket()
    );
    drop(busy);
}

#[test]
fn a_socket_that_a_killed_process_left_is_replaced_and_nothing_is_left_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let mut killed = Ringway::start(&yaml(&path, ""));
    killed.signal("KILL");
    killed.wait();
    assert!(path.exists());
    let mut ringway = Ringway::start(&yaml(&path, ""));
    assert!(version(&path).starts_with("VERSION "));
    ringway.signal("TERM");
    assert!(ringway.wait().success());
    let left: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
}
