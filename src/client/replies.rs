//! Writes replies to the client, each in the client's protocol; a multi-get ends with one `END`.

use bytes::Bytes;

use crate::net::outgoing::Outgoing;
use crate::protocol::binary::answer::Echo;
use crate::protocol::failed::{self, ReadIn};
use crate::protocol::{Command, Item, Reply, binary, classic, meta};
use crate::reply::keys::TakenReply;
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};

/// Writes the replies of one session, in the order in which they leave its queue.
#[derive(Debug, Default)]
pub struct Replies {
    /// The line that ends the multi-get in progress, instead of `END`.
    failure: Option<Bytes>,
}

impl Replies {
    /// Writes the `reply` to a key of a multi-get with this `origin`.
    #[inline]
    pub fn write_key(&mut self, origin: &RequestOrigin<'_>, reply: &TakenReply<'_>, out: &mut Outgoing) {
        match reply {
            TakenReply::Miss => {}
            TakenReply::Lines(lines) => out.share_part(*lines),
            TakenReply::Other(reply) => self.write_other(origin, reply, out),
        }
    }

    #[cold]
    fn write_other(&mut self, origin: &RequestOrigin<'_>, reply: &Reply, out: &mut Outgoing) {
        self.write(origin, reply, out);
    }

    /// Writes `reply` to the request `origin`.
    #[inline(always)]
    pub fn write(&mut self, origin: &RequestOrigin<'_>, reply: &Reply, out: &mut Outgoing) {
        let reply = match reply {
            Reply::Failed(_) | Reply::Error(_) => failed_as(origin, reply),
            reply => reply,
        };
        match origin.format {
            WireFormat::Classic => {}
            WireFormat::Meta { key, flags } => return write_meta(origin.command, key, flags, reply, out),
            WireFormat::Binary(echo) => return write_binary(echo, reply, out),
        }
        match origin.mode {
            ReplyMode::NoReply | ReplyMode::MultiGet => {}
            ReplyMode::Single if origin.command.is_read() => write_read(origin, reply, out),
            ReplyMode::Single => write_line(origin.command, reply, out),
            ReplyMode::MultiGetItem => self.write_part(origin, reply, out),
            ReplyMode::MultiGetEnd => {
                // memcached, too, sends an error in place of END: clients stop reading there.
                let end = self.failure.take().unwrap_or(Bytes::from_static(b"END"));
                out.put(&end);
                out.put(b"\r\n");
            }
        }
    }

    fn write_part(&mut self, origin: &RequestOrigin<'_>, reply: &Reply, out: &mut Outgoing) {
        match reply {
            Reply::Value(item) => write_value(origin.command, item, out),
            Reply::NotFound => {}
            reply => {
                let line = classic::answer::line(origin.command, reply, &mut itoa::Buffer::new()).to_vec();
                self.failure.get_or_insert(line.into());
            }
        }
    }
}

fn write_meta(command: Command, key: &[u8], flags: &[u8], reply: &Reply, out: &mut Outgoing) {
    let put = &mut |bytes: &[u8]| out.put(bytes);
    if let Some(data) = meta::answer::write(command, key, flags, reply, put) {
        out.share_part(data);
        out.put(b"\r\n");
    }
}

fn write_binary(echo: Echo<'_>, reply: &Reply, out: &mut Outgoing) {
    // Ringway's own answers are packets already.
    if let Reply::Text(packet) = reply {
        return out.put(packet);
    }
    let put = &mut |bytes: &[u8]| out.put(bytes);
    if let Some(data) = binary::answer::write(echo, reply, put) {
        out.share_part(data);
    }
}

#[inline]
fn write_read(origin: &RequestOrigin<'_>, reply: &Reply, out: &mut Outgoing) {
    match reply {
        Reply::Value(item) => {
            write_value(origin.command, item, out);
            out.put(b"END\r\n");
        }
        Reply::NotFound => out.put(b"END\r\n"),
        reply => write_line(origin.command, reply, out),
    }
}

/// Returns what the client reads for an error.
#[cold]
fn failed_as<'r>(origin: &RequestOrigin<'_>, reply: &'r Reply) -> &'r Reply {
    match origin.operation() {
        Some(operation) => {
            let read_in = match origin.format {
                WireFormat::Classic => ReadIn::Classic,
                WireFormat::Meta { .. } => ReadIn::Meta,
                WireFormat::Binary(_) => ReadIn::Binary,
            };
            failed::read_as(operation, origin.on_error, read_in, reply)
        }
        None => reply,
    }
}

#[inline]
fn write_value(command: Command, item: &Item, out: &mut Outgoing) {
    // The answers to gets contain the cas id, those to get do not.
    if let Some(lines) = item.lines() {
        return out.share(lines);
    }
    classic::answer::value_line(command, item, &mut |bytes| out.put(bytes));
    out.share_part(item.part());
    out.put(b"\r\n");
}

fn write_line(command: Command, reply: &Reply, out: &mut Outgoing) {
    out.put(classic::answer::line(command, reply, &mut itoa::Buffer::new()));
    out.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::protocol::{Failure, OnError};

    fn written(parts: &[(ReplyMode, Reply)], on_error: OnError) -> String {
        let (mut replies, mut out) = (Replies::default(), Outgoing::default());
        for (mode, reply) in parts {
            replies.write(
                &RequestOrigin {
                    command: Command::Get,
                    mode: *mode,
                    on_error,
                    format: WireFormat::Classic,
                },
                reply,
                &mut out,
            );
        }
        let mut text = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            out.poll_flush(&mut text, &mut cx, &mut 0),
            Poll::Ready(Ok(()))
        ));
        String::from_utf8(text).expect("text")
    }

    fn value(key: &'static str) -> Reply {
        Reply::Value(Item::new(key.into(), 3, 9, "v".into()))
    }

    #[test]
    fn a_multi_get_gives_the_hits_and_one_end_though_nodes_fail() {
        let failed = Reply::Failed(Failure::Timeout);
        let refused = Reply::Error("SERVER_ERROR out of memory".into());
        for lost in [failed, refused, Reply::NotFound] {
            let parts = [
                (ReplyMode::MultiGetItem, value("a")),
                (ReplyMode::MultiGetItem, lost),
                (ReplyMode::MultiGetItem, value("b")),
                (ReplyMode::MultiGetEnd, Reply::Done),
            ];
            assert_eq!(
                written(&parts, OnError::HIDE),
                "VALUE a 3 1\r\nv\r\nVALUE b 3 1\r\nv\r\nEND\r\n"
            );
        }
    }

    #[test]
    fn where_failures_are_to_show_an_error_stands_in_the_place_of_end() {
        let parts = [
            (ReplyMode::MultiGetItem, Reply::Failed(Failure::Timeout)),
            (ReplyMode::MultiGetItem, value("b")),
            (ReplyMode::MultiGetEnd, Reply::Done),
            (ReplyMode::Single, Reply::NotFound),
        ];
        assert_eq!(
            written(&parts, OnError::SHOW),
            "VALUE b 3 1\r\nv\r\nSERVER_ERROR node timed out\r\nEND\r\n"
        );
    }
}
