//! `read_only`, `deny`: some operations are refused.
//!
//! | command | `read_only` | `deny` |
//! |---|---|---|
//! | get, gat, mg, me | goes on; gat, and mg that changes the item, are refused | refused where it is listed, else goes on |
//! | all others | `CLIENT_ERROR … not allowed`, counted | the same |
//! | flush_all | refused | refused where it is listed |

use crate::protocol::meta::Names;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::counters::{Event, Shard};

/// What is let through.
#[derive(Debug)]
pub enum Gate {
    /// What changes nothing.
    ReadOnly,
    /// All but these.
    Deny(Vec<Operation>),
}

impl Gate {
    /// The refusal of `request`; `None` where it goes on.
    pub fn judge(&self, request: &Request<'_>, counters: &Shard) -> Option<Reply> {
        let operation = Operation::of(request);
        let is_refused = match self {
            Gate::ReadOnly => operation != Operation::Get || changes(request),
            Gate::Deny(operations) => operations.contains(&operation),
        };
        is_refused.then(|| {
            counters.count(Event::Denied);
            refusal(operation)
        })
    }
}

/// What is said of an operation that is refused.
fn refusal(operation: Operation) -> Reply {
    let word = Operation::WORDS.iter().find(|(_, other)| *other == operation);
    let word = word.map_or("this", |(word, _)| word);
    Reply::Refused(format!("CLIENT_ERROR {word} not allowed").into())
}

/// True for an mg that may create the item, or hand out the right to fill it.
fn changes(request: &Request<'_>) -> bool {
    let names = Names::of(request.typed_flags());
    request.command == Command::MetaGet && b"NRT".iter().any(|&name| names.has(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::testing::{Fake, ask, meta, run};

    #[test]
    fn read_only_lets_through_what_changes_nothing() {
        run(async {
            let fake = Fake::new("{read_only: a}", |_, _| Some(Reply::Done));
            for command in Command::ALL {
                let is_read = matches!(
                    command,
                    Command::Get | Command::Gets | Command::MetaGet | Command::MetaDebug
                );
                fake.ask(&ask(command, "k")).await;
                assert_eq!(fake.seen().len(), usize::from(is_read), "{command:?}");
            }
            for (flags, passes) in [("v", 1), ("v N30", 0), ("v R30", 0), ("T30", 0), ("v T30", 0)] {
                fake.ask(&meta(Command::MetaGet, "k", flags)).await;
                assert_eq!(fake.seen().len(), passes, "{flags}");
            }
        });
    }

    #[test]
    fn what_is_denied_is_denied_in_every_protocol() {
        run(async {
            let fake = Fake::new("{deny: {to: a, commands: [delete, flush_all]}}", |_, _| {
                Some(Reply::Done)
            });
            let refused = Reply::Refused("CLIENT_ERROR delete not allowed".into());
            assert_eq!(fake.ask(&ask(Command::Delete, "k")).await, refused);
            assert_eq!(fake.ask(&meta(Command::MetaDelete, "k", "q")).await, refused);
            assert_eq!(fake.ask(&ask(Command::Set, "k")).await, Reply::Done);
            assert_eq!(fake.seen(), ["a set k"]);
            assert!(fake.route.denies_flush());
            assert_eq!(fake.count(Event::Denied), 2);
        });
    }
}
