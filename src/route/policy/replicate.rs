//! `replicate`: keeps the same values in several routes, called replicas here.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg | as `read` says; the next replica if one fails, and with `on_miss` after a miss |
//! | gets, mg with `c`, `N`, `R` or `E`, me, every read of a binary client | the first replica: cas ids of two replicas are unrelated. The next if it fails, with a cas id that never matches |
//! | gat, gats, mg with `T` | all at once; the first in the list that has the key answers |
//! | set, ms, touch, append, prepend, incr, decr, ma | all at once; done as `write` says |
//! | add, replace, cas, ms in these modes or with `C` | the first replica decides; if it stored, the others get the same as a set, done as `write` says; if it did not answer, they delete the key |
//! | delete, md | all at once; done as `write` says; `DELETED` if any of those that answered had it |
//! | md with `C` | the first replica decides; if it deleted, or did not answer, the others delete |
//! | flush_all, version, stats | all pools |
//!
//! `write` says when a write is done. `all`: when all replicas did it; the error of one is the reply.
//! `majority`: when more than half did it. `first`: when any did it. `async`: when the first in the list
//! did it. The other replicas get the write all the same, in the order of its session. If several replies
//! count, the client gets that of the first in the list.
//!
//! `read` says which replicas serve reads. `first`: the first in the list. `local`: the first of this
//! process's zone. `fastest`: all at once, and the first hit is the reply. `hedged`: as `local`, and if
//! that one takes longer than it does in 95 of 100 cases, a second one too, within `budget`.
//!
//! A replica that missed a write keeps the old value: with `all` the client got an error, with the other
//! modes it did not; the key is deleted on its node before it is read there again. Two concurrent writes to
//! one key may reach two replicas in different orders; they differ until the next write or the expiry.

use tokio::time::timeout;

use crate::config::{self, Reads, Writes};
use crate::protocol::meta::flag;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::budget::Budget;
use crate::route::toolkit::hedge_delay;
use crate::route::toolkit::lease::uses_lease;
use crate::route::toolkit::quorum::{QuorumWrite, of_replica};
use crate::route::toolkit::race::Race;
use crate::route::toolkit::reply::{is_done, is_failure, is_hit, is_miss, without_cas};
use crate::route::toolkit::rewrite::unconditional;
use crate::route::{Pool, Route};

/// The replicas, and how they are used.
#[derive(Debug)]
pub struct Replicate {
    /// At least two.
    to: Vec<Route>,
    /// Indices into `to`, in the order in which reads try them.
    order: Vec<usize>,
    write: Writes,
    read: Reads,
    on_miss: bool,
    budget: Budget,
}

impl Compile for config::Replicate {
    type Policy = Replicate;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Replicate> {
        let to = scope.routes(&self.to)?;
        let mut order: Vec<usize> = (0..to.len()).collect();
        if let Some(zone) = scope.zone()
            && matches!(self.read, Reads::Local | Reads::Hedged)
        {
            let is_local = |pool: &Pool| pool.settings.zone.as_deref() == Some(zone);
            // The sort is stable: inside and outside of the zone, the order of the list is kept.
            order.sort_by_key(|&index| !to[index].pools().iter().all(|pool| is_local(pool)));
        }
        Some(Replicate {
            to,
            order,
            write: self.write,
            read: self.read,
            on_miss: self.on_miss,
            budget: Budget(self.budget),
        })
    }
}

impl Policy for Replicate {
    const EVENTS: &'static [Event] = &[Event::Failover, Event::Hedged, Event::OverBudget];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if is_pinned(request) {
            return Decision::Inspect(&self.to[0]);
        }
        let asks_one =
            Operation::of(request) == Operation::Get && matches!(self.read, Reads::First | Reads::Local);
        if asks_one {
            Decision::Inspect(&self.to[self.order[0]])
        } else {
            Decision::Run
        }
    }

    fn is_final(&self, _request: &Request<'_>, reply: &Reply) -> bool {
        !(is_failure(reply) || self.on_miss && is_miss(reply))
    }

    async fn resume(&self, request: &Request<'_>, first: Reply, context: &Context<'_>) -> Reply {
        if is_pinned(request) {
            // The request went to the first in the list, wherever that is in the order of reads.
            return self.ask_next(request, 1..self.to.len(), first, context).await;
        }
        let others = self.order[1..].iter().copied();
        self.ask_next(request, others, first, context).await
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        match Operation::of(request) {
            Operation::Get if self.read == Reads::Hedged => self.hedged(request, context).await,
            Operation::Get => self.fastest(request, context).await,
            Operation::Gat => self.in_order(request, context).await,
            Operation::Add | Operation::Replace | Operation::Cas => self.decided(request, context).await,
            Operation::Delete if compares(request) => self.decided(request, context).await,
            operation => {
                let race = self.ask_all(request, context);
                self.write(operation).settle(race).await
            }
        }
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        self.to.iter().map(Branch::new).collect()
    }
}

