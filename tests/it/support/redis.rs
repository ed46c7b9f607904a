//! Real Redis processes on free ports, or those of another server that `REDIS_SERVER` names, such as valkey-server; and
//! nodes that speak its protocol and answer as a test says.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::certificates::Pair;
use super::program;
use super::ringway::{DEADLINE, free_port, signal, wait_for};

const LOCALHOST: &str = "127.0.0.1";

/// A running Redis with a folder of its own; killed when it is dropped.
pub struct Redis {
    child: Child,
    ip: &'static str,
    port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one that writes nothing to disk.
    pub fn start() -> Redis {
        Redis::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts one with these arguments.
    pub fn start_with(arguments: &[&str]) -> Redis {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut tries = (0..5).map(|_| {
            let port = free_port();
            Some((run(LOCALHOST, port, &arguments, &folder)?, port))
        });
        let (child, port) = tries
            .find_map(|started| started)
            .expect("redis-server finds a free port");
        Redis {
            child,
            ip: LOCALHOST,
            port,
            arguments,
            folder,
        }
    }

    /// Starts a replica of it on the same port of another address.
    pub fn start_replica(&self, ip: &'static str) -> Redis {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), self.port);
        let words = format!(
            "--save  --repl-diskless-sync-delay 0 --replicaof {} {port}",
            self.ip
        );
        let arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let child = run(ip, port, &arguments, &folder).expect("the port is free there, too");
        Redis {
            child,
            ip,
            port,
            arguments,
            folder,
        }
    }

    /// Starts one that speaks only TLS, with the certificate of `pair`, and asks for none.
    pub fn start_tls(pair: &Pair, ca: &Path) -> Redis {
        let files = [&pair.cert, &pair.key, ca].map(|path| path.to_str().expect("UTF-8"));
        Redis::start_with(&[
            "--save",
            "",
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            files[0],
            "--tls-key-file",
            files[1],
            "--tls-ca-cert-file",
            files[2],
        ])
    }

    /// Ends it without warning, and starts it anew on its port and with its folder.
    pub fn restart(&mut self) {
        self.stop();
        self.resume();
    }

    /// Ends it without warning.
    pub fn stop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }

    /// Starts it anew on its port and with its folder.
    pub fn resume(&mut self) {
        let mut started = None;
        wait_for("the port to be free", || {
            started = run(self.ip, self.port, &self.arguments, &self.folder);
            started.is_some()
        });
        self.child = started.expect("waited for above");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        format!("valkey://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// A client that speaks Redis.
    pub fn client(&self) -> RedisClient {
        RedisClient::connect(self.ip, self.port)
    }

    /// Asks it one command, whose words have no spaces. Returns the answer as text, elements of an array by spaces.
    pub fn ask(&self, command: &str) -> String {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.client().ask(&words)).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts one. `None`: it ended, as it does where its port is taken.
fn run(ip: &str, port: u16, arguments: &[String], folder: &tempfile::TempDir) -> Option<Child> {
    let port_text = port.to_string();
    let is_tls = arguments.iter().any(|argument| argument == "--tls-cert-file");
    let listening = match is_tls {
        true => ["--port", "0", "--tls-port", &port_text],
        false => ["--tls-port", "0", "--port", &port_text],
    };
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    let mut child = program::start(
        Command::new(env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned()))
            .args(listening)
            .args(["--bind", ip, "--dir"])
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null()),
    );
    let mut is_gone = false;
    let said = folder.path().join("log");
    wait_for("redis-server", || {
        let is_ready = fs::read_to_string(&said)
            .unwrap_or_default()
            .contains("Ready to accept connections");
        is_gone = child.try_wait().expect("a child").is_some();
        is_gone || is_ready
    });
    (!is_gone).then_some(child)
}

/// A client that speaks Redis.
pub struct RedisClient(BufReader<TcpStream>);

impl RedisClient {
    /// A client of the server at this address.
    fn connect(ip: &str, port: u16) -> RedisClient {
        let stream = TcpStream::connect((ip, port)).expect("somebody listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        RedisClient(BufReader::new(stream))
    }

    /// Asks a command, and returns the answer: its text, `nil`, or the elements of an array, separated by spaces.
    pub fn ask(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.0.get_mut().write_all(&command(words)).expect("sent");
        self.answer()
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("an answer");
        let text = line.trim_ascii_end();
        let size = || {
            String::from_utf8_lossy(&text[1..])
                .parse::<i64>()
                .expect("a number")
        };
        match text.first().expect("a type") {
            b'$' | b'*' if size() < 0 => b"nil".to_vec(),
            b'$' => {
                let mut bytes = vec![0; size() as usize + 2];
                self.0.read_exact(&mut bytes).expect("a value");
                bytes.truncate(bytes.len() - 2);
                bytes
            }
            b'*' => (0..size()).map(|_| self.answer()).collect::<Vec<_>>().join(&b' '),
            b'-' => text.to_vec(),
            _ => text[1..].to_vec(),
        }
    }
}

/// The bytes of a command.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Starts a node that greets as a Redis does and answers every other command with what `answer` gives for its words: on
/// a thread for each connection, until that closes. Returns its address.
pub fn lying(answer: impl Fn(&[Vec<u8>]) -> Vec<u8> + Send + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || while let Some(()) = serve(&stream, &answer) {});
        }
    });
    format!("redis://127.0.0.1:{port}")
}

/// Reads one command and answers it; `None` once the connection is closed.
fn serve(mut stream: &TcpStream, answer: &impl Fn(&[Vec<u8>]) -> Vec<u8>) -> Option<()> {
    let words = read_command(&mut stream)?;
    let said = match &words[0][..] {
        b"HELLO" => b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n".to_vec(),
        b"PING" if words.len() == 1 => b"+PONG\r\n".to_vec(),
        b"SCRIPT" => {
            let digest = ringway::protocol::resp::script::DIGEST.as_bytes();
            [b"$40\r\n", digest, b"\r\n"].concat()
        }
        _ => answer(&words),
    };
    stream.write_all(&said).ok()
}

fn read_command(stream: &mut impl Read) -> Option<Vec<Vec<u8>>> {
    let count = number(stream)?;
    let word = |_| {
        let mut word = vec![0; number(stream)? + 2];
        stream.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        Some(word)
    };
    (0..count).map(word).collect()
}

/// Reads the number of a line behind its first letter.
fn number(stream: &mut impl Read) -> Option<usize> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line[1..]).trim().parse().ok()
}
