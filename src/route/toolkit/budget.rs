//! A budget: the share of a policy's requests that may cost a second one, in percent.
//!
//! What is spent is kept as a debt, of which each request pays off its percent. About a hundred requests
//! may be spent at once after a quiet time.

use std::sync::Arc;

use crate::route::call::Forwarder;
use crate::route::toolkit::state::{PolicyState, StateShard};

/// The maximum debt, in percent of a request.
const CREDIT: u64 = 100 * 100;

/// The budget of one policy.
#[derive(Debug)]
pub struct Budget {
    /// The percentage of the requests; 100 means unlimited.
    percent: u32,
    state: Arc<PolicyState>,
}

impl Budget {
    /// Returns a budget of `percent` of the requests, whose debt is in `state`.
    pub fn new(percent: u32, state: Arc<PolicyState>) -> Budget {
        Budget { percent, state }
    }

    /// Earns the percentage of one request.
    pub fn earn(&self, forwarder: &dyn Forwarder) {
        if self.percent == 100 {
            return;
        }
        let debt = &self.shard(forwarder).budget;
        debt.sub(debt.get().min(self.percent.into()));
    }

    /// Spends one second request. Returns false if the budget does not allow it.
    pub fn spend(&self, forwarder: &dyn Forwarder) -> bool {
        if self.percent == 100 {
            return true;
        }
        let debt = &self.shard(forwarder).budget;
        let may = debt.get() + 100 <= CREDIT;
        if may {
            debt.add(100);
        }
        may
    }

    fn shard(&self, forwarder: &dyn Forwarder) -> &StateShard {
        self.state.shard(forwarder.worker())
    }
}
