//! Parses the list of nodes from a configuration endpoint of ElastiCache, or of a compatible service.
//!
//! ```text
//! C: config get cluster\r\n                     since engine 1.4.14; before: get AmazonElastiCache:cluster\r\n
//! S: CONFIG cluster 0 147\r\n                         VALUE AmazonElastiCache:cluster 0 147\r\n
//!    12\n                                        the version of the list: it only grows
//!    host|ip|port host|ip|port\n                 the ip may be empty
//!    \r\n
//!    END\r\n
//! ```

use std::sync::Arc;

use thiserror::Error;

use super::node;
use crate::config::{Node, Origin, is_host};

/// The query for an endpoint.
pub const QUESTION: &[u8] = b"config get cluster\r\n";
/// The query for endpoints that do not know the first.
pub const OLD_QUESTION: &[u8] = b"get AmazonElastiCache:cluster\r\n";

/// The maximum size of a list, in bytes: thousands of nodes.
pub const LONGEST: usize = 1 << 20;
/// The maximum length of the first line.
const LONGEST_HEAD: usize = 256;

/// The answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The version of the list.
    pub version: u64,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// Why something is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// It begins with more than any first line.
    #[error("its first line is too long")]
    LongHead,
    /// Its first line announces no list.
    #[error("it answers {0:?}")]
    Head(String),
    /// The list does not end where it should.
    #[error("its list is not as long as it says")]
    Length,
    /// The list is not UTF-8.
    #[error("its list is no text")]
    NoText,
    /// The first line of the list is no number.
    #[error("its version is {0:?}, no number")]
    Version(String),
    /// A word of the list is no node.
    #[error("its list has {0:?}, no node")]
    Node(String),
}

/// The result of parsing a partial answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Incomplete.
    Incomplete,
    /// The endpoint does not know the command.
    Unknown,
    /// The complete answer.
    Whole(Cluster),
}

/// Parses an answer from `bytes`, everything that has arrived so far; its nodes get `origin`.
///
/// # Errors
/// The reason why it is not an answer to either query.
pub fn read(bytes: &[u8], origin: &Arc<Origin>) -> Result<Read, BadAnswer> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return match bytes.len() {
            0..=LONGEST_HEAD => Ok(Read::Incomplete),
            _ => Err(BadAnswer::LongHead),
        };
    };
    // Refused with its end too, or its meaning would depend on the pieces in which it came.
    let head = bytes.get(..end).filter(|head| head.len() <= LONGEST_HEAD);
    let head = head.ok_or(BadAnswer::LongHead)?;
    let head = head.strip_suffix(b"\r").unwrap_or(head);
    if matches!(head, b"ERROR" | b"END") || head.starts_with(b"CLIENT_ERROR ") {
        return Ok(Read::Unknown);
    }
    let length = length(head).ok_or_else(|| BadAnswer::Head(head.escape_ascii().to_string()))?;
    let data = &bytes[end + 1..];
    let Some(tail) = data.get(length..) else {
        return Ok(Read::Incomplete);
    };
    const TAIL: &[u8] = b"\r\nEND\r\n";
    match tail.get(..TAIL.len()) {
        None if TAIL.starts_with(tail) => return Ok(Read::Incomplete),
        Some(TAIL) if tail.len() == TAIL.len() => {}
        _ => return Err(BadAnswer::Length),
    }
    cluster(&data[..length], origin).map(Read::Whole)
}

/// Returns the size of the list that the first line announces.
fn length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let rest = head
        .strip_prefix("CONFIG cluster ")
        .or_else(|| head.strip_prefix("VALUE AmazonElastiCache:cluster "))?;
    let (flags, length) = rest.split_once(' ')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.split(' ').next().filter(|length| is_number(length))?;
    let length = length.parse().ok().filter(|length| *length <= LONGEST);
    length.filter(|_| is_number(flags))
}

fn cluster(data: &[u8], origin: &Arc<Origin>) -> Result<Cluster, BadAnswer> {
    let text = std::str::from_utf8(data).map_err(|_| BadAnswer::NoText)?;
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default().trim();
    let version = version.parse().map_err(|_| BadAnswer::Version(cut(version)))?;
    let nodes: Result<Vec<Node>, BadAnswer> = lines
        .flat_map(str::split_ascii_whitespace)
        .map(|text| read_node(text, origin).ok_or_else(|| BadAnswer::Node(cut(text))))
        .collect();
    Ok(Cluster {
        version,
        nodes: nodes?,
    })
}

