//! Whole rounds through a real session and a real link: a client's bytes, the node's bytes, and back. Client and node
//! are only sockets in the same thread, so that every run does the same in the same order.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use tokio::runtime::LocalRuntime;
use tokio::task::yield_now;

use super::count::measure;
use super::session::{Change, Process, event_loop, read_exact};

/// Bytes of a value that the node gives.
const SIZE: usize = 100;
/// Bytes of those whose keys begin with `large:`.
const LARGE: usize = 100 << 10;

/// Counts rounds in which a client says `asks` to a plain pool.
pub fn rounds(asks: &[u8]) {
    rounds_over("main", asks);
}

/// Counts rounds in which a client says `asks` and `route` decides. There is a second pool, which nobody asks.
pub fn rounds_over(route: &str, asks: &[u8]) {
    rounds_of(|node| Process::new(route, node), asks);
}

/// Counts rounds in which a client says `asks` to a pool of three nodes. With a `change` its ring is changing, and what
/// moves was copied.
pub fn rounds_of_three(change: Option<Change>, asks: &[u8]) {
    rounds_of(|node| Process::of_three(node, change), asks);
}

/// Counts rounds in which a client says `asks` to the process that `start` starts, with the address of its node.
fn rounds_of(start: impl FnOnce(&str) -> Process, asks: &[u8]) {
    let runtime = event_loop();
    let mut cluster = runtime.block_on(Cluster::new(start));
    let talk = runtime.block_on(cluster.learn(asks));
    let longest = talk.exchanges.iter().map(|exchange| exchange.ask.len()).max();
    let mut room = vec![0; longest.unwrap_or(0).max(talk.reads)];
    measure(|| cluster.round(&runtime, asks, &talk, &mut room));
}

/// A session with a client, and its link with a node.
struct Cluster {
    client: UnixStream,
    listener: UnixListener,
    node: Option<UnixStream>,
    _directory: tempfile::TempDir,
}

/// What is said in each round.
struct Talk {
    /// What the node is asked, in one piece or one after the other, and what it answers.
    exchanges: Vec<Exchange>,
    /// Bytes that the client reads.
    reads: usize,
}

struct Exchange {
    ask: Vec<u8>,
    answer: Vec<u8>,
}

impl Cluster {
    async fn new(start: impl FnOnce(&str) -> Process) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node");
        let listener = UnixListener::bind(&path).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let client = start(&format!("unix:{}", path.display())).connect();
        Cluster {
            client,
            listener,
            node: None,
            _directory: directory,
        }
    }

    /// The first round, in which the node learns what it is asked.
    async fn learn(&mut self, asks: &[u8]) -> Talk {
        self.client.write_all(asks).expect("written");
        let mut node = loop {
            if let Ok((node, _)) = self.listener.accept() {
                break node;
            }
            yield_now().await;
        };
        node.set_nonblocking(true).expect("a socket");
        let (mut exchanges, mut reads) = (Vec::new(), Vec::new());
        loop {
            let ask = all_that_comes(&mut node).await;
            reads.extend(all_that_comes(&mut self.client).await);
            if !ask.is_empty() {
                let answer = answer(&ask);
                node.write_all(&answer).expect("written");
                exchanges.push(Exchange { ask, answer });
            } else if !reads.is_empty() {
                break;
            }
        }
        self.node = Some(node);
        let said = reads.escape_ascii().to_string();
        assert!(!said.contains("ERROR") && !said.contains("NOT_STORED"), "{said}");
        Talk {
            exchanges,
            reads: reads.len(),
        }
    }

    fn round(&mut self, runtime: &LocalRuntime, asks: &[u8], talk: &Talk, room: &mut [u8]) {
        let node = self.node.as_mut().expect("there since the first round");
        let client = &mut self.client;
        client.write_all(asks).expect("written");
        runtime.block_on(async {
            for Exchange { ask, answer } in &talk.exchanges {
                read_exact(node, &mut room[..ask.len()]).await;
                node.write_all(answer).expect("written");
            }
            read_exact(client, &mut room[..talk.reads]).await;
        });
    }
}

/// Everything until nothing more comes for a while, if anything comes.
async fn all_that_comes(stream: &mut UnixStream) -> Vec<u8> {
    let (mut all, mut quiet) = (Vec::new(), 0);
    let mut chunk = [0; 64 << 10];
    while quiet < 100 {
        yield_now().await;
        quiet += 1;
        if let Ok(n) = stream.read(&mut chunk) {
            assert!(n > 0, "closed");
            all.extend_from_slice(&chunk[..n]);
            quiet = 0;
        }
    }
    all
}

/// What a memcached that has every key answers to what links ask in these cases.
fn answer(asked: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(asked).expect("text");
    let mut answer = String::new();
    let mut lines = text.split_terminator("\r\n");
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "get" {
            for key in &words[1..] {
                let size = size(key);
                answer += &format!("VALUE {key} 0 {size}\r\n{}\r\n", "v".repeat(size));
            }
            answer += "END\r\n";
            continue;
        }
        let (key, mut flags) = (words[1], &words[2..]);
        let is_set = words[0] == "ms";
        if is_set {
            flags = &flags[1..];
            lines.next();
        }
        let size = size(key);
        let has_value = !is_set && flags.contains(&"v");
        answer += &if has_value {
            format!("VA {size}")
        } else {
            "HD".to_owned()
        };
        for flag in flags {
            answer += &match &flag[..1] {
                "k" => format!(" k{key}"),
                "f" => " f0".to_owned(),
                "c" => " c1".to_owned(),
                "t" => " t-1".to_owned(),
                "s" => format!(" s{size}"),
                "O" => format!(" {flag}"),
                _ => String::new(),
            };
        }
        answer += "\r\n";
        if has_value {
            answer += &format!("{}\r\n", "v".repeat(size));
        }
    }
    answer.into_bytes()
}

/// Bytes of the value under `key`.
fn size(key: &str) -> usize {
    match key.starts_with("large:") {
        true => LARGE,
        false => SIZE,
    }
}
