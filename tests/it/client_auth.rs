//! Clients that must authenticate: Ringway beside Debian's own memcached with `-Y` and with `-S`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use crate::support::certificates::Authority;
use crate::support::client::shown;
use crate::support::diagnostics::diagnostics;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, DEADLINE, Ringway, free_port, wait_for};

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 4MiB}]}}\n";
const SECRET: &str = "s3cret-of-alice";
const LOGIN: &str = "set auth 0 0 21\r\nalice s3cret-of-alice\r\n";

/// A folder with a file of users.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), format!("other:x\nalice:{SECRET}\n")).expect("written");
    folder
}

fn yaml(users: &Path, more: &str) -> String {
    let users = users.join("users");
    let users = users.display();
    format!("listeners:\n  - {{bind: '127.0.0.1:PORT', auth: {{users: {users}}}{more}}}\n{POOL}")
}

fn logins(ringway: &Ringway, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    ringway.metric("ringway_client_authentications_total", &[&result])
}

/// The next reply: a line, a packet, or nothing if the connection was closed.
fn reply(stream: &mut TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    loop {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => return reply,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return reply,
            read => read.map(|_| reply.push(byte[0])).expect("a reply"),
        }
        let is_whole = match reply[0] {
            0x81 => reply.len() >= 24 && reply.len() == 24 + body(&reply),
            _ => reply.ends_with(b"\n"),
        };
        if is_whole {
            return reply;
        }
    }
}

fn body(packet: &[u8]) -> usize {
    u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]) as usize
}

/// Sends each of `requests` and reads its reply before the next, until the connection is closed.
fn replies(port: u16, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let mut replies = Vec::new();
    for request in requests {
        // A connection that was closed takes no more.
        let _may_be_closed = stream.write_all(request);
        replies.push(reply(&mut stream));
        if replies.last().is_some_and(Vec::is_empty) {
            break;
        }
    }
    replies
}

fn compare(memcached: &Memcached, ringway: &Ringway, cases: &[Vec<Vec<u8>>]) {
    for requests in cases {
        let expected = replies(memcached.port(), requests);
        let found = replies(ringway.port, requests);
        let show = |all: &[Vec<u8>]| all.iter().map(|one| shown(one)).collect::<Vec<_>>().join(" | ");
        assert_eq!(show(&found), show(&expected), "{}", show(requests));
    }
}

#[test]
fn text_clients_read_what_memcached_with_a_file_of_users_answers() {
    let folder = folder();
    let users = folder.path().join("users");
    let memcached = Memcached::start_with(&["-Y", users.to_str().expect("UTF-8")]);
    let ringway = Ringway::start(&yaml(folder.path(), ""));
    let long = format!("set {} 0 0 21\r\nalice {SECRET}\r\n", "k".repeat(300));
    let cases: Vec<Vec<&str>> = vec![
        vec![
            "get k\r\n",
            "version\r\n",
            "quit\r\n",
            "mn\r\n",
            "stats\r\n",
            "flush_all\r\n",
        ],
        vec![
            "GET / HTTP/1.1\r\n",
            " \r\n",
            "\r\n",
            "verbosity 1 noreply\r\n",
            "ms k 1\r\n",
            "v\r\n",
        ],
        vec![
            LOGIN,
            "set k 0 0 1\r\nv\r\n",
            "get auth\r\n",
            "mn\r\n",
            "version\r\n",
        ],
        vec!["set a 0 0 11\r\nalice wrong\r\n", "get k\r\n", LOGIN, "mn\r\n"],
        vec![
            "set a 0 0 11\r\nwrong wrong\r\n",
            "set a 0 0 11\r\nalice wrong\r\n",
        ],
        vec!["set a x y 21 noreply\r\nalice s3cret-of-alice\r\n"],
        vec!["  set  a 0 0 +21\r\nalice s3cret-of-alice\r\n"],
        vec!["set a 0 0 24\r\n alice  s3cret-of-alice \r\n"],
        vec!["set a 0 0 23\r\nalice s3cret-of-alice x\r\n"],
        vec!["set a 0 0 5\r\nalice\r\n", "set a 0 0 0\r\n\r\n", "mn\r\n"],
        vec!["set a 0 0 21\r\nalice s3cret-of-alicexx", "mn\r\n"],
        vec!["set a 0 0 21\nalice s3cret-of-alice\r\n"],
        vec!["set a 0 0 22\r\nalice s3cret-of-alice\0\r\n"],
        vec!["set a 0 0 21\r\nalice\ts3cret-of-alice\r\n"],
        vec![
            "set a 0 0\r\n",
            "set a 0 0 -1\r\n",
            "set a 0 0 1x\r\n",
            "set\ta 0 0 21\r\n",
        ],
        vec![
            "SET a 0 0 21\r\n",
            "add a 0 0 21\r\n",
            "cas a 0 0 21 1\r\n",
            "\0\0\r\n",
        ],
        vec![
            "set a 0 0 99999999999999999999\r\n",
            "set a 0 0 21\0 \r\nalice s3cret-of-alice\r\n",
        ],
        vec![&long],
    ];
    let bytes = |requests: &Vec<&str>| requests.iter().map(|one| one.as_bytes().to_vec()).collect();
    compare(&memcached, &ringway, &cases.iter().map(bytes).collect::<Vec<_>>());
    // A line that does not end closes the connection.
    compare(&memcached, &ringway, &[vec![vec![b'x'; 2049]]]);
}

