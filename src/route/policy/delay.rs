//! `delay`: some requests wait before they go on, to see what slow nodes would do to the callers.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | `share` of them, by chance, go on after `by`; a pool's deadline counts from then |
//! | flush_all | goes on at once |

use std::time::Duration;

use tokio::time::sleep;

use crate::config;
use crate::protocol::{Reply, Request};
use crate::route::{Call, Route};
use crate::runtime::rng;

/// How long which requests wait.
#[derive(Debug)]
pub struct Delay {
    by: Duration,
    share: u32,
}

impl Delay {
    /// As it is configured.
    pub fn new(typed: &config::Delay) -> Delay {
        Delay {
            by: typed.by,
            share: typed.share,
        }
    }
}

/// Carries out `request`.
pub async fn run(delay: &Delay, to: &Route, request: &Request<'_>, call: &Call) -> Reply {
    if rng::below(100) < u64::from(delay.share) {
        sleep(delay.by).await;
    }
    call.send(to, request).await
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::protocol::Command;
    use crate::route::testing::{Fake, ask, run};

    #[test]
    fn about_a_share_of_the_requests_waits() {
        run(async {
            let fake = Fake::new("{delay: {to: a, by: 10s, share: 30%}}", |_, _| Some(Reply::Done));
            let mut late = 0;
            for _ in 0..1000 {
                let before = Instant::now();
                fake.ask(&ask(Command::Get, "k")).await;
                let waited = before.elapsed();
                assert!(
                    waited.is_zero() || waited >= Duration::from_secs(10),
                    "{waited:?}"
                );
                late += usize::from(!waited.is_zero());
            }
            assert!((200..400).contains(&late), "{late}");
        });
    }
}
