//! Another process takes the place of a running one: no client is refused, and no reply is lost.
//!
//! The processes are real ones with one configuration, in front of a memcached.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::certificates::Authority;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{DEADLINE, Ringway, free_port, http, pool, wait_for};
use crate::support::scripted::{Act, Scripted};

fn yaml(nodes: &[String], more: &str) -> String {
    let listeners = "listeners: [{bind: '127.0.0.1:PORT'}, {bind: 'unix:DIR/s'}]\n";
    let drain = "shutdown: {drain: 15s}\ntakeover: unix:DIR/takeover\n";
    format!(
        "{listeners}{drain}{more}{}",
        pool(nodes, &["request_timeout: 15s"])
    )
}

/// A process with the configuration of another one; killed when it is dropped.
struct Next {
    child: Child,
    log: PathBuf,
}

impl Next {
    fn start(config: &Path, name: &str) -> Next {
        let log = config.with_file_name(name);
        let child = program::start(
            Command::new(env!("CARGO_BIN_EXE_ringway"))
                .arg("--config")
                .arg(config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(&log).expect("a log")),
        );
        Next { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end of the process", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("waited for above")
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
        if thread::panicking() {
            eprintln!("-- {}:\n{}", self.log.display(), self.log());
        }
    }
}

/// Where a client connects.
#[derive(Clone)]
enum Place {
    Tcp(u16),
    Unix(PathBuf),
}

/// A connection over either.
struct Caller {
    reader: BufReader<Box<dyn io::Read + Send>>,
    writer: Box<dyn Write + Send>,
}

impl Caller {
    fn connect(place: &Place) -> io::Result<Caller> {
        Ok(match place {
            Place::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port))?;
                stream.set_read_timeout(Some(DEADLINE))?;
                Caller {
                    reader: BufReader::new(Box::new(stream.try_clone()?)),
                    writer: Box::new(stream),
                }
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(DEADLINE))?;
                Caller {
                    reader: BufReader::new(Box::new(stream.try_clone()?)),
                    writer: Box::new(stream),
                }
            }
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }

    /// Stores a value and reads it back.
    fn round(&mut self, key: &str, value: u64) -> io::Result<()> {
        let value = value.to_string();
        write!(
            self.writer,
            "set {key} 0 0 {}\r\n{value}\r\nget {key}\r\n",
            value.len()
        )?;
        let expected = [
            "STORED\r\n",
            &format!("VALUE {key} 0 {}\r\n", value.len()),
            &format!("{value}\r\n"),
            "END\r\n",
        ];
        for expected in expected {
            let line = self.line()?;
            if line != expected {
                return Err(io::Error::other(format!("{line:?} and not {expected:?}")));
            }
        }
        Ok(())
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Rounds until it is stopped, on one connection or on a new one each time. Returns their number.
fn load(place: Place, key: String, reconnects: bool) -> JoinHandle<io::Result<u64>> {
    thread::spawn(move || {
        let mut caller = Caller::connect(&place)?;
        let mut count = 0;
        while !STOP.load(SeqCst) {
            if reconnects {
                caller = Caller::connect(&place)?;
            }
            caller.round(&key, count)?;
            count += 1;
        }
        Ok(count)
    })
}

/// Sends requests without waiting for replies; another thread reads and checks every reply. Returns their number.
fn pipeline(place: &Place, key: &str) -> JoinHandle<io::Result<u64>> {
    let mut caller = Caller::connect(place).expect("it listens");
    caller.round(key, 7).expect("it serves");
    let (mut writer, mut reader) = (caller.writer, caller.reader);
    let line = format!("get {key}\r\n");
    let sending = thread::spawn(move || -> io::Result<u64> {
        let mut count = 0;
        while !STOP.load(SeqCst) {
            writer.write_all(line.repeat(50).as_bytes())?;
            count += 50;
        }
        writer.write_all(b"mn\r\n")?;
        Ok(count)
    });
    let expected = [
        format!("VALUE {key} 0 1\r\n"),
        "7\r\n".to_owned(),
        "END\r\n".to_owned(),
    ];
    thread::spawn(move || {
        let mut count = 0;
        for expected in expected.iter().cycle() {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line == "MN\r\n" {
                break;
            }
            if line != *expected {
                return Err(io::Error::other(format!("{line:?} and not {expected:?}")));
            }
            count += 1;
        }
        let sent = sending.join().expect("no panic")?;
        match count == 3 * sent {
            true => Ok(sent),
            false => Err(io::Error::other(format!("{sent} requests, {count} lines"))),
        }
    })
}

#[test]
fn a_request_that_is_half_sent_is_answered_by_the_next_process() {
    let node = Memcached::start();
    let mut first = Ringway::start(&yaml(&[node.address()], ""));
    let mut caller = Caller::connect(&Place::Tcp(first.port)).expect("it listens");
    caller.round("k", 1).expect("it serves");
    let read = || first.metric("ringway_client_bytes_read_total", &[]);
    let before = read();
    let reply = ["VALUE k 0 1\r\n", "1\r\n", "END\r\n"];
    caller.writer.write_all(b"get k\r\nget ").expect("sent");
    for expected in reply {
        assert_eq!(caller.line().expect("a reply"), expected);
    }
    wait_for("both parts to be read", || read() == before + 11.0);
    let next = Next::start(&first.path("ringway.yaml"), "next");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    caller.writer.write_all(b"k\r\n").expect("sent");
    for expected in reply {
        assert_eq!(caller.line().expect("a reply"), expected, "{}", next.log());
    }
}

#[test]
fn clients_over_tcp_and_unix_sockets_notice_nothing_of_three_takeovers() {
    let node = Memcached::start();
    let mut first = Ringway::start(&yaml(&[node.address()], ""));
    let config = first.path("ringway.yaml");
    let places = [Place::Tcp(first.port), Place::Unix(first.path("s"))];
    let mut loads = Vec::new();
    for (number, place) in places.iter().cycle().take(12).enumerate() {
        loads.push(load(place.clone(), format!("k{number}"), number >= 8));
    }
    loads.extend(places.iter().map(|place| pipeline(place, "piped")));
    // Idle ones are passed on too.
    let mut idle: Vec<Caller> = places
        .iter()
        .map(|place| Caller::connect(place).expect("it listens"))
        .collect();
    for (number, caller) in idle.iter_mut().enumerate() {
        caller.round(&format!("idle{number}"), 0).expect("it serves");
    }

    let mut second = Next::start(&config, "second");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    let mut third = Next::start(&config, "third");
    assert_eq!(second.wait().code(), Some(0), "{}", second.log());
    let mut fourth = Next::start(&config, "fourth");
    assert_eq!(third.wait().code(), Some(0), "{}", third.log());

    for (number, caller) in idle.iter_mut().enumerate() {
        caller
            .round(&format!("idle{number}"), 1)
            .expect("the same connection serves");
    }
    STOP.store(true, SeqCst);
    for (number, load) in loads.into_iter().enumerate() {
        match load.join().expect("no panic") {
            Ok(count) => assert!(count > 0, "client {number}"),
            Err(error) => panic!("client {number}: {error}\n{}", fourth.log()),
        }
    }
    // Ten that stay and two that are idle came over, whatever the others did at that time.
    assert!(
        first.metric("ringway_takeover_sessions_total", &[]) >= 12.0,
        "{}",
        fourth.log()
    );
    program::signal(&fourth.child, "TERM");
    assert_eq!(fourth.wait().code(), Some(0));
    for name in ["s", "takeover"] {
        assert!(!first.path(name).exists(), "the last process removes {name}");
    }
}

#[test]
fn a_reply_that_is_awaited_comes_from_the_process_before_and_the_next_one_from_the_other() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")]);
    let mut first = Ringway::start(&yaml(&[node.address()], ""));
    let mut caller = Caller::connect(&Place::Tcp(first.port)).expect("it listens");
    caller.writer.write_all(b"get a\r\nget b\r\n").expect("sent");
    wait_for("both to be received", || {
        first.metric("ringway_in_flight", &[]) == 2.0
    });
    let second = Next::start(&first.path("ringway.yaml"), "second");
    first.wait_logged("another process took over");
    assert!(first.is_running(), "it waits for the replies");
    node.open("gate");
    for key in ["a", "b"] {
        for expected in [
            format!("VALUE {key} 0 1\r\n"),
            "v\r\n".to_owned(),
            "END\r\n".to_owned(),
        ] {
            assert_eq!(caller.line().expect("a reply"), expected);
        }
    }
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    caller.writer.write_all(b"get c\r\n").expect("sent");
    assert_eq!(
        caller.line().expect("a reply"),
        "VALUE c 0 1\r\n",
        "{}",
        second.log()
    );
}

