//! What a client reads: each reply as the lines it stands for, multi-gets closed by one `END`.

use bytes::Bytes;

use crate::net::outgoing::Outgoing;
use crate::protocol::binary::answer::Echo;
use crate::protocol::failed::{self, ReadIn};
use crate::protocol::{Command, Item, Reply, binary, classic, meta};
use crate::reply::origin::{Asked, Audience, Voice, split_meta};

/// Writes the replies of one session, in the order in which they leave its queue.
#[derive(Debug, Default)]
pub struct Replies {
    /// What the multi-get that is being written ends with, instead of `END`.
    failure: Option<Bytes>,
}

impl Replies {
    /// Writes `reply` to what was `asked`.
    #[inline]
    pub fn write(&mut self, asked: &Asked, reply: &Reply, out: &mut Outgoing) {
        let reply = match reply {
            Reply::Failed(_) | Reply::Error(_) => failed_as(asked, reply),
            reply => reply,
        };
        match &asked.voice {
            Voice::Classic => {}
            Voice::Meta(typed) => return write_meta(asked, typed, reply, out),
            &Voice::Binary {
                opcode,
                opaque,
                compares,
                ref key,
            } => {
                let echo = Echo {
                    opcode,
                    opaque,
                    compares,
                    key,
                };
                return write_binary(echo, reply, out);
            }
        }
        match asked.audience {
            Audience::Nobody => {}
            Audience::Client if asked.command.is_read() => write_read(asked, reply, out),
            Audience::Client => write_line(asked.command, reply, out),
            Audience::Part => self.write_part(asked, reply, out),
            Audience::End => {
                // memcached, too, puts an error in the place of END: clients stop reading there.
                let end = self.failure.take().unwrap_or(Bytes::from_static(b"END"));
                out.put(&end);
                out.put(b"\r\n");
            }
        }
    }

    fn write_part(&mut self, asked: &Asked, reply: &Reply, out: &mut Outgoing) {
        match reply {
            Reply::Value(item) => write_value(asked.command, item, out),
            Reply::NotFound => {}
            reply => {
                let line = classic::answer::line(asked.command, reply, &mut itoa::Buffer::new()).to_vec();
                self.failure.get_or_insert(line.into());
            }
        }
    }
}

fn write_meta(asked: &Asked, typed: &[u8], reply: &Reply, out: &mut Outgoing) {
    let (key, flags) = split_meta(typed);
    let put = &mut |bytes: &[u8]| out.put(bytes);
    if let Some(data) = meta::answer::write(asked.command, key, flags, reply, put) {
        out.share_part(data);
        out.put(b"\r\n");
    }
}

fn write_binary(echo: Echo<'_>, reply: &Reply, out: &mut Outgoing) {
    // What Ringway answers itself is a packet already.
    if let Reply::Text(packet) = reply {
        return out.put(packet);
    }
    let put = &mut |bytes: &[u8]| out.put(bytes);
    if let Some(data) = binary::answer::write(echo, reply, put) {
        out.share_part(data);
    }
}

#[inline]
fn write_read(asked: &Asked, reply: &Reply, out: &mut Outgoing) {
    match reply {
        Reply::Value(item) => {
            write_value(asked.command, item, out);
            out.put(b"END\r\n");
        }
        Reply::NotFound => out.put(b"END\r\n"),
        reply => write_line(asked.command, reply, out),
    }
}

/// What the client reads for an error.
#[cold]
fn failed_as<'r>(asked: &Asked, reply: &'r Reply) -> &'r Reply {
    match asked.operation() {
        Some(operation) => {
            let read_in = match asked.voice {
                Voice::Classic => ReadIn::Classic,
                Voice::Meta(_) => ReadIn::Meta,
                Voice::Binary { .. } => ReadIn::Binary,
            };
            failed::read_as(operation, asked.on_error, read_in, reply)
        }
        None => reply,
    }
}

#[inline]
fn write_value(command: Command, item: &Item, out: &mut Outgoing) {
    // What answers gets has the cas id in it, what answers get has none.
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

    fn written(parts: &[(Audience, Reply)], on_error: OnError) -> String {
        let (mut replies, mut out) = (Replies::default(), Outgoing::default());
        for (audience, reply) in parts {
            replies.write(
                &Asked {
                    command: Command::Get,
                    audience: *audience,
                    on_error,
                    voice: Voice::Classic,
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
                (Audience::Part, value("a")),
                (Audience::Part, lost),
                (Audience::Part, value("b")),
                (Audience::End, Reply::Done),
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
            (Audience::Part, Reply::Failed(Failure::Timeout)),
            (Audience::Part, value("b")),
            (Audience::End, Reply::Done),
            (Audience::Client, Reply::NotFound),
        ];
        assert_eq!(
            written(&parts, OnError::SHOW),
            "VALUE b 3 1\r\nv\r\nSERVER_ERROR node timed out\r\nEND\r\n"
        );
    }
}
