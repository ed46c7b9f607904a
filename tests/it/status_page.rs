//! `GET /` for a browser, and `GET /status`: what is sent, and what it may do. tests/page looks at it in a browser.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{DEADLINE, Ringway, pool, wait_for};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn ringway() -> Ringway {
    Ringway::start("pools: {main: {nodes: [{name: here, embedded: 1MiB}]}}\n")
}

/// Head and body of the answer to `GET /` with this `Accept`.
fn get(ringway: &Ringway, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", ringway.admin)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn a_browser_gets_the_page_and_every_other_program_the_list_of_paths() {
    let ringway = ringway();
    for (accept, kind) in [
        (BROWSER, "text/html"),
        ("TEXT/HTML;q=0.1", "text/html"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
        ("application/json", "text/plain"),
        ("text/*", "text/plain"),
    ] {
        let (head, body) = get(&ringway, accept);
        assert!(head.starts_with("http/1.1 200"), "{accept}: {head}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{accept}: {head}"
        );
        assert!(head.contains("vary: accept"), "{accept}: {head}");
        let is_page = body.starts_with("<!doctype html>");
        assert_eq!(is_page, kind == "text/html", "{accept}");
        assert!(is_page || body.starts_with("ringway admin"), "{accept}");
    }
}

#[test]
fn the_page_may_run_its_own_script_and_style_and_ask_this_listener_only() {
    let (head, page) = get(&ringway(), BROWSER);
    let policy = head_field(&head, "content-security-policy");
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|found| found == part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(head_field(&head, "x-content-type-options"), "nosniff");
    for element in ["script", "style"] {
        let hash = hash_of(content(&page, element));
        let allowed = format!("{element}-src 'sha256-{hash}'");
        // The head was put in lower case.
        let is_allowed = policy.contains(&allowed.to_lowercase());
        assert!(
            is_allowed,
            "POLICY of src/control/admin/page/mod.rs must have {allowed}"
        );
    }
}

#[test]
fn nothing_of_the_page_comes_from_elsewhere_and_no_text_becomes_markup() {
    let (_, page) = get(&ringway(), BROWSER);
    let namespace = "http://www.w3.org/2000/svg";
    for foreign in ["://", "src=", "@import", "url(", "style=\"", " on"] {
        let page = page.replace(namespace, "");
        let markup = &page[..page.find("<style>").expect("a style")];
        let body = &page[page.find("<body>").expect("a body")..page.find("<script>").expect("a script")];
        let place = if foreign == " on" || foreign == "style=\"" {
            [markup, body].concat()
        } else {
            page.clone()
        };
        let is_handler = |at: usize| foreign != " on" || place[at..].find('=').is_some_and(|end| end < 12);
        let mut found = place.match_indices(foreign).filter(|(at, _)| is_handler(*at));
        assert!(found.next().is_none(), "{foreign}");
    }
    let script = content(&page, "script");
    for risky in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ] {
        assert!(!script.contains(risky), "{risky}");
    }
}

#[test]
fn the_status_has_what_was_counted_and_says_what_is_wrong() {
    let node = Memcached::start();
    let text = pool(
        &[node.address(), "{name: here, embedded: 1MiB}".to_owned()],
        &["distribution: ringway"],
    );
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    for n in 0..50 {
        client.set(&format!("k{n}"), "v");
        client.get(&format!("k{n}"));
        client.get("none");
    }
    let status = status(&ringway);
    assert_eq!(
        (&status["ready"], &status["phase"]),
        (&true.into(), &"ready".into())
    );
    assert_eq!(
        (status["sessions"].as_u64(), status["client_requests"].as_u64()),
        (Some(1), Some(150))
    );
    let main = &status["pools"][0];
    let of = |name: &str| main[name].as_u64();
    assert_eq!(main["name"], "main");
    assert_eq!(
        (of("requests"), of("reads"), of("read_hits"), of("errors")),
        (Some(150), Some(100), Some(50), Some(0))
    );
    let bounds = status["duration_bounds"].as_array().expect("a list").len();
    let reads = main["read_durations"].as_array().expect("a list");
    assert_eq!(reads.len(), bounds + 1);
    assert_eq!(reads.iter().filter_map(Value::as_u64).sum::<u64>(), 100);
    let shares = || {
        status["nodes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|node| node["share"].as_f64())
    };
    assert!(
        shares().all(|share| share.is_some_and(|share| (0.2..0.8).contains(&share))),
        "{status}"
    );
    assert!((shares().flatten().sum::<f64>() - 1.0).abs() < 1e-6);

    ringway.reload(&(text.clone() + "    nods: 1\n"));
    let mistakes = self::status(&ringway)["config"]["mistakes"].to_string();
    assert!(mistakes.contains("did you mean"), "{mistakes}");
    ringway.reload(&text);
    ringway.post(&format!("/nodes/{}/drain", node.address()));
    wait_for("the drained node to have no share", || {
        let status = self::status(&ringway);
        status["nodes"][0]["share"] == 0.0 && status["nodes"][1]["share"] == 1.0
    });
}

fn status(ringway: &Ringway) -> Value {
    let (code, body) = ringway.get("/status");
    assert_eq!(code, 200);
    serde_json::from_str(&body).expect("JSON")
}

fn head_field<'a>(head: &'a str, name: &str) -> &'a str {
    let field = head
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    field.unwrap_or_else(|| panic!("no {name} in {head}"))
}

fn content<'a>(page: &'a str, element: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{element}>")).expect("it begins");
    rest.split_once(&format!("</{element}>")).expect("it ends").0
}

/// The SHA-256 of `text` in base64, as a policy has it.
fn hash_of(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text");
    fs::write(&file, text).expect("written");
    let output = program::output(Command::new("sha256sum").arg(file));
    let digits = output.stdout[..64].chunks(2);
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).expect("digits"), 16);
    STANDARD.encode(
        digits
            .map(byte)
            .collect::<Result<Vec<u8>, _>>()
            .expect("hexadecimal"),
    )
}
