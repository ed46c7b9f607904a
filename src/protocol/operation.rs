//! What a request does to its key, independent of its protocol: the terms in which routes describe
//! requests.

use super::binary::Opcode;
use super::meta::{flag, flags, is_bare};
use super::{Command, Meta, Request};
use crate::protocol::classic::downgrade::downgrade;

/// What a request does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// get, gets, me, and mg that does not set an expiry.
    Get,
    /// gat, gats, and mg that sets an expiry and returns the value.
    Gat,
    /// set, and ms without a condition.
    Set,
    /// add, and ms in add mode.
    Add,
    /// replace, and ms in replace mode.
    Replace,
    /// append, and ms in append mode.
    Append,
    /// prepend, and ms in prepend mode.
    Prepend,
    /// cas, and ms that compares a cas id.
    Cas,
    /// incr, and ma that increments.
    Incr,
    /// decr, and ma that decrements.
    Decr,
    /// delete and md.
    Delete,
    /// touch, and mg that sets an expiry and returns no value.
    Touch,
    /// flush_all.
    FlushAll,
}

/// A group of related operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// get and gat.
    Reads,
    /// set, add, replace, append, prepend, cas.
    Writes,
    /// delete.
    Deletes,
    /// incr and decr.
    Arithmetic,
    /// touch.
    Touches,
}

impl Operation {
    /// The names of all operations.
    pub const WORDS: &[(&str, Operation)] = &[
        ("get", Operation::Get),
        ("gat", Operation::Gat),
        ("set", Operation::Set),
        ("add", Operation::Add),
        ("replace", Operation::Replace),
        ("append", Operation::Append),
        ("prepend", Operation::Prepend),
        ("cas", Operation::Cas),
        ("incr", Operation::Incr),
        ("decr", Operation::Decr),
        ("delete", Operation::Delete),
        ("touch", Operation::Touch),
        ("flush_all", Operation::FlushAll),
    ];

    /// The number of operations.
    pub const COUNT: usize = Operation::WORDS.len();

    /// Every operation, in the order of their discriminants.
    pub fn all() -> impl Iterator<Item = Operation> + Clone {
        Operation::WORDS.iter().map(|(_, operation)| *operation)
    }

