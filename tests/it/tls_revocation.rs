//! Certificates that are good no longer, of clients (openssl) and of nodes (Debian's own memcached with `-Z`): each way
//! of `docs/tls.md` to refuse them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::certificates::{Authority, Pair};
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool, wait_for};
use crate::tls_for_clients::ask_at;

/// A Ringway that shows a certificate of `authority`, with these settings of TLS more.
fn ringway(authority: &Authority, more: &str) -> Ringway {
    let pair = authority.pair("ringway", &["localhost"]);
    let (cert, key) = (pair.cert.display(), pair.key.display());
    Ringway::start(&format!(
        "listeners:\n  - {{bind: '127.0.0.1:PORT', tls: {{cert: {cert}, key: {key}, {more}}}}}\n\
         pools: {{main: {{nodes: [{{name: e, embedded: 4MiB}}]}}}}\n"
    ))
}

fn arguments<'a>(client: &'a Pair, more: &[&'a str]) -> Vec<&'a str> {
    let [cert, key] = [&client.cert, &client.key].map(|path| path.to_str().expect("UTF-8"));
    [&["-cert", cert, "-key", key], more].concat()
}

/// Whether a client that shows this certificate is served.
fn serves(ringway: &Ringway, client: &Pair, more: &[&str]) -> bool {
    let address = format!("127.0.0.1:{}", ringway.port);
    match &*ask_at(&address, "mn\r\nquit\r\n", &arguments(client, more)) {
        "MN\r\n" => true,
        "" => false,
        other => panic!("{other:?}"),
    }
}

fn handshakes(ringway: &Ringway, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    ringway.metric("ringway_tls_handshakes_total", &["side=\"client\"", &result])
}

/// A connection of openssl that stays open.
struct Open {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Open {
    fn connect(ringway: &Ringway, client: &Pair) -> Open {
        let address = format!("127.0.0.1:{}", ringway.port);
        let mut child = program::start(
            Command::new("openssl")
                .args(["s_client", "-quiet", "-verify_quiet", "-connect", &address])
                .args(arguments(client, &[]))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        Open {
            stdin: child.stdin.take().expect("piped"),
            stdout: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    fn is_served(&mut self) -> bool {
        self.stdin.write_all(b"mn\r\n").expect("sent");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line == "MN\r\n"
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn a_client_whose_certificate_is_revoked_is_refused_at_its_next_handshake_and_resumes_no_session() {
    let authority = Authority::new();
    let [bad, good] = ["bad", "good"].map(|name| authority.pair(name, &["client.example"]));
    let (ca, list) = (authority.ca(), authority.revoke(&[]));
    let settings = format!("client_ca: {}, client_crl: {}", ca.display(), list.display());
    let ringway = ringway(&authority, &settings);
    let session = authority.folder().join("session");
    let session = session.to_str().expect("UTF-8");
    assert!(serves(&ringway, &bad, &["-sess_out", session]));
    assert!(serves(&ringway, &bad, &["-sess_in", session]));
    assert_eq!(handshakes(&ringway, "resumed"), 1.0);
    let mut open = Open::connect(&ringway, &bad);
    assert!(open.is_served() && serves(&ringway, &good, &[]));

    authority.revoke(&["bad"]);
    wait_for("the list", || !serves(&ringway, &bad, &[]));
    assert!(!serves(&ringway, &bad, &["-sess_in", session]));
    assert_eq!(handshakes(&ringway, "resumed"), 1.0);
    ringway.wait_logged("its authority has taken it back");
    assert!(handshakes(&ringway, "failed") >= 2.0);
    assert!(serves(&ringway, &good, &[]) && open.is_served());

    fs::write(&list, "garbage").expect("written");
    wait_for("the mistake", || {
        ringway
            .get("/readyz")
            .1
            .contains("has no list of revoked certificates")
    });
    assert!(!serves(&ringway, &bad, &[]) && serves(&ringway, &good, &[]));
}

#[test]
fn a_client_of_an_authority_without_a_list_is_refused_if_there_are_lists() {
    let (authority, other) = (Authority::new(), Authority::new());
    let trusted = authority.folder().join("trusted.crt");
    let both = [authority.ca(), other.ca()].map(|path| fs::read_to_string(path).expect("readable"));
    fs::write(&trusted, both.concat()).expect("written");
    let list = authority.revoke(&[]);
    let settings = format!("client_ca: {}, client_crl: {}", trusted.display(), list.display());
    let ringway = ringway(&authority, &settings);
    assert!(serves(&ringway, &authority.pair("one", &["a.example"]), &[]));
    assert!(!serves(&ringway, &other.pair("two", &["a.example"]), &[]));
    ringway.wait_logged("no list of its authority is in the file of revoked certificates");
}

#[test]
fn a_client_whose_name_or_authority_is_taken_out_is_refused_at_its_next_handshake() {
    let (authority, other) = (Authority::new(), Authority::new());
    let trusted = authority.folder().join("trusted.crt");
    let [own, others] = [authority.ca(), other.ca()].map(|path| fs::read_to_string(path).expect("readable"));
    fs::write(&trusted, own.clone() + &others).expect("written");
    let [named, kept] = ["a", "b"].map(|name| authority.pair(name, &[&format!("{name}.example")]));
    let of_other = other.pair("c", &["b.example"]);
    let settings = format!("client_ca: {}, allow: [a.example, b.example]", trusted.display());
    let ringway = ringway(&authority, &settings);
    for client in [&named, &kept, &of_other] {
        assert!(serves(&ringway, client, &[]));
    }

    let path = ringway.path("ringway.yaml");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("a.example, ", "")).expect("written");
    wait_for("the name to be out", || !serves(&ringway, &named, &[]));
    assert!(handshakes(&ringway, "refused") >= 1.0);
    assert!(serves(&ringway, &kept, &[]) && serves(&ringway, &of_other, &[]));

    fs::write(&trusted, own).expect("written");
    wait_for("the authority to be out", || !serves(&ringway, &of_other, &[]));
    assert!(handshakes(&ringway, "failed") >= 1.0);
    assert!(serves(&ringway, &kept, &[]) && !serves(&ringway, &named, &[]));
}

#[test]
fn a_node_whose_certificate_or_authority_is_revoked_is_refused_at_its_next_handshake() {
    for is_by_list in [true, false] {
        let (authority, other) = (Authority::new(), Authority::new());
        let pair = authority.pair("node", &["localhost"]);
        let chain = format!("ssl_chain_cert={}", pair.cert.display());
        let key = format!("ssl_key={}", pair.key.display());
        let speaks_tls = ["-Z", "-o", &chain, "-o", &key];
        let node = Memcached::start_with(&speaks_tls);
        let (trusted, list) = (authority.folder().join("trusted.crt"), authority.revoke(&[]));
        fs::copy(authority.ca(), &trusted).expect("copied");
        let tls = match is_by_list {
            true => format!("tls: {{ca: {}, crl: {}}}", trusted.display(), list.display()),
            false => format!("tls: {{ca: {}}}", trusted.display()),
        };
        let ringway = Ringway::start(&pool(&[format!("localhost:{}", node.port())], &[&tls]));
        let mut client = ringway.client();
        client.set("k", "v");

        let reloads = || ringway.metric("ringway_config_reloads_total", &["result=\"taken\""]);
        let before = reloads();
        let reason = match is_by_list {
            true => {
                authority.revoke(&["node"]);
                "Revoked: its authority has taken it back"
            }
            false => {
                fs::copy(other.ca(), &trusted).expect("copied");
                "UnknownIssuer: name the file of its authority in `tls.ca`"
            }
        };
        wait_for("the file to be read", || reloads() > before);
        let _node = node.replace_with(&speaks_tls);
        wait_for("the refusal", || {
            let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
            nodes[0]["last_error"]
                .as_str()
                .unwrap_or_default()
                .contains(reason)
        });
        client.send("set k 0 0 1\r\nw\r\n");
        assert_eq!(client.line(), "NOT_STORED");
    }
}