/// Parses a node, `host|ip|port`. It is identified by its host name, which outlives its address.
fn read_node(text: &str, origin: &Arc<Origin>) -> Option<Node> {
    let mut parts = text.split('|');
    let (host, ip, port) = (parts.next()?, parts.next()?, parts.next()?);
    let host = if host.is_empty() { ip } else { host };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|&port| port > 0 && is_number)?;
    (parts.next().is_none() && is_host(host)).then(|| node(host, port, origin))
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "12\nmyCluster.pc4ldq.0001.use1.cache.amazonaws.com|10.82.235.120|11211 \
                        myCluster.pc4ldq.0002.use1.cache.amazonaws.com|10.80.249.27|11211\n";

    fn origin() -> Arc<Origin> {
        Arc::new(Origin {
            from: "elasticache+cfg:11211".to_owned(),
            zone: None,
            resolver: None,
        })
    }

    fn answer(head: &str, list: &str) -> Vec<u8> {
        format!("{head} 0 {}\r\n{list}\r\nEND\r\n", list.len()).into_bytes()
    }

    fn labels(read: &Read) -> (u64, Vec<String>) {
        match read {
            Read::Whole(cluster) => (cluster.version, cluster.nodes.iter().map(Node::label).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_as_documented_is_read_at_every_split_and_the_older_form_too() {
        for head in ["CONFIG cluster", "VALUE AmazonElastiCache:cluster"] {
            let bytes = answer(head, LIST);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end], &origin()), Ok(Read::Incomplete), "{end}");
            }
            let (version, nodes) = labels(&read(&bytes, &origin()).unwrap());
            assert_eq!(version, 12);
            let names = [1, 2].map(|n| format!("myCluster.pc4ldq.000{n}.use1.cache.amazonaws.com:11211"));
            assert_eq!(nodes, names);
        }
    }

    #[test]
    fn a_node_without_an_ip_or_without_a_host_is_known_by_the_other() {
        let bytes = answer(
            "CONFIG cluster",
            "1\na.example||11211 |10.0.0.2|11212 fd00::1|fd00::1|1\r\n",
        );
        let (_, nodes) = labels(&read(&bytes, &origin()).unwrap());
        assert_eq!(nodes, ["a.example:11211", "10.0.0.2:11212", "[fd00::1]:1"]);
        let empty = answer("CONFIG cluster", "3\n\n");
        assert_eq!(labels(&read(&empty, &origin()).unwrap()), (3, Vec::new()));
    }

    #[test]
    fn an_endpoint_that_does_not_know_the_question_says_so() {
        for unknown in ["ERROR\r\n", "END\r\n", "CLIENT_ERROR no\r\n"] {
            assert_eq!(
                read(unknown.as_bytes(), &origin()),
                Ok(Read::Unknown),
                "{unknown}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_with_the_reason() {
        let cases: &[(&[u8], &str)] = &[
            (b"HTTP/1.1 400 Bad Request\r\n", "it answers \"HTTP/1.1 400"),
            (b"CONFIG cluster 0 99999999999\r\n", "it answers"),
            (b"CONFIG cluster 0 -1\r\n", "it answers"),
            (b"CONFIG cluster 0 4\r\n1\na|b|1\r\nEND\r\n", "not as long"),
            (&answer("CONFIG cluster", "x\na|b|1\n"), "its version is \"x\""),
            (&answer("CONFIG cluster", "1\na|b|0\n"), "has \"a|b|0\", no node"),
            (&answer("CONFIG cluster", "1\na|b|+1\n"), "no node"),
            (&answer("CONFIG cluster", "1\na/b|b|1\n"), "no node"),
            (&answer("CONFIG cluster", "1\na|b|1|c\n"), "no node"),
            (&answer("CONFIG cluster", "1\na:11211\n"), "no node"),
            (&[b'x'; 300], "too long"),
        ];
        for (bytes, reason) in cases {
            let found = read(bytes, &origin()).unwrap_err().to_string();
            assert!(found.contains(reason), "{found} is not {reason}");
        }
    }
}