impl Replicate {
    fn write(&self, operation: Operation) -> QuorumWrite {
        QuorumWrite::new(operation, self.to.len(), self.write)
    }

    fn ask_all(&self, request: &Request<'_>, context: &Context<'_>) -> Race {
        let mut race = Race::default();
        for (index, to) in self.to.iter().enumerate() {
            race.add(index, context.call.send(to, request));
        }
        race
    }

    /// Tries the replicas in `order` one after the other, until a reply is final.
    async fn ask_next(
        &self,
        request: &Request<'_>,
        order: impl Iterator<Item = usize>,
        mut best: Reply,
        context: &Context<'_>,
    ) -> Reply {
        for index in order {
            if self.is_final(request, &best) {
                break;
            }
            context.count(Event::Failover);
            let reply = context.call.send(&self.to[index], request).await;
            best = better(best, without_cas(reply));
        }
        best
    }

    /// Asks all; the first hit is the reply.
    async fn fastest(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let mut race = self.ask_all(request, context);
        let mut best = None;
        while let Some((_, reply)) = race.next().await {
            if is_hit(&reply) {
                return reply;
            }
            keep_better(&mut best, reply);
        }
        best.expect("there are replicas")
    }

    /// Asks the first, and a second one too if the first is slow.
    async fn hedged(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let counters = context.counters();
        let ask = |place: usize| context.call.send(&self.to[self.order[place]], request);
        self.budget.earn(counters);
        let mut race = Race::default();
        race.add(0, ask(0));
        let mut came = timeout(hedge_delay::now(counters), race.next())
            .await
            .ok()
            .flatten();
        hedge_delay::learn(counters, came.is_some());
        let mut asked = 1;
        if came.is_none() {
            if self.budget.spend(counters) {
                counters.count(Event::Hedged);
                race.add(1, ask(1));
                asked = 2;
            } else {
                counters.count(Event::OverBudget);
            }
            came = race.next().await;
        }
        let mut best: Option<Reply> = None;
        while let Some((place, reply)) = came {
            // From the second replica only a hit is final: it may lack what the first has.
            if is_hit(&reply) || place == 0 && self.is_final(request, &reply) {
                return reply;
            }
            keep_better(&mut best, reply);
            came = race.next().await;
        }
        let best = best.expect("the first answers");
        let others = self.order[asked..].iter().copied();
        self.ask_next(request, others, best, context).await
    }

    /// Asks all; the first in the list that has the key answers.
    async fn in_order(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let answers = self.to.iter().map(|to| context.call.send(to, request));
        let answers: Vec<_> = answers.collect();
        let mut best: Option<Reply> = None;
        for (index, answer) in answers.into_iter().enumerate() {
            let reply = of_replica(index, answer.await);
            if is_hit(&reply) {
                return reply;
            }
            keep_better(&mut best, reply);
        }
        best.expect("there are replicas")
    }

    /// Lets the first replica decide; if it succeeds, the others get the request without its condition. If
    /// it did not answer, it may have succeeded: then the others must not keep an older value.
    async fn decided(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let first = context.call.send(&self.to[0], request).await;
        if matches!(first, Reply::Failed(_)) && is_failure(&first) {
            self.forget(request.key, context).await;
        }
        if !is_done(&first) {
            return first;
        }
        let mut scratch = Vec::new();
        let copy = unconditional(request, &mut scratch);
        let mut race = Race::default();
        for (index, to) in self.to.iter().enumerate().skip(1) {
            race.add(index, context.call.send(to, &copy));
        }
        let mut write = self.write(Operation::of(request));
        write.take(0, first);
        write.settle(race).await
    }

