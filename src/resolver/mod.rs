//! Resolves names of machines and services: a stub that asks the name servers of `/etc/resolv.conf`,
//! without a thread.
//!
//! ```text
//! name ─▶ literal ─▶ /etc/hosts ─▶ search list ─▶ exchange: UDP, TCP if truncated ─▶ message ─▶ records, TTL
//! ```
//!
//! Both files are read again when they change. `getaddrinfo` returns no TTL, knows no SRV records and
//! blocks a thread for each lookup. Nothing is cached: name servers do that, and callers know how long an
//! answer is valid.

mod conf;
mod exchange;
mod hosts;
pub mod message;
mod scoped;
mod watched;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use conf::Conf;
use hosts::Hosts;
use message::{Kind, Record, Reply};
use watched::Watched;

/// The maximum number of aliases that are followed from one name to the next, each with a question of its
/// own.
const MAX_ALIASES: usize = 8;

/// Returns the resolver that asks `server`, or otherwise the name servers of this machine.
pub fn of(server: Option<SocketAddr>) -> Arc<Resolver> {
    type All = Mutex<HashMap<Option<SocketAddr>, Arc<Resolver>>>;
    static ALL: LazyLock<All> = LazyLock::new(All::default);
    let mut all = ALL.lock().expect("no holder panics");
    let resolver = all
        .entry(server)
        .or_insert_with(|| Arc::new(Resolver::new(server)));
    resolver.clone()
}

/// Asks name servers.
#[derive(Debug)]
pub struct Resolver {
    /// The name server to ask instead of those in the file.
    server: Option<SocketAddr>,
    conf: Watched<Conf>,
    hosts: Watched<Hosts>,
    /// The number of questions asked: with `rotate` each begins with another server.
    asked: AtomicUsize,
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// At least one.
    pub records: Vec<T>,
    /// How long it is valid.
    pub ttl: Duration,
}

/// An SRV record, without its priority and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// A host name, without the dot that ends it.
    pub target: String,
    /// Its port.
    pub port: u16,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The name has no record of this kind.
    NoRecords,
    /// The name servers returned this error, such as `SERVFAIL`.
    Refused(String),
    /// Their answer is malformed.
    Malformed,
    /// They cannot be reached.
    Unreachable(String),
    /// None answered in time.
    Timeout,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchName => f.write_str("no such name (NXDOMAIN)"),
            Error::NoRecords => f.write_str("the name has no such records"),
            Error::Refused(code) => write!(f, "the name server answers {code}"),
            Error::Malformed => f.write_str("the name server's answer makes no sense"),
            Error::Unreachable(reason) => write!(f, "the name server cannot be reached: {reason}"),
            Error::Timeout => f.write_str("no name server answered in time"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether the error proves that there is nothing to be found.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::NoSuchName | Error::NoRecords)
    }
}

impl Resolver {
    /// Returns a resolver that asks `server`, or otherwise those in `/etc/resolv.conf`.
    fn new(server: Option<SocketAddr>) -> Resolver {
        Resolver {
            server,
            conf: Watched::new("/etc/resolv.conf", Conf::parse),
            hosts: Watched::new("/etc/hosts", Hosts::parse),
            asked: AtomicUsize::new(0),
        }
    }

    /// Returns the socket addresses of `host` with `port`. It may be an IPv6 address with the name of an
    /// interface.
    ///
    /// # Errors
    /// Those of [`Resolver::addresses`].
    pub async fn sockets(&self, host: &str, port: u16) -> Result<Answer<SocketAddr>, Error> {
        if let Some(address) = scoped::read(host, port) {
            return Ok(Answer {
                records: vec![address],
                ttl: Duration::ZERO,
            });
        }
        let Answer { records, ttl } = self.addresses(host).await?;
        let sockets = records.into_iter().map(|ip| SocketAddr::new(ip, port));
        Ok(Answer {
            records: sockets.collect(),
            ttl,
        })
    }

