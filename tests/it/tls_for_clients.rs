//! TLS for clients: openssl and Python against Ringway.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::certificates::{Authority, Pair};
use crate::support::diagnostics::diagnostics;
use crate::support::program;
use crate::support::ringway::{Client, DEADLINE, Ringway, wait_for};
use crate::support::tls_relay;

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 4MiB}]}}\n";

/// A listener that shows `pair`, with these settings more.
fn yaml(pair: &Pair, more: &str) -> String {
    let (cert, key) = (pair.cert.display(), pair.key.display());
    format!("listeners:\n  - {{bind: '127.0.0.1:PORT', tls: {{cert: {cert}, key: {key}{more}}}}}\n{POOL}")
}

/// What `openssl s_client` reads in answer to `request`, with these arguments more.
fn ask(ringway: &Ringway, request: &str, arguments: &[&str]) -> String {
    ask_at(&format!("127.0.0.1:{}", ringway.port), request, arguments)
}

/// The same of whoever listens at `address`.
pub fn ask_at(address: &str, request: &str, arguments: &[&str]) -> String {
    let mut child = program::start(
        Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-no_ign_eof",
                "-verify_quiet",
                "-connect",
                address,
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    );
    let mut stdin = child.stdin.take().expect("piped");
    // One that was refused may be gone already.
    let _sent = stdin.write_all(request.as_bytes());
    let mut answer = String::new();
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_to_string(&mut answer).expect("text");
    drop(stdin);
    let _status = child.wait().expect("a child");
    answer
}

fn handshakes(ringway: &Ringway, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    ringway.metric("ringway_tls_handshakes_total", &["side=\"client\"", &result])
}

#[test]
fn clients_speak_tls_1_2_and_1_3_and_their_connection_ends_in_order() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, ""));
    let ca = authority.ca();
    let trusted = ["-CAfile", ca.to_str().expect("UTF-8"), "-verify_return_error"];
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [&trusted[..], &[version]].concat();
        let answer = ask(&ringway, "set k 0 0 1\r\nv\r\nget k\r\nquit\r\n", &arguments);
        assert_eq!(answer, "STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n", "{version}");
    }
    assert_eq!(handshakes(&ringway, "full"), 2.0);
    let expiry = ringway.metric("ringway_tls_certificate_expiry_timestamp_seconds", &["listener"]);
    assert!(expiry > 2e9, "{expiry}");
    assert!(!ringway.get("/config").1.contains("PRIVATE"));
}

#[test]
fn large_replies_arrive_whole_at_a_client_of_python() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, "").replace("4MiB", "64MiB"));
    let script = "
import ssl, sys
from pymemcache.client.base import Client
context = ssl.create_default_context(cafile=sys.argv[2])
client = Client(('localhost', int(sys.argv[1])), tls_context=context, timeout=20)
values = {f'k{n}': bytes([97 + n % 26]) * (n * 9001) for n in range(60)}
assert client.set_many(values) == []
for _ in range(3):
    assert client.get_many(list(values)) == values
print('fine')
";
    let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "target/venv/bin/python".to_owned());
    let output = program::output(
        Command::new(python)
            .args(["-c", script, &ringway.port.to_string()])
            .arg(authority.ca()),
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "fine", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_plain_client_on_a_tls_port_and_the_reverse_are_closed_at_once_and_counted() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, ""));
    let mut client = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).expect("set");
    client.write_all(b"version\r\n").expect("sent");
    let mut answer = String::new();
    let _reset_or_end = client.read_to_string(&mut answer);
    assert_eq!(answer, "ERROR this port speaks TLS\r\n");
    wait_for("the count", || handshakes(&ringway, "plain") == 1.0);
    ringway.wait_logged("the client speaks no TLS");

    let plain = Ringway::start(POOL);
    assert_eq!(ask(&plain, "version\r\n", &[]), "");
    wait_for("the count", || handshakes(&plain, "unexpected") == 1.0);
    plain.wait_logged("it speaks TLS, and the listener has no `tls`");
}

