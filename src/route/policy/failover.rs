//! `failover`: tries routes in order, until one does not fail.
//!
//! | command | what happens |
//! |---|---|
//! | get, gets, mg, me | the next is tried after a failure, and with `on_miss` after a miss |
//! | gat, touch | the same; the expiry set by a later route is at most `expiry` |
//! | set, ms | the next is tried after a failure; what is stored there lives at most `expiry` |
//! | add, replace, append, prepend, ms in these modes | the next only if not one byte was sent: otherwise it may have been executed |
//! | incr, decr, ma | the first only; with `arithmetic` the next, if not one byte was sent |
//! | cas, ms with `C` | the first only: cas ids of two pools are unrelated |
//! | delete, md | all at once, since each may hold the key; an error of one is the reply, or `DELETED` if one had it. A cas id is compared by the first only |
//! | flush_all, version, stats | all pools |
//!
//! A failure is a missing reply, for whatever reason, or `SERVER_ERROR`. If all fail, the first failure is
//! the reply. Replies of any route but the first have a cas id that never matches. `budget` bounds the
//! share of requests that may try another route, in percent of all, so that a failing pool does not double
//! the load of the others; once it is spent the failure is the reply. About a hundred requests may do so at
//! once after a quiet time.

use crate::config;
use crate::protocol::operation::Operation;
use crate::protocol::{Reply, Request};
use crate::reply::oneshot::Answer;
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::budget::Budget;
use crate::route::toolkit::reply::{is_error, is_failure, is_miss, is_untouched, without_cas};
use crate::route::toolkit::rewrite::{whole_seconds, with_max_expiry, without_flags};

/// Routes in the order in which they are tried.
#[derive(Debug)]
pub struct Failover {
    /// At least two.
    to: Vec<Route>,
    on_miss: bool,
    /// Seconds.
    expiry: Option<i64>,
    arithmetic: bool,
    budget: Budget,
}

impl Compile for config::Failover {
    type Policy = Failover;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Failover> {
        Some(Failover {
            to: scope.routes(&self.to)?,
            on_miss: self.on_miss,
            expiry: self.expiry.map(whole_seconds),
            arithmetic: self.arithmetic,
            budget: Budget::new(self.budget, scope.state(config::Policy::Failover(self.clone()))),
        })
    }
}

impl Policy for Failover {
    const EVENTS: &'static [Event] = &[Event::Failover, Event::OverBudget];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if Operation::of(request) == Operation::Delete {
            return Decision::Run;
        }
        self.budget.earn(forwarder);
        Decision::Inspect(&self.to[0])
    }

    fn is_final(&self, request: &Request<'_>, reply: &Reply) -> bool {
        use Operation::*;
        let may_go_on = is_failure(reply) || self.on_miss && is_miss(reply);
        !may_go_on
            || !match Operation::of(request) {
                Get | Gat | Touch => true,
                // A set that is executed twice leaves the same item; one that missed its key has not
                // failed.
                Set => is_failure(reply),
                // Their effect depends on the old item, so the next route is tried only if this one
                // certainly did nothing.
                Add | Replace | Append | Prepend => is_untouched(reply),
                Incr | Decr => self.arithmetic && is_untouched(reply),
                Cas | Delete | FlushAll => false,
            }
    }

    async fn resume(&self, request: &Request<'_>, first: Reply, context: &Context<'_>) -> Reply {
        let mut best = first;
        for to in &self.to[1..] {
            if !self.budget.spend(&*context.call.forwarder) {
                context.count(Event::OverBudget);
                break;
            }
            context.count(Event::Failover);
            let mut scratch = Vec::new();
            let capped = self.capped(request, &mut scratch);
            let next = context.call.send(to, &capped).await;
            let is_final = self.is_final(request, &next);
            // The first failure is the reply unless a later route succeeds.
            if !is_failure(&next) {
                best = without_cas(next);
            }
            if is_final {
                break;
            }
        }
        best
    }

    /// Deletes the key in all routes.
    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let mut scratch = Vec::new();
        // The cas id is the first route's own; the others delete unconditionally.
        let plain = without_flags(request, &mut scratch, b"C");
        let first = context.call.send(&self.to[0], request);
        let others = self.to[1..].iter();
        let others: Vec<Answer> = others.map(|to| context.call.send(to, &plain)).collect();
        let mut best = first.await;
        for other in others {
            let other = other.await;
            if !is_error(&best) && (is_error(&other) || is_miss(&best)) {
                best = other;
            }
        }
        best
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        self.to.iter().map(Branch::new).collect()
    }
}

