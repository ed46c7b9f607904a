//! `spread`: copies of hot keys under other names, which the ring gives to other nodes; each process reads one.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg that only asks for the value, its flags and its size (`b`, `f`, `k`, `O`, `q`, `s`, `v`) | if the key is hot, this process's copy is asked; on a miss or a failure the key itself. What is found there is the reply, and is copied, to live at most `expiry` |
//! | gets, a binary get, mg with other flags and without `T`, me | the key itself |
//! | all others with a key | executed on the key itself; then every copy is deleted, whatever the reply was, and then the client gets its reply. If a copy cannot be deleted, that failure is the reply |
//! | flush_all, version, stats | all pools |
//!
//! The copy with the number `n` of the key `k` is called `k~n`, in every process. Which numbers a key has
//! depends on the ring, because each is on a node of its own: see [`placement`]. A key that would become too
//! long has no copies, in whichever form it is sent.
//!
//! How stale a read may be. A copy is made under a lease (see [`crate::route::toolkit::lease`]), which a
//! change of the key revokes when it deletes the copies. So once a change is answered, no copy has an older
//! value, whichever process made it. Changes around this policy are seen when the copies expire, and so is a
//! change whose client was told that it failed.
//!
//! While the ring changes by a handover, the numbers of both rings are deleted, and those are read by whose
//! ring the pool serves the key: the old one in *prepare*, then the new one. So if processes are at most one
//! phase apart, what one of them reads the others delete:
//!
//! | the one behind | the one ahead | copies that are read | deleted by both |
//! |---|---|---|---|
//! | before | prepare | old | old |
//! | prepare | serve | old by the one, new by the other | old and new |
//! | serve | finish | new | old and new |
//! | finish | done | new | new |
//!
//! A copy by the old ring that is left when the handover is done is not read before the ring has changed
//! back, and expires before that: see [`MAX_EXPIRY`]. Without a handover it may be read then.

mod placement;

use std::borrow::Cow;
use std::time::Duration;

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::operation::{Operation, is_plain_delete};
use crate::protocol::{Command, Reply, Request, fingerprint};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::key::{Key, is_valid};
use crate::route::policy::{Branch, Decision, Policy, PolicyKind};
use crate::route::toolkit::hot::{ANSWERABLE, HotKeys};
use crate::route::toolkit::lease::{MetaKey, may_be_elsewhere};
use crate::route::toolkit::prefixes::Prefixes;
use crate::route::toolkit::read_through::ReadThrough;
use crate::route::toolkit::reply::{is_done, is_error, is_miss};
use crate::route::toolkit::rewrite::whole_seconds;
use placement::{MAX_SUFFIX, Numbers, Ring, TRIES};

/// The maximum time to live of a copy in pools with handovers, in seconds: no process reads a copy by the old
/// ring when *finish* begins, and twelve seconds must pass from then until one does again.
const MAX_EXPIRY: i64 = 10;

/// A route, and where it has the copies.
#[derive(Debug)]
pub struct Spread {
    to: Route,
    /// The maximum number of copies of a key, at least one.
    count: usize,
    /// By number, from 1 on. Each leads to `to` by another name.
    copies: Vec<Copied>,
    /// Chooses the copies that this process reads.
    chance: u32,
    prefixes: Prefixes,
    hot: HotKeys,
    /// The maximum time to live of a copy, in seconds.
    expiry: i64,
}

/// The copies with one number, of whichever key.
#[derive(Debug)]
struct Copied {
    label: String,
    route: Route,
}

impl Compile for config::Spread {
    type Policy = Spread;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Spread> {
        let to = scope.route(&self.to)?;
        let count = usize::from(self.copies) - 1;
        let mut copies = Vec::new();
        for number in 1..=count * TRIES {
            let settings = config::Key {
                to: self.to.clone(),
                add_suffix: format!("~{number}"),
                ..config::Key::default()
            };
            let key = Key::over(to.clone(), &settings);
            copies.push(Copied {
                label: format!("copy {number}"),
                route: scope.finish(PolicyKind::Key(key), &config::Policy::Key(settings)),
            });
        }
        let state = scope.state(config::Policy::Spread(self.clone()));
        let hands_over = to.pools().iter().any(|pool| pool.settings.handover.is_some());
        let longest = if hands_over { MAX_EXPIRY } else { i64::MAX };
        Some(Spread {
            to,
            count,
            copies,
            chance: fastrand::u32(..),
            prefixes: Prefixes::new(&self.prefixes),
            hot: HotKeys::new(state, self.min_rate, scope.workers()),
            expiry: whole_seconds(self.expiry).min(longest),
        })
    }
}

impl Policy for Spread {
    const EVENTS: &'static [Event] = &[Event::Spread, Event::Found, Event::Filled];

