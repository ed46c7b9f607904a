//! A memcached that does wrong: it carries out the few meta commands that links send, late, in pieces, not at
//! all, or with an answer that belongs to nobody.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::random::Random;
use super::socket::{Socket, read_command};

/// What a node does to one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It comes so many milliseconds late.
    Late(u64),
    /// Byte by byte.
    Dribble,
    /// The connection closes before the command is carried out.
    CloseBefore,
    /// The connection closes instead of the reply.
    CloseAfter,
    /// The connection closes in the middle of the reply.
    Cut,
    /// Something that is no reply stands in its place.
    Garbage,
    /// The key in it is another one.
    WrongKey,
    /// It comes twice.
    Twice,
    /// It does not come, but the next one does. Once in a connection: of two that are lost, one could pass for the
    /// other, if both are of one key.
    Skip,
    /// The connection says nothing more, until it closes when all is healed.
    Hang,
}

/// Every fault there is, and that of a late reply twice, around the time that a request has.
pub const FAULTS: [Fault; 12] = [
    Fault::Late(1),
    Fault::Late(30),
    Fault::Late(150),
    Fault::Dribble,
    Fault::CloseBefore,
    Fault::CloseAfter,
    Fault::Cut,
    Fault::Garbage,
    Fault::WrongKey,
    Fault::Twice,
    Fault::Skip,
    Fault::Hang,
];

/// One node.
pub struct Node {
    socket: Rc<Socket>,
    random: Random,
    started: Cell<Instant>,
    items: RefCell<HashMap<String, String>>,
    /// The writes that were carried out.
    done: Rc<RefCell<HashSet<String>>>,
    /// One reply in so many has a fault; 0: none has.
    pub faulty: Cell<u64>,
    /// Which faults there are.
    faults: Vec<Fault>,
}

