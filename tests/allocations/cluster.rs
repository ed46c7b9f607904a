//! A worker in this thread, with memcached nodes of its own, and a client beside it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ringway::client::session::Session;
use ringway::config;
use ringway::net::stream::Stream;
use ringway::node::Kind;
use ringway::runtime::clock;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::wire::{self, Dialogue, KEYS, Protocol};

/// Until anything else fails the test.
const DEADLINE: Duration = Duration::from_secs(20);
/// Batches before the first count.
const WARM_UP: usize = 60;
/// Batches that are counted.
const COUNTED: usize = 60;
/// Counts until one must be clean: which buffers are needed at once depends on who is faster, so that one more may be
/// wanted late. What is allocated for each request is there in every count. So the bound is this: an allocation that
/// happens in every [`COUNTED`] batches is always seen, and a rarer one may stay unseen.
const COUNTS: usize = 10;

/// memcached nodes under a ring.
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Two nodes, so that a multi-get is split, that hold all keys.
    pub fn new() -> Cluster {
        let cluster = Cluster {
            nodes: (0..2).map(|_| Node::start()).collect(),
        };
        cluster.count_first(&wire::sets(Protocol::Classic, KEYS));
        cluster
    }

    /// What a worker allocates for `dialogue` in its steady state, and the most that it may.
    pub fn count(&self, dialogue: &Dialogue) -> (u64, u64) {
        let most = (COUNTED * dialogue.may_allocate) as u64;
        let allocated = self.carry(dialogue, |batches| {
            batches(WARM_UP);
            let mut counts = (0..COUNTS).map(|_| batches(COUNTED));
            let first = counts.next().expect("at least one");
            if first <= most {
                first
            } else {
                counts.find(|&count| count <= most).unwrap_or(first)
            }
        });
        (allocated, most)
    }

    /// What one batch of `dialogue` allocates in a new session, over new links.
    pub fn count_first(&self, dialogue: &Dialogue) -> u64 {
        self.carry(dialogue, |batches| batches(1))
    }

    /// Begins a session, for a client that sends so many batches of `dialogue` as `asks` asks for by calling its
    /// argument, which returns how often this thread allocated meanwhile.
    fn carry(&self, dialogue: &Dialogue, asks: impl FnOnce(&dyn Fn(usize) -> u64) -> u64) -> u64 {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(256)
            .on_thread_unpark(clock::turn)
            .build_local(LocalOptions::default())
            .expect("an event loop");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let is_done = Notify::new();
        thread::scope(|scope| {
            let (orders, ordered) = mpsc::channel();
            let done = &is_done;
            scope.spawn(move || {
                let mut client = TcpStream::connect(address).expect("somebody listens");
                client.set_nodelay(true).expect("a socket");
                client.set_read_timeout(Some(DEADLINE)).expect("a socket");
                let mut answers = vec![0; dialogue.reads.len()];
                while let Ok(batches) = ordered.recv() {
                    (0..batches).for_each(|_| converse(&mut client, dialogue, &mut answers));
                    done.notify_one();
                }
            });
            runtime.block_on(async { self.serve(listener.accept().expect("a client").0) });
            asks(&|batches| {
                orders.send(batches).expect("the client waits");
                let counted = allocation_counter::measure(|| {
                    let done = async { timeout(DEADLINE, is_done.notified()).await };
                    runtime.block_on(done).expect("a client that is answered");
                });
                counted.count_total
            })
        })
    }

    fn serve(&self, socket: TcpStream) {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("'{}'", node.address))
            .collect();
        let text = format!(
            "pools: {{main: {{nodes: [{}], request_timeout: 10s}}}}",
            nodes.join(", ")
        );
        let config = config::parse(&text, "test").expect("a good configuration");
        let bind = Arc::new(config.listeners[0].bind.clone());
        let snapshot = Snapshot::build(config, None);
        for (node, ours) in snapshot.nodes.iter().zip(&self.nodes) {
            if let Kind::Remote(remote) = &node.kind {
                let address = ours.address.parse().expect("a node's address");
                remote.resolved.store(Arc::new(vec![address]));
            }
        }
        let view = Rc::new(WorkerContext::new(Arc::new(State::new(snapshot)), 0));
        socket.set_nonblocking(true).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        let stream = tokio::net::TcpStream::from_std(socket).expect("an event loop");
        tokio::task::spawn_local(Session::new(Stream::Tcp(stream), bind, view, None).run());
    }
}

fn converse(client: &mut TcpStream, dialogue: &Dialogue, answers: &mut [u8]) {
    client.write_all(&dialogue.asks).expect("written");
    client.read_exact(answers).expect("answered in time");
    let mut pairs = answers.iter().zip(&dialogue.reads);
    let is_right = pairs.all(|(got, wanted)| wanted.is_none_or(|wanted| *got == wanted));
    assert!(
        is_right,
        "asked {}\nread {}",
        dialogue.asks.escape_ascii(),
        answers.escape_ascii()
    );
}

/// A memcached; killed when it is dropped.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start() -> Node {
        let mut tries = (0..5).filter_map(|_| Node::try_start());
        tries
            .next()
            .expect("memcached finds a free port: apt-get install memcached")
    }

    /// `None`: somebody else took the port first.
    fn try_start() -> Option<Node> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let child = Command::new("memcached")
            .args(["-u", "root", "-U", "0", "-t", "1", "-m", "64", "-l", &address])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start memcached: {error}; `tests/run` installs it"));
        let mut node = Node { child, address };
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            // Asked last, since who answers may be somebody else.
            let answers = TcpStream::connect(&node.address).is_ok();
            if node.child.try_wait().expect("a child").is_some() {
                return None;
            }
            if answers {
                return Some(node);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}
