//! What the errors of a Valkey or Redis mean.
//!
//! | error | meaning |
//! |---|---|
//! | `WRONGTYPE` | the key has a value that is no string: a read misses |
//! | `OOM` | the server is at its `maxmemory` and evicts nothing: the write fails |
//! | `NOSCRIPT` | the server has lost the script: the request is sent once more, with the script, or fails |
//! | `LOADING`, `BUSY`, `READONLY`, `MASTERDOWN`, `MISCONF`, `NOREPLICAS`, `NOAUTH`, `MOVED`, `ASK`, `CLUSTERDOWN` | the node cannot serve: the request fails, and the node's health with it |
//! | anything else | the client reads `SERVER_ERROR` and the error |

use memchr::memmem;

use crate::protocol::Failure;

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The key has a value of another type.
    OtherType,
    /// The request was not executed, for this reason.
    Failed(Failure),
    /// So it was, and so will others be: the node cannot serve.
    NodeFailed,
    /// The request was refused, as a memcached refuses one.
    Error,
}

/// The first words of errors that say that the node cannot serve.
const OF_THE_NODE: [&[u8]; 10] = [
    b"LOADING",
    b"BUSY",
    b"READONLY",
    b"MASTERDOWN",
    b"MISCONF",
    b"NOREPLICAS",
    b"NOAUTH",
    b"MOVED",
    b"ASK",
    b"CLUSTERDOWN",
];

/// Returns what the error `line` means, which is given without its minus sign.
pub fn of(line: &[u8]) -> Refusal {
    let word = first_word(line);
    // Redis 6.2 wraps the error of a command that a script called.
    let inner = memmem::find(line, b": -").filter(|_| word == b"ERR");
    let word = inner.map_or(word, |at| first_word(&line[at + 3..]));
    match word {
        b"WRONGTYPE" => Refusal::OtherType,
        b"OOM" => Refusal::Failed(Failure::OutOfMemory),
        b"NOSCRIPT" => Refusal::Failed(Failure::Refused),
        word if OF_THE_NODE.contains(&word) => Refusal::NodeFailed,
        _ => Refusal::Error,
    }
}

/// Whether the error `line` says that the server has lost the script.
pub fn is_no_script(line: &[u8]) -> bool {
    first_word(line) == b"NOSCRIPT"
}

/// Whether the error `reason` says that the server is a replica.
pub fn is_of_replica(reason: &str) -> bool {
    first_word(reason.as_bytes()) == b"READONLY"
}

fn first_word(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b' ').next().unwrap_or_default()
}

#[test]
fn errors_are_told_apart_by_their_first_word() {
    for (line, refusal) in [
        ("WRONGTYPE Operation against a key", Refusal::OtherType),
        (
            "OOM command not allowed when used memory > 'maxmemory'.",
            Refusal::Failed(Failure::OutOfMemory),
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:9: @user_script: 9: -OOM command not allowed",
            Refusal::Failed(Failure::OutOfMemory),
        ),
        (
            "NOSCRIPT No matching script. Please use EVAL.",
            Refusal::Failed(Failure::Refused),
        ),
        (
            "LOADING Redis is loading the dataset in memory",
            Refusal::NodeFailed,
        ),
        (
            "READONLY You can't write against a read only replica.",
            Refusal::NodeFailed,
        ),
        ("MOVED 3999 127.0.0.1:6381", Refusal::NodeFailed),
        (
            "NOPERM this user has no permissions to run the 'flushdb' command",
            Refusal::Error,
        ),
        ("ERR value is not an integer or out of range", Refusal::Error),
        ("", Refusal::Error),
    ] {
        assert_eq!(of(line.as_bytes()), refusal, "{line}");
    }
}