    /// The operation's name in configurations and metrics.
    pub fn name(self) -> &'static str {
        Operation::WORDS[self as usize].0
    }

    /// Returns true for those that store a value: set, add, replace, append, prepend, cas.
    pub fn is_store(self) -> bool {
        self.group() == Some(Group::Writes)
    }

    /// Returns true for those whose answer depends on whether the key exists.
    #[inline]
    pub fn finds_key(self) -> bool {
        use Operation::{Add, Append, FlushAll, Prepend, Replace, Set};
        !matches!(self, Set | Add | Replace | Append | Prepend | FlushAll)
    }

    /// Returns what `request` does.
    #[inline]
    pub fn of(request: &Request<'_>) -> Operation {
        Operation::of_command(request.command, request.raw_flags())
    }

    /// Returns what `command` does, with the flags `raw` if it is a meta command.
    #[inline]
    pub fn of_command(command: Command, raw: &[u8]) -> Operation {
        /// The operations of the classic commands, in the order of their discriminants.
        const CLASSIC: [Operation; Command::MetaGet as usize] = [
            Operation::Get,
            Operation::Get,
            Operation::Gat,
            Operation::Gat,
            Operation::Set,
            Operation::Add,
            Operation::Replace,
            Operation::Append,
            Operation::Prepend,
            Operation::Cas,
            Operation::Incr,
            Operation::Decr,
            Operation::Delete,
            Operation::Touch,
            Operation::FlushAll,
        ];
        match CLASSIC.get(command as usize) {
            Some(&operation) => operation,
            None => Operation::of_meta(command, raw),
        }
    }

    fn of_meta(command: Command, raw: &[u8]) -> Operation {
        let mode = || flag(raw, b'M').and_then(|mode| mode.get(1).copied());
        match command {
            Command::MetaGet => match flag(raw, b'T') {
                None => Operation::Get,
                Some(_) if flag(raw, b'v').is_some() => Operation::Gat,
                Some(_) => Operation::Touch,
            },
            Command::MetaSet if flag(raw, b'C').is_some() => Operation::Cas,
            Command::MetaSet => match mode() {
                Some(b'E' | b'e') => Operation::Add,
                Some(b'R' | b'r') => Operation::Replace,
                Some(b'A' | b'a') => Operation::Append,
                Some(b'P' | b'p') => Operation::Prepend,
                _ => Operation::Set,
            },
            Command::MetaArithmetic => match mode() {
                Some(b'D' | b'd' | b'-') => Operation::Decr,
                _ => Operation::Incr,
            },
            Command::MetaDelete => Operation::Delete,
            _ => Operation::Get,
        }
    }

    /// Returns what a packet of `operation` does, given whether it compares a cas id; `None` if it does
    /// nothing to a key.
    pub fn of_packet(opcode: Opcode, compares: bool) -> Option<Operation> {
        Some(match opcode {
            Opcode::Get => Operation::Get,
            Opcode::GetAndTouch => Operation::Gat,
            Opcode::Touch => Operation::Touch,
            Opcode::Set | Opcode::Add | Opcode::Replace if compares => Operation::Cas,
            Opcode::Set => Operation::Set,
            Opcode::Add => Operation::Add,
            Opcode::Replace => Operation::Replace,
            Opcode::Append => Operation::Append,
            Opcode::Prepend => Operation::Prepend,
            Opcode::Increment => Operation::Incr,
            Opcode::Decrement => Operation::Decr,
            Opcode::Delete => Operation::Delete,
            Opcode::Flush => Operation::FlushAll,
            Opcode::Quit | Opcode::Noop | Opcode::Version | Opcode::Stat => return None,
        })
    }

    /// The operation's group; `None` for flush_all.
    pub fn group(self) -> Option<Group> {
        use Operation::*;
        match self {
            Get | Gat => Some(Group::Reads),
            Set | Add | Replace | Append | Prepend | Cas => Some(Group::Writes),
            Incr | Decr => Some(Group::Arithmetic),
            Delete => Some(Group::Deletes),
            Touch => Some(Group::Touches),
            FlushAll => None,
        }
    }

    /// Whether the operation returns the stored value.
    pub fn is_read(self) -> bool {
        self.group() == Some(Group::Reads)
    }
}

/// Whether `request` is a delete without a condition, which leaves nothing.
pub fn is_plain_delete(request: &Request<'_>) -> bool {
    Operation::of(request) == Operation::Delete
        && flags(request.raw_flags()).all(|flag| b"bkqO".contains(&flag[0]))
}

/// Returns a delete of the key of `request`, in base64 if that was sent so: a line may not be able to carry it as it is.
pub fn delete_of<'a>(request: &Request<'a>) -> Request<'a> {
    match request.meta {
        Some(meta) if flag(meta.flags, b'b').is_some() => Request {
            meta: Some(Meta {
                flags: b"b",
                is_binary: false,
                ..meta
            }),
            ..Request::new(Command::MetaDelete, request.key)
        },
        _ => Request::new(Command::Delete, request.key),
    }
}

/// Whether `request` may leave an item marked as stale, whose next meta reader wins a token.
pub fn may_leave_stale(request: &Request<'_>) -> bool {
    matches!(request.command, Command::MetaDelete | Command::MetaSet)
        && flag(request.raw_flags(), b'I').is_some()
}

/// Returns `request` as a classic read or touch, which memcached performs without regard to stale items and
/// their tokens. Requests of classic and binary clients must behave so, but mg would take the token of a
/// stale item; they are therefore sent in classic text to a node that has such items. `None` for any other
/// command, and if classic text cannot express it.
pub fn plain_read<'a>(request: &Request<'a>) -> Option<Request<'a>> {
    use Command::{Gat, Gats, Get, Gets, MetaGet, Touch};
    let plain = match (request.command, &request.meta) {
        (Get | Gets | Gat | Gats | Touch, None) => *request,
        (MetaGet, Some(meta)) if meta.is_binary => downgrade(request)?,
        _ => return None,
    };
    is_bare(plain.key).then_some(plain)
}