impl Node {
    /// A node that listens at `path`; `done` is shared by all of a world.
    pub fn start(
        path: PathBuf,
        random: &Random,
        faults: Vec<Fault>,
        done: &Rc<RefCell<HashSet<String>>>,
    ) -> Rc<Node> {
        let node = Rc::new(Node {
            socket: Socket::new(path),
            random: random.clone(),
            started: Cell::new(Instant::now()),
            items: RefCell::default(),
            done: done.clone(),
            faulty: Cell::new(0),
            faults,
        });
        node.listen();
        node
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket.path().display())
    }

    /// It dies: its connections close, nobody listens.
    pub fn kill(&self) {
        self.socket.kill();
    }

    /// It is started again, empty.
    pub fn restart(self: &Rc<Node>) {
        self.kill();
        self.items.borrow_mut().clear();
        self.started.set(Instant::now());
        self.listen();
    }

    /// Nothing goes on for so long, as after SIGSTOP.
    pub fn stop(&self, pause: Duration) {
        self.socket.stop(pause);
    }

    fn listen(self: &Rc<Node>) {
        let node = self.clone();
        self.socket.listen(move |stream| node.clone().serve(stream));
    }

    async fn serve(self: Rc<Node>, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut has_skipped = false;
        while let Some(value) = read_command(&mut stream, &mut line).await {
            let words: Vec<&str> = line.split_whitespace().collect();
            // A stopped node reads what came meanwhile when it goes on.
            self.socket.go_on().await;
            let mut fault = self.draw(words[0]);
            if fault == Some(Fault::Skip) && std::mem::replace(&mut has_skipped, true) {
                fault = None;
            }
            if fault == Some(Fault::CloseBefore) {
                return;
            }
            let reply = self.carry_out(&words, &String::from_utf8(value).expect("text"));
            if !self.answer(&mut stream, &reply, fault).await {
                return;
            }
        }
    }

    /// Faults are of replies to requests: a link that opens and a probe are only ever late.
    fn draw(&self, command: &str) -> Option<Fault> {
        let fault = *self.random.choose(&self.faults);
        let is_asked = matches!(command, "get" | "mg" | "ms" | "md" | "ma");
        let is_due = self.random.once_in(self.faulty.get());
        let is_possible = match fault {
            Fault::Late(_) => true,
            // A second HD would pass for the answer to the next write of the same key.
            Fault::Twice => matches!(command, "get" | "mg"),
            _ => is_asked,
        };
        (is_due && is_possible).then_some(fault)
    }

    /// Says `reply` as `fault` wants it. False: the connection is to close.
    async fn answer(&self, stream: &mut BufReader<UnixStream>, reply: &str, fault: Option<Fault>) -> bool {
        let bytes = reply.as_bytes();
        match fault {
            None => stream.write_all(bytes).await.is_ok(),
            Some(Fault::Late(millis)) => {
                sleep(Duration::from_millis(millis)).await;
                stream.write_all(bytes).await.is_ok()
            }
            Some(Fault::Dribble) => {
                for byte in bytes {
                    sleep(Duration::from_millis(1)).await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        return false;
                    }
                }
                true
            }
            Some(Fault::CloseBefore | Fault::CloseAfter) => false,
            Some(Fault::Cut) => {
                let _cut = stream.write_all(&bytes[..bytes.len() / 2]).await;
                false
            }
            Some(Fault::Garbage) => stream.write_all(b"\x01 what?\r\n").await.is_ok(),
            Some(Fault::WrongKey) => {
                let wrong = reply.replace(" kc", " kx").replace("VALUE c", "VALUE x");
                stream.write_all(wrong.as_bytes()).await.is_ok()
            }
            Some(Fault::Twice) => stream.write_all(&[bytes, bytes].concat()).await.is_ok(),
            Some(Fault::Skip) => true,
            Some(Fault::Hang) => {
                while self.faulty.get() > 0 {
                    sleep(Duration::from_millis(20)).await;
                }
                false
            }
        }
    }

    fn carry_out(&self, words: &[&str], value: &str) -> String {
        let mut items = self.items.borrow_mut();
        let flag = |name: char| words[1..].iter().skip(1).find_map(|word| word.strip_prefix(name));
        let has = |name: &str| words.contains(&name);
        let tail = || {
            let opaque = words.iter().skip(2).find(|word| word.starts_with('O'));
            let opaque = opaque.map(|opaque| format!(" {opaque}")).unwrap_or_default();
            let key = if has("k") {
                format!(" k{}", words[1])
            } else {
                String::new()
            };
            format!("{key}{opaque}")
        };
        match words[0] {
            "version" => "VERSION 1.6.18\r\n".to_owned(),
            "stats" => {
                let uptime = self.started.get().elapsed().as_secs() + 2;
                format!("STAT pid 1\r\nSTAT uptime {uptime}\r\nEND\r\n")
            }
            "flush_all" => {
                items.clear();
                "OK\r\n".to_owned()
            }
            "get" => {
                let value = |key: &&str| {
                    let item = items.get(*key)?;
                    Some(format!("VALUE {key} 0 {}\r\n{item}\r\n", item.len()))
                };
                words[1..].iter().filter_map(value).collect::<String>() + "END\r\n"
            }
            "mg" => match items.get(words[1]) {
                Some(item) => {
                    let flags = if has("f") { " f0" } else { "" };
                    format!("VA {}{}{flags}\r\n{item}\r\n", item.len(), tail())
                }
                None => format!(
                    "EN{}\r\n",
                    if has("k") || flag('O').is_some() {
                        tail()
                    } else {
                        String::new()
                    }
                ),
            },
            "ms" => {
                self.do_once(value);
                items.insert(words[1].to_owned(), value.to_owned());
                format!("HD{}\r\n", tail())
            }
            "md" => match items.remove(words[1]) {
                Some(_) => format!("HD{}\r\n", tail()),
                None => format!("NF{}\r\n", tail()),
            },
            other => panic!("no link sends {other}"),
        }
    }

    /// No write is carried out twice, by whatever node: each has a value of its own.
    fn do_once(&self, value: &str) {
        assert!(
            self.done.borrow_mut().insert(value.to_owned()),
            "{value} was stored twice"
        );
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
