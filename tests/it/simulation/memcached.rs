//! A memcached that does right: the embedded cache behind a socket. It may be slow, stop, or be killed and started
//! again, empty: then it numbers its items from one, as memcached does.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ringway::node::embedded::Embedded;
use ringway::protocol::{Command, Meta, Reply, Request};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::random::Random;
use super::socket::{Socket, read_command};

/// The time at which a world begins, in seconds since 1970.
const BEGINNING: u64 = 1_700_000_000;

/// One node.
pub struct Memcached {
    socket: Rc<Socket>,
    random: Random,
    /// The keys that it may list.
    keys: Vec<String>,
    items: RefCell<Embedded>,
    born: Instant,
    started: Cell<Instant>,
    /// The maximum time, in milliseconds, before and after a request is executed.
    delay: u64,
}

impl Memcached {
    /// Starts one at `path`, which lists those of `keys` that it has.
    pub fn start(path: PathBuf, random: &Random, keys: Vec<String>, delay: u64) -> Rc<Memcached> {
        let node = Rc::new(Memcached {
            socket: Socket::new(path),
            random: random.clone(),
            keys,
            items: RefCell::new(Embedded::new(1 << 20)),
            born: Instant::now(),
            started: Cell::new(Instant::now()),
            delay,
        });
        node.listen();
        node
    }

    /// The path of its socket.
    pub fn path(&self) -> &PathBuf {
        self.socket.path()
    }

    /// Kills it: its connections close, and it refuses new ones.
    pub fn kill(&self) {
        self.socket.kill();
    }

    /// Starts it again after it was killed.
    pub fn restart(self: &Rc<Memcached>) {
        *self.items.borrow_mut() = Embedded::new(1 << 20);
        self.started.set(Instant::now());
        self.listen();
    }

    /// Stops it for this time, as SIGSTOP does.
    pub fn stop(&self, pause: Duration) {
        self.socket.stop(pause);
    }

    fn listen(self: &Rc<Memcached>) {
        let node = self.clone();
        self.socket.listen(move |stream| node.clone().serve(stream));
    }

    async fn serve(self: Rc<Memcached>, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while let Some(value) = read_command(&mut stream, &mut line).await {
            let words: Vec<&str> = line.split_whitespace().collect();
            self.pause().await;
            // A stopped node executes what came meanwhile when it goes on.
            self.socket.go_on().await;
            let reply = self.answer(&words, &value);
            self.pause().await;
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }

    async fn pause(&self) {
        if self.delay > 0 {
            sleep(Duration::from_millis(self.random.within(0..self.delay + 1))).await;
        }
    }

    fn answer(&self, words: &[&str], value: &[u8]) -> Vec<u8> {
        match words[0] {
            "version" => b"VERSION 1.6.18\r\n".to_vec(),
            // memcached reports up to three seconds too many.
            "stats" => {
                let uptime = self.started.get().elapsed().as_secs() + 2;
                format!("STAT pid 1\r\nSTAT uptime {uptime}\r\nEND\r\n").into_bytes()
            }
            "lru_crawler" => self.list(),
            "flush_all" => {
                self.execute(&Request::new(Command::FlushAll, b""));
                b"OK\r\n".to_vec()
            }
            _ => line_of(&self.execute_meta(words, value)),
        }
    }

    fn execute_meta(&self, words: &[&str], value: &[u8]) -> Reply {
        let command = match words[0] {
            "mg" => Command::MetaGet,
            "ms" => Command::MetaSet,
            "md" => Command::MetaDelete,
            "ma" => Command::MetaArithmetic,
            other => panic!("no link sends {other}"),
        };
        let key = words[1].as_bytes();
        let flags = words[if command == Command::MetaSet { 3 } else { 2 }..].join(" ");
        self.execute(&Request {
            meta: Some(Meta {
                key,
                flags: flags.as_bytes(),
                is_binary: false,
            }),
            value,
            ..Request::new(command, key)
        })
    }

    fn execute(&self, request: &Request<'_>) -> Reply {
        let now = BEGINNING + self.born.elapsed().as_secs();
        self.items.borrow().execute_at(request, now)
    }

    /// Its items, as `lru_crawler metadump all` lists them.
    fn list(&self) -> Vec<u8> {
        let listed = self.keys.iter().filter_map(|key| {
            let Reply::Meta(found) = self.execute_meta(&["mg", key, "c"], b"") else {
                return None;
            };
            let cas = std::str::from_utf8(found.token(b'c')?).expect("a number");
            Some(format!(
                "key={key} exp=-1 la={BEGINNING} cas={cas} fetch=no cls=1 size=64\n"
            ))
        });
        (listed.collect::<String>() + "END\r\n").into_bytes()
    }
}

fn line_of(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Meta(meta) => match meta.data() {
            Some(data) => [meta.line(), b"\r\n", data, b"\r\n"].concat(),
            None => [meta.line(), b"\r\n"].concat(),
        },
        Reply::Error(line) => [line, &b"\r\n"[..]].concat(),
        other => panic!("no answer to a meta command: {other:?}"),
    }
}
