//! Reads the admin address of a running Ringway.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use thiserror::Error;

use crate::resolver;

/// The default port of an admin address.
const PORT: u16 = 9155;

/// The admin address of a running Ringway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A host, by name or address, and a port.
    Tcp {
        /// An IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is asked for.
        is_tls: bool,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = match self {
            AdminAddress::Unix(path) => return write!(f, "unix:{}", path.display()),
            AdminAddress::Tcp { host, port, is_tls } => {
                f.write_str(if *is_tls { "https://" } else { "" })?;
                (host, port)
            }
        };
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl AdminAddress {
    /// The addresses of its host.
    ///
    /// # Errors
    /// Its name cannot be resolved, or it is a unix socket.
    pub fn sockets(&self) -> anyhow::Result<Vec<SocketAddr>> {
        match self {
            AdminAddress::Tcp { host, port, .. } => resolve(host, *port),
            AdminAddress::Unix(_) => bail!("{self} is not the address of a host"),
        }
    }
}

/// What is not an admin address.
#[derive(Debug, Error)]
pub enum BadAddress {
    /// None of the forms.
    #[error(
        "write host:port, port, http://host:port, https://host:port or unix:/path, such as 127.0.0.1:{PORT}"
    )]
    Form,
    /// A URL of another scheme.
    #[error("{0} is not supported: {form}", form = BadAddress::Form)]
    Scheme(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address needs brackets: [{0}]:{PORT}")]
    Brackets(String),
}

/// Parses `host:port`, `host`, `port` or `:port` (on this machine), a URL such as `http://host:port/` or
/// `https://host:port/`, or `unix:/path`.
///
/// # Errors
/// The text is none of these.
pub fn admin(text: &str) -> Result<AdminAddress, BadAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err(BadAddress::Form),
            path => Ok(AdminAddress::Unix(path.into())),
        };
    }
    let (rest, is_tls) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (rest, false),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (rest, true),
        Some((scheme, _)) => return Err(BadAddress::Scheme(scheme.to_owned())),
        None => (text, false),
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
    Ok(AdminAddress::Tcp {
        host: host.to_owned(),
        port,
        is_tls,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
            ("https://ringway.example.com", "https://ringway.example.com:9155"),
            ("HTTPS://[::1]:1/", "https://[::1]:1"),
            ("unix:/run/ringway/admin.sock", "unix:/run/ringway/admin.sock"),
        ];
        for (raw, expected) in cases {
            assert_eq!(admin(raw).expect(raw).to_string(), expected);
        }
        for bad in [
            "", ":", "a:b", "a:70000", "70000", "ftp://a", "unix:", "::1", "[::1", "[::1]9", "http://",
        ] {
            assert!(admin(bad).is_err(), "{bad}");
        }
    }
}
