//! Checks the bytes a connection reads against the requests it sent, byte for byte: nothing passes that is not
//! exactly a right answer. A miss and an error line are right answers too, and counted; anything else ends the run
//! with what was asked and what was read. Knows no socket.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};

use super::dataset::Dataset;
use super::wire::{Answer, Verb, Wire, array_head};

/// Marks a key whose value has come.
const TAKEN: u32 = u32::MAX;
/// No line we may read is longer.
const LONGEST_LINE: usize = 2048;

/// A reply that brought no value and was no error.
const REPLY: Outcome = Outcome {
    replies: 1,
    hits: 0,
    misses: 0,
    errors: 0,
};

/// What the replies held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub replies: u64,
    pub hits: u64,
    pub misses: u64,
    pub errors: u64,
}

/// The replies owed to one connection, in order.
#[derive(Debug)]
pub struct Checker {
    wire: Wire,
    owed: VecDeque<Owed>,
    /// The keys of all gets since the queue was last empty; `Owed::Values` points here.
    asked: Vec<u32>,
    /// Bytes of the value in progress that were found right.
    verified: usize,
}

#[derive(Debug, Clone, Copy)]
enum Owed {
    Stored {
        key: u32,
    },
    /// Keys `start..end` of `asked`. Nodes answer in the order asked, a proxy may not: the search starts at `next`.
    Values {
        start: usize,
        end: usize,
        next: usize,
        hits: usize,
    },
    /// The same in RESP, where the head of the reply has come and values come in the order asked.
    Rest {
        next: usize,
        end: usize,
        found: Outcome,
    },
}

enum Step {
    /// The bytes end in the middle of something.
    More,
    /// A value of so many bytes; its reply goes on.
    Value(usize),
    /// The end of a reply.
    Done(usize, Outcome),
}

