//! A budget: how many of a policy's requests may cost a second one, in percent of all.
//!
//! What is spent is kept as a debt, which each request pays off by its percent. Some hundred may be spent at once
//! after a quiet time.

use crate::route::counters::Shard;

/// Percent of a request: so much may be spent before it is earned.
const CREDIT: u64 = 100 * 100;

/// In percent of the requests; with 100 there is no bound.
#[derive(Debug, Clone, Copy)]
pub struct Budget(pub u32);

impl Budget {
    /// A request came, and earns its percent.
    pub fn earn(self, counters: &Shard) {
        let debt = counters.budget.get();
        counters.budget.sub(debt.min(self.0.into()));
    }

    /// True where one may cost a second request.
    pub fn spend(self, counters: &Shard) -> bool {
        if self.0 == 100 {
            return true;
        }
        let may = counters.budget.get() + 100 <= CREDIT;
        if may {
            counters.budget.add(100);
        }
        may
    }
}
