//! `single_flight`: identical reads that are in flight in one worker share one request.
//!
//! | command | what happens |
//! |---|---|
//! | get, a binary get, mg that only reads (`b`, `f`, `k`, `O`, `q`, `s`, `t`, `v`) | the first is sent; until its reply arrives, others with the same key and the same flags wait for that reply |
//! | gets, mg with other flags that change nothing, me | forwarded |
//! | all others with a key | forwarded; until the reply arrives no read of the key joins another |
//! | flush_all | the same, for all keys |
//!
//! A read never gets a value that is older than a write which this process acknowledged before the read
//! began: a read joins another one only if no write of its key, by any worker, was in progress when that
//! one began, and none has begun since (see [`crate::route::toolkit::writes`]). Writes that reach the nodes
//! without this policy, or through other processes, become visible with a delay of at most one read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::writes::{Version, Writes, changes};

/// The flags of an mg whose reply may be shared with another client. The others return the item's history
/// (`h`, `l`) or a cas id (`c`), or change the item.
const SHAREABLE: &[u8] = b"bfkOqstv";

/// The same for a binary get, which always returns a cas id.
const SHAREABLE_BINARY: &[u8] = b"bcfkOqstv";

/// A route whose identical reads share one request.
#[derive(Debug)]
pub struct SingleFlight {
    to: Route,
    writes: Arc<Writes>,
    /// Tells its flights from those of other policies.
    identity: Arc<()>,
}

/// A read in flight. Reads that join it wait for its reply.
#[derive(Debug)]
struct Flight {
    /// The policy that it belongs to.
    policy: Arc<()>,
    /// The state of the key when the read began.
    version: Version,
    command: Command,
    key: Box<[u8]>,
    flags: Box<[u8]>,
    reply: OnceCell<Reply>,
}

thread_local! {
    /// The reads of this worker that are in flight, by a hash of policy, command, key and flags. Of several
    /// with one hash the last one is here; no read joins the others any more.
    static FLIGHTS: RefCell<HashMap<u64, Rc<Flight>>> = RefCell::default();
    static HASHES: RandomState = RandomState::new();
}

impl Compile for config::SingleFlight {
    type Policy = SingleFlight;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<SingleFlight> {
        Some(SingleFlight {
            to: scope.route(&self.to)?,
            writes: scope.writes(),
            identity: Arc::default(),
        })
    }
}

impl Policy for SingleFlight {
    const EVENTS: &'static [Event] = &[Event::Joined];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if is_shareable(request) || changes(request) {
            Decision::Run
        } else {
            Decision::Forward(&self.to)
        }
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        if !is_shareable(request) {
            // It ends before the client reads the reply.
            let _in_progress = self.writes.begin(request.key);
            return context.call.send(&self.to, request).await;
        }
        let Some(version) = self.writes.version(request.key) else {
            return context.call.send(&self.to, request).await;
        };
        let hash = self.hash(request);
        let flight = self.join(hash, request, version, context);
        // If the task of the first reader ends early, the next one sends the request instead.
        let ask = || context.call.send(&self.to, request);
        let reply = flight.reply.get_or_init(ask).await.clone();
        FLIGHTS.with_borrow_mut(|flights| {
            if flights.get(&hash).is_some_and(|last| Rc::ptr_eq(last, &flight)) {
                flights.remove(&hash);
            }
        });
        reply
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }
}

impl SingleFlight {
    fn hash(&self, request: &Request<'_>) -> u64 {
        let parts = (
            Arc::as_ptr(&self.identity),
            request.command as u8,
            request.key,
            request.raw_flags(),
        );
        HASHES.with(|hashes| hashes.hash_one(parts))
    }

    /// Returns the flight that `request` may join, or a new one.
    fn join(&self, hash: u64, request: &Request<'_>, version: Version, context: &Context<'_>) -> Rc<Flight> {
        FLIGHTS.with_borrow_mut(|flights| {
            let last = flights.get(&hash);
            if let Some(flight) = last.filter(|flight| self.serves(flight, request, version)) {
                context.count(Event::Joined);
                return flight.clone();
            }
            let flight = Rc::new(Flight {
                policy: self.identity.clone(),
                version,
                command: request.command,
                key: request.key.into(),
                flags: request.raw_flags().into(),
                reply: OnceCell::new(),
            });
            flights.insert(hash, flight.clone());
            flight
        })
    }

