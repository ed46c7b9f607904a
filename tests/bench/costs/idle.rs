//! What a session takes that asks nothing any more.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::resident::resident_kib;
use super::session::{Process, event_loop, read_exact};

/// Sessions that are counted: few enough for the number of files that a process may have open by default.
const SESSIONS: usize = 400;
/// What is there before the first is counted.
const WARM_UP: usize = 20;

/// Bytes of resident memory for each session that has had one answer.
pub fn session_bytes() -> f64 {
    event_loop().block_on(async {
        let process = Process::new("main", "unix:/nobody");
        let mut clients = Vec::with_capacity(WARM_UP + SESSIONS);
        for _ in 0..WARM_UP {
            clients.push(answered(&process).await);
        }
        let before = resident_kib();
        for _ in 0..SESSIONS {
            clients.push(answered(&process).await);
        }
        ((resident_kib() - before) * 1024) as f64 / SESSIONS as f64
    })
}

/// The client of a new session.
async fn answered(process: &Process) -> UnixStream {
    let mut client = process.connect();
    client.write_all(b"mn\r\n").expect("written");
    let mut answer = [0; 4];
    read_exact(&mut client, &mut answer).await;
    assert_eq!(&answer, b"MN\r\n");
    client
}
