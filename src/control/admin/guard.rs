//! Refuses requests that a web page makes a browser send: for a foreign host, or changes from a foreign
//! page.
//!
//! A browser on this machine or in this network can reach the admin listener, and so can every page that it
//! has open. Two ways are closed:
//!
//! | a page … | is refused because |
//! |---|---|
//! | sends a POST here | its `Origin` is not the requested host, or `Sec-Fetch-Site` says that it is another site |
//! | resolves its own name to this address (DNS rebinding) | the `Host` is its name: not an address, `localhost`, or in `admin.hosts` |
//!
//! Programs other than browsers send an address or a listed name, and no `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request, StatusCode, Version};

use crate::config::hosts::normal;

/// The maximum length of a host that is repeated in an answer or in the log, in bytes.
const MAX_SHOWN: usize = 100;

/// The answer to a refused request.
pub type Refusal = (StatusCode, String);

/// Refuses `request` unless it is for this server, by an address, `localhost` or one of `hosts`, and, if it
/// changes something, not from a foreign page.
///
/// # Errors
/// The status and the reason, for people.
pub fn check<B>(request: &Request<B>, hosts: &[String]) -> Result<(), Refusal> {
    let host = host(request)?;
    // In the absolute form the request line contains the host too.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    for asked in authority.into_iter().chain(host) {
        if !is_own(asked, hosts) {
            let reason = format!(
                "this is not the host {}: ask by an address, or list the name in `admin.hosts`",
                shown(asked)
            );
            return Err((StatusCode::FORBIDDEN, reason));
        }
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    check_origin(request.headers(), authority.or(host))
}

/// Returns the `Host` field; `None` for a request of HTTP/1.0 without one.
fn host<B>(request: &Request<B>) -> Result<Option<&str>, Refusal> {
    let bad = |reason: &str| Err((StatusCode::BAD_REQUEST, reason.to_owned()));
    let mut fields = request.headers().get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (Some(_), Some(_)) => bad("several Host fields"),
        (Some(host), None) => match host.to_str() {
            Ok(host) => Ok(Some(host)),
            Err(_) => bad("the Host field is not text"),
        },
        (None, _) if request.version() < Version::HTTP_11 => Ok(None),
        (None, _) => bad("the Host field is missing"),
    }
}

/// Whether `authority`, a host with or without a port, is this server.
fn is_own(authority: &str, hosts: &[String]) -> bool {
    let Some((host, _)) = split(authority) else {
        return false;
    };
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // A zone, as in fe80::1%eth0, is only meaningful on this machine.
        let address = address.split('%').next().unwrap_or(address);
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let host = normal(host);
    host.parse::<Ipv4Addr>().is_ok() || host == "localhost" || hosts.contains(&host)
}

/// Splits host and port; the host of an IPv6 address keeps its brackets. `None` if the port is not a
/// number.
fn split(authority: &str) -> Option<(&str, &str)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    let port = match port {
        "" => "",
        port => port.strip_prefix(':')?,
    };
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some((host, port))
}

/// Refuses a change requested by a page of another origin than `host`.
fn check_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), Refusal> {
    let foreign = |what: &str| {
        let reason = format!("{what} may not change anything here");
        Err((StatusCode::FORBIDDEN, reason))
    };
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return foreign("a page of another site");
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let is_same = host.is_some_and(|host| is_same_origin(&origin, host));
        if !is_same {
            return foreign(&format!("a page of {}", shown(&origin)));
        }
    }
    Ok(())
}

/// Whether a page of `origin` comes from `host`, the port included. `null` matches no host.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let (default_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => ("80", authority),
        Some(("https", authority)) => ("443", authority),
        _ => return false,
    };
    let parts = |authority| {
        let (host, port) = split(authority)?;
        Some((normal(host), if port.is_empty() { default_port } else { port }))
    };
    match (parts(authority), parts(host)) {
        (Some(page), Some(asked)) => page == asked,
        _ => false,
    }
}

