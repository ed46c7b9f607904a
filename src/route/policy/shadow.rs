//! `shadow`: sends copies of requests to another route, whose replies are dropped.
//!
//! | command | what is copied |
//! |---|---|
//! | get, gets, mg, me | unchanged, beside the original |
//! | gat, touch, set, append, prepend, incr, decr, delete, ms, ma, md | with `commands: all`: beside the original, without a cas id to compare |
//! | add, replace, cas, ms in these modes or with `C` | with `commands: all`: as a set, after the original has stored |
//! | mg with `N`, `R` or `E`, md with `C`, flush_all, version, stats | nothing |
//!
//! The original is sent first and answered as if there were no copy: it never waits for a copy, and errors
//! of a copy do not affect it. So that a pool which is slow or down holds no memory that originals need, a
//! policy has at most `MAX_COPIES` copies of a worker in flight, with at most `MAX_BYTES` of values; any more are
//! dropped and counted. With `compare` the two replies to a read are compared.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{self, By, Copied};
use crate::protocol::meta::Names;
use crate::protocol::numbers::parse_u32;
use crate::protocol::operation::Operation;
use crate::protocol::{Reply, Request, fingerprint};
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Counters, Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::lease::uses_lease;
use crate::route::toolkit::reply::{is_done, is_error, is_miss};
use crate::route::toolkit::rewrite::{unconditional, without_flags};
use crate::route::toolkit::state::PolicyState;

/// The maximum number of a worker's copies in flight.
const MAX_COPIES: u64 = 1024;
/// The maximum number of bytes of values in them.
const MAX_BYTES: u64 = 4 << 20;

/// The route that answers, the route that gets copies, and which requests are copied.
#[derive(Debug)]
pub struct Shadow {
    of: Route,
    to: Route,
    /// Percent.
    share: u32,
    by: By,
    commands: Copied,
    compare: bool,
    state: Arc<PolicyState>,
}

impl Compile for config::Shadow {
    type Policy = Shadow;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Shadow> {
        Some(Shadow {
            of: scope.route(&self.of)?,
            to: scope.route(&self.to)?,
            share: self.share,
            by: self.by,
            commands: self.commands,
            compare: self.compare,
            state: scope.state(config::Policy::Shadow(self.clone())),
        })
    }
}

impl Policy for Shadow {
    const EVENTS: &'static [Event] = &[
        Event::Copied,
        Event::Dropped,
        Event::Same,
        Event::Differs,
        Event::OnlyOriginal,
        Event::OnlyCopy,
        Event::CopyFailed,
    ];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if self.copies(request) {
            Decision::Run
        } else {
            Decision::Forward(&self.of)
        }
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let operation = Operation::of(request);
        let original = context.call.send(&self.of, request);
        let mut scratch = Vec::new();
        if matches!(operation, Operation::Add | Operation::Replace | Operation::Cas) {
            let reply = original.await;
            if is_done(&reply) {
                self.send(&unconditional(request, &mut scratch), None, context);
            }
            return reply;
        }
        let pair = (self.compare && operation == Operation::Get).then(Rc::default);
        let copy = without_flags(request, &mut scratch, b"C");
        self.send(&copy, pair.clone(), context);
        let reply = original.await;
        if let Some(pair) = pair {
            let worker = context.call.forwarder.worker();
            let original = Seen::Original(reply.clone());
            compare_with(&pair, &context.policy.counters, worker, original);
        }
        reply
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        let copies = Branch {
            answers: false,
            ..Branch::labelled("to", &self.to)
        };
        vec![Branch::labelled("of", &self.of), copies]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.of)
    }
}

impl Shadow {
    fn copies(&self, request: &Request<'_>) -> bool {
        let drawn = match self.by {
            By::Key => u64::from(fingerprint(request.key)) % 100,
            By::Request => fastrand::u64(..100),
        };
        drawn < u64::from(self.share) && self.may_be_copied(request)
    }

    fn may_be_copied(&self, request: &Request<'_>) -> bool {
        let names = Names::of(request.raw_flags());
        match Operation::of(request) {
            Operation::FlushAll => false,
            _ if uses_lease(request) => false,
            Operation::Get => true,
            Operation::Delete if names.has(b'C') => false,
            _ => self.commands == Copied::All,
        }
    }

    /// Sends a copy, unless too many are in flight.
    fn send(&self, copy: &Request<'_>, pair: Option<Rc<Pair>>, context: &Context<'_>) {
        let worker = context.call.forwarder.worker();
        let state = self.state.shard(worker);
        let bytes = copy.value.len() as u64;
        if state.copies.get() >= MAX_COPIES || state.copied_bytes.get() + bytes > MAX_BYTES {
            return context.count(Event::Dropped);
        }
        context.count(Event::Copied);
        state.copies.add(1);
        state.copied_bytes.add(bytes);
        let in_flight = CopyInFlight {
            state: self.state.clone(),
            counters: context.policy.counters.clone(),
            worker,
            bytes,
            pair,
        };
        // Later requests of the session for the same key do not wait for a copy.
        let call = context.call.unheld();
        call.send_to(&self.to, copy, ReplySlot::inspected(in_flight));
    }
}