    /// Returns the addresses of `host`: IPv4 before IPv6.
    ///
    /// # Errors
    /// It has none, or that cannot be determined.
    pub async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, Error> {
        if let Ok(ip) = host.parse() {
            return Ok(Answer {
                records: vec![ip],
                ttl: Duration::MAX,
            });
        }
        let listed = self.hosts.read().await.addresses(host);
        let known = if listed.is_empty() { local(host) } else { listed };
        if !known.is_empty() {
            return Ok(Answer {
                records: known,
                ttl: Duration::ZERO,
            });
        }
        let conf = self.conf().await;
        let mut failure = Error::NoSuchName;
        for name in conf.candidates(host) {
            let both = tokio::join!(
                self.look_up(&conf, &name, Kind::A),
                self.look_up(&conf, &name, Kind::Aaaa)
            );
            match merge(both) {
                Ok(Answer { records, ttl }) => {
                    let address = |record| match record {
                        Record::Address(address) => Some(address),
                        Record::Service(_) => None,
                    };
                    let records = records.into_iter().filter_map(address).collect();
                    return Ok(Answer { records, ttl });
                }
                Err(error) => failure = worse(failure, error),
            }
        }
        Err(failure)
    }

    /// Returns the services under `name`, such as `_memcache._tcp.example.com`.
    ///
    /// # Errors
    /// There are none, or that cannot be determined.
    pub async fn services(&self, name: &str) -> Result<Answer<Service>, Error> {
        let conf = self.conf().await;
        let mut failure = Error::NoSuchName;
        for name in conf.candidates(name) {
            match self.look_up(&conf, &name, Kind::Srv).await {
                Ok(Answer { records, ttl }) => {
                    let service = |record| match record {
                        Record::Service(service) => Some(service),
                        Record::Address(_) => None,
                    };
                    let records = records.into_iter().filter_map(service).collect();
                    return Ok(Answer { records, ttl });
                }
                Err(error) => failure = worse(failure, error),
            }
        }
        Err(failure)
    }

    async fn conf(&self) -> Conf {
        let mut conf = (*self.conf.read().await).clone();
        if let Some(server) = self.server {
            conf.servers = vec![server];
        }
        conf
    }

    /// Returns the records of one name, at the end of its aliases.
    async fn look_up(&self, conf: &Conf, name: &str, kind: Kind) -> Result<Answer<Record>, Error> {
        let mut name = name.to_owned();
        let mut ttl = Duration::MAX;
        for _ in 0..MAX_ALIASES {
            let first = match conf.rotate {
                true => self.asked.fetch_add(1, Relaxed),
                false => 0,
            };
            match exchange::ask(conf, first, &name, kind).await? {
                Reply::Records(answer) => {
                    return Ok(Answer {
                        ttl: ttl.min(answer.ttl),
                        ..answer
                    });
                }
                Reply::Alias(target, holds) => {
                    ttl = ttl.min(holds);
                    name = target;
                }
            }
        }
        Err(Error::Malformed)
    }
}

/// Returns the addresses of `localhost` if `/etc/hosts` does not contain it (RFC 6761).
fn local(host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    Vec::new()
}

/// Combines the records of both answers; without any, returns the more severe failure.
fn merge(
    (one, other): (Result<Answer<Record>, Error>, Result<Answer<Record>, Error>),
) -> Result<Answer<Record>, Error> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok(Answer {
            records: [one.records, other.records].concat(),
            ttl: one.ttl.min(other.ttl),
        }),
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(only),
        (Err(one), Err(other)) => Err(worse(one, other)),
    }
}

/// Returns the less conclusive failure: that a name was not found under one domain proves little if another
/// could not be asked.
fn worse(one: Error, other: Error) -> Error {
    match (&one, &other) {
        (Error::NoSuchName, _) => other,
        (Error::NoRecords, other_is) if !other_is.is_absence() => other,
        _ => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_and_localhost_stand_for_themselves() {
        let nobody = Resolver::new(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))));
        let found = |host: &'static str| {
            let nobody = &nobody;
            async move { nobody.addresses(host).await.unwrap().records }
        };
        assert_eq!(found("10.0.0.1").await, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(found("fd00::1").await, ["fd00::1".parse::<IpAddr>().unwrap()]);
        assert!(found("LocalHost.").await.iter().all(IpAddr::is_loopback));
        assert_eq!(local("db.localhost").len(), 2);
        assert!(local("localhost.example").is_empty());
    }

    #[test]
    fn a_failure_hides_no_graver_one() {
        let refused = Error::Refused("SERVFAIL".to_owned());
        let cases = [
            (Error::NoSuchName, Error::NoRecords, Error::NoRecords),
            (Error::NoRecords, Error::NoSuchName, Error::NoRecords),
            (Error::NoRecords, Error::Timeout, Error::Timeout),
            (refused.clone(), Error::NoSuchName, refused),
        ];
        for (one, other, expected) in cases {
            assert_eq!(worse(one, other), expected);
        }
    }
}