#[test]
fn a_client_without_a_certificate_of_the_right_authority_and_name_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = authority.pair("ringway", &["localhost"]);
    let allow = format!(
        ", client_ca: {}, allow: ['spiffe://prod/app', '*.apps.example']",
        authority.ca().display()
    );
    let ringway = Ringway::start(&yaml(&pair, &allow));
    let cases = [
        (authority.pair("dns", &["web.apps.example"]), true),
        (authority.workload("uri", "spiffe://prod/app"), true),
        (authority.pair("other-name", &["web.example"]), false),
        (authority.workload("other-uri", "spiffe://prod/other"), false),
        (other.pair("other-authority", &["web.apps.example"]), false),
        (authority.expired("expired", &["web.apps.example"]), false),
    ];
    for (client, is_allowed) in &cases {
        let [cert, key] = [&client.cert, &client.key].map(|path| path.to_str().expect("UTF-8"));
        let answer = ask(&ringway, "mn\r\nquit\r\n", &["-cert", cert, "-key", key]);
        assert_eq!(answer, if *is_allowed { "MN\r\n" } else { "" }, "{cert}");
    }
    assert_eq!(ask(&ringway, "mn\r\nquit\r\n", &[]), "", "without a certificate");
    wait_for("the counts", || {
        (handshakes(&ringway, "refused"), handshakes(&ringway, "failed")) == (2.0, 3.0)
    });
    assert_eq!(handshakes(&ringway, "full"), 2.0);
}

/// What the listener's certificate is, as openssl shows it.
fn certificate(ringway: &Ringway) -> String {
    let address = format!("127.0.0.1:{}", ringway.port);
    let output = program::output(
        Command::new("openssl")
            .args(["s_client", "-connect", &address])
            .stdin(Stdio::null()),
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let begin = text.find("-----BEGIN").expect("a certificate");
    let end = text.find("-----END").expect("a certificate");
    text[begin..end].split_whitespace().collect()
}

fn pem(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("readable");
    let end = text.find("-----END").expect("a certificate");
    text[..end].split_whitespace().collect()
}

#[test]
fn a_certificate_that_is_swapped_behind_a_symbolic_link_is_shown_and_a_bad_pair_is_not() {
    let authority = Authority::new();
    // As Kubernetes mounts a Secret: tls.crt -> ..data/tls.crt, ..data -> a folder with a date.
    let mount = tempfile::tempdir().expect("a folder");
    let version = |name: &str, cert: &Path, key: &Path| {
        let folder = mount.path().join(name);
        fs::create_dir(&folder).expect("made");
        fs::copy(cert, folder.join("tls.crt")).expect("copied");
        fs::copy(key, folder.join("tls.key")).expect("copied");
        symlink(name, mount.path().join("..new")).expect("linked");
        fs::rename(mount.path().join("..new"), mount.path().join("..data")).expect("swapped");
    };
    let [one, two] = ["one", "two"].map(|name| authority.pair(name, &["localhost"]));
    version("..1", &one.cert, &one.key);
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), mount.path().join(file)).expect("linked");
    }
    let pair = Pair {
        cert: mount.path().join("tls.crt"),
        key: mount.path().join("tls.key"),
    };
    let ringway = Ringway::start(&yaml(&pair, ""));
    assert_eq!(certificate(&ringway), pem(&one.cert));

    version("..2", &two.cert, &one.key);
    wait_for("the mistake", || {
        ringway.get("/readyz").1.contains("is not the key of")
    });
    assert_eq!(certificate(&ringway), pem(&one.cert));
    assert_eq!(ringway.metric("ringway_config_last_reload_successful", &[]), 0.0);
    ringway.wait_logged("is not the key of");

    version("..3", &two.cert, &two.key);
    wait_for("the new certificate", || certificate(&ringway) == pem(&two.cert));
    assert_eq!(ringway.metric("ringway_config_last_reload_successful", &[]), 1.0);
}

