//! Requests and answers in binary packets.

use anyhow::{Result, bail};

use super::{Answer, Ask, Found, Reader, exact};

const GET: u8 = 0x00;
const SET: u8 = 0x01;
const ADD: u8 = 0x02;
const DELETE: u8 = 0x04;
const INCREMENT: u8 = 0x05;
const QUIT: u8 = 0x07;
const NOOP: u8 = 0x0a;
const GETKQ: u8 = 0x0d;
const SETQ: u8 = 0x11;

const OK: u16 = 0;
const NOT_FOUND: u16 = 1;
const EXISTS: u16 = 2;
/// And above: the node failed.
const FAILED: u16 = 0x80;

/// Flags and time of a value that is stored: none and never.
const NO_EXTRAS: [u8; 8] = [0; 8];
/// Adds 1; fails if there is no counter.
const BY_ONE: [u8; 20] = [
    0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
];

pub fn write(ask: &Ask, out: &mut Vec<u8>) {
    match ask {
        Ask::Get(keys) if keys.len() == 1 => put(out, GET, &[], &keys[0], &[]),
        Ask::Get(keys) => {
            for key in keys {
                put(out, GETKQ, &[], key, &[]);
            }
            put(out, NOOP, &[], "", &[]);
        }
        Ask::Set(key, value) => put(out, SET, &NO_EXTRAS, key, value),
        Ask::QuietSet(key, value) => {
            put(out, SETQ, &NO_EXTRAS, key, value);
            put(out, NOOP, &[], "", &[]);
        }
        Ask::Delete(key) => put(out, DELETE, &[], key, &[]),
        Ask::Count(key) => put(out, INCREMENT, &BY_ONE, key, &[]),
        Ask::Create(key) => put(out, ADD, &NO_EXTRAS, key, b"0"),
    }
}

pub fn set_head(key: &str, length: usize) -> Vec<u8> {
    let mut out = head(SET, &NO_EXTRAS, key, length);
    out.extend_from_slice(&NO_EXTRAS);
    out.extend_from_slice(key.as_bytes());
    out
}

pub fn quit() -> Vec<u8> {
    head(QUIT, &[], "", 0)
}

fn put(out: &mut Vec<u8>, operation: u8, extras: &[u8], key: &str, value: &[u8]) {
    out.extend_from_slice(&head(operation, extras, key, value.len()));
    out.extend_from_slice(extras);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value);
}

fn head(operation: u8, extras: &[u8], key: &str, value_length: usize) -> Vec<u8> {
    let mut head = vec![0; 24];
    let body = extras.len() + key.len() + value_length;
    (head[0], head[1]) = (0x80, operation);
    head[2..4].copy_from_slice(&(key.len() as u16).to_be_bytes());
    head[4] = extras.len() as u8;
    head[8..12].copy_from_slice(&(body as u32).to_be_bytes());
    head
}

/// A packet that was read.
struct Packet {
    operation: u8,
    status: u16,
    key: Vec<u8>,
    value: Vec<u8>,
}

async fn packet(reader: &mut Reader) -> Result<Packet> {
    let head = exact(reader, 24).await?;
    if head[0] != 0x81 {
        bail!("answered {}", head.escape_ascii());
    }
    let (key, extras) = (usize::from(head[3]), usize::from(head[4]));
    let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    let mut body = exact(reader, body as usize).await?;
    let value = body.split_off(extras + key);
    Ok(Packet {
        operation: head[1],
        status: u16::from_be_bytes([head[6], head[7]]),
        key: body.split_off(extras),
        value,
    })
}

pub async fn read(ask: &Ask, reader: &mut Reader) -> Result<Answer> {
    match ask {
        Ask::Get(keys) if keys.len() > 1 => {
            let mut found = Found::new(keys);
            loop {
                let packet = packet(reader).await?;
                match (packet.operation, packet.status) {
                    (NOOP, OK) => return Ok(found.answer()),
                    (GETKQ, OK) => found.add(&packet.key, packet.value)?,
                    other => bail!("answered {other:?}"),
                }
            }
        }
        Ask::QuietSet(..) => {
            let mut answer = Answer::Silence;
            loop {
                let packet = packet(reader).await?;
                match (packet.operation, packet.status) {
                    (NOOP, OK) => return Ok(answer),
                    (SETQ, FAILED..) => answer = Answer::Failed,
                    other => bail!("answered {other:?}"),
                }
            }
        }
        _ => {}
    }
    let packet = packet(reader).await?;
    Ok(match (ask, packet.operation, packet.status) {
        (Ask::Get(keys), GET, OK) => {
            let mut found = Found::new(keys);
            found.add(keys[0].as_bytes(), packet.value)?;
            found.answer()
        }
        (Ask::Get(keys), GET, NOT_FOUND) => Found::new(keys).answer(),
        (Ask::Set(..), SET, OK) | (Ask::Create(_), ADD, OK) | (Ask::Delete(_), DELETE, OK) => Answer::Done,
        (Ask::Create(_), ADD, EXISTS) => Answer::NotStored,
        (Ask::Delete(_), DELETE, NOT_FOUND) | (Ask::Count(_), INCREMENT, NOT_FOUND) => Answer::NotFound,
        (Ask::Count(_), INCREMENT, OK) => match packet.value[..].try_into() {
            Ok(number) => Answer::Number(u64::from_be_bytes(number)),
            Err(_) => bail!("answered a number of {} bytes", packet.value.len()),
        },
        (Ask::Set(..), SET, FAILED..)
        | (Ask::Create(_), ADD, FAILED..)
        | (Ask::Delete(_), DELETE, FAILED..)
        | (Ask::Count(_), INCREMENT, FAILED..) => Answer::Failed,
        (_, operation, status) => bail!("answered {operation:#x} with status {status:#x}"),
    })
}