#[test]
fn binary_clients_read_what_memcached_with_sasl_answers() {
    let folder = folder();
    let memcached = Memcached::start_sasl(folder.path(), "alice", SECRET);
    let ringway = Ringway::start(&yaml(folder.path(), ""));
    let packet = crate::support::binary::packet;
    let auth = |mechanism: &str, message: &str| packet(0x21, b"", mechanism, message.as_bytes());
    let step = |message: &str| packet(0x22, b"", "PLAIN", message.as_bytes());
    let (good, wrong) = (format!("\0alice\0{SECRET}"), "\0alice\0wrong");
    let get = packet(0x00, b"", "k", b"");
    let mut cases = vec![
        vec![
            packet(0x20, b"", "", b""),
            packet(0x0b, b"", "", b""),
            auth("PLAIN", &good),
            get.clone(),
        ],
        vec![auth("plain", &good), packet(0x0a, b"", "", b"")],
        vec![auth("PLAIN", wrong), auth("PLAIN", &good), get.clone()],
        vec![auth("PLAIN", wrong), get.clone()],
        vec![auth("PLAIN", wrong), step(&good)],
        vec![auth("PLAIN", ""), step(&good), get.clone()],
        vec![auth("PLAIN", ""), step(wrong), step(&good), get.clone()],
        vec![auth("PLAIN", ""), step(""), step(&good)],
        vec![
            step(&good),
            auth("CRAM-MD5", &good),
            auth("PLAIN", &good),
            get.clone(),
        ],
        vec![auth("", &good)],
        vec![
            auth(&"P".repeat(33), &good),
            auth(&"P".repeat(32), &good),
            get.clone(),
        ],
        vec![auth("PLAIN", &format!("alice{good}"))],
        vec![
            auth("PLAIN", &format!("bob{good}")),
            auth("PLAIN", "alice"),
            auth("PLAIN", "\0alice"),
        ],
        vec![auth("PLAIN", &format!("{good}\0")), auth("PLAIN", "\0alice\0")],
        vec![packet(0x21, b"1234", "PLAIN", good.as_bytes())],
        vec![packet(0x20, b"", "k", b"")],
        vec![packet(0x20, b"1234", "", b"")],
        vec![packet(0x0b, b"", "k", b"")],
    ];
    // Every other operation is refused, known or not.
    for opcode in (0..=0x60).filter(|opcode| ![0x0b, 0x20, 0x21, 0x22].contains(opcode)) {
        cases.push(vec![packet(opcode, b"", "", b""), get.clone()]);
    }
    cases.push(vec![packet(0x01, &[0; 8], "k", b"v"), get]);
    compare(&memcached, &ringway, &cases);
}

