//! Addresses as they are written: a node's `host:port`, `unix:/path` or `valkey://host:port`, a listener's `ip:port`.
//!
//! A user or a password in one is refused, and not quoted. Nothing is resolved here. A host is kept as it is written,
//! because rings hash its letters; only the brackets of an IPv6 address are removed.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::credentials::refuse_user;
use super::error::{Problem, quote};
use super::kind::Kind;
use super::{Address, Bind, Server, schema, valkey};

/// The default port of memcached.
const MEMCACHED: u16 = 11211;

/// What the address of a unix socket begins with.
const UNIX: &str = "unix:";
/// A regular expression for a socket.
const SOCKET: &str = "unix:.{1,107}";

/// A regular expression for an IP address and a port.
const IP_PORT: &str = r"[0-9.]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+(%.+)?\]:[0-9]{1,5}";

/// The way out if the address of a node, or of a source of nodes, has a user or a password.
pub const AUTH_OF_POOL: &str =
    "leave out what is before the @, and write `auth: {user: NAME, password: {file: PATH}}` in the pool";
/// The way out if another address has them.
pub const NO_AUTH: &str = "leave out what is before the @";

/// `sun_path` of unix(7) holds 108 bytes, the last of them zero.
const LONGEST_PATH: usize = 107;

/// Reads a node's address: `host:port`, `[ipv6]:port`, `unix:/path`, `valkey://host:port/database`, or
/// `valkey+unix:/path?db=database`.
pub fn node(text: &str) -> Result<Address, Problem> {
    refuse_user(text, AUTH_OF_POOL)?;
    if let Some(path) = text.strip_prefix(UNIX) {
        if let Some((path, _)) = path.split_once("?db=") {
            return Err(none(text).hint(format!(
                "a Valkey or Redis is valkey+unix:/{}?db=NUMBER",
                path.trim_start_matches('/')
            )));
        }
        let server = Server::Memcached;
        return unix(UNIX, path).map(|path| Address::Unix { path, server });
    }
    if let Some(parts) = valkey::split_socket(text) {
        let valkey::SocketParts { prefix, path, server } = parts?;
        return unix(prefix, path).map(|path| Address::Unix { path, server });
    }
    match valkey::split(text) {
        None => tcp(text, Server::Memcached, MEMCACHED),
        Some(parts) => {
            let valkey::Parts { socket, server } = parts?;
            tcp(socket, server, valkey::PORT)
        }
    }
}

/// Reads `host:port`, at which `server` answers; its clients use the port `usual` if they are told none.
fn tcp(text: &str, server: Server, usual: u16) -> Result<Address, Problem> {
    let (host, port) = split(text, 1, usual)?;
    check_host(host).map_err(|problem| Problem {
        reason: format!("{}: {}", none(text).reason, problem.reason),
        ..problem
    })?;
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
        server,
    })
}

/// The schema of a node's address.
pub fn node_schema() -> Value {
    let port = "0*[1-9][0-9]{0,4}";
    let socket = format!(r"(\[[0-9A-Fa-f:.]+(%.+)?\]:{port}|[^\s/:\[\]@]+:{port})");
    let (schemes, database, path) = (valkey::SCHEMES, valkey::DATABASE, valkey::SOCKET);
    schema::pattern(&format!(
        r"^({SOCKET}|{path}|{socket}|{schemes}{socket}{database})$"
    ))
}

/// The schema of what a listener binds.
pub fn listener_schema() -> Value {
    schema::pattern(&format!("^({SOCKET}|{IP_PORT})$"))
}

/// Reads what a listener binds: `ip:port`, `[ipv6]:port` or `unix:/path`. Port 0 lets the system choose.
pub fn listener(text: &str) -> Result<Bind, Problem> {
    refuse_user(text, NO_AUTH)?;
    match text.strip_prefix(UNIX) {
        Some(path) => unix(UNIX, path).map(Bind::Unix),
        None => ip_and_port(text).map(Bind::Tcp),
    }
}

/// Reads the socket through which another process takes this one's place: `unix:/path`.
fn takeover(text: &str) -> Result<PathBuf, Problem> {
    refuse_user(text, NO_AUTH)?;
    match text.strip_prefix(UNIX) {
        Some(path) => unix(UNIX, path),
        None => Err(Problem::new(format!("{} is not a unix socket", quote(text)))
            .hint("sockets are passed over unix sockets only: write unix:/run/ringway/takeover.sock")),
    }
}

