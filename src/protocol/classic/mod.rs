//! Writes requests as classic text commands, for nodes without meta.

pub mod answer;
pub mod commands;
pub mod downgrade;

use super::{Command, Request};

/// Writes `request` up to its value. For storage commands the caller appends the value and its line end.
pub fn write_line(request: &Request<'_>, put: &mut impl FnMut(&[u8])) {
    let mut number = itoa::Buffer::new();
    put(request.command.name().as_bytes());
    match request.command {
        Command::Get | Command::Gets => {
            put(b" ");
            put(request.key);
        }
        Command::Gat | Command::Gats => {
            put(b" ");
            put(number.format(request.exptime).as_bytes());
            put(b" ");
            put(request.key);
        }
        Command::Delete => {
            put(b" ");
            put(request.key);
        }
        Command::Touch => {
            put(b" ");
            put(request.key);
            put(b" ");
            put(number.format(request.exptime).as_bytes());
        }
        Command::Incr | Command::Decr => {
            put(b" ");
            put(request.key);
            put(b" ");
            put(number.format(request.delta).as_bytes());
        }
        Command::FlushAll if request.exptime == 0 => {}
        Command::FlushAll => {
            put(b" ");
            put(number.format(request.exptime).as_bytes());
        }
        _ => {
            put(b" ");
            put(request.key);
            for field in [request.flags.into(), request.exptime, request.value.len() as i64] {
                put(b" ");
                put(number.format(field).as_bytes());
            }
            if request.command == Command::Cas {
                put(b" ");
                put(number.format(request.cas).as_bytes());
            }
        }
    }
    put(b"\r\n");
}
