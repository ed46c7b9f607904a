//! The meta commands that read, mg and me, and the dispatch to the others.
//!
//! Answers are those of memcached 1.6.18, line for line, with additions of newer versions if a client asks
//! for them: `E` sets the item's cas id, `x` of md empties an item instead of removing it, `s` of ms
//! returns the stored size, and `N` of ms creates the item that append or prepend did not find. 1.6.18
//! refuses the first two and ignores the others.
//!
//! `T` of ma sets the time even if the number becomes longer; 1.6.18 forgets it there. `l` counts from the
//! last read of the item; memcached skips some reads, to save time. `cls` of me is always 1, and its size
//! is what the item takes of the cache. If one command both ends an item and asks for the seconds left, the
//! result wraps around 32 bits as in memcached, but to a different number.
//!
//! Every command is answered: quiet mode is left to the caller.

use super::expiry::Deadline;
use super::meta_request::Ask;
use super::shard::CacheShard;
use super::stored::{Marks, Stored};
use super::{Embedded, refused};
use crate::protocol::meta::flags::MetaFlags;
use crate::protocol::meta::line::{Line, shown_key};
use crate::protocol::{Command, Failure, Reply, Request, meta};

const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";

/// The reply, or the line that refuses the command.
pub(super) type MetaResult = Result<Reply, &'static str>;

impl Embedded {
    /// Executes a meta command.
    pub(super) fn meta(&self, request: &Request<'_>, now: u64) -> Reply {
        let Some(meta) = request.meta else {
            return Reply::Failed(Failure::Unsupported);
        };
        // me ignores flags that it does not know.
        if request.command == Command::MetaDebug {
            let is_key = meta::flag(meta.flags, b'b').is_none() || meta.key != request.key;
            if !is_key {
                return refused(BAD_FORMAT);
            }
            return self.meta_debug(request.key, now);
        }
        let answer = MetaFlags::of(request.command, &meta).and_then(|flags| {
            let ask = Ask {
                key: request.key,
                value: request.value,
                flags: self.on_own_clock(flags),
                text: meta.flags,
                is_binary: meta.is_binary,
            };
            match request.command {
                Command::MetaGet => self.meta_get(&ask, now),
                Command::MetaSet => self.meta_set(&ask, now),
                Command::MetaDelete => self.meta_delete(&ask, now),
                _ => self.meta_count(&ask, now),
            }
        });
        answer.unwrap_or_else(refused)
    }

    fn on_own_clock(&self, flags: MetaFlags) -> MetaFlags {
        let translate = |seconds: i32| {
            let translated = self.clock.translate(seconds.into());
            i32::try_from(translated).unwrap_or(i32::MAX)
        };
        MetaFlags {
            ttl: flags.ttl.map(translate),
            vivify: flags.vivify.map(translate),
            recache: flags.recache.map(translate),
            ..flags
        }
    }

    fn meta_debug(&self, key: &[u8], now: u64) -> Reply {
        let Some(item) = self.shard(key).find(key, now) else {
            return Line::new(b"EN").into_reply(None);
        };
        let shown = shown_key(item.key(), item.marks.has(Marks::BASE64));
        // memcached 1.6.18 shows negative seconds.
        let expiry = item
            .deadline
            .seconds_left(now)
            .map_or(-1, |left| -i64::from(left));
        let idle = item.idle(now);
        let fetched = if item.marks.has(Marks::FETCHED) {
            "yes"
        } else {
            "no"
        };
        let (cas, size) = (item.cas, item.weight());
        let rest = format!(" exp={expiry} la={idle} cas={cas} fetch={fetched} cls=1 size={size}");
        Line::new(&[b"ME ", &shown[..], rest.as_bytes()].concat()).into_reply(None)
    }

    fn meta_get(&self, ask: &Ask<'_>, now: u64) -> MetaResult {
        let mut shard = self.shard(ask.key);
        let found = shard.find(ask.key, now);
        let is_new = found.is_none();
        let Some(mut item) = found.or_else(|| self.vivify(&mut shard, ask, now)) else {
            return Ok(Line::new(b"EN").echo_all(ask.asked())?.into_reply(None));
        };
        let line = read(&mut item, is_new, ask, now);
        let is_hit = line.is_ok() || !ask.flags.is_exclusive;
        if is_hit && !ask.flags.is_unnoticed {
            item.note_hit(now);
        }
        if ask.flags.wants_value {
            item.settle();
        }
        shard.update(&item);
        let data = ask.flags.wants_value.then(|| item.shared_data());
        Ok(line?.into_reply(data))
    }

    /// Stores the empty item that `N` creates on a miss.
    fn vivify(&self, shard: &mut CacheShard, ask: &Ask<'_>, now: u64) -> Option<Stored> {
        ask.flags.vivify.filter(|_| self.fits(ask.key, 0))?;
        let item = Stored::new(ask.key, [b"", b""], 0, Deadline::NEVER);
        let item = item.numbered(self.next_number(), ask.flags.new_cas, now);
        shard.put(item.clone(), now);
        Some(item)
    }
}

/// Returns the deadline for a flag that sets a time.
pub(super) fn deadline(seconds: Option<i32>, now: u64) -> Deadline {
    Deadline::new(seconds.unwrap_or(0).into(), now)
}

/// Processes the flags in order; each sees the changes of those before it.
fn read(item: &mut Stored, is_new: bool, ask: &Ask<'_>, now: u64) -> Result<Line, &'static str> {
    let flags = &ask.flags;
    let mut line = if flags.wants_value {
        Line::value(item.size())
    } else {
        Line::new(b"HD")
    };
    let was_sent = item.marks.has(Marks::TOKEN_SENT);
    let mut wins = false;
    for flag in ask.raw() {
        match flag[0] {
            b'T' => item.deadline = deadline(flags.ttl, now),
            b'N' if is_new => {
                item.deadline = deadline(flags.vivify, now);
                wins = true;
            }
            b'R' => {
                let limit = deadline(flags.recache, now);
                wins |= !was_sent && !is_new && item.deadline.is_within(limit, now);
            }
            b's' => line.field(b's', item.size()),
            b't' => line.ttl(item.deadline.seconds_left(now)),
            b'c' => line.field(b'c', item.cas),
            b'f' => line.field(b'f', item.flags),
            b'l' => line.field(b'l', item.idle(now)),
            b'h' => line.field(b'h', u8::from(item.marks.has(Marks::FETCHED))),
            b'O' => line.opaque(flag)?,
            b'k' => line.key(item.key(), item.marks.has(Marks::BASE64)),
            _ => {}
        }
    }
    if was_sent {
        line.mark(b'Z');
    }
    if item.marks.has(Marks::STALE) {
        line.mark(b'X');
        wins |= !was_sent;
    }
    if wins && !ask.is_binary {
        line.mark(b'W');
        item.marks.set(Marks::TOKEN_SENT);
    }
    Ok(line)
}
