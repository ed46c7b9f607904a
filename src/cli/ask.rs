//! An HTTP client for the admin address of a running Ringway.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, anyhow};
use thiserror::Error;

use crate::resolver;

/// The timeout of a request that involves no node.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The default port of an admin address.
const PORT: u16 = 9155;

/// The maximum size of an answer in bytes: enough for the nodes of a large cluster.
const MAX_ANSWER: u64 = 64 << 20;

/// The admin address of a running Ringway: a host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAddress {
    /// An IPv6 address without its brackets.
    host: String,
    port: u16,
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl AdminAddress {
    /// Its addresses.
    ///
    /// # Errors
    /// Its name cannot be resolved.
    pub fn sockets(&self) -> anyhow::Result<Vec<SocketAddr>> {
        resolve(&self.host, self.port)
    }
}

/// What is not an admin address.
#[derive(Debug, Error)]
pub enum BadAddress {
    /// None of the forms.
    #[error("write host:port, port or http://host:port, such as 127.0.0.1:{PORT}")]
    Form,
    /// A URL of another scheme than http.
    #[error("{0} is not supported: {form}", form = BadAddress::Form)]
    Scheme(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address needs brackets: [{0}]:{PORT}")]
    Brackets(String),
}

/// Parses `host:port`, `host`, `port` or `:port` (on this machine), or a URL such as `http://host:port/`.
///
/// # Errors
/// The text is none of these.
pub fn admin(text: &str) -> Result<AdminAddress, BadAddress> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((scheme, _)) => return Err(BadAddress::Scheme(scheme.to_owned())),
        None => text,
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(BadAddress::Form)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(BadAddress::Form)?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(BadAddress::Brackets(authority.to_owned()));
            }
            Some((host, port)) => (host, Some(port)),
            // The resolver would read a number as an IPv4 address: 22012 is 0.0.85.252.
            None if is_number(authority) => ("", Some(authority)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| BadAddress::Form)?,
        None if host.is_empty() => return Err(BadAddress::Form),
        None => PORT,
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Ok(AdminAddress {
        host: host.to_owned(),
        port,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the status and the body of the answer to `GET path`.
///
/// # Errors
/// `admin` does not answer within `patience`.
pub fn get(admin: &AdminAddress, path: &str, patience: Duration) -> anyhow::Result<(String, String)> {
    let exchange = |address: SocketAddr| -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        // By its address, which Ringway always accepts as a host; its name may not be in `admin.hosts`.
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mut addresses = admin.sockets()?.into_iter().peekable();
    let mut answer = None;
    while let Some(address) = addresses.next() {
        match exchange(address) {
            Ok(found) => {
                answer = Some(found);
                break;
            }
            Err(_) if addresses.peek().is_some() => {}
            // Its kind is omitted: main takes a broken pipe for one of our own output.
            Err(error) => return Err(anyhow!("cannot reach {admin}: {error}")),
        }
    }
    let answer = answer.with_context(|| format!("{} has no address", admin.host))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}

/// Returns the addresses of `host`, by Ringway's own resolver: a program without a dynamic C library has no other.
fn resolve(host: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(resolver::of(None).sockets(host, port));
    let answer = answer.with_context(|| format!("cannot resolve {host}"))?;
    Ok(answer.records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_is_read_in_each_form() {
        let cases = [
            ("127.0.0.1:9155", "127.0.0.1:9155"),
            ("localhost:9200", "localhost:9200"),
            ("ringway.example.com", "ringway.example.com:9155"),
            (":9200", "127.0.0.1:9200"),
            ("9200", "127.0.0.1:9200"),
            ("http://localhost:9200/", "localhost:9200"),
            ("http://localhost", "localhost:9155"),
            ("HTTP://10.0.0.1:1/readyz?x", "10.0.0.1:1"),
            ("[::1]:9200", "[::1]:9200"),
            ("http://[::1]", "[::1]:9155"),
        ];
        for (raw, expected) in cases {
            assert_eq!(admin(raw).expect(raw).to_string(), expected);
        }
        for bad in [
            "",
            ":",
            "a:b",
            "a:70000",
            "70000",
            "https://a",
            "::1",
            "[::1",
            "[::1]9",
            "http://",
        ] {
            assert!(admin(bad).is_err(), "{bad}");
        }
    }
}