/// Returns `request` as a classic write, after which memcached keeps the old item if the new value is too
/// large: a classic or binary write other than set. ms would remove the item, so these are sent in classic
/// text to a node that has no room for the value. `None` for any other command, and if classic text cannot
/// express it.
pub fn plain_store<'a>(request: &Request<'a>) -> Option<Request<'a>> {
    use Command::{Add, Append, Cas, MetaSet, Prepend, Replace};
    let plain = match (request.command, &request.meta) {
        (Add | Replace | Append | Prepend | Cas, None) => *request,
        (MetaSet, Some(meta)) if meta.is_binary && flag(meta.flags, b'M').is_some() => downgrade(request)?,
        _ => return None,
    };
    is_bare(plain.key).then_some(plain)
}

/// Whether memcached removes the item if it has no room for the value of `request`: for set, and for ms in
/// every mode. A binary client's storage commands are ms here, but memcached treats them as classic ones.
pub fn drops_item_if_refused(request: &Request<'_>) -> bool {
    match (request.command, &request.meta) {
        (Command::Set, _) => true,
        (Command::MetaSet, Some(meta)) => !meta.is_binary || flag(meta.flags, b'M').is_none(),
        _ => false,
    }
}

impl Group {
    /// The names of all groups.
    pub const WORDS: &[(&str, Group)] = &[
        ("reads", Group::Reads),
        ("writes", Group::Writes),
        ("deletes", Group::Deletes),
        ("arithmetic", Group::Arithmetic),
        ("touches", Group::Touches),
    ];
}

#[cfg(test)]
mod tests {
    use super::super::Meta;
    use super::*;

    #[test]
    fn the_words_stand_in_the_order_of_the_operations() {
        for (index, operation) in Operation::all().enumerate() {
            assert_eq!(operation as usize, index, "{}", operation.name());
        }
    }

    #[test]
    fn a_classic_command_does_what_its_name_says() {
        for command in Command::ALL.into_iter().filter(|command| !command.is_meta()) {
            let expected = match command {
                Command::Gets => "get",
                Command::Gats => "gat",
                command => command.name(),
            };
            assert_eq!(Operation::of_command(command, b"").name(), expected);
        }
    }

    #[test]
    fn a_meta_command_does_what_its_flags_say() {
        let cases = [
            (Command::MetaGet, "v f c", Operation::Get),
            (Command::MetaGet, "v T30", Operation::Gat),
            (Command::MetaGet, "T30", Operation::Touch),
            (Command::MetaGet, "s k", Operation::Get),
            (Command::MetaSet, "", Operation::Set),
            (Command::MetaSet, "MS T0", Operation::Set),
            (Command::MetaSet, "ME", Operation::Add),
            (Command::MetaSet, "mR MR", Operation::Replace),
            (Command::MetaSet, "Ma", Operation::Append),
            (Command::MetaSet, "MP", Operation::Prepend),
            (Command::MetaSet, "C12", Operation::Cas),
            (Command::MetaArithmetic, "D2", Operation::Incr),
            (Command::MetaArithmetic, "M-", Operation::Decr),
            (Command::MetaDelete, "I", Operation::Delete),
            (Command::MetaDebug, "", Operation::Get),
        ];
        for (command, flags, expected) in cases {
            let meta = Meta {
                key: b"k",
                flags: flags.as_bytes(),
                is_binary: false,
            };
            let request = Request {
                meta: Some(meta),
                ..Request::new(command, b"k")
            };
            assert_eq!(Operation::of(&request), expected, "{command:?} {flags}");
        }
    }

    #[test]
    fn a_delete_with_a_condition_or_that_leaves_something_is_not_plain() {
        assert!(is_plain_delete(&Request::new(Command::Delete, b"k")));
        for (flags, is_plain) in [
            ("", true),
            ("b k O1 q", true),
            ("C12", false),
            ("I T30", false),
            ("x", false),
        ] {
            let meta = Meta {
                key: b"k",
                flags: flags.as_bytes(),
                is_binary: false,
            };
            let of = |command| Request {
                meta: Some(meta),
                ..Request::new(command, b"k")
            };
            assert_eq!(is_plain_delete(&of(Command::MetaDelete)), is_plain, "{flags}");
            assert!(!is_plain_delete(&of(Command::MetaGet)));
        }
    }
}
