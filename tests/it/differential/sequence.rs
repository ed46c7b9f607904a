//! A sequence of commands on one connection, and the bytes that say it.
//!
//! Cas ids are counted from one that both sides are asked for beforehand, so that a command can carry an id
//! that a command before it in the same write has made.

/// What one connection says in one go.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// One after the other, pipelined.
    pub commands: Vec<Command>,
    /// Where the bytes are cut in two writes, in thousandths of their length; 0: nowhere.
    pub cut: usize,
    /// The last command makes memcached close the connection.
    pub closes: bool,
}

/// One command, or bytes that are none.
#[derive(Debug, Clone)]
pub enum Command {
    /// Text; `@3@` stands for the third cas id after the first.
    Text(Vec<u8>),
    /// A packet of the binary protocol.
    Packet(Packet),
}

/// A packet of the binary protocol.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The operation code.
    pub opcode: u8,
    /// The extras before the key.
    pub extras: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// What stands behind the key.
    pub value: Vec<u8>,
    /// The cas id.
    pub cas: Cas,
    /// The opaque number.
    pub opaque: u32,
    /// What the header says of the lengths of key, extras and body, if it lies.
    pub lengths: Option<(u16, u8, u32)>,
    /// The two fields of the header that memcached does not look at: data type and reserved.
    pub unused: (u8, u16),
}

/// The cas id of a packet.
#[derive(Debug, Clone, Copy)]
pub enum Cas {
    /// This one.
    Fixed(u64),
    /// So many after the first.
    After(u64),
}

impl Sequence {
    /// Whether the session is a binary one.
    pub fn is_binary(&self) -> bool {
        matches!(self.commands.first(), Some(Command::Packet(_)))
    }

    /// The bytes, where `first` is the cas id that they count from.
    pub fn bytes(&self, first: u64) -> Vec<u8> {
        self.commands
            .iter()
            .flat_map(|command| command.bytes(first))
            .collect()
    }
}

impl Command {
    fn bytes(&self, first: u64) -> Vec<u8> {
        match self {
            Command::Text(text) => with_cas(text, first),
            Command::Packet(packet) => packet.bytes(first),
        }
    }
}

impl Packet {
    /// A packet with nothing but an operation code.
    pub fn new(opcode: u8) -> Packet {
        Packet {
            opcode,
            extras: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            cas: Cas::Fixed(0),
            opaque: 0,
            lengths: None,
            unused: (0, 0),
        }
    }

    /// The bytes, where `first` is the cas id that they count from.
    pub fn bytes(&self, first: u64) -> Vec<u8> {
        let body = [&self.extras[..], &self.key, &self.value].concat();
        let honest = (self.key.len() as u16, self.extras.len() as u8, body.len() as u32);
        let (key, extras, length) = self.lengths.unwrap_or(honest);
        let cas = match self.cas {
            Cas::Fixed(cas) => cas,
            Cas::After(count) => first.wrapping_add(count),
        };
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend(key.to_be_bytes());
        bytes.extend([extras, self.unused.0]);
        bytes.extend(self.unused.1.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(self.opaque.to_be_bytes());
        bytes.extend(cas.to_be_bytes());
        bytes.extend(body);
        bytes
    }
}

/// `text` with a number in the place of each `@3@`.
fn with_cas(text: &[u8], first: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for (at, part) in text.split(|&byte| byte == b'@').enumerate() {
        if at % 2 == 0 {
            bytes.extend_from_slice(part);
            continue;
        }
        let count: u64 = String::from_utf8_lossy(part)
            .parse()
            .expect("a number between two @");
        bytes.extend(first.wrapping_add(count).to_string().bytes());
    }
    bytes
}
