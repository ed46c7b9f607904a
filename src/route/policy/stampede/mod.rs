//! `stampede`: of all readers of a key that is missing, in all processes, one computes its value; the others
//! wait for it.
//!
//! | command | what happens |
//! |---|---|
//! | get, gets, a binary get, mg that only asks for the value, its flags, its size and its cas id (`b`, `c`, `f`, `k`, `O`, `q`, `s`, `v`) | a value is the reply. The first reader of a missing key gets the miss; the others wait up to `wait` for its set. From `early` before the expiry on, one reader gets a miss and the others the value. An old value is read by all but one |
//! | mg with other flags and without `T` | forwarded; a placeholder is a miss |
//! | mg with `N`, me | forwarded: the client takes part by itself, and fills what it has won by an ms with `C` |
//! | set, ms | forwarded; with `stale` the item lives that much longer |
//! | delete, md | removed; with `stale` marked as old. `DELETED` only if there was a value |
//! | add, replace, append, prepend, cas, incr, decr, ma, ms in these modes, touch, gat, mg with `T`, md with flags | carried out on the value; a placeholder and an old value count as missing |
//! | flush_all, version, stats | all pools |
//!
//! Processes take part without talking to each other, by memcached's own flags (doc/protocol.txt, "Meta
//! Commands"). A read is an mg with `N`: on a miss the node creates an empty item, the placeholder, and says
//! `W` to this reader and `Z` to those that follow. `R` says `W` to one reader once the item has little time
//! left. A delete with `I` marks the item as stale (`X`); again one reader gets the `W`.
//!
//! ```text
//!   read ─▶ mg N R ─┬─ value, or Z with an old one ─▶ the value
//!                   ├─ W ─▶ a miss: this client computes
//!                   └─ Z, no value ─▶ ask again, for `wait` ─┬─ value ─▶ the value
//!                                                            └─ remove the placeholder, once more ─▶ a miss
//! ```
//!
//! A reader that won and died: after `wait`, one of those that wait removes its placeholder, by its cas id, so
//! that one of them wins. The others wait once more, and then miss.
//!
//! Nothing is kept in the process, so a client reads what any process has written; with `stale` it may read a
//! value that was deleted or has expired, for that long. Nodes that only speak classic text have no such flags:
//! all requests are forwarded to them.

mod change;
mod seen;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::lease::{MetaKey, lacks_leases, may_be_placeholder};
use crate::route::toolkit::prefixes::Prefixes;
use crate::route::toolkit::rewrite::{Ttl, as_ttl, unix_time, whole_seconds, with_expiry};
use change::takes_part;
use seen::{Seen, State};
use waiting::{Outcome, WaitingReader};

/// A route whose readers do not compute the same value at once.
#[derive(Debug)]
pub struct Stampede {
    to: Route,
    prefixes: Prefixes,
    wait: Duration,
    /// In seconds.
    stale: i64,
    /// The flags of a read.
    flags: String,
    /// Tells its waiting readers from those of other policies.
    identity: Arc<()>,
}

impl Compile for config::Stampede {
    type Policy = Stampede;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Stampede> {
        let (early, stale) = (whole_seconds(self.early), whole_seconds(self.stale));
        // Readers wait twice at most. A placeholder may end up to a second early: nodes count whole seconds.
        let mut flags = format!("s f c t v N{}", whole_seconds(2 * self.wait) + 1);
        // Also without `early`, one reader must win when the value gets old.
        match stale + early.max(i64::from(stale > 0)) {
            0 => {}
            recache => flags += &format!(" R{recache}"),
        }
        Some(Stampede {
            to: scope.route(&self.to)?,
            prefixes: Prefixes::new(&self.prefixes),
            wait: self.wait,
            stale,
            flags,
            identity: Arc::default(),
        })
    }
}