#[test]
fn clients_of_every_kind_are_let_in_and_go_on_with_what_they_sent_behind_it() {
    let folder = folder();
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let users = folder.path().join("users").display().to_string();
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let ringway = Ringway::start(&format!(
        "listeners:
  - {{bind: '127.0.0.1:PORT', auth: {{users: {users}}}}}
  - {{bind: 'unix:DIR/socket', auth: {{users: {users}}}}}
  - {{bind: '127.0.0.2:PORT', auth: {{users: {users}}}, tls: {{cert: {cert}, key: {key}}}}}
  - {{bind: '127.0.0.3:PORT'}}
{POOL}"
    ));
    let value = "v".repeat(100_000);
    let requests = format!("{LOGIN}set k 0 0 {}\r\n{value}\r\nget k\r\nquit\r\n", value.len());
    let expected = format!(
        "STORED\r\nSTORED\r\nVALUE k 0 {}\r\n{value}\r\nEND\r\n",
        value.len()
    );

    let mut client = ringway.client();
    client.send(&requests);
    assert!(client.rest() == expected.as_bytes(), "over TCP");

    let mut socket = UnixStream::connect(ringway.path("socket")).expect("it listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("set");
    socket.write_all(requests.as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    assert!(answer == expected, "over a unix socket");

    let encrypted = crate::tls_for_clients::ask_at(&format!("127.0.0.2:{}", ringway.port), &requests, &[]);
    assert!(encrypted == expected, "over TLS");

    Client::connect_to(("127.0.0.3", ringway.port)).expects("mn\r\n", "MN\r\n");
    assert_eq!(logins(&ringway, "accepted"), 3.0);

    // Byte for byte.
    let mut client = ringway.client();
    for byte in LOGIN.bytes() {
        client.send([byte]);
    }
    client.expect("STORED\r\n");
}

#[test]
fn real_clients_authenticate_by_sasl_and_over_tls() {
    let folder = folder();
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let users = folder.path().join("users").display().to_string();
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let tls_port = free_port();
    // The nodes ask for a password, too, which the clients do not know.
    let password = folder.path().join("password");
    fs::write(&password, "x").expect("written");
    let node = Memcached::start_with(&["-Y", &users]);
    let ringway = Ringway::start(&format!(
        "listeners:
  - {{bind: '127.0.0.1:PORT', auth: {{users: {users}}}}}
  - {{bind: '127.0.0.1:{tls_port}', auth: {{users: {users}}}, tls: {{cert: {cert}, key: {key}}}}}
pools: {{main: {{nodes: ['{}'], request_timeout: 10s, auth: {{user: other, password: {{file: {}}}}}}}}}
",
        node.address(),
        password.display()
    ));
    let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/authenticated.py");
    let mut command = Command::new(python);
    command.arg(script).arg("127.0.0.1");
    command.args([ringway.port.to_string(), tls_port.to_string()]);
    command.arg(authority.ca()).args(["alice", SECRET]);
    // pylibmc brings a libsasl2 of its own, which looks for its plugins elsewhere than Debian has them.
    command.env(
        "SASL_PATH",
        "/usr/lib/x86_64-linux-gnu/sasl2:/usr/lib/aarch64-linux-gnu/sasl2",
    );
    let output = program::output(&mut command);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    for step in ["bmemcached-sasl", "pylibmc-sasl", "pymemcache-tls"] {
        assert!(said.contains(&format!("ok {step}")), "{said}");
    }
    assert!(logins(&ringway, "accepted") >= 3.0 && logins(&ringway, "failed") >= 2.0);
}

#[test]
fn users_are_taken_from_their_file_when_it_changes_and_sessions_stay() {
    let folder = folder();
    let users = folder.path().join("users");
    let ringway = Ringway::start(&yaml(folder.path(), ""));
    let mut early = ringway.client();
    early.expects(LOGIN, "STORED\r\n");

    fs::write(&users, "no user").expect("written");
    wait_for("the mistake", || {
        ringway.get("/readyz").1.contains("has no colon")
    });
    ringway.client().expects(LOGIN, "STORED\r\n");

    fs::write(&users, "bob:other\n").expect("written");
    wait_for("the new users", || {
        ringway.client().ask("set a 0 0 9\r\nbob other\r\n") == "STORED"
    });
    let failure = "CLIENT_ERROR authentication failure\r\n";
    ringway.client().expects(LOGIN, failure);
    early.expects("mn\r\n", "MN\r\n");
}

#[test]
fn failures_are_counted_and_logged_without_a_word_of_what_was_sent() {
    let folder = folder();
    let ringway = Ringway::start(&yaml(folder.path(), ""));
    let mut client = ringway.client();
    let guess = "a-wrong-guess";
    let failure = "CLIENT_ERROR authentication failure\r\n";
    client.expects(format!("set a 0 0 19\r\nalice {guess}\r\n"), failure);
    client.expects("get k\r\n", "CLIENT_ERROR unauthenticated\r\n");
    // Others are let in meanwhile.
    client.send(format!("set a 0 0 19\r\nalice {guess}\r\n"));
    let mut other = ringway.client();
    other.expects(LOGIN, "STORED\r\n");
    client.expect(failure);
    ringway.wait_logged("it gave a wrong user or password");
    let counts = ["accepted", "failed", "unauthenticated", "late"].map(|result| logins(&ringway, result));
    assert_eq!(counts, [1.0, 2.0, 1.0, 0.0]);
    other.send("stats\r\n");
    let stats = other.read_to("END");
    assert!(
        stats.contains("STAT auth_cmds 3\r\nSTAT auth_errors 2\r\n"),
        "{stats}"
    );
    let paths = ["/", "/readyz", "/metrics", "/nodes", "/config", "/status"];
    let said = paths.map(|path| ringway.get(path).1).concat() + &ringway.log();
    assert!(said.contains("users") && !said.contains(guess) && !said.contains(SECRET));
}

#[test]
fn a_client_that_never_authenticates_is_closed_and_counted() {
    let folder = folder();
    let ringway = Ringway::start(&yaml(folder.path(), ""));
    let mut silent = ringway.client();
    silent.send("set a 0 0 21\r\nalice");
    assert_eq!(silent.rest(), b"");
    wait_for("the count", || logins(&ringway, "late") == 1.0);
    ringway.wait_logged("it did not authenticate in time");
    assert_eq!(ringway.metric("ringway_sessions", &[]), 0.0);
}

#[test]
fn each_mistake_in_the_auth_of_a_listener_is_told_where_it_stands() {
    let folder = folder();
    let shown = folder.path().display();
    fs::write(folder.path().join("bad"), format!("a:b\n{SECRET}\n")).expect("written");
    fs::write(folder.path().join("empty"), "\n").expect("written");
    let cases = [
        (
            "true".to_owned(),
            "1:41: listeners[0].auth: a mapping is expected here".to_owned(),
        ),
        (
            "{}".to_owned(),
            "listeners[0].auth: `users` is missing, add `users:`".to_owned(),
        ),
        (
            format!("{{users: {shown}/none}}"),
            format!("auth.users: cannot read \"{shown}/none\": No such file"),
        ),
        (
            format!("{{users: {shown}/bad}}"),
            format!("line 2 of \"{shown}/bad\" has no colon, write user:password"),
        ),
        (
            format!("{{users: {shown}/empty}}"),
            format!("there is no user in \"{shown}/empty\""),
        ),
        (
            format!("{{file: {shown}/users}}"),
            "auth.file: unknown key, known here: users".to_owned(),
        ),
    ];
    for (auth, expected) in cases {
        let told = diagnostics(&format!(
            "listeners: [{{bind: '127.0.0.1:1', auth: {auth}}}]\n{POOL}"
        ));
        assert!(told.contains(&expected), "{told}\n{expected}");
        assert!(!told.contains(SECRET), "{told}");
    }
    for auth in ["false".to_owned(), format!("{{users: {shown}/users}}")] {
        let text = format!("listeners: [{{bind: '127.0.0.1:1', auth: {auth}}}]\n{POOL}");
        let config = ringway::config::parse(&text, "f").expect("good");
        let again = ringway::config::parse(&ringway::config::show(&config).to_string(), "shown");
        assert_eq!(again.expect("good"), config);
    }
}
