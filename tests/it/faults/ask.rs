//! One request of the load: how it is said, and how its answer is read and checked.

use std::time::Instant;

use super::keys::Key;
use crate::support::client::Client;

/// One request.
pub enum Ask<'a> {
    /// `set`, or `ms`, of a key.
    Set {
        /// The key.
        key: &'a Key,
        /// Said by `ms`.
        is_meta: bool,
    },
    /// `get` of keys.
    Get(Vec<&'a Key>),
    /// `mg` of a key with an opaque.
    MetaGet(&'a Key, u32),
}

/// A request that was sent, and what may be read for it.
pub struct Sent<'a> {
    ask: Ask<'a>,
    /// When it was sent.
    pub at: Instant,
    /// The number of the write, or for each key the least write that may be read.
    numbers: Vec<u32>,
}

/// What was answered.
pub struct Answer<'a> {
    /// Each key of the request: true where it was a hit, or stored.
    pub served: Vec<(&'a Key, bool)>,
    /// Why one was not.
    pub reason: String,
}

/// Sends requests in one piece.
pub fn send<'a>(client: &mut Client, asks: impl IntoIterator<Item = Ask<'a>>) -> Vec<Sent<'a>> {
    let (mut text, mut sent) = (String::new(), Vec::new());
    for ask in asks {
        let (words, numbers) = ask.say();
        text += &words;
        sent.push(Sent {
            ask,
            at: Instant::now(),
            numbers,
        });
    }
    client.send(text);
    sent
}

impl Ask<'_> {
    fn say(&self) -> (String, Vec<u32>) {
        match self {
            Ask::Set { key, is_meta } => {
                let (number, value) = key.write();
                let (name, length) = (&key.name, value.len());
                let text = match is_meta {
                    true => format!("ms {name} {length} F{number}\r\n{value}\r\n"),
                    false => format!("set {name} {number} 0 {length}\r\n{value}\r\n"),
                };
                (text, vec![number])
            }
            Ask::Get(keys) => {
                let names: Vec<&str> = keys.iter().map(|key| &key.name[..]).collect();
                let text = format!("get {}\r\n", names.join(" "));
                (text, keys.iter().map(|key| key.stored()).collect())
            }
            Ask::MetaGet(key, opaque) => {
                let text = format!("mg {} v f k O{opaque}\r\n", key.name);
                (text, vec![key.stored()])
            }
        }
    }
}

impl<'a> Sent<'a> {
    /// Reads the answer. Fails the test where it is no answer to this request, or a wrong one.
    pub fn read(self, client: &mut Client) -> Answer<'a> {
        let mut reason = "a miss".to_owned();
        let served = match &self.ask {
            Ask::Set { key, is_meta } => {
                let line = client.line();
                let is_stored = line == if *is_meta { "HD" } else { "STORED" };
                let is_answer = is_stored || line == if *is_meta { "NS" } else { "NOT_STORED" };
                assert!(is_answer, "no answer to a write of {}: {line}", key.name);
                match is_stored {
                    true => key.note_stored(self.numbers[0]),
                    false => reason = line,
                }
                vec![is_stored]
            }
            Ask::Get(keys) => read_get(client, keys, &self.numbers),
            Ask::MetaGet(key, opaque) => vec![read_mg(client, key, *opaque, self.numbers[0])],
        };
        let keys = match self.ask {
            Ask::Set { key, .. } | Ask::MetaGet(key, _) => vec![key],
            Ask::Get(keys) => keys,
        };
        Answer {
            served: keys.into_iter().zip(served).collect(),
            reason,
        }
    }
}

/// Which of `keys` were hits. Values come in the order in which they were asked for.
fn read_get(client: &mut Client, keys: &[&Key], at_least: &[u32]) -> Vec<bool> {
    let mut hits = vec![false; keys.len()];
    let mut next = 0;
    loop {
        let line = client.line();
        if line == "END" {
            return hits;
        }
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            words.len() == 4 && words[0] == "VALUE",
            "no answer to get: {line}"
        );
        let ahead = keys[next..].iter().position(|key| key.name == words[1]);
        let at = next + ahead.unwrap_or_else(|| panic!("{line} was not asked for, or not here"));
        next = at + 1;
        let value = client.exact(words[3].parse().expect("a length"));
        client.expect("\r\n");
        keys[at].check(words[2].parse().expect("flags"), &value, at_least[at]);
        hits[at] = true;
    }
}

/// Whether it was a hit.
fn read_mg(client: &mut Client, key: &Key, opaque: u32, at_least: u32) -> bool {
    let line = client.line();
    let words: Vec<&str> = line.split(' ').collect();
    let own = [format!("k{}", key.name), format!("O{opaque}")];
    match words[..] {
        // A node says no more of a miss; Ringway, if it has no node to ask, does.
        ["EN"] => false,
        ["EN", ref rest @ ..] if rest == own => false,
        ["VA", length, flags, ref rest @ ..] if rest == own => {
            let value = client.exact(length.parse().expect("a length"));
            client.expect("\r\n");
            let flags = flags.strip_prefix('f').and_then(|flags| flags.parse().ok());
            key.check(flags.expect("flags"), &value, at_least);
            true
        }
        _ => panic!("no answer to mg of {own:?}: {line}"),
    }
}
