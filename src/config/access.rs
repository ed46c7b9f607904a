//! Who may connect to a unix listener: the mode and the group of its socket file.
//!
//! A group is a name of `/etc/group` or a number. Names that only a directory service knows are not found; their
//! numbers work.

use serde_json::json;

use super::error::{Problem, quote};
use super::kind::Kind;
use super::map_reader::MapReader;
use super::rows::section;
use super::{schema, suggest};

/// The file that lists the groups of this machine.
const GROUPS: &str = "/etc/group";
/// All permission bits of a socket.
const ALL: u32 = 0o777;

section! {
    /// Who may connect to a unix listener. By default the mode that the umask leaves, and the group of the process.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Access {
        /// Permissions of a unix socket, in octal digits, set before a client can connect.
        mode: Option<u32> = None, mode_kind().optional();
        /// Group of a unix socket: a name from /etc/group, or a number. Ringway must be root or belong to the group.
        group: Option<Group> = None, group_kind().optional();
    }
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As it was written: a name or a number.
    pub name: String,
    /// Its number.
    pub id: u32,
}

/// Notes a mistake for each key that is there, for a listener on a TCP port.
pub fn reject(keys: &mut MapReader<'_, '_>) {
    for key in ["mode", "group"] {
        let problem = Problem::new("a TCP port has none");
        keys.reject(key, problem.hint("it is for listeners on unix:/path"));
    }
}

fn mode_kind() -> Kind<u32> {
    let show = |mode: &u32| json!(format!("{mode:04o}"));
    Kind::text(mode, show, || {
        let digits = json!({ "type": "integer", "minimum": 0, "maximum": 777 });
        json!({ "anyOf": [schema::pattern("^0{0,2}[0-7]{3}$"), digits] })
    })
}

fn group_kind() -> Kind<Group> {
    let show = |group: &Group| json!(group.name);
    Kind::text(group, show, || json!({ "type": ["string", "integer"] }))
}

fn mode(text: &str) -> Result<u32, Problem> {
    let hint = "write three octal digits, such as \"0660\": read and write for owner and group";
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    if !is_octal || !(3..=5).contains(&text.len()) {
        return Err(Problem::new(format!("{} is not an octal mode", quote(text))).hint(hint));
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= ALL => Ok(mode),
        _ => Err(Problem::new(format!("{} is out of range", quote(text))).hint("the maximum is 0777")),
    }
}

fn group(text: &str) -> Result<Group, Problem> {
    let found = |id| Group {
        name: text.to_owned(),
        id,
    };
    if let Ok(id) = text.parse::<u32>() {
        // The highest number means "leave it as it is" to the system.
        return match id {
            u32::MAX => {
                Err(Problem::new(format!("{text} is not a group")).hint("the highest number is 4294967294"))
            }
            id => Ok(found(id)),
        };
    }
    let groups = std::fs::read_to_string(GROUPS).map_err(|error| {
        Problem::new(format!("cannot read {GROUPS}: {error}")).hint("write the group's number")
    })?;
    let known = groups.lines().filter_map(entry);
    match known.clone().find(|(name, _)| *name == text) {
        Some((_, id)) => Ok(found(id)),
        None => {
            let near = suggest::nearest(text, known.map(|(name, _)| name));
            let hint = match near {
                Some(name) => format!("did you mean {name}?"),
                None => format!("write one of {GROUPS}, or its number"),
            };
            Err(Problem::new(format!("there is no group {}", quote(text))).hint(hint))
        }
    }
}

/// A line of the file of groups: `name:password:number:members`.
fn entry(line: &str) -> Option<(&str, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((name, fields.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_has_no_more_than_permissions() {
        for (raw, expected) in [("0660", 0o660), ("660", 0o660), ("00777", 0o777), ("000", 0)] {
            assert_eq!(mode(raw).expect(raw), expected);
            assert_eq!(mode(&format!("{expected:04o}")).expect(raw), expected);
        }
        for raw in [
            "0680",
            "rw-rw----",
            "6",
            "0o660",
            "",
            "1777",
            "4755",
            "+66",
            "000660",
        ] {
            mode(raw).expect_err(raw);
        }
    }

    #[test]
    fn a_group_is_a_name_or_a_number() {
        assert_eq!(group("root").expect("every machine has it").id, 0);
        assert_eq!(group("4242").expect("a number").id, 4242);
        let problem = group("rooot").expect_err("a slip");
        assert_eq!(problem.hint.as_deref(), Some("did you mean root?"));
        group("4294967295").expect_err("it means none");
        group("").expect_err("no name");
        assert_eq!(entry("audio:x:29:a,b"), Some(("audio", 29)));
        for line in ["", "audio", "audio:x", "audio:x:none:"] {
            assert_eq!(entry(line), None, "{line}");
        }
    }
}
