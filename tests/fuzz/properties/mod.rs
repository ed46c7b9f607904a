//! What must hold of each parser, whatever bytes come: one `check` for each fuzz target, which panics where it
//! does not hold.
//!
//! The fuzz targets call these, and so does the suite with every file of the corpus; what holds is written
//! once. A parser of Ringway's may refuse any bytes, but never panic; what it takes must be as its doc says.
//! Much here is about framing, where a mistake gives one client's answer to another: bytes that come in pieces
//! must mean what they mean at once, and what Ringway writes must be read as it was meant.

mod answers;
pub mod binary;
mod client;
pub mod config;
pub mod dns;
pub mod elasticache;
pub mod link;
pub mod login;
pub mod meta_flags;
pub mod numbers;
pub mod query;
pub mod reply;
pub mod resp;
mod said;
pub mod session;
pub mod text;

/// A name, and what must hold of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by the name of its corpus.
pub const TARGETS: [Target; 13] = [
    ("binary", binary::check),
    ("config", config::check),
    ("dns", dns::check),
    ("elasticache", elasticache::check),
    ("link", link::check),
    ("login", login::check),
    ("meta_flags", meta_flags::check),
    ("numbers", numbers::check),
    ("query", query::check),
    ("reply", reply::check),
    ("resp", resp::check),
    ("session", session::check),
    ("text", text::check),
];

/// Ends of true prefixes of `length` bytes: all of them where they are few, else some.
fn prefixes(length: usize) -> impl Iterator<Item = usize> {
    let step = 1 + length / 64;
    (0..length).step_by(step).chain(length.checked_sub(1))
}