/// A copy in flight.
#[derive(Debug)]
struct CopyInFlight {
    state: Arc<PolicyState>,
    counters: Arc<Counters>,
    worker: usize,
    bytes: u64,
    pair: Option<Rc<Pair>>,
}

impl ReplyInspector for CopyInFlight {
    fn fill(self: Box<Self>, reply: Reply) {
        let state = self.state.shard(self.worker);
        state.copies.sub(1);
        state.copied_bytes.sub(self.bytes);
        if is_error(&reply) {
            self.counters.shard(self.worker).count(Event::CopyFailed);
        } else if let Some(pair) = &self.pair {
            compare_with(pair, &self.counters, self.worker, Seen::Copy(reply));
        }
    }
}

/// The first of the two replies to compare.
type Pair = RefCell<Option<Seen>>;

#[derive(Debug)]
enum Seen {
    Original(Reply),
    Copy(Reply),
}

/// Takes one of the two replies; if it is the second, compares them.
fn compare_with(pair: &Pair, counters: &Counters, worker: usize, reply: Seen) {
    let first = pair.borrow_mut().take();
    let event = match (first, reply) {
        (None, reply) => {
            *pair.borrow_mut() = Some(reply);
            return;
        }
        (Some(Seen::Original(original)), Seen::Copy(copy))
        | (Some(Seen::Copy(copy)), Seen::Original(original)) => compare(&original, &copy),
        _ => return,
    };
    if let Some(event) = event {
        counters.shard(worker).count(event);
    }
}

/// Compares the reply to a copy, which is not an error, with that to the original. Returns `None` if the
/// original failed.
fn compare(original: &Reply, copy: &Reply) -> Option<Event> {
    if is_error(original) {
        return None;
    }
    Some(match (is_miss(original), is_miss(copy)) {
        (true, true) => Event::Same,
        (false, true) => Event::OnlyOriginal,
        (true, false) => Event::OnlyCopy,
        (false, false) if value(original) == value(copy) => Event::Same,
        (false, false) => Event::Differs,
    })
}

