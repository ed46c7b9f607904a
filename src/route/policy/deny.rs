//! `read_only`, `deny`: refuse some operations.
//!
//! | command | `read_only` | `deny` |
//! |---|---|---|
//! | get, gat, mg, me | forwarded; gat, and mg that changes the item, are refused | refused if listed, otherwise forwarded |
//! | all others | `CLIENT_ERROR … not allowed`, counted | the same |
//! | flush_all | refused | refused if listed |

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::Forwarder;
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

/// The refused operations.
#[derive(Debug)]
pub struct Deny {
    to: Route,
    refused: Refused,
}

#[derive(Debug)]
enum Refused {
    /// All that may change an item.
    Changes,
    /// These operations.
    Operations(Vec<Operation>),
}

impl Compile for config::ReadOnly {
    type Policy = Deny;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Deny> {
        Some(Deny {
            to: scope.route(&self.to)?,
            refused: Refused::Changes,
        })
    }
}

impl Compile for config::Deny {
    type Policy = Deny;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Deny> {
        Some(Deny {
            to: scope.route(&self.to)?,
            refused: Refused::Operations(self.commands.clone()),
        })
    }
}

impl Policy for Deny {
    const EVENTS: &'static [Event] = &[Event::Denied];

    fn decide(
        &self,
        request: &Request<'_>,
        counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        let operation = Operation::of(request);
        let is_refused = match &self.refused {
            Refused::Changes => operation != Operation::Get || changes(request),
            Refused::Operations(operations) => operations.contains(&operation),
        };
        if !is_refused {
            return Decision::Forward(&self.to);
        }
        counters.count(Event::Denied);
        Decision::Reply(refusal(operation))
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }

    fn denies_flush(&self) -> bool {
        match &self.refused {
            Refused::Changes => true,
            Refused::Operations(operations) => operations.contains(&Operation::FlushAll),
        }
    }
}

/// Returns the reply to a refused operation.
fn refusal(operation: Operation) -> Reply {
    Reply::Refused(format!("CLIENT_ERROR {} not allowed", operation.name()).into())
}

/// Whether `request` is an mg that may create the item, or grant a lease to fill it.
fn changes(request: &Request<'_>) -> bool {
    let names = Names::of(request.raw_flags());
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
