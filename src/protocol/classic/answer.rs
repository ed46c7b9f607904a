//! Answers of memcached's classic text protocol: writes one [`Reply`] as the client's lines.

use crate::protocol::{Command, Item, Reply};

/// Returns the line that answers `reply` to `command`, without its line end, for every reply except a
/// value.
///
/// A read that found nothing has no line of its own: the caller writes `END`.
pub fn line<'a>(command: Command, reply: &'a Reply, number: &'a mut itoa::Buffer) -> &'a [u8] {
    match reply {
        Reply::Done => done(command),
        Reply::NotStored => b"NOT_STORED",
        Reply::Exists => b"EXISTS",
        Reply::NotFound => b"NOT_FOUND",
        Reply::Number(value) => number.format(*value).as_bytes(),
        Reply::Error(line) | Reply::Refused(line) | Reply::Text(line) => line,
        Reply::Failed(failure) => failure.line().as_bytes(),
        Reply::Value(_) | Reply::Meta(_) => b"SERVER_ERROR an answer to another command",
    }
}

fn done(command: Command) -> &'static [u8] {
    match command {
        Command::Delete => b"DELETED",
        Command::Touch => b"TOUCHED",
        Command::FlushAll => b"OK",
        _ => b"STORED",
    }
}

/// Writes the `VALUE` line of `item` with its line end, and with the cas id if `command` asks for it. If
/// the node sent the item as classic lines, use [`Item::lines`] instead.
pub fn value_line(command: Command, item: &Item, put: &mut impl FnMut(&[u8])) {
    let mut number = itoa::Buffer::new();
    put(b"VALUE ");
    put(item.key());
    put(b" ");
    put(number.format(item.flags).as_bytes());
    put(b" ");
    put(number.format(item.size()).as_bytes());
    if command.wants_cas() {
        put(b" ");
        put(number.format(item.cas).as_bytes());
    }
    put(b"\r\n");
}