/// The socket through which another process takes this one's place.
pub fn takeover_kind() -> Kind<PathBuf> {
    Kind::text(
        takeover,
        |path| json!(format!("unix:{}", path.display())),
        || schema::pattern(&format!("^{SOCKET}$")),
    )
}

/// What a listener binds.
pub fn listener_kind() -> Kind<Bind> {
    Kind::text(listener, |bind| json!(bind.to_string()), listener_schema)
}

fn ip_and_port(text: &str) -> Result<SocketAddr, Problem> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let any = text.strip_prefix('*').unwrap_or(text);
    if let Some(port) = any.strip_prefix(':').filter(|port| port.parse::<u16>().is_ok()) {
        return Err(none(text).hint(format!("for every interface write 0.0.0.0:{port}")));
    }
    let (host, port) = split(text, 0, MEMCACHED)?;
    let way_out = match host {
        "localhost" => format!("write 127.0.0.1:{port}"),
        _ => format!("write an IP address of this machine, or 0.0.0.0:{port} for every interface"),
    };
    Err(Problem::new(format!(
        "{} is not an IP address, and only those can be bound",
        quote(host)
    ))
    .hint(way_out))
}

/// Host and port; an IPv6 host without its brackets, not checked further. A hint names the port `usual`.
fn split(text: &str, least_port: u16, usual: u16) -> Result<(&str, u16), Problem> {
    if text.starts_with('/') {
        return Err(none(text).hint(format!(
            "for a unix socket write {}",
            quote(&format!("unix:{text}"))
        )));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let problem = none(text);
        return Err(match text.starts_with("memcache") {
            true => problem.hint(format!("leave the scheme out: {}", quote(rest))),
            false => problem.hint("schemes are valkey, valkeys, redis, rediss, and valkey+unix for a socket; memcached has none"),
        });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| none(text).hint("a bracket is not closed"))?;
        let port = port.strip_prefix(':').ok_or_else(|| no_port(text, usual))?;
        return match host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
            Ok(_) if !host.ends_with('%') => Ok((host, read_port(text, port, [least_port, usual])?)),
            _ => Err(none(text).hint("write an IPv6 address between the brackets")),
        };
    }
    match text.split_once(':') {
        None if text.parse::<u16>().is_ok() => {
            Err(none(text).hint(format!("did you mean 127.0.0.1:{text}?")))
        }
        None => Err(no_port(text, usual)),
        Some((_, rest)) if rest.contains(':') => Err(too_many_colons(text)),
        Some(("", _)) => Err(none(text).hint("the host is missing")),
        Some((host, port)) => Ok((host, read_port(text, port, [least_port, usual])?)),
    }
}

fn read_port(text: &str, port: &str, [least, usual]: [u16; 2]) -> Result<u16, Problem> {
    if port.is_empty() {
        return Err(no_port(text.trim_end_matches(':'), usual));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number >= least => Ok(number),
        _ if digits => Err(Problem::new(format!("port {port:.24} is out of range"))
            .hint(format!("ports go from {least} to 65535"))),
        _ => match port.split_once(' ') {
            Some((number, name)) if number.parse::<u16>().is_ok() => Err(none(text).hint(format!(
                "to name a node write {{address: {:.80}, name: {name:.80}}}",
                text.split(' ').next().unwrap_or(text)
            ))),
            _ => Err(none(text).hint(format!("{} is not a port", quote(port)))),
        },
    }
}

/// Either an IPv6 address without brackets, or a weight behind the port as nutcracker writes it.
fn too_many_colons(text: &str) -> Problem {
    let bracketed = |(host, port): (&str, &str)| match (host.parse::<Ipv6Addr>(), port.parse::<u16>()) {
        (Ok(_), Ok(_)) => Some(format!("[{host}]:{port}")),
        _ => None,
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return none(text).hint(format!(
            "an IPv6 address needs brackets: did you mean \"[{text}]:{MEMCACHED}\"?"
        ));
    }
    if let Some(meant) = text.rsplit_once(':').and_then(bracketed) {
        return none(text).hint(format!(
            "an IPv6 address needs brackets: did you mean \"{meant}\"?"
        ));
    }
    let (address, name) = text
        .split_once(' ')
        .map_or((text, ""), |(address, name)| (address, name.trim()));
    let parts: Vec<&str> = address.split(':').collect();
    if let [host, port, weight] = parts[..]
        && !host.is_empty()
        && port.parse::<u16>().is_ok()
        && weight.parse::<u32>().is_ok()
    {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!(", name: {name:.80}")
        };
        return none(text).hint(format!(
            "write {{address: {host:.80}:{port}{name}, weight: {weight}}}"
        ));
    }
    none(text).hint("write host:port, [ipv6]:port or unix:/path")
}

