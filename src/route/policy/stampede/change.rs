//! Commands that change an item, or depend on whether there is one: a placeholder and an old value are none.
//!
//! Each looks at the key first, and then changes only the item that it saw, by its cas id; if another request
//! was faster, it starts over.

use super::Stampede;
use super::seen::{Seen, State};
use crate::protocol::meta::{Names, flag};
use crate::protocol::numbers::parse_u64;
use crate::protocol::operation::{Operation, is_plain_delete};
use crate::protocol::{Command, Failure, Reply, Request};
use crate::route::call::Call;
use crate::route::toolkit::compare_and_swap::{as_add, compare_and_swap, fill_placeholder, swapped};
use crate::route::toolkit::lease::{MetaKey, may_be_placeholder};
use crate::route::toolkit::refill::{TRIES, creates, missing};
use crate::route::toolkit::reply::{is_done, is_error, is_miss};
use crate::route::toolkit::rewrite::{put, put_number, with_flags};

/// A step of a change that is not the last one: another request was faster.
const AGAIN: Option<Reply> = None;

impl Stampede {
    /// Executes `request`, whose expiry is that of the item at its node.
    pub(super) async fn change(&self, request: &Request<'_>, call: &Call) -> Reply {
        let key = MetaKey::of(request);
        let mut added = Vec::new();
        let add = as_add(request, &mut added);
        for _ in 0..TRIES {
            let look = key.send(Command::MetaGet, "s c t", &self.to, call).await;
            let Ok(seen) = Seen::of(look, request, self.stale) else {
                // The request itself must reach the node, or be remembered as missed there.
                return call.send(&self.to, request).await;
            };
            let reply = match (seen.state, &add) {
                _ if is_plain_delete(request) => self.delete(request, &seen, &key, call).await,
                (State::Value, _) => self.change_value(request, &seen, &key, call).await,
                (State::Placeholder, _) if has_token(request, seen.cas) => {
                    Some(call.send(&self.to, request).await)
                }
                (_, Some(add)) => self.add(add, &seen, call).await,
                _ if creates(request) => self.create(request, &seen, &key, call).await,
                (state, None) => {
                    if state == State::Old && seen.is_won {
                        // The look has taken the token, which is for a reader.
                        let _returned = self.mark(&seen, &key, call).await;
                    }
                    Some(missing(request))
                }
            };
            if let Some(reply) = reply {
                return reply;
            }
        }
        Reply::Failed(Failure::Busy)
    }

    /// Changes a value: the one that was seen, if the command can say so.
    async fn change_value(
        &self,
        request: &Request<'_>,
        seen: &Seen,
        key: &MetaKey,
        call: &Call,
    ) -> Option<Reply> {
        if Operation::of(request) == Operation::Add {
            return Some(Reply::NotStored);
        }
        let mut scratch = Vec::new();
        if let Some(swap) = compare_and_swap(request, seen.cas, &mut scratch) {
            let reply = call.send(&self.to, &swap).await;
            return match self.has_counted_another(&reply, Some(seen.cas), key, call).await {
                true => AGAIN,
                false => swapped(request, reply),
            };
        }
        let reply = call.send(&self.to, request).await;
        match may_be_placeholder(&reply) {
            true => key.recheck(request, &reply, &self.to, call).await,
            false if self.has_counted_another(&reply, Some(seen.cas), key, call).await => AGAIN,
            false => Some(reply),
        }
    }

    /// Executes an add to a key without a value.
    async fn add(&self, request: &Request<'_>, seen: &Seen, call: &Call) -> Option<Reply> {
        if seen.state == State::Nothing {
            // What is not stored may have met a placeholder.
            return swapped(request, call.send(&self.to, request).await);
        }
        let mut scratch = Vec::new();
        let filled = fill_placeholder(request, seen.cas, &mut scratch);
        swapped(request, call.send(&self.to, &filled).await)
    }

    /// Executes a command that creates the item if there is none.
    async fn create(&self, request: &Request<'_>, seen: &Seen, key: &MetaKey, call: &Call) -> Option<Reply> {
        if seen.state != State::Nothing {
            match key.release(seen.cas, &self.to, call).await {
                Ok(true) => {}
                Ok(false) => return AGAIN,
                Err(reply) => return Some(reply),
            }
        }
        let reply = call.send(&self.to, request).await;
        match self.has_counted_another(&reply, None, key, call).await {
            true => AGAIN,
            false => Some(reply),
        }
    }

    /// Whether `reply`, to a count, may be about a placeholder instead of the value with the cas id `seen`.
    async fn has_counted_another(
        &self,
        reply: &Reply,
        seen: Option<u64>,
        key: &MetaKey,
        call: &Call,
    ) -> bool {
        key.has_counted_another(reply, seen, &self.to, 0, call).await
    }

    async fn delete(&self, request: &Request<'_>, seen: &Seen, key: &MetaKey, call: &Call) -> Option<Reply> {
        match seen.state {
            // A miss does not prove that no node under the route has a value.
            State::Nothing | State::Value if self.stale == 0 => Some(call.send(&self.to, request).await),
            State::Nothing | State::Value => Some(self.retire(request, key, call).await),
            // Whoever computes the value may have begun before the change that this delete tells of.
            State::Placeholder => match key.release(seen.cas, &self.to, call).await {
                Ok(true) => Some(Reply::NotFound),
                Ok(false) => AGAIN,
                Err(reply) => Some(reply),
            },
            State::Old => match self.mark(seen, key, call).await {
                reply if is_done(&reply) => Some(Reply::NotFound),
                reply if is_error(&reply) => Some(reply),
                _ => AGAIN,
            },
        }
    }

    /// Marks the value as old instead of removing it.
    async fn retire(&self, request: &Request<'_>, key: &MetaKey, call: &Call) -> Reply {
        let Some(meta) = &request.meta else {
            let words = format!("I T{}", self.stale);
            let reply = key.send(Command::MetaDelete, &words, &self.to, call).await;
            return match reply {
                _ if is_done(&reply) => Reply::Done,
                _ if is_miss(&reply) => Reply::NotFound,
                _ => reply,
            };
        };
        let mut flags = meta.flags.to_vec();
        put(&mut flags, b"I");
        put_number(&mut flags, b"T", self.stale);
        call.send(&self.to, &with_flags(request, meta, &flags)).await
    }

    /// Lets one more reader win the old value that was seen. It expires when it would have.
    async fn mark(&self, seen: &Seen, key: &MetaKey, call: &Call) -> Reply {
        let words = format!("I C{}", seen.cas);
        key.send(Command::MetaDelete, &words, &self.to, call).await
    }
}

/// Whether `request` is an ms that compares the cas id `token`: its client has won the placeholder by itself.
fn has_token(request: &Request<'_>, token: u64) -> bool {
    let compared = flag(request.raw_flags(), b'C').and_then(|flag| parse_u64(&flag[1..]));
    request.command == Command::MetaSet && compared == Some(token)
}

/// Whether `request` is a read that takes part in the election of the reader that computes the value: its
/// reply has nothing but the value, its flags, its size and its cas id.
pub(super) fn takes_part(request: &Request<'_>) -> bool {
    match request.command {
        Command::Get | Command::Gets => true,
        Command::MetaGet => Names::of(request.raw_flags()).are_among(b"bcfkOqsv"),
        _ => false,
    }
}