    /// Deletes `key` in all replicas except the first. If that fails, the node's missed write is recorded.
    async fn forget(&self, key: &[u8], context: &Context<'_>) {
        let delete = Request::new(Command::Delete, key);
        let others = self.to[1..].iter();
        let answers: Vec<_> = others.map(|to| context.call.send(to, &delete)).collect();
        for answer in answers {
            answer.await;
        }
    }
}

/// Whether only the first replica may answer, because the reply has a cas id, or is a lease to write with.
fn is_pinned(request: &Request<'_>) -> bool {
    let asks_only = Operation::of(request) == Operation::Get;
    request.command == Command::MetaDebug || uses_lease(request) || asks_only && request.wants_cas()
}

fn compares(request: &Request<'_>) -> bool {
    flag(request.raw_flags(), b'C').is_some()
}

fn keep_better(best: &mut Option<Reply>, reply: Reply) {
    *best = Some(match best.take() {
        Some(best) => better(best, reply),
        None => reply,
    });
}

/// Prefers a value to a miss, a miss to a failure, and otherwise the first.
fn better(first: Reply, second: Reply) -> Reply {
    let rank = |reply: &Reply| (is_failure(reply), is_miss(reply));
    if rank(&second) < rank(&first) {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use crate::protocol::{Command, Failure, Reply, Request};
    use crate::route::counters::Event;
    use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

    /// The pools that were asked.
    fn asked(fake: &Fake) -> String {
        fake.seen().iter().map(|line| &line[..1]).collect()
    }

    fn obey(_: &str, request: &Request<'_>) -> Option<Reply> {
        Some(match request.command {
            command if command.is_read() => value(request, "v", 7),
            Command::MetaGet => line("HD c7"),
            Command::MetaSet | Command::MetaDelete | Command::MetaArithmetic => line("HD c7"),
            _ => Reply::Done,
        })
    }

    #[test]
    fn each_command_goes_to_the_replicas_that_need_it() {
        let cases = [
            (ask(Command::Get, "k"), "a get k"),
            (ask(Command::Gets, "k"), "a gets k"),
            (expiring(Command::Gat, "k", 9), "a gat k 9,b gat k 9,c gat k 9"),
            (expiring(Command::Set, "k", 9), "a set k 9,b set k 9,c set k 9"),
            (
                expiring(Command::Touch, "k", 9),
                "a touch k 9,b touch k 9,c touch k 9",
            ),
            (ask(Command::Append, "k"), "a append k,b append k,c append k"),
            (ask(Command::Incr, "k"), "a incr k,b incr k,c incr k"),
            (ask(Command::Delete, "k"), "a delete k,b delete k,c delete k"),
            (expiring(Command::Add, "k", 9), "a add k 9,b set k 9,c set k 9"),
            (ask(Command::Replace, "k"), "a replace k,b set k,c set k"),
            (expiring(Command::Cas, "k", 9), "a cas k 9,b set k 9,c set k 9"),
            (meta(Command::MetaGet, "k", "v t"), "a mg k v t"),
            (
                meta(Command::MetaGet, "k", "v T9"),
                "a mg k v T9,b mg k v T9,c mg k v T9",
            ),
            (meta(Command::MetaGet, "k", "T9"), "a mg k T9,b mg k T9,c mg k T9"),
            (
                meta(Command::MetaSet, "k", "ME T9"),
                "a ms k ME T9,b ms k T9,c ms k T9",
            ),
            (meta(Command::MetaSet, "k", "C7 I"), "a ms k C7 I,b ms k,c ms k"),
            (meta(Command::MetaSet, "k", "MA"), "a ms k MA,b ms k MA,c ms k MA"),
            (
                meta(Command::MetaDelete, "k", "C7 q"),
                "a md k C7 q,b md k q,c md k q",
            ),
            (
                meta(Command::MetaArithmetic, "k", "N9"),
                "a ma k N9,b ma k N9,c ma k N9",
            ),
            (ask(Command::MetaDebug, "k"), "a me k"),
        ];
        run(async move {
            let fake = Fake::new("{replicate: [a, b, c]}", obey);
            for (request, expected) in cases {
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }

    #[test]
    fn what_the_first_replica_may_have_done_leaves_nothing_older_in_the_others() {
        run(async {
            let fake = Fake::new("{replicate: [a, b, c]}", |pool, _| {
                Some(match pool {
                    "a" => Reply::Failed(Failure::Timeout),
                    "b" => Reply::Failed(Failure::Down),
                    _ => Reply::Done,
                })
            });
            let failed = Reply::Failed(Failure::Timeout);
            for command in [Command::Add, Command::Replace, Command::Cas] {
                assert_eq!(fake.ask(&ask(command, "k")).await, failed);
                let seen = fake.seen();
                assert_eq!(seen[1..], ["b delete k", "c delete k"], "{command:?}");
            }
            for (command, flags) in [
                (Command::MetaSet, "ME q"),
                (Command::MetaSet, "C7 I"),
                (Command::MetaDelete, "C7 q O1"),
            ] {
                assert_eq!(fake.ask(&meta(command, "k", flags)).await, failed);
                assert_eq!(fake.seen()[1..], ["b delete k", "c delete k"], "{flags}");
            }
        });
    }

    #[test]
    fn what_the_first_replica_refused_is_not_sent_to_the_others() {
        run(async {
            let replies = [
                Reply::NotStored,
                Reply::Exists,
                Reply::Failed(Failure::TooLarge),
                Reply::Failed(Failure::Unsupported),
                Reply::Error("SERVER_ERROR out of memory".into()),
            ];
            for reply in replies {
                let answer = reply.clone();
                let fake = Fake::new("{replicate: [a, b]}", move |_, _| Some(answer.clone()));
                for command in [Command::Add, Command::Replace, Command::Cas] {
                    assert_eq!(fake.ask(&ask(command, "k")).await, reply);
                    assert_eq!(asked(&fake), "a", "{command:?} {reply:?}");
                }
            }
        });
    }

    #[test]
    fn a_cas_id_is_the_first_replicas_or_matches_nothing() {
        let first_fails = |pool: &str, request: &Request<'_>| match pool {
            "a" => Some(Reply::Failed(Failure::Timeout)),
            _ => obey(pool, request),
        };
        let never = i64::MAX as u64;
        run(async move {
            // A read that may go to b must go to a if it asks for a cas id, and to b only after it.
            for read in ["first", "local", "fastest", "hedged"] {
                let route = format!("{{replicate: {{to: [a, b], read: {read}}}}}");
                let fake = Fake::new(&route, obey);
                let reply = fake.ask(&ask(Command::Gets, "k")).await;
                assert!(matches!(reply, Reply::Value(item) if item.cas == 7), "{read}");
                for flags in ["v c", "v N30", "v R30"] {
                    fake.ask(&meta(Command::MetaGet, "k", flags)).await;
                }
                assert_eq!(asked(&fake), "aaaa", "{read}");
                let fake = Fake::new(&route, first_fails);
                let reply = fake.ask(&ask(Command::Gets, "k")).await;
                assert!(matches!(reply, Reply::Value(item) if item.cas == never), "{read}");
                let reply = fake.ask(&ask(Command::Gats, "k")).await;
                assert!(matches!(reply, Reply::Value(item) if item.cas == never), "{read}");
            }
            let fake = Fake::new("{replicate: {to: [a, b], write: first}}", first_fails);
            let reply = fake.ask(&meta(Command::MetaSet, "k", "c")).await;
            assert_eq!(reply, line("HD c9223372036854775807"));
        });
    }

    #[test]
    fn reads_go_on_if_a_replica_fails_and_with_on_miss_after_a_miss() {
        let script = |pool: &str, request: &Request<'_>| {
            Some(match pool {
                "a" => Reply::Failed(Failure::Timeout),
                "b" => Reply::NotFound,
                _ => value(request, "v", 7),
            })
        };
        run(async move {
            let fake = Fake::new("{replicate: [a, b, c]}", script);
            assert_eq!(fake.ask(&ask(Command::Get, "k")).await, Reply::NotFound);
            assert_eq!((asked(&fake).as_str(), fake.count(Event::Failover)), ("ab", 1));
            let fake = Fake::new("{replicate: {to: [a, b, c], on_miss: true}}", script);
            assert!(matches!(fake.ask(&ask(Command::Get, "k")).await, Reply::Value(_)));
            assert_eq!(asked(&fake), "abc");
        });
    }

    #[test]
    fn local_reads_ask_the_replica_of_the_own_zone_first() {
        run(async {
            let fake = Fake::new(
                "{replicate: {to: [a, b, c], read: local}}",
                |pool, request| match pool {
                    "b" => Some(Reply::Failed(Failure::Down)),
                    _ => obey(pool, request),
                },
            );
            fake.ask(&ask(Command::Get, "k")).await;
            assert_eq!(asked(&fake), "ba", "b is in the west, as the test is");
            fake.ask(&ask(Command::Set, "k")).await;
            assert_eq!(asked(&fake), "abc");
        });
    }

    #[test]
    fn the_fastest_hit_is_the_reply_and_a_miss_only_if_no_replica_has_the_key() {
        run(async {
            let fake = Fake::new("{replicate: {to: [a, b, c], read: fastest}}", |_, _| None);
            let get = ask(Command::Get, "k");
            let answer = fake.ask(&get);
            fake.answer("b", Reply::NotFound);
            fake.answer("c", value(&get, "v", 0));
            assert!(matches!(answer.await, Reply::Value(_)), "a need not answer");
            fake.answer("a", Reply::NotFound);
            let answer = fake.ask(&get);
            fake.answer("a", Reply::Failed(Failure::Timeout));
            fake.answer("c", Reply::NotFound);
            fake.answer("b", Reply::Failed(Failure::Down));
            assert_eq!(answer.await, Reply::NotFound, "a miss is more than a failure");
        });
    }

    #[test]
    fn a_hedged_read_asks_a_second_replica_if_the_first_is_slow() {
        run(async {
            let fake = Fake::new("{replicate: {to: [a, b], read: hedged}}", |_, _| None);
            let get = ask(Command::Get, "k");
            let answer = fake.ask(&get);
            sleep(Duration::from_millis(9)).await;
            assert_eq!(asked(&fake), "b", "the zone's first");
            sleep(Duration::from_millis(2)).await;
            assert_eq!((asked(&fake).as_str(), fake.count(Event::Hedged)), ("a", 1));
            fake.answer("a", value(&get, "v", 0));
            assert!(matches!(answer.await, Reply::Value(_)), "b need not answer");
        });
    }

    #[test]
    fn of_a_hedged_read_the_second_replicas_miss_waits_for_the_first() {
        run(async {
            let fake = Fake::new("{replicate: {to: [a, b], read: hedged}}", |_, _| None);
            let get = ask(Command::Get, "k");
            for (last, expected) in [
                (value(&get, "v", 0), true),
                (Reply::Failed(Failure::Timeout), false),
            ] {
                let answer = fake.ask(&get);
                sleep(Duration::from_millis(20)).await;
                fake.answer("a", Reply::NotFound);
                fake.answer("b", last);
                let reply = answer.await;
                assert_eq!(matches!(reply, Reply::Value(_)), expected, "{reply:?}");
                assert_eq!(asked(&fake), "ba");
            }
        });
    }

    #[test]
    fn a_budget_bounds_hedged_reads_and_a_failure_goes_on_all_the_same() {
        run(async {
            let fake = Fake::new(
                "{replicate: {to: [a, b], read: hedged, budget: 5%}}",
                |pool, request| match pool {
                    "b" => None,
                    _ => obey(pool, request),
                },
            );
            let begun = Instant::now();
            for _ in 0..1000 {
                let answer = fake.ask(&ask(Command::Get, "k"));
                sleep(Duration::from_secs(11)).await;
                fake.answer("b", Reply::Failed(Failure::Timeout));
                assert!(matches!(answer.await, Reply::Value(_)));
            }
            let hedged = fake.count(Event::Hedged);
            assert!((100..=160).contains(&hedged), "{hedged} in {:?}", begun.elapsed());
            assert_eq!(hedged + fake.count(Event::OverBudget), 1000);
        });
    }
}
