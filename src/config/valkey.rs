//! Addresses of Valkey and Redis nodes: `valkey://host:port/database`, and the same with `redis`, `valkeys` and `rediss`;
//! over a unix socket `valkey+unix:/path?db=database`, and the same with `redis`.
//!
//! The scheme says what answers at an address and whether it speaks TLS, as in the URLs of Redis clients. Users and
//! passwords do not belong there, where logs and metrics would show them: they are in `auth` of the pool, and
//! `credentials` refuses them before an address is split here.

use super::error::{Problem, quote};

/// The default port of Valkey and Redis.
pub const PORT: u16 = 6379;
/// The largest number of a database that a server can be configured for is far below this.
const MAX_DATABASE: u32 = 65_535;

/// A regular expression for the beginning of the address of such a node.
pub const SCHEMES: &str = "(valkey|redis)s?://";
/// A regular expression for its end.
pub const DATABASE: &str = "(/[0-9]{0,5})?";
/// A regular expression for one over a unix socket.
pub const SOCKET: &str = r"(valkey|redis)\+unix:.{1,116}";

/// What answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// A memcached.
    Memcached,
    /// A Valkey or Redis.
    Valkey {
        /// As it is written.
        scheme: Scheme,
        /// The number of the database that holds the items.
        database: u32,
    },
}

impl Server {
    /// What stands before and behind the host and the port of an address.
    pub fn around(self) -> (&'static str, String) {
        match self {
            Server::Memcached => ("", String::new()),
            Server::Valkey { scheme, database: 0 } => (scheme.prefix(), String::new()),
            Server::Valkey { scheme, database } => (scheme.prefix(), format!("/{database}")),
        }
    }

    /// What stands before and behind the path of a unix socket.
    pub fn around_path(self) -> (&'static str, String) {
        match self {
            Server::Memcached => ("unix:", String::new()),
            Server::Valkey { scheme, database: 0 } => (scheme.of_path(), String::new()),
            Server::Valkey { scheme, database } => (scheme.of_path(), format!("?db={database}")),
        }
    }

    /// The same server by whichever of its names.
    pub fn canonical(self) -> Server {
        match self {
            Server::Memcached => Server::Memcached,
            Server::Valkey { database, .. } => Server::Valkey {
                scheme: Scheme::Valkey,
                database,
            },
        }
    }
}

/// The scheme of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `valkey://`
    Valkey,
    /// `redis://`
    Redis,
    /// `valkeys://`: TLS.
    Valkeys,
    /// `rediss://`: TLS.
    Rediss,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Valkey, Scheme::Redis, Scheme::Valkeys, Scheme::Rediss];

    /// What an address of this scheme begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Scheme::Valkey => "valkey://",
            Scheme::Redis => "redis://",
            Scheme::Valkeys => "valkeys://",
            Scheme::Rediss => "rediss://",
        }
    }

    /// What an address of this scheme begins with that is a unix socket, over which there is no TLS.
    fn of_path(self) -> &'static str {
        match self {
            Scheme::Valkey | Scheme::Valkeys => "valkey+unix:",
            Scheme::Redis | Scheme::Rediss => "redis+unix:",
        }
    }

    /// Whether the connection is over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Valkeys | Scheme::Rediss)
    }

    /// The same kind of server with TLS, or without.
    pub fn with_tls(self, is_tls: bool) -> Scheme {
        match (self, is_tls) {
            (Scheme::Valkey | Scheme::Valkeys, false) => Scheme::Valkey,
            (Scheme::Valkey | Scheme::Valkeys, true) => Scheme::Valkeys,
            (_, false) => Scheme::Redis,
            (_, true) => Scheme::Rediss,
        }
    }
}

/// The parts of an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The host and the port, not read yet.
    pub socket: &'a str,
    /// What answers there.
    pub server: Server,
}

/// Splits an address; `None` if it has none of the schemes.
pub fn split(text: &str) -> Option<Result<Parts<'_>, Problem>> {
    let scheme = Scheme::ALL
        .into_iter()
        .find(|scheme| text.starts_with(scheme.prefix()))?;
    let rest = &text[scheme.prefix().len()..];
    Some(parts(text, scheme, rest))
}

/// The parts of the address of a unix socket.
#[derive(Debug, PartialEq, Eq)]
pub struct SocketParts<'a> {
    /// What stands before the path.
    pub prefix: &'static str,
    /// The path, not read yet.
    pub path: &'a str,
    /// What answers there.
    pub server: Server,
}