#[test]
fn each_mistake_in_the_tls_of_a_listener_is_told_where_it_stands() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ca = authority.ca();
    let (cert, key, ca) = (pair.cert.display(), pair.key.display(), ca.display());
    let good = format!("cert: {cert}, key: {key}");
    let cases = [
        (
            "127.0.0.1:1",
            format!("client_ca: {ca}"),
            "listeners[0].tls: there is no certificate to show to clients, add `cert:`",
        ),
        (
            "127.0.0.1:1",
            format!("cert: {cert}"),
            "listeners[0].tls: `cert` needs `key`",
        ),
        (
            "127.0.0.1:1",
            format!("{good}, allow: [a.b]"),
            "`allow` needs certificates of clients, and none is requested, add `client_ca:`",
        ),
        (
            "127.0.0.1:1",
            format!("{good}, client_crl: {}", authority.revoke(&[]).display()),
            "`client_crl` needs certificates of clients, and none is requested, add `client_ca:`",
        ),
        (
            "127.0.0.1:1",
            format!("{good}, client_ca: {ca}, client_crl: {cert}"),
            "has no list of revoked certificates, it must be PEM",
        ),
        (
            "127.0.0.1:1",
            format!("{good}, client_ca: {ca}, allow: ['a b']"),
            "listeners[0].tls.allow[0]: \"a b\" is not a name of a certificate",
        ),
        (
            "unix:/s",
            good.clone(),
            "listeners[0].tls: a unix socket is not encrypted, TLS is for TCP ports",
        ),
    ];
    for (bind, settings, expected) in cases {
        let told = diagnostics(&format!(
            "listeners: [{{bind: '{bind}', tls: {{{settings}}}}}]\n{POOL}"
        ));
        assert!(told.contains(expected), "{told}\n{expected}");
    }
}

#[test]
fn a_thousand_handshakes_that_do_not_go_on_disturb_nobody_and_end() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, ""));
    let half = |byte: usize| {
        let mut stream = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        stream.write_all(&hello[..1 + byte % hello.len()]).expect("sent");
        stream
    };
    let held: Vec<TcpStream> = (0..1000).map(half).collect();
    for _ in 0..3 {
        assert_eq!(ask(&ringway, "mn\r\nquit\r\n", &[]), "MN\r\n");
    }
    wait_for("all of them to be given up", || {
        handshakes(&ringway, "failed") >= 1000.0
    });
    ringway.wait_logged("the client was too slow");
    wait_for("their places", || ringway.metric("ringway_sessions", &[]) == 0.0);
    drop(held);
}

#[test]
fn a_client_that_asks_for_another_handshake_gets_none() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, ""));
    let address = format!("127.0.0.1:{}", ringway.port);
    let mut child = program::start(
        Command::new("sh")
            .arg("-c")
            .arg(format!("exec openssl s_client -tls1_2 -connect {address} 2>&1"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut stdin = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut said = String::new();
    // A line of R that comes alone makes openssl ask for it.
    for (request, answer) in [("mn\r\n", "MN"), ("R\n", "RENEGOTIATING")] {
        stdin.write_all(request.as_bytes()).expect("sent");
        // A whole line: certificates are printed too, and may contain it.
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}"));
            let line = line.expect("text");
            said += &line;
            if line == answer {
                break;
            }
        }
    }
    // It would wait for the rest of the handshake.
    child.kill().expect("it runs");
    let _status = child.wait().expect("a child");
    wait_for("the end of the session", || {
        ringway.metric("ringway_sessions", &[]) == 0.0
    });
    assert_eq!(handshakes(&ringway, "full"), 1.0, "{said}");
    assert_eq!(ask(&ringway, "mn\r\nquit\r\n", &[]), "MN\r\n");
}

