//! `key`, and `strip: true` of `prefix`: rename keys on their way to nodes.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | `strip_prefix` is removed if the key begins with it, then `add_prefix` is prepended and `add_suffix` appended; the client reads the key that it sent |
//! | a key that becomes empty, or longer than 250 bytes | `CLIENT_ERROR`, no node is asked |
//! | flush_all | forwarded: flushes every key, with this prefix or without |

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::{Engine, encoded_len};

use crate::config;
use crate::protocol::meta::Names;
use crate::protocol::{MAX_KEY, Meta, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::reply::with_key;

/// How keys are changed.
#[derive(Debug)]
pub struct Key {
    to: Route,
    strip: Box<[u8]>,
    add: Box<[u8]>,
    suffix: Box<[u8]>,
}

impl Compile for config::Key {
    type Policy = Key;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Key> {
        Some(Key::over(scope.route(&self.to)?, self))
    }
}

impl Key {
    /// Changes keys as `settings` say on their way to `to`.
    pub fn over(to: Route, settings: &config::Key) -> Key {
        Key {
            to,
            strip: settings.strip_prefix.as_bytes().into(),
            add: settings.add_prefix.as_bytes().into(),
            suffix: settings.add_suffix.as_bytes().into(),
        }
    }

    /// Returns what `key` begins with, what is left of it, and what it ends with on its way to nodes.
    fn parts<'a>(&'a self, key: &'a [u8]) -> [&'a [u8]; 3] {
        let stripped = key.strip_prefix(&*self.strip).unwrap_or(key);
        [&self.add, stripped, &self.suffix]
    }

    /// Whether nodes can be asked for the key of `request`, as it is changed.
    fn is_valid(&self, request: &Request<'_>) -> bool {
        let length = self.parts(request.key).iter().map(|part| part.len()).sum();
        let sent = match is_encoded(request) {
            true => encoded_len(length, true).unwrap_or(usize::MAX),
            false => length,
        };
        length > 0 && sent <= MAX_KEY
    }
}

/// Whether the client sent the key in base64, in which nodes are to get it, too.
fn is_encoded(request: &Request<'_>) -> bool {
    request.meta.is_some_and(|meta| Names::of(meta.flags).has(b'b'))
}

impl Policy for Key {
    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        match self.is_valid(request) {
            true => Decision::Amend(&self.to),
            false => Decision::Reply(Reply::Refused(
                "CLIENT_ERROR the route makes no key of this".into(),
            )),
        }
    }

    fn rewrite<'r>(&self, request: &Request<'r>, scratch: &'r mut Vec<u8>) -> Request<'r> {
        let parts = self.parts(request.key);
        parts.iter().for_each(|part| scratch.extend_from_slice(part));
        let length = scratch.len();
        if is_encoded(request) {
            let encoded = STANDARD.encode(&scratch);
            scratch.extend_from_slice(encoded.as_bytes());
        }
        let (key, encoded) = scratch.split_at(length);
        let as_sent = if encoded.is_empty() { key } else { encoded };
        Request {
            key,
            meta: request.meta.map(|meta| Meta { key: as_sent, ..meta }),
            ..*request
        }
    }

    fn amend(&self, request: &Request<'_>, reply: Reply) -> Reply {
        with_key(reply, request)
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let mut scratch = Vec::new();
        let sent = self.rewrite(request, &mut scratch);
        self.amend(request, context.call.send(&self.to, &sent).await)
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn branches_of<'k>(&self, key: &'k [u8]) -> Vec<(Branch<'_>, Cow<'k, [u8]>)> {
        vec![(Branch::new(&self.to), Cow::Owned(self.parts(key).concat()))]
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Reply, Request};
    use crate::route::testing::{Fake, ask, meta, run, value};

    #[test]
    fn nodes_see_the_other_key_and_the_client_its_own() {
        run(async {
            let suffixed = "{key: {to: a, add_suffix: \"~1\"}}";
            let fake = Fake::new(suffixed, |_, request| Some(value(request, "v", 0)));
            let request = ask(Command::Get, "k");
            assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
            assert_eq!(fake.seen(), ["a get k~1"]);
            let route = "{key: {to: a, strip_prefix: \"old:\", add_prefix: \"new:\"}}";
            let fake = Fake::new(route, |_, request| Some(value(request, "v", 0)));
            for (key, expected) in [
                ("old:k", "a get new:k"),
                ("k", "a get new:k"),
                ("old:", "a get new:"),
            ] {
                let request = ask(Command::Get, key);
                assert_eq!(fake.ask(&request).await, value(&request, "v", 0));
                assert_eq!(fake.seen(), [expected]);
            }
            fake.ask(&meta(Command::MetaGet, "old:k", "v")).await;
            assert_eq!(fake.seen(), ["a mg new:k v"]);
            let base64 = Request {
                key: b"old:k",
                ..meta(Command::MetaGet, "b2xkOms=", "b v")
            };
            fake.ask(&base64).await;
            assert_eq!(fake.seen(), ["a mg bmV3Oms= b v"]);
        });
    }

    #[test]
    fn what_is_no_key_any_more_is_refused() {
        run(async {
            let fake = Fake::new("{key: {to: a, strip_prefix: x}}", |_, _| None);
            assert!(matches!(
                fake.ask(&ask(Command::Get, "x")).await,
                Reply::Refused(_)
            ));
            let fake = Fake::new("{key: {to: a, add_prefix: x}}", |_, _| None);
            let longest = "k".repeat(250);
            assert!(matches!(
                fake.ask(&ask(Command::Get, &longest)).await,
                Reply::Refused(_)
            ));
            assert!(fake.seen().is_empty());
        });
    }
}
