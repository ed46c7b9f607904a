//! An HTTP client for the admin address of a running Ringway: over TCP, TLS or a unix socket, with its token.

mod address;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::unquoted::Unquoted;
use crate::config::NodeTls;

pub use address::{AdminAddress, admin};

/// The timeout of a request that involves no node.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The environment variable with the token.
const TOKEN: &str = "RINGWAY_ADMIN_TOKEN";

/// The maximum size of an answer in bytes: enough for the nodes of a large cluster.
const MAX_ANSWER: u64 = 64 << 20;

/// The beginning of an answer.
const HTTP: &[u8] = b"HTTP/1.";

/// Returns the status and the body of an `answer`; `None` if it is not HTTP. Without a body it is what people are told.
fn parse(answer: &str) -> Option<(String, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head
        .split(' ')
        .nth(1)
        .filter(|_| head.as_bytes().starts_with(HTTP))?;
    let body = match body.trim() {
        "" => format!("it answers with HTTP status {status} and nothing else"),
        _ => body.to_owned(),
    };
    Some((status.to_owned(), body))
}

/// Writes each byte of `text` as `%XX`, for a query.
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What a protected admin listener asks for.
#[derive(Debug, Clone, Default, Args)]
pub struct Credentials {
    /// The file with the token of `admin.token`; otherwise $RINGWAY_ADMIN_TOKEN, if set.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority, in PEM, that signed the certificate of `admin.tls`; default: those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client certificate, in PEM, for an admin listener with `client_ca`.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the client certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// The running Ringway that a command asks.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Its admin address: host:port, port, http://host:port, https://host:port or unix:/path.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155", value_parser = Unquoted(admin))]
    admin: AdminAddress,
    /// What the admin listener asks for.
    #[command(flatten)]
    credentials: Credentials,
}

impl Target {
    /// Returns what can be asked.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn open(&self) -> anyhow::Result<Admin<'_>> {
        Admin::new(&self.admin, &self.credentials)
    }
}

impl Credentials {
    fn token(&self) -> anyhow::Result<Option<String>> {
        let token = match &self.token_file {
            Some(file) => {
                let read = std::fs::read_to_string(file);
                Some(read.with_context(|| format!("cannot read {}", file.display()))?)
            }
            None => std::env::var(TOKEN).ok(),
        };
        let token = token.map(|token| token.trim_end_matches(['\r', '\n']).to_owned());
        let is_odd = |token: &String| token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic());
        if token.as_ref().is_some_and(is_odd) {
            bail!("the token is not one word of ASCII");
        }
        Ok(token)
    }

    fn tls(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let pair = self.cert.as_deref().zip(self.key.as_deref());
        let tls = NodeTls::from_files(self.ca.as_deref(), pair).map_err(|problem| {
            let hint = problem.hint.unwrap_or_default();
            anyhow!("{}, {hint}", problem.reason)
        })?;
        Ok(tls.client)
    }
}

/// A running Ringway that can be asked.
#[derive(Debug)]
pub struct Admin<'a> {
    address: &'a AdminAddress,
    token: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl std::fmt::Display for Admin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

impl<'a> Admin<'a> {
    /// Returns the Ringway at `address`, which is shown `credentials`.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn new(address: &'a AdminAddress, credentials: &Credentials) -> anyhow::Result<Admin<'a>> {
        let is_tls = matches!(address, AdminAddress::Tcp { is_tls: true, .. });
        if !is_tls && (credentials.ca.is_some() || credentials.cert.is_some()) {
            bail!("--ca and --cert are for TLS: write --admin https://HOST:PORT");
        }
        Ok(Admin {
            address,
            token: credentials.token()?,
            tls: is_tls.then(|| credentials.tls()).transpose()?,
        })
    }

    /// Returns the status and the body of the answer to `GET path`.
    ///
    /// # Errors
    /// It does not answer within `patience`.
    pub fn get(&self, path: &str, patience: Duration) -> anyhow::Result<(String, String)> {
        self.ask(&format!("GET {path}"), patience)
    }

    /// Returns the status and the body of the answer to `POST path`.
    ///
    /// # Errors
    /// It does not answer within `patience`.
    pub fn post(&self, path: &str, patience: Duration) -> anyhow::Result<(String, String)> {
        self.ask(&format!("POST {path}"), patience)
    }

    fn ask(&self, what: &str, patience: Duration) -> anyhow::Result<(String, String)> {
        let answer = match self.address {
            AdminAddress::Tcp { host, .. } => self.ask_host(host, what, patience),
            AdminAddress::Unix(socket) => UnixStream::connect(socket)
                .and_then(|stream| {
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    self.exchange(stream, "localhost", what)
                })
                .map_err(|error| self.unreachable(&error)),
        };
        let answer = parse(&String::from_utf8_lossy(&answer?));
        answer.ok_or_else(|| {
            let way_out = match self.tls {
                Some(_) => "",
                None => " If it has TLS, write https://.",
            };
            anyhow!("{self}: no HTTP answer: is this the admin address?{way_out}")
        })
    }

    /// Asks the first address of `host` that answers.
    fn ask_host(&self, host: &str, what: &str, patience: Duration) -> anyhow::Result<Vec<u8>> {
        let mut addresses = self.address.sockets()?.into_iter().peekable();
        while let Some(address) = addresses.next() {
            match self.ask_address(host, address, what, patience) {
                Ok(answer) => return Ok(answer),
                Err(_) if addresses.peek().is_some() => {}
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        bail!("{host} has no address")
    }

    fn ask_address(
        &self,
        host: &str,
        address: SocketAddr,
        what: &str,
        patience: Duration,
    ) -> io::Result<Vec<u8>> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        // By its address, which Ringway always accepts as a host; its name may not be in `admin.hosts`.
        let field = address.to_string();
        let Some(tls) = &self.tls else {
            return self.exchange(stream, &field, what);
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
        self.exchange(StreamOwned::new(connection, stream), &field, what)
    }

    fn exchange(&self, mut stream: impl Read + Write, host: &str, what: &str) -> io::Result<Vec<u8>> {
        let mut head = format!("{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.flush()?;
        let mut answer = Vec::new();
        match stream.take(MAX_ANSWER).read_to_end(&mut answer) {
            // A server of another protocol waits for more commands.
            Err(_) if !answer.is_empty() && !answer.starts_with(HTTP) => Ok(answer),
            Err(error) => Err(error),
            Ok(_) => Ok(answer),
        }
    }

    /// Its kind is omitted: main takes a broken pipe for one of our own output.
    fn unreachable(&self, error: &io::Error) -> anyhow::Error {
        anyhow!("cannot reach {}: {error}", self.address)
    }
}