    fn decide(
        &self,
        request: &Request<'_>,
        counters: &PolicyShard,
        forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if !self.prefixes.cover(request.key) || !has_room(request.key) {
            return Decision::Forward(&self.to);
        }
        if Operation::of(request) != Operation::Get {
            return Decision::Run;
        }
        if !may_be_a_copy(request) || !self.hot.is_hot(request.key, forwarder) {
            return Decision::Forward(&self.to);
        }
        match self.own_copy(request.key) {
            Some(copy) => {
                counters.count(Event::Spread);
                Decision::Inspect(copy)
            }
            None => Decision::Forward(&self.to),
        }
    }

    fn is_final(&self, _request: &Request<'_>, reply: &Reply) -> bool {
        !may_be_elsewhere(reply)
    }

    async fn resume(&self, request: &Request<'_>, first: Reply, context: &Context<'_>) -> Reply {
        let Some(copy) = self.own_copy(request.key) else {
            return first;
        };
        let key = MetaKey::of(request);
        if let Some(value) = key.recheck(request, &first, copy, context.call).await {
            return value;
        }
        let read = ReadThrough {
            cold: copy,
            warm: &self.to,
            max_ttl: Some(self.expiry),
            leftover: 0,
            call: context.call,
            tally: &context.tally(),
        };
        read.from_warm(request, &first, key).await
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let reply = context.call.send(&self.to, request).await;
        // After the key itself, and before the client has its reply: a copy in flight loses its lease.
        let key = MetaKey::of(request);
        let deletes = self.all_copies(request.key).into_iter();
        let deletes: Vec<_> = deletes
            .map(|copy| key.start_delete(&copy.route, context.call))
            .collect();
        let (mut failed, mut had_one) = (None, false);
        for delete in deletes {
            let gone = delete.await;
            had_one |= is_done(&gone);
            if is_error(&gone) {
                failed.get_or_insert(gone);
            }
        }
        match failed {
            _ if is_error(&reply) => reply,
            Some(failed) => failed,
            None if had_one && is_miss(&reply) && is_plain_delete(request) => Reply::Done,
            None => reply,
        }
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::labelled("key", &self.to)]
    }

    fn branches_of<'k>(&self, key: &'k [u8]) -> Vec<(Branch<'_>, Cow<'k, [u8]>)> {
        let has_copies = self.prefixes.cover(key) && has_room(key);
        let numbers = match has_copies {
            true => self.numbers(Ring::of_reads(&self.to, key), key),
            false => Numbers::default(),
        };
        let copies = numbers.as_slice().iter().map(|&number| self.copy(number));
        let copies = copies.map(|copy| Branch::labelled(&copy.label, &copy.route));
        let branches = self.branches().into_iter().chain(copies);
        branches.map(|branch| (branch, Cow::Borrowed(key))).collect()
    }

    fn staleness(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.expiry.unsigned_abs()))
    }
}

impl Spread {
    /// The route to the copy of `key` that this process reads; `None`: the key itself.
    fn own_copy(&self, key: &[u8]) -> Option<&Route> {
        let chosen = (fingerprint(key) ^ self.chance) as usize % (1 + self.count);
        if chosen == 0 {
            return None;
        }
        let ring = Ring::of_reads(&self.to, key);
        let numbers = Numbers::find(&self.to, key, ring, chosen, self.copies.len());
        let numbers = numbers.as_slice();
        // If there are fewer copies, all of them and the key itself are still read alike.
        let index = (chosen % (1 + numbers.len())).checked_sub(1)?;
        Some(&self.copy(numbers[index]).route)
    }

    /// The copies that any process may have of `key`.
    fn all_copies(&self, key: &[u8]) -> Vec<&Copied> {
        let mut numbers = self.numbers(Ring::New, key).as_slice().to_vec();
        let is_changing = self.to.pools().iter().any(|pool| pool.handover.is_some());
        if is_changing {
            numbers.extend_from_slice(self.numbers(Ring::Old, key).as_slice());
            numbers.sort_unstable();
            numbers.dedup();
        }
        numbers.into_iter().map(|number| self.copy(number)).collect()
    }

    /// The numbers of the copies that `key` has by `ring`.
    fn numbers(&self, ring: Ring, key: &[u8]) -> Numbers {
        Numbers::find(&self.to, key, ring, self.count, self.copies.len())
    }

    fn copy(&self, number: u8) -> &Copied {
        &self.copies[usize::from(number) - 1]
    }
}

/// Whether the names of the copies are valid keys, in whichever form clients send `key`: a write must delete the copies
/// that reads in another form have made.
fn has_room(key: &[u8]) -> bool {
    is_valid(key.len() + MAX_SUFFIX, key)
}

/// Whether a copy can answer `request`, which is a read.
fn may_be_a_copy(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get => true,
        Command::MetaGet => Names::of(request.raw_flags()).are_among(ANSWERABLE),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
