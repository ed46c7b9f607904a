//! `key`, and `strip: true` of `prefix`: rename keys on their way to nodes.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | `strip_prefix` is removed if the key begins with it, then `add_prefix` is prepended and `add_suffix` appended; the client reads the key that it sent |
//! | a key that becomes empty, or longer than nodes take: 250 bytes, or 186 with a space or a control character | `CLIENT_ERROR`, no node is asked |
//! | flush_all | forwarded: flushes every key, with this prefix or without |
//!
//! Which keys are valid does not depend on the form in which they were sent, so that whoever writes an item
//! reaches what others have made of it. A key that was sent in base64 and has become too long for that goes
//! to the node as it is.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config;
use crate::protocol::meta::{MAX_ENCODED_KEY, Names, flags, needs_base64};
use crate::protocol::{MAX_KEY, Meta, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::reply::with_key;
use crate::route::toolkit::rewrite::put;

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

    /// The length in bytes of `key` as it is changed.
    fn length(&self, key: &[u8]) -> usize {
        self.parts(key).iter().map(|part| part.len()).sum()
    }

    /// The form in which nodes get the key of `request`.
    fn form(&self, request: &Request<'_>) -> Form {
        let is_base64 = request.meta.is_some_and(|meta| Names::of(meta.flags).has(b'b'));
        match is_base64 {
            false => Form::AsSent,
            true if self.length(request.key) <= MAX_ENCODED_KEY => Form::Encoded,
            true => Form::Decoded,
        }
    }
}

/// The form in which nodes get a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is; the client sent it so.
    AsSent,
    /// In base64, in which the client sent it.
    Encoded,
    /// As it is: the client sent it in base64, and now it is too long for that.
    Decoded,
}

/// Whether nodes can be asked for a key of this `length`, made of `key` by text without spaces and control
/// characters, in whichever form it is sent.
pub fn is_valid(length: usize, key: &[u8]) -> bool {
    let is_short = length <= MAX_ENCODED_KEY;
    length > 0 && (is_short || length <= MAX_KEY && !needs_base64(key))
}

impl Policy for Key {
    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        match is_valid(self.length(request.key), request.key) {
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
        let form = self.form(request);
        match form {
            Form::AsSent => {}
            Form::Encoded => {
                let encoded = STANDARD.encode(&scratch);
                scratch.extend_from_slice(encoded.as_bytes());
            }
            Form::Decoded => {
                let others = flags(request.raw_flags()).filter(|flag| flag[0] != b'b');
                others.for_each(|flag| put(scratch, flag));
            }
        }
        let (key, rest) = scratch.split_at(length);
        let meta = request.meta.map(|meta| match form {
            Form::AsSent => Meta { key, ..meta },
            Form::Encoded => Meta { key: rest, ..meta },
            Form::Decoded => Meta {
                key,
                flags: rest.trim_ascii_start(),
                ..meta
            },
        });
        Request {
            key,
            meta,
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
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use crate::protocol::{Command, MetaReply, Reply, Request};
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

    /// A request for `key` that was sent in base64.
    fn in_base64<'a>(command: Command, key: &'a str, encoded: &'a str, flags: &'a str) -> Request<'a> {
        Request {
            key: key.as_bytes(),
            ..meta(command, encoded, flags)
        }
    }

    #[test]
    fn a_key_that_becomes_too_long_for_base64_goes_to_the_node_as_it_is() {
        run(async {
            for length in [184, 185, 186] {
                let (short, long) = ("k".repeat(length), format!("new:{}", "k".repeat(length)));
                let asked = long.clone();
                let fake = Fake::new("{key: {to: a, add_prefix: \"new:\"}}", move |_, _| {
                    let line = format!("HD k{asked} f0");
                    let range = 2..4 + asked.len();
                    Some(Reply::Meta(MetaReply::new(line, range, None)))
                });
                let encoded = STANDARD.encode(&short);
                let request = in_base64(Command::MetaSet, &short, &encoded, "T9 b k I");
                let Reply::Meta(reply) = fake.ask(&request).await else {
                    panic!("a reply in meta");
                };
                assert_eq!(fake.seen(), [format!("a ms {long} T9 k I")]);
                assert_eq!(reply.line(), format!("HD k{encoded} b f0").as_bytes());
                assert_eq!(&reply.line()[reply.key()], format!(" k{encoded}").as_bytes());
            }
        });
    }

    #[test]
    fn whether_a_key_is_valid_does_not_depend_on_its_form() {
        run(async {
            let cases = [
                ("k".repeat(182), true),
                ("k".repeat(183), true),
                ("k".repeat(186), true),
                ("\u{1}".repeat(182), true),
                ("\u{1}".repeat(183), false),
                ("\0".repeat(186), false),
                ("k\u{7f}".repeat(93), false),
            ];
            for (key, expected) in cases {
                let encoded = STANDARD.encode(&key);
                for request in [
                    ask(Command::Set, &key),
                    meta(Command::MetaSet, &key, ""),
                    in_base64(Command::MetaSet, &key, &encoded, "b"),
                ] {
                    let fake = Fake::new("{key: {to: a, add_prefix: \"new:\"}}", |_, _| Some(Reply::Done));
                    let reply = fake.ask(&request).await;
                    let is_sent = fake.seen().len() == 1;
                    assert_eq!((is_sent, reply == Reply::Done), (expected, expected), "{key:?}");
                }
            }
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