#[test]
fn the_memory_of_each_session_counts() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&yaml(&pair, ""));
    let config = tls_relay::client_config(&authority.ca());
    let connect = || {
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let connection = rustls::ClientConnection::new(config.clone(), name).expect("good");
        let stream = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        stream.write_all(b"mn\r\n").expect("sent");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("an answer");
        stream
    };
    let buffered = || ringway.metric("ringway_buffer_bytes", &[]);
    let held: Vec<_> = (0..50).map(|_| connect()).collect();
    assert!(buffered() >= 50.0 * 16_384.0, "{}", buffered());
    drop(held);
    wait_for("it to be given back", || buffered() < 16_384.0);
}

/// The beginning of a handshake that never goes on, of so many bytes.
fn beginning(ringway: &Ringway, bytes: usize) -> TcpStream {
    // A hello of 65000 bytes, in records of up to 16 KiB.
    let mut hello = vec![1, 0, 0xfd, 0xe8];
    hello.resize(bytes, 0);
    let mut stream = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
    for part in hello.chunks(16_384) {
        let length = (part.len() as u16).to_be_bytes();
        let record = [&[0x16, 3, 1], &length[..], part].concat();
        // One that holds too much is closed meanwhile.
        let _sent = stream.write_all(&record);
    }
    stream
}

#[test]
fn what_handshakes_hold_counts_and_large_ones_end_when_memory_is_scarce() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = Ringway::start(&format!("workers: 1\nmemory_limit: 16MiB\n{}", yaml(&pair, "")));
    let buffered = || ringway.metric("ringway_buffer_bytes", &[]);
    let held: Vec<TcpStream> = (0..100).map(|_| beginning(&ringway, 60_000)).collect();
    wait_for("the memory of all", || buffered() >= 100.0 * 76_384.0);
    assert_eq!(handshakes(&ringway, "failed"), 0.0);

    let more: Vec<TcpStream> = (0..100).map(|_| beginning(&ringway, 60_000)).collect();
    ringway.wait_logged("there is no memory for so large a handshake");
    assert!(buffered() <= f64::from(16 << 20), "{}", buffered());
    assert_eq!(ask(&ringway, "mn\r\nquit\r\n", &[]), "MN\r\n");
    drop((held, more));
    wait_for("it to be given back", || buffered() < 16_384.0);
}

/// A listener with TLS and this idle timeout.
fn with_idle_timeout(pair: &Pair, timeout: &str) -> Ringway {
    Ringway::start(&yaml(pair, "").replace(
        "127.0.0.1:PORT',",
        &format!("127.0.0.1:PORT', idle_timeout: {timeout},"),
    ))
}

#[test]
fn an_idle_client_is_closed_in_the_middle_of_a_request_too() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = with_idle_timeout(&pair, "300ms");
    let port = tls_relay::encrypt(&authority.ca(), ringway.port);
    for sent in ["", "get k", "set k 0 0 10\r\nhalf"] {
        let mut client = Client::connect(port);
        client.send(sent);
        assert_eq!(client.rest(), b"", "after {sent:?}");
    }
    assert_eq!(ringway.metric("ringway_idle_closed_total", &[]), 3.0);
}

#[test]
fn a_client_whose_record_comes_slowly_is_not_idle() {
    let authority = Authority::new();
    let pair = authority.pair("ringway", &["localhost"]);
    let ringway = with_idle_timeout(&pair, "2s");
    let name = ServerName::try_from("localhost").expect("a name");
    let config = tls_relay::client_config(&authority.ca());
    let mut tls = ClientConnection::new(config, name).expect("a client");
    let mut socket = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("set");
    socket.set_nodelay(true).expect("set");
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).expect("a handshake");
    }
    let mut record = Vec::new();
    tls.writer().write_all(b"mn\r\n").expect("taken");
    tls.write_tls(&mut record).expect("written");
    // In all it takes longer than the timeout.
    for byte in record {
        socket.write_all(&[byte]).expect("sent");
        std::thread::sleep(Duration::from_millis(150));
    }
    let mut answer = [0; 4];
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"MN\r\n");
}