    fn serves(&self, flight: &Flight, request: &Request<'_>, version: Version) -> bool {
        Arc::ptr_eq(&flight.policy, &self.identity)
            && flight.version == version
            && flight.command == request.command
            && *flight.key == *request.key
            && *flight.flags == *request.raw_flags()
    }
}

/// Whether the reply to `request` may be shared with another client.
fn is_shareable(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get => true,
        Command::MetaGet => {
            let is_binary = request.meta.is_some_and(|meta| meta.is_binary);
            let shareable = if is_binary { SHAREABLE_BINARY } else { SHAREABLE };
            Names::of(request.raw_flags()).are_among(shareable)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{self, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::protocol::{Failure, Item};
    use crate::reply::oneshot::Answer;
    use crate::route::testing::{Fake, ask, meta, run};

    const ROUTE: &str = "{single_flight: a}";

    fn value(text: &'static str) -> Reply {
        let [key, data] = ["k", text].map(|text| Bytes::from_static(text.as_bytes()));
        Reply::Value(Item::new(key, 0, 0, data))
    }

    fn silent() -> Fake {
        Fake::new(ROUTE, |_, _| None)
    }

    fn is_answered(answer: &mut Answer) -> bool {
        pin!(answer)
            .poll(&mut task::Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn identical_reads_share_one_request_until_it_is_answered() {
        run(async {
            let fake = silent();
            let answers: Vec<Answer> = (0..5).map(|_| fake.ask(&ask(Command::Get, "k"))).collect();
            assert_eq!(fake.seen(), ["a get k"]);
            fake.answer("a", value("v"));
            for answer in answers {
                assert_eq!(answer.await, value("v"));
            }
            assert_eq!(fake.count(Event::Joined), 4);
            let later = fake.ask(&ask(Command::Get, "k"));
            assert_eq!(fake.seen(), ["a get k"], "the reply is not kept");
            fake.answer("a", Reply::Failed(Failure::Timeout));
            assert_eq!(later.await, Reply::Failed(Failure::Timeout));
        });
    }

    #[test]
    fn a_write_ends_the_flight_of_its_key_before_it_is_answered() {
        run(async {
            let fake = silent();
            let first = fake.ask(&ask(Command::Get, "k"));
            let write = fake.ask(&ask(Command::Set, "k"));
            let during = fake.ask(&ask(Command::Get, "k"));
            let other = fake.ask(&ask(Command::Get, "other"));
            assert_eq!(fake.seen(), ["a get k", "a set k", "a get k", "a get other"]);
            fake.answer("a", value("old"));
            fake.answer("a", Reply::Done);
            assert_eq!(write.await, Reply::Done);
            let after = fake.ask(&ask(Command::Get, "k"));
            assert_eq!(
                fake.seen(),
                ["a get k"],
                "what began during the write is not joined"
            );
            for _ in 0..3 {
                fake.answer("a", value("new"));
            }
            assert_eq!(first.await, value("old"));
            for answer in [during, other, after] {
                assert_eq!(answer.await, value("new"));
            }
            assert_eq!(fake.count(Event::Joined), 0);
        });
    }

    #[test]
    fn only_reads_that_are_the_same_for_all_are_shared() {
        run(async {
            for (flags, is_shared) in [
                ("v", true),
                ("f k v t s q O1", true),
                ("v c", false),
                ("v h", false),
                ("v T30", false),
                ("v N30", false),
            ] {
                let fake = silent();
                let request = meta(Command::MetaGet, "k", flags);
                let mut answers = [fake.ask(&request), fake.ask(&request)];
                assert_eq!(fake.seen().len(), if is_shared { 1 } else { 2 }, "{flags}");
                assert!(!is_answered(&mut answers[1]));
            }
            let fake = silent();
            let _answers = [
                fake.ask(&meta(Command::MetaGet, "k", "v O1")),
                fake.ask(&meta(Command::MetaGet, "k", "v O2")),
                fake.ask(&ask(Command::Get, "k")),
                fake.ask(&ask(Command::Gets, "k")),
                fake.ask(&ask(Command::Gets, "k")),
            ];
            assert_eq!(fake.seen().len(), 5);
        });
    }
}
