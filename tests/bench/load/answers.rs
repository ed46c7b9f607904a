//! What the responder answers: gets of one or many keys, sets and deletes in classic text and in meta. Values come
//! from the data set, whatever was stored: a set writes the bytes that are there. Knows no socket.

use super::dataset::{Dataset, Item};

/// One connection's place in what it reads.
#[derive(Debug, Default)]
pub struct Answers {
    /// Bytes of a value, and its line end, that are still to come and to be thrown away.
    skip: usize,
}

impl Answers {
    /// Answers the whole requests at the front of `bytes`. Gives the number of bytes that are done with.
    pub fn answer(&mut self, bytes: &[u8], dataset: &Dataset, replies: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
                return at;
            };
            let line = bytes[at..at + end].trim_ascii_end();
            at += end + 1;
            self.line(line, dataset, replies);
        }
    }

    fn line(&mut self, line: &[u8], dataset: &Dataset, replies: &mut Vec<u8>) {
        let (verb, rest) = split(line);
        match verb {
            b"mg" => meta_get(rest, dataset, replies),
            b"get" => {
                for key in rest.split(|byte| *byte == b' ') {
                    if let Some(item) = dataset.find(key) {
                        replies.extend_from_slice(item.block());
                    }
                }
                replies.extend_from_slice(b"END\r\n");
            }
            b"ms" => {
                let (key, rest) = split(rest);
                let (length, flags) = split(rest);
                self.skip_value(length);
                meta_done(key, flags, replies);
            }
            b"set" => {
                let mut words = rest.split(|byte| *byte == b' ').skip(3);
                self.skip_value(words.next().unwrap_or_default());
                if words.next() != Some(b"noreply") {
                    replies.extend_from_slice(b"STORED\r\n");
                }
            }
            b"md" => {
                let (key, flags) = split(rest);
                meta_done(key, flags, replies);
            }
            b"delete" => replies.extend_from_slice(b"DELETED\r\n"),
            b"mn" => replies.extend_from_slice(b"MN\r\n"),
            // As memcached of Debian 12 says it: new enough for meta.
            b"version" => replies.extend_from_slice(b"VERSION 1.6.18\r\n"),
            _ => replies.extend_from_slice(b"ERROR\r\n"),
        }
    }

    fn skip_value(&mut self, length: &[u8]) {
        self.skip = number(length).map_or(0, |length| length + 2);
    }
}

fn meta_get(rest: &[u8], dataset: &Dataset, replies: &mut Vec<u8>) {
    let (key, flags) = split(rest);
    let Some(item) = dataset.find(key) else {
        replies.extend_from_slice(b"EN\r\n");
        return;
    };
    let wants_value = flags.split(|byte| *byte == b' ').any(|flag| flag == b"v");
    replies.extend_from_slice(if wants_value { item.meta_start() } else { b"HD" });
    meta_flags(key, flags, Some(item), replies);
    if wants_value {
        replies.extend_from_slice(item.line());
    }
}

fn meta_done(key: &[u8], flags: &[u8], replies: &mut Vec<u8>) {
    replies.extend_from_slice(b"HD");
    meta_flags(key, flags, None, replies);
}

/// What `flags` ask to be told, and the line's end. What only changes a request is passed over.
fn meta_flags(key: &[u8], flags: &[u8], item: Option<&Item>, replies: &mut Vec<u8>) {
    for flag in flags.split(|byte| *byte == b' ') {
        match (flag.first(), item) {
            (Some(b'O'), _) => {
                replies.push(b' ');
                replies.extend_from_slice(flag);
            }
            (Some(b'k'), _) => {
                replies.extend_from_slice(b" k");
                replies.extend_from_slice(key);
            }
            (Some(b'f'), Some(_)) => replies.extend_from_slice(b" f0"),
            (Some(b'c'), Some(_)) => replies.extend_from_slice(b" c1"),
            (Some(b't'), Some(_)) => replies.extend_from_slice(b" t-1"),
            (Some(b's'), Some(item)) => {
                replies.extend_from_slice(b" s");
                replies.extend_from_slice(itoa::Buffer::new().format(item.data().len()).as_bytes());
            }
            _ => {}
        }
    }
    replies.extend_from_slice(b"\r\n");
}

/// The first word and what follows the blank behind it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
