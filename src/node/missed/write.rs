//! Classifies requests as writes.

use crate::protocol::meta::Names;
use crate::protocol::{Command, Request};

/// The parts of a request that tell whether it is a write, and of which key.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// The command.
    pub command: Command,
    /// The plain key; empty for flush_all.
    pub key: &'a [u8],
    /// The flags of a meta command, unparsed.
    pub flags: &'a [u8],
}

impl<'a> From<&Request<'a>> for Write<'a> {
    fn from(request: &Request<'a>) -> Write<'a> {
        Write {
            command: request.command,
            key: request.key,
            flags: request.raw_flags(),
        }
    }
}

impl Write<'_> {
    /// Whether the request may change the item, so that its failure may leave something old. An mg does
    /// with `N`, `R`, `E` or `T`.
    pub fn changes(&self) -> bool {
        match self.command {
            Command::Get | Command::Gets | Command::MetaDebug => false,
            Command::MetaGet => {
                let names = Names::of(self.flags);
                b"NRET".iter().any(|&name| names.has(name))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Meta;

    fn meta<'a>(command: Command, flags: &'a str) -> Request<'a> {
        Request {
            meta: Some(Meta {
                key: b"k",
                flags: flags.as_bytes(),
                is_binary: false,
            }),
            ..Request::new(command, b"k")
        }
    }

    #[test]
    fn whatever_may_change_an_item_is_a_write() {
        let reads = [Command::Get, Command::Gets, Command::MetaDebug];
        for command in Command::ALL
            .into_iter()
            .filter(|command| *command != Command::MetaGet)
        {
            let request = Request::new(command, b"k");
            assert_eq!(
                Write::from(&request).changes(),
                !reads.contains(&command),
                "{command:?}"
            );
        }
        for (flags, changes) in [
            ("", false),
            ("v f c t", false),
            ("h l v", false),
            ("v T30", true),
            ("v N30", true),
        ] {
            let request = meta(Command::MetaGet, flags);
            assert_eq!(Write::from(&request).changes(), changes, "mg {flags}");
        }
    }
}
