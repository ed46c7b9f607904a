//! The requests of a client that go to one node: what a session makes of the bytes, for the targets that
//! need requests and not sessions.

use ringway::protocol::binary::answer::Echo;
use ringway::protocol::binary::{Ask, HEAD, Head, REQUEST, Room};
use ringway::protocol::line::Line;
use ringway::protocol::text::{DataBlock, data_block, read_line};
use ringway::protocol::{Command, MAX_KEY, OnError, Request};
use ringway::reply::origin::{Asked, Audience, Voice};

/// Calls `each` with every whole request at the front of `bytes`, up to the first that is none.
pub fn requests(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, Asked)) {
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

fn line(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, Asked)) -> Option<usize> {
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
                each(&request, asked(command, Audience::Client, Voice::Classic));
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

fn send(request: &Request<'_>, noreply: bool, each: &mut impl FnMut(&Request<'_>, Asked)) {
    let audience = if noreply {
        Audience::Nobody
    } else {
        Audience::Client
    };
    let Some(meta) = &request.meta else {
        return each(request, asked(request.command, audience, Voice::Classic));
    };
    let mut room = [0; MAX_KEY];
    let request = Request {
        key: meta.plain_key(&mut room),
        ..*request
    };
    let voice = Voice::Meta([meta.key, b" ", meta.flags].concat().into());
    each(&request, asked(request.command, audience, voice));
}

fn packet(bytes: &[u8], each: &mut impl FnMut(&Request<'_>, Asked)) -> Option<usize> {
    let head = Head::read(bytes)?;
    let Ask::Operation(operation) = head.ask() else {
        return None;
    };
    let command = operation.command()?;
    let body = bytes[HEAD..].get(..head.body)?;
    let mut room = Room::default();
    let request = head.request(operation, command, body, &mut room)?;
    let echo = Echo::of(&head, request.key);
    each(&request, asked(command, Audience::Client, echo.into()));
    Some(HEAD + head.body)
}

fn asked(command: Command, audience: Audience, voice: Voice) -> Asked {
    Asked {
        command,
        audience,
        on_error: OnError::SHOW,
        voice,
    }
}