/// A host name as RFC 1123 has them, with the underscore that container networks use; or an IP address.
pub fn check_host(host: &str) -> Result<(), Problem> {
    if host.contains(':') {
        return Ok(()); // `split` parsed it.
    }
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let numeric = labels
        .clone()
        .next_back()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(Problem::new(format!("{} is not an IPv4 address", quote(host))));
    }
    let letters = |label: &str| {
        label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let good = |label: &str| !label.is_empty() && label.len() <= 63 && letters(label);
    if host.len() > 253 || !labels.clone().all(good) {
        return Err(Problem::new(format!("{} is not a host name", quote(host)))
            .hint("a host name has letters, digits, hyphens and dots"));
    }
    Ok(())
}

/// Reads the path of a unix socket, whose address begins with `prefix`.
fn unix(prefix: &str, path: &str) -> Result<PathBuf, Problem> {
    let trimmed = path.trim_start_matches('/');
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(Problem::new(format!("{} is not an absolute path", quote(path)))
            .hint(format!("write {}", quote(&format!("{prefix}/{trimmed}")))));
    }
    if path.len() > LONGEST_PATH {
        return Err(
            Problem::new(format!("the path of the socket has {} bytes", path.len()))
                .hint(format!("the system allows {LONGEST_PATH}")),
        );
    }
    if path.ends_with('/') || path.chars().any(char::is_control) {
        return Err(Problem::new(format!("{} is not the path of a socket", quote(path))).hint("name a file"));
    }
    Ok(PathBuf::from(path))
}

fn no_port(text: &str, usual: u16) -> Problem {
    let meant = match text.parse::<Ipv6Addr>() {
        Ok(_) => format!("\"[{text}]:{usual}\""),
        Err(_) if text.starts_with('[') => format!("\"{text:.80}:{usual}\""),
        Err(_) => format!("{text:.80}:{usual}"),
    };
    Problem::new(format!("{} has no port", quote(text))).hint(format!("did you mean {meant}?"))
}