impl Failover {
    /// Returns `request` for later routes, with an expiry of at most `expiry`.
    fn capped<'a>(&self, request: &Request<'a>, scratch: &'a mut Vec<u8>) -> Request<'a> {
        match self.expiry {
            Some(max) => with_max_expiry(request, scratch, max),
            None => *request,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Failure, Reply, Request};
    use crate::route::counters::Event;
    use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

    const ALL: [Command; 20] = Command::ALL;

    fn fails(pool: &'static str, failure: Failure) -> impl Fn(&str, &Request<'_>) -> Option<Reply> {
        move |asked, _| {
            Some(if asked == pool {
                Reply::Failed(failure)
            } else {
                Reply::Done
            })
        }
    }

    #[test]
    fn if_the_first_answers_no_other_is_asked_except_for_deletes() {
        run(async {
            let fake = Fake::new("{failover: [a, b, c]}", |_, _| Some(Reply::Done));
            for command in ALL {
                assert_eq!(fake.ask(&ask(command, "k")).await, Reply::Done);
                let asked = fake.seen();
                let pools: String = asked.iter().map(|line| &line[..1]).collect();
                let is_delete = matches!(command, Command::Delete | Command::MetaDelete);
                assert_eq!(pools, if is_delete { "abc" } else { "a" }, "{command:?}");
            }
            assert_eq!(fake.count(Event::Failover), 0);
        });
    }

    #[test]
    fn each_command_goes_on_only_if_that_is_safe() {
        // The pools that are tried if the first did not get one byte, and if it may have executed the
        // request.
        let cases = [
            (Command::Get, "ab", "ab"),
            (Command::Gets, "ab", "ab"),
            (Command::Gat, "ab", "ab"),
            (Command::Gats, "ab", "ab"),
            (Command::Set, "ab", "ab"),
            (Command::Touch, "ab", "ab"),
            (Command::Add, "ab", "a"),
            (Command::Replace, "ab", "a"),
            (Command::Append, "ab", "a"),
            (Command::Prepend, "ab", "a"),
            (Command::Cas, "a", "a"),
            (Command::Incr, "a", "a"),
            (Command::Decr, "a", "a"),
            (Command::Delete, "ab", "ab"),
            (Command::MetaGet, "ab", "ab"),
            (Command::MetaSet, "ab", "ab"),
            (Command::MetaDelete, "ab", "ab"),
            (Command::MetaArithmetic, "a", "a"),
            (Command::MetaDebug, "ab", "ab"),
        ];
        run(async {
            for (command, untouched, unknown) in cases {
                for (failure, expected) in [(Failure::Connect, untouched), (Failure::Timeout, unknown)] {
                    let fake = Fake::new("{failover: [a, b]}", fails("a", failure));
                    let reply = fake.ask(&ask(command, "k")).await;
                    let pools: String = fake.seen().iter().map(|line| &line[..1]).collect();
                    assert_eq!(pools, expected, "{command:?} {failure:?}");
                    let is_delete = matches!(command, Command::Delete | Command::MetaDelete);
                    let is_done = expected == "ab" && !is_delete;
                    let expected = if is_done {
                        Reply::Done
                    } else {
                        Reply::Failed(failure)
                    };
                    assert_eq!(reply, expected, "{command:?} {failure:?}");
                }
            }
        });
    }

    #[test]
    fn the_first_error_is_the_answer_when_all_fail() {
        run(async {
            let fake = Fake::new("{failover: [a, b, c]}", |pool, _| {
                Some(match pool {
                    "a" => Reply::Failed(Failure::Timeout),
                    "b" => Reply::Error("SERVER_ERROR out of memory".into()),
                    _ => Reply::Failed(Failure::Down),
                })
            });
            let reply = fake.ask(&ask(Command::Get, "k")).await;
            assert_eq!(reply, Reply::Failed(Failure::Timeout));
            assert_eq!(fake.seen(), ["a get k", "b get k", "c get k"]);
            assert_eq!(fake.count(Event::Failover), 2);
        });
    }

    #[test]
    fn a_miss_goes_on_only_with_on_miss() {
        let script = |pool: &str, request: &Request<'_>| {
            Some(match pool {
                "a" => Reply::NotFound,
                "b" => Reply::Failed(Failure::Timeout),
                _ => value(request, "v", 5),
            })
        };
        run(async move {
            let fake = Fake::new("{failover: [a, b, c]}", script);
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
            let fake = Fake::new("{failover: {to: [a, b], on_miss: true}}", script);
            assert_eq!(
                fake.ask(&ask(Command::Get, "k")).await,
                Reply::NotFound,
                "a miss is more than a failure"
            );
            let fake = Fake::new("{failover: {to: [a, b, c], on_miss: true}}", script);
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            assert_eq!(fake.seen().len(), 3);
            assert_eq!(
                fake.ask(&ask(Command::Delete, "k")).await,
                Reply::Failed(Failure::Timeout)
            );
        });
    }