/// Returns the value in a reply and the client's flags, as far as the reply has them.
fn value(reply: &Reply) -> (Option<&[u8]>, Option<u32>) {
    match reply {
        Reply::Value(item) => (Some(item.data()), Some(item.flags)),
        Reply::Meta(meta) => (meta.data(), meta.token(b'f').and_then(parse_u32)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Failure, Reply, Request};
    use crate::route::counters::Event;
    use crate::route::testing::{Fake, ask, expiring, line, meta, run, value};

    fn obey(_: &str, request: &Request<'_>) -> Option<Reply> {
        Some(match request.command {
            command if command.is_read() => value(request, "v", 7),
            command if command.is_meta() => line("HD"),
            _ => Reply::Done,
        })
    }

    #[test]
    fn each_command_is_copied_as_the_table_says() {
        let cases = [
            (ask(Command::Get, "k"), "a get k,b get k", true),
            (ask(Command::Gets, "k"), "a gets k,b gets k", true),
            (meta(Command::MetaGet, "k", "v t"), "a mg k v t,b mg k v t", true),
            (meta(Command::MetaGet, "k", "v N9"), "a mg k v N9", true),
            (expiring(Command::Gat, "k", 9), "a gat k 9,b gat k 9", false),
            (expiring(Command::Set, "k", 9), "a set k 9,b set k 9", false),
            (expiring(Command::Add, "k", 9), "a add k 9,b set k 9", false),
            (ask(Command::Cas, "k"), "a cas k,b set k", false),
            (
                meta(Command::MetaSet, "k", "ME T9"),
                "a ms k ME T9,b ms k T9",
                false,
            ),
            (ask(Command::Incr, "k"), "a incr k,b incr k", false),
            (ask(Command::Delete, "k"), "a delete k,b delete k", false),
            (meta(Command::MetaDelete, "k", "C7"), "a md k C7", false),
            (
                meta(Command::MetaArithmetic, "k", "C7 v"),
                "a ma k C7 v,b ma k v",
                false,
            ),
        ];
        run(async move {
            for (request, expected, is_read) in cases {
                let fake = Fake::new("{shadow: {of: a, to: b}}", obey);
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
                let fake = Fake::new("{shadow: {of: a, to: b, commands: reads}}", obey);
                fake.ask(&request).await;
                assert_eq!(
                    fake.seen().len() == 2,
                    is_read && expected.contains("b "),
                    "{expected}"
                );
            }
        });
    }

    #[test]
    fn what_the_original_did_not_store_is_not_stored_in_the_copy() {
        run(async {
            let fake = Fake::new("{shadow: {of: a, to: b}}", |_, _| Some(Reply::NotStored));
            fake.ask(&ask(Command::Add, "k")).await;
            assert_eq!(fake.seen(), ["a add k"]);
        });
    }

    #[test]
    fn a_share_of_the_keys_is_copied_and_always_the_same() {
        run(async {
            let fake = Fake::new("{shadow: {of: a, to: b, share: 5%}}", obey);
            let mut copied = Vec::new();
            for round in 0..2 {
                for key in 0..4000 {
                    fake.ask(&ask(Command::Get, &format!("key:{key}"))).await;
                    if fake.seen().len() == 2 && round == 0 {
                        copied.push(key);
                    }
                }
            }
            let share = copied.len() as f64 / 4000.0;
            assert!((0.03..0.07).contains(&share), "{share}");
            assert_eq!(fake.count(Event::Copied), 2 * copied.len() as u64);
            let fake = Fake::new("{shadow: {of: a, to: b, share: 20%, by: request}}", obey);
            for _ in 0..2000 {
                fake.ask(&ask(Command::Get, "k")).await;
            }
            assert!((250..550).contains(&fake.count(Event::Copied)));
        });
    }

    #[test]
    fn a_copy_neither_delays_nor_fails_the_original_and_too_many_are_dropped() {
        run(async {
            let fake = Fake::new("{shadow: {of: a, to: b}}", |pool, request| match pool {
                "a" => obey(pool, request),
                _ => None,
            });
            for _ in 0..super::MAX_COPIES + 10 {
                assert_eq!(fake.ask(&ask(Command::Delete, "k")).await, Reply::Done);
            }
            assert_eq!(fake.count(Event::Dropped), 10);
            for _ in 0..super::MAX_COPIES {
                fake.answer("b", Reply::Failed(Failure::Timeout));
            }
            assert_eq!(fake.count(Event::CopyFailed), super::MAX_COPIES);
            let large = vec![0; 1 << 20];
            let set = Request {
                value: &large,
                ..ask(Command::Set, "k")
            };
            for _ in 0..5 {
                assert_eq!(fake.ask(&set).await, Reply::Done);
            }
            assert_eq!(fake.count(Event::Dropped), 11);
        });
    }

    #[test]
    fn copies_that_hang_take_no_place_from_those_of_another_shadow() {
        run(async {
            let route = "{prefix: {\"s:\": {shadow: {of: a, to: c}}}, else: {shadow: {of: a, to: b}}}";
            let fake = Fake::new(route, |pool, request| match pool {
                "b" => None,
                _ => obey(pool, request),
            });
            for _ in 0..super::MAX_COPIES + 10 {
                fake.ask(&ask(Command::Delete, "k")).await;
            }
            assert_eq!(fake.count(Event::Dropped), 10);
            for _ in 0..100 {
                fake.ask(&ask(Command::Delete, "s:k")).await;
            }
            assert_eq!(fake.count(Event::Dropped), 10);
            assert_eq!(
                fake.count(Event::Copied),
                super::MAX_COPIES + 100,
                "both are counted together"
            );
        });
    }

    #[test]
    fn replies_to_reads_are_compared_whichever_comes_first() {
        let get = ask(Command::Get, "k");
        let (v, w) = (value(&get, "v", 0), value(&get, "w", 0));
        let miss = Reply::NotFound;
        let broken = Reply::Failed(Failure::Timeout);
        let cases = [
            (v.clone(), v.clone(), Some(Event::Same)),
            (v.clone(), w, Some(Event::Differs)),
            (v.clone(), miss.clone(), Some(Event::OnlyOriginal)),
            (miss.clone(), v.clone(), Some(Event::OnlyCopy)),
            (miss.clone(), miss, Some(Event::Same)),
            (v.clone(), broken.clone(), Some(Event::CopyFailed)),
            (broken, v, None),
        ];
        run(async move {
            for (original, copy, expected) in cases {
                for order in [["a", "b"], ["b", "a"]] {
                    let fake = Fake::new("{shadow: {of: a, to: b, compare: true}}", |_, _| None);
                    let answer = fake.ask(&ask(Command::Get, "k"));
                    for pool in order {
                        fake.answer(
                            pool,
                            if pool == "a" {
                                original.clone()
                            } else {
                                copy.clone()
                            },
                        );
                        tokio::task::yield_now().await;
                    }
                    assert_eq!(answer.await, original);
                    let events = [
                        Event::Same,
                        Event::Differs,
                        Event::OnlyOriginal,
                        Event::OnlyCopy,
                        Event::CopyFailed,
                    ];
                    let counted: Vec<_> = events
                        .into_iter()
                        .filter(|&event| fake.count(event) == 1)
                        .collect();
                    assert_eq!(counted, Vec::from_iter(expected), "{order:?}");
                }
            }
        });
    }
}