/// Splits the address of a unix socket; `None` if it has none of the schemes.
pub fn split_socket(text: &str) -> Option<Result<SocketParts<'_>, Problem>> {
    let scheme = [Scheme::Valkey, Scheme::Redis]
        .into_iter()
        .find(|scheme| text.starts_with(scheme.of_path()))?;
    let prefix = scheme.of_path();
    let rest = &text[prefix.len()..];
    let (path, query) = rest.split_once('?').unwrap_or((rest, "db=0"));
    let number = query.strip_prefix("db=").unwrap_or(query);
    Some(read_database(number).map(|database| SocketParts {
        prefix,
        path,
        server: Server::Valkey { scheme, database },
    }))
}

fn read_database(number: &str) -> Result<u32, Problem> {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let database = number
        .parse()
        .ok()
        .filter(|database| digits && *database <= MAX_DATABASE);
    database.ok_or_else(|| {
        Problem::new(format!("{} is not the number of a database", quote(number)))
            .hint("write a number such as 0, or leave it out")
    })
}

fn parts<'a>(text: &str, scheme: Scheme, rest: &'a str) -> Result<Parts<'a>, Problem> {
    if rest.starts_with('/') {
        let problem = Problem::new(format!("{} has no host", quote(text)));
        return Err(problem.hint(format!(
            "for a unix socket write {}",
            quote(&format!("{}/{}", scheme.of_path(), rest.trim_start_matches('/')))
        )));
    }
    if let Some((before, _)) = rest.split_once(['?', '#']) {
        let problem = Problem::new(format!("{} has more than a database", quote(text)));
        return Err(problem.hint(format!(
            "write {}",
            quote(&format!("{}{before}", scheme.prefix()))
        )));
    }
    let (socket, number) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match number {
        "" => 0,
        number => read_database(number)?,
    };
    Ok(Parts {
        socket,
        server: Server::Valkey { scheme, database },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_socket_and_a_database() {
        for (text, socket, scheme, database) in [
            ("valkey://10.0.0.9:6379", "10.0.0.9:6379", Scheme::Valkey, 0),
            ("redis://cache:6379/", "cache:6379", Scheme::Redis, 0),
            ("valkeys://[::1]:6379/3", "[::1]:6379", Scheme::Valkeys, 3),
            ("rediss://cache:6380/15", "cache:6380", Scheme::Rediss, 15),
        ] {
            let server = Server::Valkey { scheme, database };
            let parts = split(text).expect(text).expect(text);
            assert_eq!(parts, Parts { socket, server }, "{text}");
        }
        assert!(split("cache:11211").is_none());
        assert!(split_socket("unix:/run/memcached.sock").is_none());
        assert!(split("memcached://cache:11211").is_none());
    }

    #[test]
    fn a_unix_socket_has_a_path_and_a_database() {
        for (text, path, scheme, database) in [
            ("valkey+unix:/run/v.sock", "/run/v.sock", Scheme::Valkey, 0),
            (
                "redis+unix:/run/r@a.sock?db=12",
                "/run/r@a.sock",
                Scheme::Redis,
                12,
            ),
        ] {
            let server = Server::Valkey { scheme, database };
            let parts = split_socket(text).expect(text).expect(text);
            assert_eq!((parts.path, parts.server), (path, server), "{text}");
        }
        for text in [
            "redis+unix:/run/r.sock?db=",
            "redis+unix:/run/r.sock?db=x",
            "redis+unix:/r?timeout=1",
        ] {
            let problem = split_socket(text).expect(text).expect_err(text);
            assert!(
                problem.reason.ends_with("is not the number of a database"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_does_not_belong_there_comes_with_a_way_out() {
        for (text, reason, hint) in [
            (
                "redis://cache:6379/one",
                "\"one\" is not the number of a database",
                "write a number such as 0, or leave it out",
            ),
            (
                "redis://cache:6379/70000",
                "\"70000\" is not the number of a database",
                "write a number such as 0, or leave it out",
            ),
            (
                "redis:///run/redis.sock",
                "\"redis:///run/redis.sock\" has no host",
                "for a unix socket write \"redis+unix:/run/redis.sock\"",
            ),
            (
                "redis://cache:6379?db=1",
                "\"redis://cache:6379?db=1\" has more than a database",
                "write \"redis://cache:6379\"",
            ),
        ] {
            let problem = split(text).expect(text).expect_err(text);
            assert_eq!(
                (&*problem.reason, problem.hint.as_deref()),
                (reason, Some(hint)),
                "{text}"
            );
        }
    }
}