/// Returns `text` in quotes, escaped and truncated.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(MAX_SHOWN).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, uri: &str, version: Version, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(uri).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let hosts = ["ringway.example.com".to_owned(), "shop".to_owned()];
        let checked = check(&request.body(()).unwrap(), &hosts);
        checked.err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn a_host_is_an_address_localhost_or_listed() {
        let cases = [
            ("127.0.0.1:9155", 200),
            ("10.1.2.3", 200),
            ("[::1]:9155", 200),
            ("[::1]", 200),
            ("[fe80::1%25eth0]:9155", 200),
            ("localhost", 200),
            ("LocalHost.:9155", 200),
            ("ringway.example.com:9155", 200),
            ("RINGWAY.example.COM.", 200),
            ("shop:80", 200),
            ("evil.example", 403),
            ("evil.example:9155", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("evil.localhost", 403),
            ("shop@evil.example", 403),
            ("127.0.0.1@evil.example", 403),
            ("evil.example:80@127.0.0.1", 403),
            ("127.0.0.1:x", 403),
            ("0x7f.1", 403),
            ("2130706433", 403),
            ("[::1", 403),
            ("::1", 403),
            ("[localhost]", 403),
            ("", 403),
        ];
        for (host, expected) in cases {
            for method in ["GET", "HEAD", "POST"] {
                let found = status(method, "/nodes", Version::HTTP_11, &[("host", host)]);
                assert_eq!(found, expected, "{method} {host:?}");
            }
        }
    }

    #[test]
    fn a_request_names_one_host_wherever_it_stands() {
        let own = ("host", "127.0.0.1");
        let foreign = ("host", "evil.example");
        type Case<'a> = (&'a str, Version, &'a [(&'a str, &'a str)], u16);
        let cases: &[Case<'_>] = &[
            ("/livez", Version::HTTP_11, &[], 400),
            ("/livez", Version::HTTP_10, &[], 200),
            ("/livez", Version::HTTP_10, &[foreign], 403),
            ("/livez", Version::HTTP_11, &[own, own], 400),
            ("/livez", Version::HTTP_11, &[own, foreign], 400),
            ("http://127.0.0.1:9155/livez", Version::HTTP_11, &[own], 200),
            ("http://evil.example/livez", Version::HTTP_11, &[own], 403),
            ("http://127.0.0.1:9155/livez", Version::HTTP_11, &[foreign], 403),
            ("http://evil.example/livez", Version::HTTP_10, &[], 403),
        ];
        for &(uri, version, fields, expected) in cases {
            assert_eq!(
                status("GET", uri, version, fields),
                expected,
                "{uri} {version:?} {fields:?}"
            );
        }
    }

    #[test]
    fn only_programs_and_pages_of_this_server_may_change_something() {
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[], 200),
            (&[("origin", "http://127.0.0.1:9155")], 200),
            (&[("origin", "https://127.0.0.1:9155")], 200),
            (&[("origin", "http://127.0.0.1")], 403),
            (&[("origin", "http://127.0.0.1:8080")], 403),
            (&[("origin", "http://localhost:9155")], 403),
            (&[("origin", "https://evil.example")], 403),
            (&[("origin", "null")], 403),
            (&[("origin", "")], 403),
            (&[("origin", "127.0.0.1:9155")], 403),
            (
                &[
                    ("origin", "http://127.0.0.1:9155"),
                    ("origin", "http://evil.example"),
                ],
                403,
            ),
            (&[("sec-fetch-site", "same-origin")], 200),
            (&[("sec-fetch-site", "none")], 200),
            (&[("sec-fetch-site", "cross-site")], 403),
            (&[("sec-fetch-site", "same-site")], 403),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://127.0.0.1:9155"),
                ],
                403,
            ),
        ];
        for (fields, expected) in cases {
            let fields = [&[("host", "127.0.0.1:9155")], *fields].concat();
            for uri in ["/nodes/cache-a/drain", "/reload"] {
                let found = status("POST", uri, Version::HTTP_11, &fields);
                assert_eq!(found, *expected, "{uri} {fields:?}");
            }
            let found = status("GET", "/nodes", Version::HTTP_11, &fields);
            assert_eq!(found, 200, "what a page may not read it may ask for: {fields:?}");
        }
        let default_port = [("host", "shop"), ("origin", "http://SHOP:80")];
        assert_eq!(status("POST", "/reload", Version::HTTP_11, &default_port), 200);
    }
}
