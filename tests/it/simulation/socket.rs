//! The socket of a simulated node: it can be killed, listen again, and stop for a time.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// A socket, and what serves its connections.
pub struct Socket {
    path: PathBuf,
    /// Nothing goes on before.
    stopped_until: Cell<Instant>,
    tasks: RefCell<Vec<AbortHandle>>,
}

impl Socket {
    /// A socket at `path`, at which nobody listens yet.
    pub fn new(path: PathBuf) -> Rc<Socket> {
        Rc::new(Socket {
            path,
            stopped_until: Cell::new(Instant::now()),
            tasks: RefCell::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Connections close, and new ones are refused.
    pub fn kill(&self) {
        self.tasks.borrow_mut().drain(..).for_each(|task| task.abort());
        let _gone = std::fs::remove_file(&self.path);
    }

    /// Nothing goes on for this time, as after SIGSTOP.
    pub fn stop(&self, pause: Duration) {
        self.stopped_until.set(Instant::now() + pause);
    }

    /// Waits until it goes on, if it is stopped.
    pub async fn go_on(&self) {
        sleep_until(self.stopped_until.get()).await;
    }

    /// Serves each connection with `serve`, until it is killed.
    pub fn listen<F: Future<Output = ()> + 'static>(
        self: &Rc<Socket>,
        serve: impl Fn(UnixStream) -> F + 'static,
    ) {
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let socket = self.clone();
        let task = tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                socket.keep(tokio::task::spawn_local(serve(stream)).abort_handle());
            }
        });
        self.keep(task.abort_handle());
    }

    fn keep(&self, task: AbortHandle) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

/// Reads a command into `line`, and returns the data block behind it, if it is an ms. `None` once the connection ends.
pub async fn read_command(stream: &mut BufReader<UnixStream>, line: &mut String) -> Option<Vec<u8>> {
    line.clear();
    stream.read_line(line).await.ok()?;
    if !line.ends_with("\r\n") {
        return None;
    }
    let mut words = line.split_whitespace();
    if words.next() != Some("ms") {
        return Some(Vec::new());
    }
    let length: usize = words.nth(1)?.parse().expect("a length");
    let mut value = vec![0; length + 2];
    stream.read_exact(&mut value).await.ok()?;
    value.truncate(length);
    Some(value)
}