    #[test]
    fn what_a_later_pool_stores_lives_no_longer_than_expiry() {
        let month = 30 * 24 * 3600;
        let cases = [
            (expiring(Command::Set, "k", 0), "b set k 60"),
            (expiring(Command::Set, "k", 30), "b set k 30"),
            (expiring(Command::Set, "k", month), "b set k 60"),
            (expiring(Command::Set, "k", 4_000_000_000), "b set k 60"),
            (expiring(Command::Set, "k", -1), "b set k -1"),
            (expiring(Command::Touch, "k", 0), "b touch k 60"),
            (expiring(Command::Gat, "k", 100), "b gat k 60"),
            (ask(Command::Append, "k"), "b append k"),
            (ask(Command::Get, "k"), "b get k"),
            (meta(Command::MetaSet, "k", "F1"), "b ms k F1 T60"),
            (meta(Command::MetaSet, "k", "T0 F1"), "b ms k T60 F1"),
            (meta(Command::MetaSet, "k", "MA"), "b ms k MA"),
            (meta(Command::MetaGet, "k", "v N0"), "b mg k v N60"),
            (meta(Command::MetaGet, "k", "v"), "b mg k v"),
        ];
        run(async move {
            for (request, expected) in cases {
                let fake = Fake::new(
                    "{failover: {to: [a, b], expiry: 60s}}",
                    fails("a", Failure::Connect),
                );
                fake.ask(&request).await;
                let seen = fake.seen();
                assert_eq!(seen[1], expected);
                assert_eq!(seen[0][2..].split(' ').next(), seen[1][2..].split(' ').next());
                assert!(
                    !seen[0].contains("60"),
                    "the first gets the request unchanged: {}",
                    seen[0]
                );
            }
        });
    }

    #[test]
    fn arithmetic_goes_on_only_with_arithmetic_and_if_nothing_was_sent() {
        run(async {
            for (failure, expected) in [(Failure::Down, 2), (Failure::Timeout, 1)] {
                let fake = Fake::new("{failover: {to: [a, b], arithmetic: true}}", fails("a", failure));
                fake.ask(&ask(Command::Incr, "k")).await;
                assert_eq!(fake.seen().len(), expected, "{failure:?}");
            }
        });
    }

    #[test]
    fn a_cas_id_of_a_later_pool_is_one_that_never_matches() {
        run(async {
            let fake = Fake::new("{failover: [a, b]}", |pool, request| {
                Some(match pool {
                    "a" => Reply::Failed(Failure::Timeout),
                    _ if request.meta.is_some() => line("HD c7"),
                    _ => value(request, "v", 7),
                })
            });
            let Reply::Value(item) = fake.ask(&ask(Command::Gets, "k")).await else {
                panic!("a value is there")
            };
            assert_eq!(item.cas, i64::MAX as u64);
            let reply = fake.ask(&meta(Command::MetaGet, "k", "c")).await;
            assert_eq!(reply, line("HD c9223372036854775807"));
        });
    }

    #[test]
    fn a_budget_bounds_how_many_go_on() {
        run(async {
            let fake = Fake::new(
                "{failover: {to: [a, b], budget: 10%}}",
                fails("a", Failure::Timeout),
            );
            for _ in 0..10_000 {
                fake.ask(&ask(Command::Get, "k")).await;
            }
            let gone_on = fake.count(Event::Failover);
            assert!((1000..=1200).contains(&gone_on), "{gone_on}");
            assert_eq!(gone_on + fake.count(Event::OverBudget), 10_000);
        });
    }

    #[test]
    fn healthy_requests_through_another_failover_earn_nothing_for_this_one() {
        let cases = [
            "{failover: [c, b]}",
            "{failover: {to: [c, b], budget: 10%}}",
            "{failover: {to: [a, b], budget: 10%}}",
        ];
        run(async move {
            for other in cases {
                let route = format!(
                    "{{prefix: {{\"s:\": {other}}}, else: {{failover: {{to: [a, b], budget: 10%}}}}}}"
                );
                let fake = Fake::new(&route, |pool, request| {
                    let is_healthy = pool != "a" || request.key.starts_with(b"s:");
                    Some(match is_healthy {
                        true => Reply::Done,
                        false => Reply::Failed(Failure::Timeout),
                    })
                });
                for _ in 0..2000 {
                    fake.ask(&ask(Command::Get, "k")).await;
                    fake.ask(&ask(Command::Get, "s:k")).await;
                }
                let gone_on = fake.count(Event::Failover);
                assert!((200..=310).contains(&gone_on), "{gone_on} beside {other}");
                assert_eq!(gone_on + fake.count(Event::OverBudget), 2000, "beside {other}");
            }
        });
    }

    #[test]
    fn a_delete_reaches_all_and_says_deleted_if_one_had_the_key() {
        run(async {
            let fake = Fake::new("{failover: [a, b]}", |_, _| None);
            let answer = fake.ask(&meta(Command::MetaDelete, "k", "C7 q"));
            assert_eq!(
                fake.seen(),
                ["a md k C7 q", "b md k q"],
                "at once, and b knows no cas id of a"
            );
            fake.answer("b", line("HD"));
            fake.answer("a", line("NF"));
            assert_eq!(answer.await, line("HD"));
        });
    }
}
