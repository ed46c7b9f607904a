//! `by_command`: the command chooses the route; a single operation wins over its group.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | goes to the route of its operation, or else of its group, or else of `else` |
//! | flush_all, version, stats | all pools |

use crate::config::{self, Which};
use crate::protocol::Request;
use crate::protocol::operation::Operation;
use crate::route::Route;
use crate::route::call::Forwarder;
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

/// Operations and groups of them, with their routes.
#[derive(Debug)]
pub struct ByCommand {
    routes: Vec<(Which, Route)>,
    otherwise: Route,
}

impl Compile for config::ByCommand {
    type Policy = ByCommand;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<ByCommand> {
        let routes = self.routes.iter();
        let routes: Option<Vec<_>> = routes
            .map(|(which, route)| Some((*which, scope.route(route)?)))
            .collect();
        Some(ByCommand {
            routes: routes?,
            otherwise: scope.route(&self.otherwise)?,
        })
    }
}

impl ByCommand {
    fn choose(&self, request: &Request<'_>) -> &Route {
        let operation = Operation::of(request);
        let one = self
            .routes
            .iter()
            .find(|(which, _)| *which == Which::One(operation));
        let group = || {
            self.routes
                .iter()
                .find(|(which, _)| operation.group().is_some_and(|group| *which == Which::All(group)))
        };
        one.or_else(group).map_or(&self.otherwise, |(_, route)| route)
    }
}

impl Policy for ByCommand {
    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        Decision::Forward(self.choose(request))
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        let routes = self.routes.iter();
        let routes = routes.map(|(which, route)| Branch::labelled(which.word(), route));
        routes
            .chain([Branch::labelled("else", &self.otherwise)])
            .collect()
    }

    fn only_route(&self, request: &Request<'_>) -> Option<&Route> {
        Some(self.choose(request))
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Reply};
    use crate::route::testing::{Fake, ask, meta, run};

    #[test]
    fn a_command_goes_where_its_group_says_and_a_single_one_before_its_group() {
        let route = "{by_command: {reads: a, writes: b, set: c, arithmetic: c}, else: {miss: {}}}";
        let cases = [
            (ask(Command::Get, "k"), "a get k"),
            (ask(Command::Gats, "k"), "a gats k"),
            (ask(Command::Set, "k"), "c set k"),
            (ask(Command::Add, "k"), "b add k"),
            (ask(Command::Decr, "k"), "c decr k"),
            (ask(Command::Touch, "k"), ""),
            (ask(Command::Delete, "k"), ""),
            (meta(Command::MetaGet, "k", "v T30"), "a mg k v T30"),
            (meta(Command::MetaGet, "k", "T30"), ""),
            (meta(Command::MetaSet, "k", "ME"), "b ms k ME"),
            (meta(Command::MetaSet, "k", ""), "c ms k"),
        ];
        run(async move {
            let fake = Fake::new(route, |_, _| Some(Reply::Done));
            for (request, expected) in cases {
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }
}
