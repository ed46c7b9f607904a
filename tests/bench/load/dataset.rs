//! The keys of a workload and their values. A value is a pure function of its key, so a set writes again the bytes
//! that were there, and every read has exactly one right answer, whoever wrote last.

use super::random::Random;
use super::workload::{Sizes, Workload};

/// What every key starts with; its number follows, in eight digits.
const KEY_START: &str = "ringway:bench:";

/// One key with its value, laid out as a node answers a classic get of it.
#[derive(Debug)]
pub struct Item {
    key: String,
    block: Box<[u8]>,
    data_at: usize,
    /// The first line of the answer to `mg <key> k v`, with its line end.
    meta_head: Box<[u8]>,
    /// How much of it is there whatever flags were asked for.
    meta_start: usize,
}

impl Item {
    fn new(index: usize, value_bytes: usize) -> Self {
        let key = format!("{KEY_START}{index:08}");
        let mut block = format!("VALUE {key} 0 {value_bytes}\r\n").into_bytes();
        let data_at = block.len();
        // Any bytes: line ends inside values must not confuse anybody.
        let mut random = Random::new(index as u64);
        while block.len() < data_at + value_bytes {
            block.extend_from_slice(&random.next().to_le_bytes());
        }
        block.truncate(data_at + value_bytes);
        block.extend_from_slice(b"\r\n");
        Self {
            meta_head: format!("VA {value_bytes} k{key}\r\n").into_bytes().into(),
            meta_start: format!("VA {value_bytes}").len(),
            key,
            block: block.into(),
            data_at,
        }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What a hit looks like: `VALUE <key> 0 <bytes>\r\n<value>\r\n`, without `END`.
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// The first line of the block, with its line end.
    pub fn header(&self) -> &[u8] {
        &self.block[..self.data_at]
    }

    /// What stands before the value in a hit of meta.
    pub fn meta_head(&self) -> &[u8] {
        &self.meta_head
    }

    /// `VA <bytes>`, which begins any hit of meta with a value.
    pub fn meta_start(&self) -> &[u8] {
        &self.meta_head[..self.meta_start]
    }

    /// The value with a line end.
    pub fn line(&self) -> &[u8] {
        &self.block[self.data_at..]
    }

    /// The value.
    pub fn data(&self) -> &[u8] {
        &self.block[self.data_at..self.block.len() - 2]
    }

    /// Appends the request of classic text that stores the value.
    pub fn write_set(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"set ");
        // The header past `VALUE <key> 0` holds the length and the line end, just as the request needs them.
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(b" 0 0");
        out.extend_from_slice(&self.block["VALUE  0".len() + self.key.len()..self.data_at]);
        out.extend_from_slice(self.line());
    }
}

/// All keys of a workload, by index.
#[derive(Debug)]
pub struct Dataset {
    items: Vec<Item>,
    largest: usize,
}

impl Dataset {
    /// The keys that `workload` asks for.
    pub fn new(workload: &Workload) -> Self {
        let items: Vec<Item> = (0..workload.keys)
            .map(|index| Item::new(index, workload.sizes.of(index)))
            .collect();
        let largest = items.iter().map(|item| item.data().len()).max().unwrap_or(0);
        Self { items, largest }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The key at `index`, which is below `len`.
    pub fn item(&self, index: u32) -> &Item {
        &self.items[index as usize]
    }

    /// The item of this key, if there is one.
    pub fn find(&self, key: &[u8]) -> Option<&Item> {
        let digits = key.strip_prefix(KEY_START.as_bytes())?;
        let index: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.items.get(index)
    }

    /// Bytes of the longest value.
    pub fn largest(&self) -> usize {
        self.largest
    }
}

impl Sizes {
    /// Bytes of the value of the key at `index`.
    fn of(self, index: usize) -> usize {
        match self {
            Sizes::Fixed(bytes) => bytes,
            Sizes::Spread(least, most) => {
                // Another stream than that of the value's bytes; unrelated to how often the key is asked for.
                let share = Random::new(!(index as u64)).fraction();
                (least as f64 * (most as f64 / least as f64).powf(share)) as usize
            }
        }
    }
}
