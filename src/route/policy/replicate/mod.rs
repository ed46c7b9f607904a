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

use std::sync::Arc;

use tokio::time::timeout;

use crate::config::{self, Reads, Writes};
use crate::protocol::meta::flag;
use crate::protocol::operation::{Operation, delete_of};
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
use crate::route::toolkit::state::PolicyState;
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
    state: Arc<PolicyState>,
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
        let state = scope.state(config::Policy::Replicate(self.clone()));
        Some(Replicate {
            to,
            order,
            write: self.write,
            read: self.read,
            on_miss: self.on_miss,
            budget: Budget::new(self.budget, state.clone()),
            state,
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
        let forwarder = &*context.call.forwarder;
        let state = self.state.shard(forwarder.worker());
        let ask = |place: usize| context.call.send(&self.to[self.order[place]], request);
        self.budget.earn(forwarder);
        let mut race = Race::default();
        race.add(0, ask(0));
        let mut came = timeout(hedge_delay::now(state), race.next()).await.ok().flatten();
        hedge_delay::learn(state, came.is_some());
        let mut asked = 1;
        if came.is_none() {
            if self.budget.spend(forwarder) {
                context.count(Event::Hedged);
                race.add(1, ask(1));
                asked = 2;
            } else {
                context.count(Event::OverBudget);
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
            self.forget(request, context).await;
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

    /// Deletes the key of `request` in all replicas except the first. If that fails, the node's missed write is recorded.
    async fn forget(&self, request: &Request<'_>, context: &Context<'_>) {
        let delete = delete_of(request);
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
mod tests;
