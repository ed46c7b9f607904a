//! Parses `/etc/resolv.conf`: the name servers, how to ask them, and the domains to search for short names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The maximum number of servers, as in glibc.
const MAX_SERVERS: usize = 3;

/// The content of the file; the default is what glibc does without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The servers in the order in which they are asked; at least one.
    pub servers: Vec<SocketAddr>,
    /// The domains to search for short names.
    pub search: Vec<String>,
    /// A name with at least this many dots is first looked up as it is.
    pub ndots: usize,
    /// The time for a server to answer.
    pub timeout: Duration,
    /// The number of rounds over all servers; at least one.
    pub attempts: usize,
    /// Whether each question begins with another server.
    pub rotate: bool,
}

impl Conf {
    /// Parses the file's `text`. Invalid parts are ignored, as every program does with this file.
    pub fn parse(text: &str) -> Conf {
        let mut conf = Conf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                // The last of these lines counts.
                Some("domain") => conf.search = words.take(1).map(domain).collect(),
                Some("search") => conf.search = words.map(domain).collect(),
                Some("options") => words.for_each(|option| conf.take(option)),
                _ => {}
            }
        }
        conf.search.retain(|domain| !domain.is_empty());
        conf.servers.truncate(MAX_SERVERS);
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        conf
    }

    fn take(&mut self, option: &str) {
        let (name, number) = option.split_once(':').unwrap_or((option, ""));
        let number = number.parse::<u64>().ok();
        match (name, number) {
            ("ndots", Some(number)) => self.ndots = number.min(15) as usize,
            ("timeout", Some(number)) => self.timeout = Duration::from_secs(number.clamp(1, 30)),
            ("attempts", Some(number)) => self.attempts = number.clamp(1, 5) as usize,
            ("rotate", None) => self.rotate = true,
            _ => {}
        }
    }

    /// Returns the names that `name` may stand for, in the order in which they are tried.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let mut candidates: Vec<String> = self
            .search
            .iter()
            .map(|domain| format!("{name}.{domain}"))
            .collect();
        let has_dots = name.matches('.').count() >= self.ndots;
        candidates.insert(if has_dots { 0 } else { candidates.len() }, name.to_owned());
        candidates
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let ip: IpAddr = text.parse().ok()?;
    Some(SocketAddr::new(ip, 53))
}

fn domain(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_pod_is_read() {
        let conf = Conf::parse(
            "# made by the kubelet\nsearch cache.svc.cluster.local svc.cluster.local. cluster.local\n\
             nameserver 10.96.0.10\nnameserver fd00::a ; the other\nnameserver nonsense\n\
             options ndots:5 timeout:2 attempts:3 rotate edns0\n",
        );
        let expected = Conf {
            servers: vec!["10.96.0.10:53".parse().unwrap(), "[fd00::a]:53".parse().unwrap()],
            search: ["cache.svc.cluster.local", "svc.cluster.local", "cluster.local"]
                .map(str::to_owned)
                .into(),
            ndots: 5,
            timeout: Duration::from_secs(2),
            attempts: 3,
            rotate: true,
        };
        assert_eq!(conf, expected);
    }

    #[test]
    fn without_a_file_the_own_machine_is_asked_and_odd_numbers_are_bounded() {
        let conf = Conf::parse("");
        assert_eq!(conf.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(
            (conf.ndots, conf.attempts, conf.timeout),
            (1, 2, Duration::from_secs(5))
        );
        let odd = Conf::parse("options timeout:0 attempts:99 ndots:-1 ndots:99\ndomain a.example\nsearch\n");
        assert_eq!(
            (odd.ndots, odd.attempts, odd.timeout),
            (15, 5, Duration::from_secs(1))
        );
        assert!(odd.search.is_empty());
        let many = Conf::parse(&"nameserver 10.0.0.1\n".repeat(9));
        assert_eq!(many.servers.len(), 3);
    }

    #[test]
    fn a_short_name_is_searched_first_and_a_long_one_last() {
        let conf = Conf::parse("search a.example b.example\noptions ndots:2\n");
        let cases = [
            ("cache", vec!["cache.a.example", "cache.b.example", "cache"]),
            (
                "cache.x",
                vec!["cache.x.a.example", "cache.x.b.example", "cache.x"],
            ),
            (
                "cache.x.y",
                vec!["cache.x.y", "cache.x.y.a.example", "cache.x.y.b.example"],
            ),
            ("cache.", vec!["cache"]),
        ];
        for (name, expected) in cases {
            assert_eq!(conf.candidates(name), expected, "{name}");
        }
    }
}