impl Policy for Stampede {
    const EVENTS: &'static [Event] = &[
        Event::Won,
        Event::Refreshed,
        Event::Waited,
        Event::Stale,
        Event::GaveUp,
    ];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if is_own(request) || !self.prefixes.cover(request.key) {
            return Decision::Forward(&self.to);
        }
        match Operation::of(request) {
            Operation::Set if self.stale == 0 => Decision::Forward(&self.to),
            Operation::Set => Decision::Rewrite(&self.to),
            _ => Decision::Run,
        }
    }

    fn rewrite<'r>(&self, request: &Request<'r>, scratch: &'r mut Vec<u8>) -> Request<'r> {
        let now = unix_time();
        with_expiry(request, scratch, |exptime| match as_ttl(exptime, now) {
            Ttl::Seconds(seconds) => Ttl::Seconds(seconds + self.stale).to_exptime(now),
            Ttl::Forever | Ttl::Gone => exptime,
        })
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        // Most requests are reads that need not wait: the state of the others has memory of its own.
        if takes_part(request) {
            return self.read(request, context).await;
        }
        if Operation::of(request) == Operation::Get {
            return Box::pin(self.forward(request, context)).await;
        }
        let mut scratch = Vec::new();
        let extended = match self.stale {
            0 => *request,
            _ => self.rewrite(request, &mut scratch),
        };
        Box::pin(self.change(&extended, context.call)).await
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }

    fn staleness(&self) -> Option<Duration> {
        (self.stale > 0).then(|| Duration::from_secs(self.stale.unsigned_abs()))
    }
}

impl Stampede {
    async fn read(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let key = MetaKey::of(request);
        match self.ask(request, &key, context).await {
            Ok(seen) if must_wait(&seen) => Box::pin(self.wait(request, &key, seen, context)).await,
            Ok(seen) => self.answer(request, seen, context),
            Err(reply) if lacks_leases(&reply) => context.call.send(&self.to, request).await,
            Err(reply) => reply,
        }
    }

    /// Waits for the value that another reader computes, after a look at its placeholder.
    async fn wait(
        &self,
        request: &Request<'_>,
        key: &MetaKey,
        mut seen: Seen,
        context: &Context<'_>,
    ) -> Reply {
        let reader = WaitingReader::join(&self.identity, request.key);
        for is_last in [false, true] {
            let deadline = Instant::now() + self.wait;
            match reader
                .wait(deadline, async || self.ask(request, key, context).await)
                .await
            {
                Outcome::Failed(reply) => return reply,
                Outcome::Seen(found) => {
                    if !found.is_won && found.state != State::Nothing {
                        context.count(Event::Waited);
                    }
                    return self.answer(request, found, context);
                }
                Outcome::TimedOut if is_last || !reader.may_remove(seen.cas) => {}
                Outcome::TimedOut => {
                    // The reader that computes the value takes too long. Of all processes one succeeds here.
                    let _is_gone = key.release(seen.cas, &self.to, context.call).await;
                    seen = match self.ask(request, key, context).await {
                        Ok(seen) => seen,
                        Err(reply) => return reply,
                    };
                    if !must_wait(&seen) {
                        return self.answer(request, seen, context);
                    }
                }
            }
        }
        context.count(Event::GaveUp);
        Reply::NotFound
    }

    /// Forwards a read that takes no part; a placeholder is no value for it.
    async fn forward(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let reply = context.call.send(&self.to, request).await;
        if !may_be_placeholder(&reply) {
            return reply;
        }
        let key = MetaKey::of(request);
        let value = key.recheck(request, &reply, &self.to, context.call).await;
        value.unwrap_or(Reply::NotFound)
    }

    /// Looks at the key as a reader that may win.
    async fn ask(&self, request: &Request<'_>, key: &MetaKey, context: &Context<'_>) -> Result<Seen, Reply> {
        let reply = key
            .send(Command::MetaGet, &self.flags, &self.to, context.call)
            .await;
        Seen::of(reply, request, self.stale)
    }

    /// Returns the reply to a reader that need not wait.
    fn answer(&self, request: &Request<'_>, seen: Seen, context: &Context<'_>) -> Reply {
        match seen.state {
            State::Value if seen.is_won => context.count(Event::Refreshed),
            State::Nothing => {}
            _ if seen.is_won => context.count(Event::Won),
            State::Old => context.count(Event::Stale),
            State::Placeholder | State::Value => {}
        }
        match seen.is_won {
            true => Reply::NotFound,
            false => seen.reply(request),
        }
    }
}

/// Whether the client of `request` asks for leases by itself, or for the item's internals.
fn is_own(request: &Request<'_>) -> bool {
    let vivifies = || Names::of(request.raw_flags()).has(b'N');
    match request.command {
        Command::MetaDebug => true,
        Command::MetaGet => vivifies(),
        _ => false,
    }
}

/// Whether there is no value yet, and another reader computes it.
fn must_wait(seen: &Seen) -> bool {
    seen.state == State::Placeholder && !seen.is_won
}

#[cfg(test)]
mod tests;