#[test]
fn a_process_that_cannot_start_changes_nothing_and_the_next_may_try() {
    let node = Memcached::start();
    let mut first = Ringway::start(&yaml(&[node.address()], ""));
    let mut caller = Caller::connect(&Place::Tcp(first.port)).expect("it listens");
    let good = fs::read_to_string(first.path("ringway.yaml")).expect("readable");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound");
    let also = format!("listeners: [{{bind: '{taken}'}}, ");
    for (name, text, code) in [
        ("invalid.yaml", good.replace("nodes:", "nodez:"), 1),
        ("taken.yaml", good.replace("listeners: [", &also), 3),
    ] {
        let path = first.path(name);
        fs::write(&path, text).expect("written");
        let mut next = Next::start(&path, "log");
        assert_eq!(next.wait().code(), Some(code), "{}", next.log());
    }
    assert!(first.is_running());
    assert_eq!(first.get("/readyz").0, 200);
    caller.round("k", 1).expect("it serves");
    let next = Next::start(&first.path("ringway.yaml"), "good");
    assert_eq!(first.wait().code(), Some(0), "{}", next.log());
    caller.round("k", 2).expect("the next serves");
}

#[test]
fn a_process_that_keeps_missed_writes_on_disk_is_taken_over_too() {
    let node = Memcached::start();
    let folder = tempfile::tempdir().expect("a folder");
    let kept = format!("missed_writes: {{dir: '{}'}}\n", folder.path().display());
    let mut first = Ringway::start(&yaml(&[node.address()], &kept));
    let mut caller = Caller::connect(&Place::Unix(first.path("s"))).expect("it listens");
    caller.round("k", 1).expect("it serves");
    let next = Next::start(&first.path("ringway.yaml"), "next");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    caller
        .round("k", 2)
        .unwrap_or_else(|error| panic!("{error}: {}", next.log()));
    let another = Next::start(&first.path("ringway.yaml"), "another");
    caller.round("k", 3).expect("the next serves");
    wait_for("the missed writes to be read", || {
        another.log().contains("missed writes read")
    });
}

