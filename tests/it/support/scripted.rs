//! A node that does what a test says: answers each request as a script decides, late, wrongly, or never.
//!
//! Each connection has a thread that reads whole requests (a line, and the data block where it announces
//! one) and does what the script's [`Act`]s say. What it saw can be looked at. `stats settings`, which a
//! probe asks, is answered with nothing, and not seen. A connection that asks for `stats` is one
//! over which Ringway clears the node: it is served as an empty memcached would, and nothing of it is seen.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use super::ringway::wait_for;

/// One request as the node read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its line, without the line end.
    pub line: String,
    /// Its data block, without the line end; empty if it has none.
    pub data: Vec<u8>,
    /// Which of the node's connections it came on, from 0.
    pub connection: usize,
}

impl Seen {
    /// The word at `index`, empty if there is none.
    pub fn word(&self, index: usize) -> &str {
        self.line.split(' ').nth(index).unwrap_or("")
    }

    /// How many keys it reads.
    pub fn keys_read(&self) -> usize {
        match self.word(0) {
            "mg" => 1,
            "get" | "gets" => self.line.split(' ').count() - 1,
            _ => 0,
        }
    }

    /// What answers a get with `value` for each of its keys.
    pub fn hits(&self, value: &str) -> Act {
        self.hits_by(|_| value.to_owned())
    }

    /// What answers a get with a value made of each of its keys, in meta or in classic text as it is asked.
    pub fn hits_by(&self, value: impl Fn(&str) -> String) -> Act {
        let mut text = String::new();
        if self.word(0) == "mg" {
            let (key, value) = (self.word(1), value(self.word(1)));
            return Act::Say(format!("VA {} k{key} f0\r\n{value}\r\n", value.len()).into_bytes());
        }
        for key in self.line.split(' ').skip(1) {
            let value = value(key);
            text += &format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
        }
        Act::Say((text + "END\r\n").into_bytes())
    }
}

/// What the node does next on a connection.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends bytes.
    Say(Vec<u8>),
    /// Waits until the test opens the gate of this name.
    Await(&'static str),
    /// Closes the connection.
    Close,
}

/// Sends text.
pub fn say(text: impl Into<String>) -> Vec<Act> {
    vec![Act::Say(text.into().into_bytes())]
}

type Script = dyn Fn(&Seen) -> Vec<Act> + Send + Sync;

/// A node that follows a script until it is dropped.
pub struct Scripted {
    shared: Arc<Shared>,
    /// Where it listens on 127.0.0.1; 0 for a unix socket.
    pub port: u16,
}

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    gates: Mutex<HashMap<&'static str, bool>>,
    connections: Mutex<Vec<Box<dyn Fn() + Send>>>,
    is_over: Mutex<bool>,
}

impl Scripted {
    /// A node on a free port. The script sees every request but `version`, which is answered with
    /// `version` where it is not empty.
    pub fn start(
        version: &'static str,
        script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Shared::new(version, script);
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if *accepting.is_over.lock().expect("no panics") {
                    return;
                }
                stream.set_nodelay(true).expect("a socket");
                let (reader, closer) = (stream.try_clone(), stream.try_clone());
                let (reader, closer) = (reader.expect("a socket"), closer.expect("a socket"));
                accepting.serve(reader, stream, move || drop(closer.shutdown(Shutdown::Both)));
            }
        });
        Scripted { shared, port }
    }

    /// The same on a unix socket.
    pub fn start_unix(
        path: &Path,
        version: &'static str,
        script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static,
    ) -> Scripted {
        let listener = UnixListener::bind(path).expect("a free path");
        let shared = Shared::new(version, script);
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (reader, closer): (UnixStream, UnixStream) = (
                    stream.try_clone().expect("a socket"),
                    stream.try_clone().expect("a socket"),
                );
                accepting.serve(reader, stream, move || drop(closer.shutdown(Shutdown::Both)));
            }
        });
        Scripted { shared, port: 0 }
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The requests so far, in order, without `version`.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panics").clone()
    }

    /// Their lines.
    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// Waits until so many requests came.
    pub fn wait_seen(&self, count: usize) {
        wait_for(&format!("{count} requests at the node"), || {
            self.seen().len() >= count
        });
    }

    /// Lets go on whoever waits at the gate, now or later.
    pub fn open(&self, gate: &'static str) {
        self.shared.gates.lock().expect("no panics").insert(gate, true);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        *self.shared.is_over.lock().expect("no panics") = true;
        for close in self.shared.connections.lock().expect("no panics").iter() {
            close();
        }
        // The accepting thread looks when somebody comes.
        let _gone = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn new(version: &'static str, script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Arc<Shared> {
        let script = move |seen: &Seen| match (seen.line.as_str(), version) {
            ("version", "") => script(seen),
            ("version", version) => say(format!("VERSION {version}\r\n")),
            _ => script(seen),
        };
        Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            gates: Mutex::default(),
            connections: Mutex::default(),
            is_over: Mutex::default(),
        })
    }

    fn serve(
        self: &Arc<Shared>,
        reader: impl Read + Send + 'static,
        mut writer: impl Write + Send + 'static,
        close: impl Fn() + Send + 'static,
    ) {
        let shared = self.clone();
        let connection = {
            let mut connections = shared.connections.lock().expect("no panics");
            connections.push(Box::new(close));
            connections.len() - 1
        };
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut is_clearing = false;
            while let Some(seen) = read_request(&mut reader, connection) {
                is_clearing |= seen.line == "stats";
                if is_clearing && seen.line != "version" {
                    match writer.write_all(as_if_empty(&seen)) {
                        Ok(()) => continue,
                        Err(_) => return,
                    }
                }
                if seen.line == "stats settings" {
                    match writer.write_all(b"END\r\n") {
                        Ok(()) => continue,
                        Err(_) => return,
                    }
                }
                if seen.line != "version" {
                    shared.seen.lock().expect("no panics").push(seen.clone());
                }
                for act in (shared.script)(&seen) {
                    let goes_on = match act {
                        Act::Say(bytes) => writer.write_all(&bytes).is_ok(),
                        Act::Await(gate) => shared.wait_at(gate),
                        Act::Close => false,
                    };
                    if !goes_on {
                        return shared.connections.lock().expect("no panics")[connection]();
                    }
                }
            }
        });
    }

    fn wait_at(&self, gate: &'static str) -> bool {
        let is_open = || self.gates.lock().expect("no panics").contains_key(gate);
        while !is_open() && !*self.is_over.lock().expect("no panics") {
            thread::sleep(std::time::Duration::from_millis(2));
        }
        is_open()
    }
}

/// What a memcached that has run for long and has nothing answers.
fn as_if_empty(seen: &Seen) -> &'static [u8] {
    match seen.word(0) {
        "stats" => b"STAT uptime 1000000\r\nEND\r\n",
        "md" => b"NF\r\n",
        "delete" => b"NOT_FOUND\r\n",
        "flush_all" => b"OK\r\n",
        _ => b"ERROR\r\n",
    }
}

fn read_request(reader: &mut impl BufRead, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    let length = match words[0] {
        "ms" => words.get(2),
        "set" | "add" | "replace" | "append" | "prepend" | "cas" => words.get(4),
        _ => None,
    };
    let mut data = Vec::new();
    if let Some(length) = length {
        data.resize(length.parse::<usize>().ok()? + 2, 0);
        reader.read_exact(&mut data).ok()?;
        data.truncate(data.len() - 2);
    }
    Some(Seen {
        line,
        data,
        connection,
    })
}