fn none(text: &str) -> Problem {
    Problem::new(format!("{} is not an address", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_were_typed() {
        let long = format!("unix:/{}", "p".repeat(106));
        let cases = [
            "10.0.0.1:11211",
            "Cache-1.example.com:1",
            "cache_a:65535",
            "host.:11211",
            "[::1]:11211",
            "[FE80::1%eth0]:11211",
            "unix:/run/memcached.sock",
            "valkey://10.0.0.9:6379",
            "rediss://[::1]:6380/2",
            "valkey+unix:/run/valkey.sock",
            "redis+unix:/run/redis.sock?db=3",
            &long,
        ];
        for raw in cases {
            assert_eq!(node(raw).expect(raw).to_string(), raw);
        }
    }

    #[test]
    fn what_is_no_address_comes_with_a_way_out() {
        let cases = [
            (
                "10.0.0.1",
                "\"10.0.0.1\" has no port, did you mean 10.0.0.1:11211?",
            ),
            ("cache:", "\"cache\" has no port, did you mean cache:11211?"),
            ("[::1]", "\"[::1]\" has no port, did you mean \"[::1]:11211\"?"),
            (
                "11211",
                "\"11211\" is not an address, did you mean 127.0.0.1:11211?",
            ),
            (":11211", "\":11211\" is not an address, the host is missing"),
            ("a:0", "port 0 is out of range, ports go from 1 to 65535"),
            ("a:65536", "port 65536 is out of range, ports go from 1 to 65535"),
            ("a:+1", "\"a:+1\" is not an address, \"+1\" is not a port"),
            ("a:b", "\"a:b\" is not an address, \"b\" is not a port"),
            (
                "::1:11211",
                "\"::1:11211\" is not an address, an IPv6 address needs brackets: did you mean \"[::1]:11211\"?",
            ),
            (
                "fe80::1",
                "\"fe80::1\" is not an address, an IPv6 address needs brackets: did you mean \"[fe80::1]:11211\"?",
            ),
            (
                "[::g]:1",
                "\"[::g]:1\" is not an address, write an IPv6 address between the brackets",
            ),
            ("[::1:1", "\"[::1:1\" is not an address, a bracket is not closed"),
            (
                "10.0.0.1:11211:2",
                "\"10.0.0.1:11211:2\" is not an address, write {address: 10.0.0.1:11211, weight: 2}",
            ),
            (
                "10.0.0.1:11211:2 b",
                "\"10.0.0.1:11211:2 b\" is not an address, write {address: 10.0.0.1:11211, name: b, weight: 2}",
            ),
            (
                "a:1 b",
                "\"a:1 b\" is not an address, to name a node write {address: a:1, name: b}",
            ),
            (
                "a:b:c",
                "\"a:b:c\" is not an address, write host:port, [ipv6]:port or unix:/path",
            ),
            (
                "10.0.0.256:1",
                "\"10.0.0.256:1\" is not an address: \"10.0.0.256\" is not an IPv4 address",
            ),
            (
                "a b:1",
                "\"a b:1\" is not an address: \"a b\" is not a host name, a host name has letters, digits, hyphens and dots",
            ),
            (
                "/run/m.sock",
                "\"/run/m.sock\" is not an address, for a unix socket write \"unix:/run/m.sock\"",
            ),
            (
                "unix:run/m.sock",
                "\"run/m.sock\" is not an absolute path, write \"unix:/run/m.sock\"",
            ),
            (
                "unix:///m.sock",
                "\"///m.sock\" is not an absolute path, write \"unix:/m.sock\"",
            ),
            ("unix:/run/", "\"/run/\" is not the path of a socket, name a file"),
            (
                "redis+unix:///run/r.sock?db=1",
                "\"///run/r.sock\" is not an absolute path, write \"redis+unix:/run/r.sock\"",
            ),
            (
                "unix:///run/r.sock?db=1",
                "\"unix:///run/r.sock?db=1\" is not an address, a Valkey or Redis is valkey+unix:/run/r.sock?db=NUMBER",
            ),
            (
                "memcached://a:1",
                "\"memcached://a:1\" is not an address, leave the scheme out: \"a:1\"",
            ),
            (
                "http://a:1",
                "\"http://a:1\" is not an address, schemes are valkey, valkeys, redis, rediss, and valkey+unix for a socket; memcached has none",
            ),
            ("redis://a", "\"a\" has no port, did you mean a:6379?"),
            ("", "\"\" has no port, did you mean :11211?"),
        ];
        for (raw, expected) in cases {
            let problem = node(raw).expect_err(raw);
            let hint = problem.hint.map(|hint| format!(", {hint}")).unwrap_or_default();
            assert_eq!(format!("{}{hint}", problem.reason), expected);
        }
        let long = format!("unix:/{}", "p".repeat(107));
        assert_eq!(
            node(&long).expect_err("long").reason,
            "the path of the socket has 108 bytes"
        );
    }

    #[test]
    fn a_password_in_an_address_is_not_quoted() {
        for raw in [
            "bob:secret@cache:11211",
            "bob:secret@cache",
            "secret@cache:11211",
            "bob:secret@",
            "bob:secret@[::1]:11211:1",
            "bob:secret@cache:11211 name",
            "memcached://bob:secret@cache:11211",
            "http://bob:secret@cache:11211",
            "valkey://bob:secret@cache:6379/1",
            "rediss://cache:6379@bob:secret",
            "redis:bob:secret@cache:6379",
            "redis+unix://bob:secret@/run/r.sock",
            "unix:bob:secret@/run/m.sock",
        ] {
            let problems = [
                node(raw).expect_err(raw),
                listener(raw).expect_err(raw),
                takeover(raw).expect_err(raw),
            ];
            for problem in problems {
                assert_eq!(problem.reason, "an address has no user and no password", "{raw}");
                let hint = problem.hint.expect("a way out");
                assert!(!hint.contains("secret") && !hint.contains("bob"), "{hint}");
            }
        }
    }

    #[test]
    fn listeners_bind_ip_addresses_and_sockets_only() {
        for raw in ["127.0.0.1:11211", "[::1]:11211", "0.0.0.0:0", "unix:/run/r.sock"] {
            assert_eq!(listener(raw).expect(raw).to_string(), raw);
        }
        let cases = [
            ("localhost:11211", "write 127.0.0.1:11211"),
            (
                "cache:1",
                "write an IP address of this machine, or 0.0.0.0:1 for every interface",
            ),
            (":11211", "for every interface write 0.0.0.0:11211"),
            ("*:11211", "for every interface write 0.0.0.0:11211"),
            ("127.0.0.1", "did you mean 127.0.0.1:11211?"),
            ("11211", "did you mean 127.0.0.1:11211?"),
            ("127.0.0.1:70000", "ports go from 0 to 65535"),
        ];
        for (raw, hint) in cases {
            assert_eq!(listener(raw).expect_err(raw).hint.as_deref(), Some(hint), "{raw}");
        }
    }
}