impl Checker {
    /// Nothing is owed yet to a connection that speaks `wire`.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            owed: VecDeque::new(),
            asked: Vec::new(),
            verified: 0,
        }
    }

    /// A set of `key` was sent.
    pub fn expect_stored(&mut self, key: u32) {
        self.owed.push_back(Owed::Stored { key });
    }

    /// A get of `keys`, all different, was sent.
    pub fn expect_values(&mut self, keys: &[u32]) {
        let start = self.asked.len();
        self.asked.extend_from_slice(keys);
        self.owed.push_back(Owed::Values {
            start,
            end: self.asked.len(),
            next: start,
            hits: 0,
        });
    }

    /// True when every reply has come.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Checks what can be checked of `bytes`, which start where the last call stopped. Gives the number of bytes
    /// that are done with, and adds what they held to `outcome`.
    ///
    /// # Errors
    /// A wrong byte.
    pub fn check(&mut self, bytes: &[u8], dataset: &Dataset, outcome: &mut Outcome) -> Result<usize> {
        let mut at = 0;
        while !self.owed.is_empty() {
            match self.step(&bytes[at..], dataset)? {
                Step::More => return Ok(at),
                Step::Value(length) => at += length,
                Step::Done(length, reply) => {
                    at += length;
                    outcome.replies += reply.replies;
                    outcome.hits += reply.hits;
                    outcome.misses += reply.misses;
                    outcome.errors += reply.errors;
                    self.owed.pop_front();
                }
            }
        }
        self.asked.clear();
        if at < bytes.len() {
            bail!("nothing was asked any more, read {}", shown(&bytes[at..]));
        }
        Ok(at)
    }

    /// The oldest request that still lacks its reply, for a message.
    pub fn describe_owed(&self, dataset: &Dataset) -> String {
        match self.owed.front() {
            None => "nothing".to_owned(),
            Some(Owed::Stored { key }) => format!("set {}", dataset.item(*key).key()),
            Some(&Owed::Rest { next, end, .. }) => {
                format!(
                    "MGET, {} values to come, the next of {}",
                    end - next,
                    dataset.item(self.asked[next]).key()
                )
            }
            Some(&Owed::Values { start, end, hits, .. }) => {
                let left: Vec<&str> = self.asked[start..end]
                    .iter()
                    .filter(|key| **key != TAKEN)
                    .map(|key| dataset.item(*key).key())
                    .collect();
                format!(
                    "get of {} keys, {hits} answered, left: {}",
                    end - start,
                    left.join(" ")
                )
            }
        }
    }

    fn step(&mut self, rest: &[u8], dataset: &Dataset) -> Result<Step> {
        match self.wire {
            Wire::Classic => self.classic(rest, dataset),
            Wire::Meta | Wire::Binary => self.single(rest, dataset),
            Wire::Resp => match self.owed.front() {
                Some(&Owed::Values { start, end, .. }) if end - start > 1 => {
                    self.array(start, end, rest, dataset)
                }
                Some(&Owed::Rest { next, end, found }) => self.element(next, end, found, rest, dataset),
                _ => self.single(rest, dataset),
            },
        }
    }

    /// The head of the reply to a MGET of the keys at `start..end`.
    fn array(&mut self, start: usize, end: usize, rest: &[u8], dataset: &Dataset) -> Result<Step> {
        if rest.starts_with(b"-") {
            let end = memchr::memchr(b'\n', rest);
            return Ok(end.map_or(Step::More, |end| {
                Step::Done(end + 1, Outcome { errors: 1, ..REPLY })
            }));
        }
        let head = array_head(end - start);
        if rest.starts_with(&head) {
            self.owed[0] = Owed::Rest {
                next: start,
                end,
                found: REPLY,
            };
            return Ok(Step::Value(head.len()));
        }
        match head.starts_with(rest) {
            true => Ok(Step::More),
            false => self.wrong(rest, dataset),
        }
    }

    /// One value of a MGET: that of the key at `next`.
    fn element(
        &mut self,
        next: usize,
        end: usize,
        mut found: Outcome,
        rest: &[u8],
        dataset: &Dataset,
    ) -> Result<Step> {
        let key = self.asked[next];
        let Ok(read) = self.wire.read(Verb::Get, dataset.item(key), key, rest) else {
            return self.wrong(rest, dataset);
        };
        let Some((answer, length)) = read else {
            return Ok(Step::More);
        };
        match answer {
            Answer::Hit => found.hits += 1,
            Answer::Miss => found.misses += 1,
            Answer::Stored | Answer::Error => return self.wrong(rest, dataset),
        }
        if next + 1 == end {
            return Ok(Step::Done(length, found));
        }
        self.owed[0] = Owed::Rest {
            next: next + 1,
            end,
            found,
        };
        Ok(Step::Value(length))
    }

    /// The reply to a request of one key in meta or binary.
    fn single(&mut self, rest: &[u8], dataset: &Dataset) -> Result<Step> {
        let (verb, key) = match self.owed.front() {
            Some(Owed::Stored { key }) => (Verb::Set, *key),
            Some(Owed::Values { start, .. }) => (Verb::Get, self.asked[*start]),
            Some(Owed::Rest { .. }) | None => return self.wrong(rest, dataset),
        };
        let Ok(read) = self.wire.read(verb, dataset.item(key), key, rest) else {
            return self.wrong(rest, dataset);
        };
        let Some((answer, length)) = read else {
            return Ok(Step::More);
        };
        let outcome = match answer {
            Answer::Hit => Outcome { hits: 1, ..REPLY },
            Answer::Miss => Outcome { misses: 1, ..REPLY },
            Answer::Stored => REPLY,
            Answer::Error => Outcome { errors: 1, ..REPLY },
        };
        Ok(Step::Done(length, outcome))
    }

    fn classic(&mut self, rest: &[u8], dataset: &Dataset) -> Result<Step> {
        let Some(line_end) = memchr::memchr(b'\n', rest) else {
            if rest.len() > LONGEST_LINE {
                return self.wrong(rest, dataset);
            }
            return Ok(Step::More);
        };
        let line = &rest[..=line_end];
        match self.owed.front() {
            Some(Owed::Values { .. }) if line.starts_with(b"VALUE ") => self.value(line, rest, dataset),
            Some(Owed::Values { start, end, hits, .. }) if line == b"END\r\n" => {
                let (hits, misses) = (*hits as u64, (end - start - hits) as u64);
                Ok(Step::Done(
                    line.len(),
                    Outcome {
                        replies: 1,
                        hits,
                        misses,
                        errors: 0,
                    },
                ))
            }
            Some(Owed::Stored { .. }) if line == b"STORED\r\n" => Ok(Step::Done(line.len(), REPLY)),
            _ if is_error(line) => Ok(Step::Done(line.len(), Outcome { errors: 1, ..REPLY })),
            _ => self.wrong(rest, dataset),
        }
    }

    /// `rest` starts with `line`, which opens a value of the get at the head of the queue.
    fn value(&mut self, line: &[u8], rest: &[u8], dataset: &Dataset) -> Result<Step> {
        let Some(place) = self.find(line, dataset) else {
            return self.wrong(rest, dataset);
        };
        let block = dataset.item(self.asked[place]).block();
        let come = rest.len().min(block.len());
        let (read, right) = (&rest[self.verified..come], &block[self.verified..come]);
        if read != right {
            let first = read
                .iter()
                .zip(right)
                .take_while(|(read, right)| read == right)
                .count();
            let (read, right) = (read[first], right[first]);
            let at = self.verified + first;
            return self
                .wrong(rest, dataset)
                .with_context(|| format!("byte {at} of the reply is {read:#04x}, not {right:#04x}"));
        }
        if come < block.len() {
            self.verified = come;
            return Ok(Step::More);
        }
        self.verified = 0;
        self.asked[place] = TAKEN;
        if let Some(Owed::Values { next, hits, .. }) = self.owed.front_mut() {
            *next = place + 1;
            *hits += 1;
        }
        Ok(Step::Value(come))
    }

    /// The place in `asked` of the key whose value starts with `line`, if it was asked and has not come yet.
    fn find(&self, line: &[u8], dataset: &Dataset) -> Option<usize> {
        let Some(&Owed::Values { start, end, next, .. }) = self.owed.front() else {
            return None;
        };
        (next..end).chain(start..next).find(|&place| {
            let key = self.asked[place];
            key != TAKEN && dataset.item(key).header() == line
        })
    }

    fn wrong(&self, rest: &[u8], dataset: &Dataset) -> Result<Step> {
        bail!(
            "wrong bytes: asked {}; read {}",
            self.describe_owed(dataset),
            shown(rest)
        )
    }
}

fn is_error(line: &[u8]) -> bool {
    line.ends_with(b"\r\n")
        && (line == b"ERROR\r\n" || line.starts_with(b"SERVER_ERROR ") || line.starts_with(b"CLIENT_ERROR "))
}

fn shown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(300)];
    format!("{} bytes: \"{}\"", bytes.len(), head.escape_ascii())
}
