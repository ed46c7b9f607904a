//! `expiry`: bounds how long items live, and spreads the moments at which they expire.
//!
//! | command | what happens |
//! |---|---|
//! | set, add, replace, cas, touch, gat, ms | the expiry is clamped to `min` and `max`, then reduced at random by up to `jitter`, but not below `min` |
//! | mg, ma with `T` or `N` | the same |
//! | an expiry in the past | left unchanged |
//! | get, append, prepend, incr, decr, delete | forwarded unchanged |

use crate::config;
use crate::protocol::Request;
use crate::route::Route;
use crate::route::call::Forwarder;
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::rewrite::{Ttl, as_ttl, unix_time, whole_seconds, with_expiry};

/// The bounds, in seconds.
#[derive(Debug)]
pub struct Expiry {
    to: Route,
    min: i64,
    max: Option<i64>,
    /// Percent.
    jitter: u32,
}

impl Compile for config::Expiry {
    type Policy = Expiry;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Expiry> {
        Some(Expiry {
            to: scope.route(&self.to)?,
            min: self.min.map_or(0, whole_seconds),
            max: self.max.map(whole_seconds),
            jitter: self.jitter,
        })
    }
}

impl Expiry {
    /// Clamps the `exptime` of a request to the bounds, and subtracts `share` of the jitter.
    fn bound(&self, exptime: i64, now: i64, share: f64) -> i64 {
        let seconds = match (as_ttl(exptime, now), self.max) {
            (Ttl::Gone, _) | (Ttl::Forever, None) => return exptime,
            (Ttl::Forever, Some(max)) => max,
            (Ttl::Seconds(seconds), max) => seconds.max(self.min).min(max.unwrap_or(i64::MAX)),
        };
        let off = (seconds as f64 * f64::from(self.jitter) / 100.0 * share) as i64;
        Ttl::Seconds((seconds - off).max(self.min).max(1)).to_exptime(now)
    }
}

impl Policy for Expiry {
    fn decide(
        &self,
        _request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        Decision::Rewrite(&self.to)
    }

    fn rewrite<'r>(&self, request: &Request<'r>, scratch: &'r mut Vec<u8>) -> Request<'r> {
        let share = fastrand::f64();
        with_expiry(request, scratch, |exptime| {
            self.bound(exptime, unix_time(), share)
        })
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![Branch::new(&self.to)]
    }

    fn only_route(&self, _request: &Request<'_>) -> Option<&Route> {
        Some(&self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Command, Reply};
    use crate::route::testing::{Fake, ask, compile, expiring, meta, run};

    #[test]
    fn what_is_written_lives_within_the_bounds() {
        let cases = [
            (expiring(Command::Set, "k", 0), "a set k 3600"),
            (expiring(Command::Set, "k", 5), "a set k 60"),
            (expiring(Command::Set, "k", 100), "a set k 100"),
            (expiring(Command::Set, "k", 90_000), "a set k 3600"),
            (expiring(Command::Set, "k", 4_000_000_000), "a set k 3600"),
            (expiring(Command::Set, "k", 1_000_000_000), "a set k 1000000000"),
            (expiring(Command::Set, "k", -1), "a set k -1"),
            (expiring(Command::Touch, "k", 0), "a touch k 3600"),
            (expiring(Command::Gats, "k", 1), "a gats k 60"),
            (ask(Command::Append, "k"), "a append k"),
            (ask(Command::Incr, "k"), "a incr k"),
            (meta(Command::MetaSet, "k", "S3"), "a ms k S3 T3600"),
            (meta(Command::MetaSet, "k", "ME T7"), "a ms k ME T60"),
            (meta(Command::MetaArithmetic, "k", "N0 J1"), "a ma k N3600 J1"),
            (meta(Command::MetaGet, "k", "v T9"), "a mg k v T60"),
            (meta(Command::MetaGet, "k", "v"), "a mg k v"),
        ];
        run(async move {
            let fake = Fake::new("{expiry: {to: a, min: 1m, max: 1h}}", |_, _| Some(Reply::Done));
            for (request, expected) in cases {
                fake.ask(&request).await;
                assert_eq!(fake.seen(), [expected]);
            }
        });
    }

    #[test]
    fn jitter_takes_off_a_share_but_never_goes_below_the_bound() {
        let expiry = |jitter, min| Expiry {
            to: compile("a").0,
            min,
            max: None,
            jitter,
        };
        let now = 1_700_000_000;
        for (jitter, min, share, expected) in [
            (10, 1, 0.0, 1000),
            (10, 1, 0.5, 950),
            (10, 1, 1.0, 900),
            (100, 1, 1.0, 1),
            (50, 800, 1.0, 800),
        ] {
            let expiry = expiry(jitter, min);
            assert_eq!(expiry.bound(1000, now, share), expected, "{jitter}% {share}");
        }
        let expiry = expiry(10, 1);
        assert_eq!(expiry.bound(0, now, 1.0), 0, "what lives for ever lives for ever");
        let forty_days = 40 * 24 * 3600;
        assert_eq!(expiry.bound(now + forty_days, now, 0.0), now + forty_days);
    }
}
