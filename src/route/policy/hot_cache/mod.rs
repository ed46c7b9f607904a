//! `hot_cache`: values of hot keys are kept in the process for a moment, and spare the nodes most reads.
//!
//! | command | what happens |
//! |---|---|
//! | get, a binary get, mg that only asks for the value, its flags and its size (`b`, `f`, `k`, `O`, `q`, `s`, `v`) | if the key is hot and its value is kept, that is the reply. Otherwise forwarded; the value of a hot key is kept |
//! | gets, mg with `c`, `t` or flags about the item's history, me | forwarded |
//! | all others with a key | what is kept of the key is not given any more, by any worker; forwarded. Until the reply arrives nothing of the key is kept |
//! | flush_all | the same, for all keys |
//!
//! Keys that begin with none of `prefixes` are forwarded. A key is hot if this worker's clients read it
//! often, see [`crate::route::toolkit::hot`].
//!
//! How stale a read may be. Writes through this process are seen at once: an entry has the state of its key
//! from before its read began, and is given only if that has not changed (see
//! [`crate::route::toolkit::writes`]). Writes through other processes, or around this policy, are seen
//! `expiry` after they were acknowledged at the latest, because an entry expires so long after its read
//! began. A binary get has the cas id that its value had: if the item was changed since, a cas with it fails
//! as it must, and ends the entry.
//!
//! From half its life on, one read is forwarded to renew an entry, while the others get it. An item that a
//! meta client marked as stale, or whose reader won a token, is not kept.

mod kept;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::numbers::{parse_u32, parse_u64};
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::hot::{ANSWERABLE, HotKeys};
use crate::route::toolkit::prefixes::Prefixes;
use crate::route::toolkit::reply::{is_failure, is_miss};
use crate::route::toolkit::writes::{Version, Writes, changes};
use kept::{Form, Found, Kept, Value};

/// The flags of a binary get that a kept value can answer: its reply has a cas id besides.
const ANSWERABLE_BINARY: &[u8] = b"bcfkOqsv";

/// A route, and what is kept of its hot keys.
#[derive(Debug)]
pub struct HotCache {
    to: Route,
    prefixes: Prefixes,
    hot: HotKeys,
    expiry: Duration,
    keeps_misses: bool,
    writes: Arc<Writes>,
    /// By worker. Only that worker takes the lock, so it never waits.
    kept: Box<[Mutex<Kept>]>,
}

impl Compile for config::HotCache {
    type Policy = HotCache;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<HotCache> {
        let workers = scope.workers();
        let state = scope.state(config::Policy::HotCache(self.clone()));
        let kept = || Mutex::new(Kept::new(self.size / workers));
        Some(HotCache {
            to: scope.route(&self.to)?,
            prefixes: Prefixes::new(&self.prefixes),
            hot: HotKeys::new(state, self.min_rate, workers),
            expiry: self.expiry,
            keeps_misses: self.misses,
            writes: scope.writes(),
            kept: (0..workers).map(|_| kept()).collect(),
        })
    }
}

impl Policy for HotCache {
    const EVENTS: &'static [Event] = &[Event::Served, Event::Refreshed];

    fn decide(
        &self,
        request: &Request<'_>,
        counters: &PolicyShard,
        forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if !self.prefixes.cover(request.key) {
            return Decision::Forward(&self.to);
        }
        let Some(form) = form(request) else {
            return match changes(request) {
                true => Decision::Run,
                false => Decision::Forward(&self.to),
            };
        };
        if !self.hot.is_hot(request.key, forwarder) {
            return Decision::Forward(&self.to);
        }
        let found = self.look(form, request, forwarder);
        match found {
            Found::Fresh(value) if is_enough(request, &value) => {
                counters.count(Event::Served);
                Decision::Reply(value.reply())
            }
            Found::Due => {
                counters.count(Event::Refreshed);
                Decision::Run
            }
            _ => Decision::Run,
        }
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let Some(form) = form(request) else {
            // It ends before the client reads the reply.
            let _in_progress = self.writes.begin(request.key);
            return context.call.send(&self.to, request).await;
        };
        let began = context.call.forwarder.now();
        let version = self.writes.version(request.key);
        let reply = context.call.send(&self.to, request).await;
        if is_failure(&reply) {
            return self.kept_instead(form, request, context).unwrap_or(reply);
        }
        if let (Some(version), Some(value)) = (version, self.value(request, &reply)) {
            self.keep(form, request, value, version, began, context);
        }
        reply
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }

    fn staleness(&self) -> Option<Duration> {
        Some(self.expiry)
    }
}

impl HotCache {
    fn kept_by(&self, forwarder: &dyn Forwarder) -> MutexGuard<'_, Kept> {
        self.kept[forwarder.worker()].lock().expect("no holder panics")
    }

    fn look(&self, form: Form, request: &Request<'_>, forwarder: &dyn Forwarder) -> Found {
        let version = self.writes.version(request.key);
        self.kept_by(forwarder)
            .look(form, request.key, version, forwarder.now())
    }

    fn keep(
        &self,
        form: Form,
        request: &Request<'_>,
        value: Value,
        version: Version,
        began: Instant,
        context: &Context<'_>,
    ) {
        let mut kept = self.kept_by(&*context.call.forwarder);
        kept.keep(form, request.key, value, version, began, self.expiry);
    }

    /// Returns the value that is still kept, after the node failed to renew it.
    fn kept_instead(&self, form: Form, request: &Request<'_>, context: &Context<'_>) -> Option<Reply> {
        match self.look(form, request, &*context.call.forwarder) {
            Found::Fresh(value) if is_enough(request, &value) => {
                context.count(Event::Served);
                Some(value.reply())
            }
            _ => None,
        }
    }

    /// Returns the value in `reply` to `request`; `None` if it must not be kept, or is not in it.
    fn value(&self, request: &Request<'_>, reply: &Reply) -> Option<Value> {
        if is_miss(reply) {
            return self.keeps_misses.then_some(Value::Miss);
        }
        match reply {
            Reply::Value(item) => Some(Value::of_item(
                request.key,
                Some(item.flags),
                item.cas,
                item.data(),
            )),
            Reply::Meta(meta) => {
                let has = |name| meta.token(name).is_some();
                if has(b'W') || has(b'X') || has(b'Z') {
                    return None;
                }
                let flags = meta.token(b'f').and_then(parse_u32);
                let cas = meta.token(b'c').and_then(parse_u64).unwrap_or_default();
                Some(Value::of_item(request.key, flags, cas, meta.data()?))
            }
            _ => None,
        }
    }
}

/// How `request` reads, if a kept value can answer it.
fn form(request: &Request<'_>) -> Option<Form> {
    match request.command {
        Command::Get => Some(Form::Classic),
        Command::MetaGet => {
            let is_binary = request.meta.is_some_and(|meta| meta.is_binary);
            let (form, answerable) = match is_binary {
                true => (Form::Binary, ANSWERABLE_BINARY),
                false => (Form::Meta, ANSWERABLE),
            };
            Names::of(request.raw_flags())
                .are_among(answerable)
                .then_some(form)
        }
        _ => None,
    }
}

/// Whether `value` has everything that `request` asks for.
fn is_enough(request: &Request<'_>, value: &Value) -> bool {
    match value {
        Value::Hit(_, false) => !Names::of(request.raw_flags()).has(b'f'),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
