//! `delay`: delays some requests before they are forwarded, to test how clients cope with slow nodes.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | a random `share` of them is forwarded after `by`; a pool's deadline counts from then |
//! | flush_all | forwarded at once |

use std::time::Duration;

use tokio::time::sleep;

use crate::config;
use crate::protocol::{Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

/// The delay, and the share of requests that it applies to.
#[derive(Debug)]
pub struct Delay {
    to: Route,
    by: Duration,
    /// Percent.
    share: u32,
}

impl Compile for config::Delay {
    type Policy = Delay;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<Delay> {
        Some(Delay {
            to: scope.route(&self.to)?,
            by: self.by,
            share: self.share,
        })
    }
}

impl Policy for Delay {
    fn decide(
        &self,
        _request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        Decision::Run
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        if fastrand::u64(..100) < u64::from(self.share) {
            sleep(self.by).await;
        }
        context.call.send(&self.to, request).await
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
