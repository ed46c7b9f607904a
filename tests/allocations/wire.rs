//! What a client says in each protocol, and what it must read: a batch of requests and all its replies.

/// Keys that are stored before anything is counted.
pub const KEYS: usize = 100;
/// Bytes of each value.
const SIZE: usize = 100;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Classic text.
    Classic,
    /// Meta.
    Meta,
    /// Binary.
    Binary,
}

/// A batch of requests with the replies to it.
#[derive(Debug, Default)]
pub struct Dialogue {
    /// What the client writes, at once.
    pub asks: Vec<u8>,
    /// What it must read; `None`: whatever it likes, as a cas.
    pub reads: Vec<Option<u8>>,
    /// How often it may allocate: what Ringway answers itself in binary is made as one packet.
    pub may_allocate: usize,
}

/// `depth` gets of keys that are there.
pub fn gets(protocol: Protocol, depth: usize) -> Dialogue {
    batch(depth, |dialogue, number| {
        let (key, value) = (key(number), value(number));
        match protocol {
            Protocol::Classic => dialogue.text(
                &format!("get {key}\r\n"),
                &format!("VALUE {key} 0 {SIZE}\r\n{value}\r\nEND\r\n"),
            ),
            Protocol::Meta => dialogue.text(
                &format!("mg {key} v k\r\n"),
                &format!("VA {SIZE} k{key}\r\n{value}\r\n"),
            ),
            Protocol::Binary => dialogue.packets(&[GET], &key, "", &found(&value)),
        }
    })
}

/// `depth` gets of keys that are not there.
pub fn misses(protocol: Protocol, depth: usize) -> Dialogue {
    batch(depth, |dialogue, number| {
        let key = format!("none-{number}");
        match protocol {
            Protocol::Classic => dialogue.text(&format!("get {key}\r\n"), "END\r\n"),
            Protocol::Meta => dialogue.text(&format!("mg {key} v k\r\n"), &format!("EN k{key}\r\n")),
            Protocol::Binary => {
                let answer = packet(ANSWER, GET, 1, &[], "", "Not found");
                dialogue.packets(&[GET], &key, "", &answer);
            }
        }
    })
}

/// `depth` sets.
pub fn sets(protocol: Protocol, depth: usize) -> Dialogue {
    batch(depth, |dialogue, number| {
        let (key, value) = (key(number), value(number));
        match protocol {
            Protocol::Classic => dialogue.text(&format!("set {key} 0 0 {SIZE}\r\n{value}\r\n"), "STORED\r\n"),
            Protocol::Meta => dialogue.text(&format!("ms {key} {SIZE}\r\n{value}\r\n"), "HD\r\n"),
            Protocol::Binary => dialogue.packets(&[SET], &key, &value, &packet(ANSWER, SET, 0, &[], "", "")),
        }
    })
}

/// `depth` multi-gets of all keys.
pub fn multi_gets(protocol: Protocol, depth: usize) -> Dialogue {
    batch(depth, |dialogue, _| match protocol {
        Protocol::Classic => {
            let keys: Vec<String> = (0..KEYS).map(key).collect();
            let values = (0..KEYS).map(|n| format!("VALUE {} 0 {SIZE}\r\n{}\r\n", key(n), value(n)));
            dialogue.text(
                &format!("get {}\r\n", keys.join(" ")),
                &(values.collect::<String>() + "END\r\n"),
            );
        }
        Protocol::Meta => {
            for n in 0..KEYS {
                let (key, value) = (key(n), value(n));
                dialogue.text(
                    &format!("mg {key} v k q\r\n"),
                    &format!("VA {SIZE} k{key}\r\n{value}\r\n"),
                );
            }
            dialogue.text("mn\r\n", "MN\r\n");
        }
        Protocol::Binary => {
            for n in 0..KEYS {
                let answer = packet(ANSWER, GETQ, 0, &[0; 4], "", &value(n));
                dialogue.packets(&[GETQ], &key(n), "", &answer);
            }
            dialogue.may_allocate += 1;
            dialogue.packets(&[NOOP], "", "", &packet(ANSWER, NOOP, 0, &[], "", ""));
        }
    })
}

fn batch(depth: usize, mut add: impl FnMut(&mut Dialogue, usize)) -> Dialogue {
    let mut dialogue = Dialogue::default();
    (0..depth).for_each(|number| add(&mut dialogue, number));
    dialogue
}

fn key(number: usize) -> String {
    format!("allocations-{number}")
}

fn value(number: usize) -> String {
    format!("{number:0>SIZE$}")
}

const ASK: u8 = 0x80;
const ANSWER: u8 = 0x81;
const GET: u8 = 0x00;
const SET: u8 = 0x01;
const GETQ: u8 = 0x09;
const NOOP: u8 = 0x0a;

fn found(value: &str) -> Vec<u8> {
    packet(ANSWER, GET, 0, &[0; 4], "", value)
}

fn packet(magic: u8, opcode: u8, status: u16, extras: &[u8], key: &str, value: &str) -> Vec<u8> {
    let mut packet = vec![magic, opcode];
    packet.extend((key.len() as u16).to_be_bytes());
    packet.extend([extras.len() as u8, 0]);
    packet.extend(status.to_be_bytes());
    packet.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    // Opaque and cas.
    packet.extend([0; 12]);
    packet.extend(extras);
    packet.extend(key.as_bytes());
    packet.extend(value.as_bytes());
    packet
}

impl Dialogue {
    fn text(&mut self, ask: &str, read: &str) {
        self.asks.extend(ask.as_bytes());
        self.reads.extend(read.bytes().map(Some));
    }

    fn packets(&mut self, opcode: &[u8; 1], key: &str, value: &str, answer: &[u8]) {
        let extras: &[u8] = if opcode[0] == SET { &[0; 8] } else { &[] };
        self.asks.extend(packet(ASK, opcode[0], 0, extras, key, value));
        let is_cas = |index| (16..24).contains(&index);
        let read = (0..)
            .zip(answer)
            .map(|(index, &byte)| (!is_cas(index)).then_some(byte));
        self.reads.extend(read);
    }
}