#[test]
fn a_client_comes_over_only_if_the_next_process_would_admit_it_as_it_is() {
    let (node, authority) = (Memcached::start(), Authority::new());
    let pair = authority.pair("ringway", &["localhost"]);
    let auth = "auth: {users: DIR/users}";
    let tls = format!(
        "tls: {{cert: {}, key: {}}}",
        pair.cert.display(),
        pair.key.display()
    );
    let plain = free_port();
    let listeners = format!("'127.0.0.1:PORT', {auth}}}, {{bind: '127.0.0.1:{plain}'}}, {{");
    let yaml = yaml(&[node.address()], "").replace("'127.0.0.1:PORT'}, {", &listeners);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), "alice:secret\n").expect("written");
    let yaml = yaml.replace("DIR/users", &folder.path().join("users").display().to_string());
    let mut first = Ringway::start(&yaml);
    let [mut known, mut unknown, mut unencrypted] = [
        Place::Tcp(first.port),
        Place::Unix(first.path("s")),
        Place::Tcp(plain),
    ]
    .map(|place| Caller::connect(&place).expect("it listens"));
    let login = b"set auth 0 0 12\r\nalice secret\r\n";
    known.writer.write_all(login).expect("sent");
    assert_eq!(known.line().expect("a reply"), "STORED\r\n");
    for (caller, key) in [(&mut known, "a"), (&mut unknown, "b"), (&mut unencrypted, "c")] {
        caller.round(key, 1).expect("it serves");
    }

    let text = fs::read_to_string(first.path("ringway.yaml")).expect("readable");
    let auth = auth.replace("DIR", &folder.path().display().to_string());
    let text = text.replace("/s'}", &format!("/s', {auth}}}"));
    let text = text.replace(&format!(":{plain}'}}"), &format!(":{plain}', {tls}}}"));
    let next = first.path("next.yaml");
    fs::write(&next, text).expect("written");
    let next = Next::start(&next, "next");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    for caller in [&mut unknown, &mut unencrypted] {
        let closed = caller.line().expect_err("it is closed").kind();
        assert!(
            [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&closed),
            "{closed}: {}",
            next.log()
        );
    }
    known.round("a", 2).expect("the same connection serves");
    let mut again = Caller::connect(&Place::Unix(first.path("s"))).expect("it listens");
    again.writer.write_all(b"get b\r\n").expect("sent");
    assert_eq!(again.line().expect("a reply"), "CLIENT_ERROR unauthenticated\r\n");
    wait_for("the log", || {
        next.log().contains("client of the process before is closed")
    });

    // That it has authenticated goes with it from process to process.
    let third = Next::start(&first.path("next.yaml"), "third");
    wait_for("the second takeover", || third.log().contains("took over"));
    known
        .round("a", 3)
        .unwrap_or_else(|error| panic!("{error}: {}", third.log()));
}

#[test]
fn sigusr2_starts_the_program_that_takes_over() {
    let node = Memcached::start();
    let mut first = Ringway::start(&yaml(&[node.address()], ""));
    let mut caller = Caller::connect(&Place::Tcp(first.port)).expect("it listens");
    caller.round("k", 1).expect("it serves");
    first.signal("USR2");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    let log = first.log();
    let (_, number) = log.split_once(" pid=").expect("the log names the process");
    let number = number
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok());
    let next = number.and_then(Pid::from_raw).expect("a process");
    let served = caller.round("k", 2);
    let ready = http(first.admin, "GET", "/readyz");
    kill_process(next, Signal::KILL).expect("it runs");
    served.expect("the program that took over serves");
    assert_eq!(ready.map(|(status, _)| status), Some(200), "{log}");
}

#[test]
fn sigusr2_does_nothing_if_no_process_may_take_over() {
    let ringway = Ringway::start("pools: {main: {nodes: [{name: e, embedded: 1MiB}]}}");
    ringway.signal("USR2");
    ringway.wait_logged("without `takeover`");
    assert_eq!(ringway.get("/readyz").0, 200);
}
