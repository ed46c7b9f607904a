//! Nodes that answer every request at once: one that has every key, and one that has none.

use super::scripted::{Scripted, Seen, say};

/// A node that stores everything and finds everything, with its name as the value.
pub fn echo_node(name: &'static str) -> Scripted {
    Scripted::start("1.6.18", move |seen| say(echo_reply(seen, name)))
}

/// What such a node answers.
pub fn echo_reply(seen: &Seen, name: &str) -> String {
    match seen.word(0) {
        "mg" if seen.line.contains(" v") => {
            let base64 = if seen.line.contains(" b ") { " b" } else { "" };
            let (length, key) = (name.len(), seen.word(1));
            format!("VA {length} k{key}{base64} f0 c7\r\n{name}\r\n")
        }
        "get" | "gets" => {
            let cas = if seen.word(0) == "gets" { " 7" } else { "" };
            let value = |key| format!("VALUE {key} 0 {}{cas}\r\n{name}\r\n", name.len());
            seen.line.split(' ').skip(1).map(value).collect::<String>() + "END\r\n"
        }
        "flush_all" => "OK\r\n".to_owned(),
        _ => format!("HD k{}\r\n", seen.word(1)),
    }
}

/// A node that has nothing, and stores everything.
pub fn empty_node() -> Scripted {
    Scripted::start("1.6.18", |seen| match seen.word(0) {
        "get" | "gets" => say("END\r\n"),
        "mg" if seen.line.contains("N10") => say(format!("HD k{} s0 c7 W\r\n", seen.word(1))),
        "mg" => say("EN\r\n"),
        "ms" => say(format!("HD k{}\r\n", seen.word(1))),
        _ => say(format!("NF k{}\r\n", seen.word(1))),
    })
}
