//! The requests of a client that go to one node: what a session makes of the bytes, for the targets that
//! need requests and not sessions.

use ringway::protocol::binary::answer::Echo;
use ringway::protocol::binary::{Ask, HEAD, Head, REQUEST, Room};
use ringway::protocol::line::Line;
use ringway::protocol::text::{DataBlock, data_block, read_line};
use ringway::protocol::{Command, MAX_KEY, OnError, Request};
use ringway::reply::origin::{ReplyMode, RequestOrigin, WireFormat};

/// Calls `each` with every whole request at the front of `bytes`, up to the first that is none.
pub fn requests(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, RequestOrigin<'_>)) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = if rest[0] == REQUEST {
            packet(rest, each)
        } else {
            line(rest, each)
        };
        let Some(taken) = taken else { return };
        rest = &rest[taken..];
    }
}

fn line(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, RequestOrigin<'_>)) -> Option<usize> {
    let (line, length) = read_line(bytes)?;
    match line {
        Line::Read {
            command,
            exptime,
            keys,
        } => {
            for key in keys {
                let request = Request {
                    exptime,
                    ..Request::new(command, key)
                };
                each(&request, origin(command, ReplyMode::Single, WireFormat::Classic));
            }
        }
        Line::Store {
            request,
            length: size,
            noreply,
        } => {
            let DataBlock::Value(value) = data_block(&bytes[length..], size) else {
                return None;
            };
            send(&Request { value, ..request }, noreply, each);
            return Some(length + size + 2);
        }
        Line::Single { request, noreply } => send(&request, noreply, each),
        Line::FlushAll { delay, noreply } => {
            let request = Request {
                exptime: delay,
                ..Request::new(Command::FlushAll, b"")
            };
            send(&request, noreply, each);
        }
        _ => return None,
    }
    Some(length)
}

fn send(request: &Request<'_>, noreply: bool, each: &mut impl FnMut(&Request<'_>, RequestOrigin<'_>)) {
    let mode = if noreply {
        ReplyMode::NoReply
    } else {
        ReplyMode::Single
    };
    let Some(meta) = &request.meta else {
        return each(request, origin(request.command, mode, WireFormat::Classic));
    };
    let mut room = [0; MAX_KEY];
    let request = Request {
        key: meta.plain_key(&mut room),
        ..*request
    };
    let format = WireFormat::Meta {
        key: meta.key,
        flags: meta.flags,
    };
    each(&request, origin(request.command, mode, format));
}

fn packet(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, RequestOrigin<'_>)) -> Option<usize> {
    let head = Head::read(bytes)?;
    let Ask::Operation(operation) = head.ask() else {
        return None;
    };
    let command = operation.command()?;
    let body = bytes[HEAD..].get(..head.body)?;
    let mut room = Room::default();
    let request = head.request(operation, command, body, &mut room)?;
    let format = WireFormat::Binary(Echo::of(&head, request.key));
    each(&request, origin(command, ReplyMode::Single, format));
    Some(HEAD + head.body)
}

fn origin(command: Command, mode: ReplyMode, format: WireFormat<'_>) -> RequestOrigin<'_> {
    RequestOrigin {
        command,
        mode,
        on_error: OnError::SHOW,
        format,
    }
}
