//! A relay before a real memcached that forgets its connections when a test says so, as a firewall or a load balancer
//! does with those that carried nothing for a while: what comes on them then is lost, or answered with a reset.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// What becomes of a packet on a connection that was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It is lost, and nobody is told.
    Swallows,
    /// It is answered with a reset.
    Resets,
}

/// A relay that runs until the test ends.
pub struct Forgetful {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    to: u16,
    manner: Forgotten,
    /// One for each connection: whether it was forgotten.
    connections: Mutex<Vec<Arc<AtomicBool>>>,
    /// Pieces that came on connections that were forgotten.
    lost: AtomicUsize,
}

impl Forgetful {
    /// A relay to the memcached on port `to` of 127.0.0.1.
    pub fn start(to: u16, manner: Forgotten) -> Forgetful {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            to,
            manner,
            connections: Mutex::default(),
            lost: AtomicUsize::new(0),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for front in listener.incoming().flatten() {
                accepting.serve(front);
            }
        });
        Forgetful { shared, address }
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Forgets every connection there is.
    pub fn forget(&self) {
        for connection in self.shared.connections.lock().expect("no panics").drain(..) {
            connection.store(true, SeqCst);
        }
    }

    /// Pieces that came on connections that were forgotten.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(SeqCst)
    }
}

impl Shared {
    fn serve(self: &Arc<Shared>, front: TcpStream) {
        let Ok(back) = TcpStream::connect(("127.0.0.1", self.to)) else {
            return;
        };
        for stream in [&front, &back] {
            stream.set_nodelay(true).expect("a socket");
        }
        let is_forgotten = Arc::new(AtomicBool::new(false));
        self.connections
            .lock()
            .expect("no panics")
            .push(is_forgotten.clone());
        let (front, back) = (Arc::new(front), Arc::new(back));
        let (from, to, forgotten, shared) = (front.clone(), back.clone(), is_forgotten.clone(), self.clone());
        thread::spawn(move || shared.carry_requests(&from, &to, &forgotten));
        thread::spawn(move || carry_replies(&back, &front, &is_forgotten));
    }

    fn carry_requests(&self, mut from: &TcpStream, mut to: &TcpStream, is_forgotten: &AtomicBool) {
        let mut chunk = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            if !is_forgotten.load(SeqCst) {
                to.write_all(&chunk[..n]).expect("memcached reads");
                continue;
            }
            self.lost.fetch_add(1, SeqCst);
            if self.manner == Forgotten::Resets {
                // A socket that is closed without a linger says RST. Who reads replies for it is to let go of it.
                SockRef::from(from)
                    .set_linger(Some(Duration::ZERO))
                    .expect("a socket");
                break;
            }
        }
        let _closed_before = to.shutdown(Shutdown::Both);
    }
}

fn carry_replies(mut from: &TcpStream, mut to: &TcpStream, is_forgotten: &AtomicBool) {
    let mut chunk = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if !is_forgotten.load(SeqCst) && to.write_all(&chunk[..n]).is_err() {
            break;
        }
    }
    if !is_forgotten.load(SeqCst) {
        let _closed_before = to.shutdown(Shutdown::Both);
    }
}
