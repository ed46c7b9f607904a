//! A budget: the share of a policy's requests that may cost a second one, in percent.
//!
//! What is spent is kept as a debt, of which each request pays off its percent. About a hundred requests
//! may be spent at once after a quiet time.

use crate::route::counters::PolicyShard;

/// The maximum debt, in percent of a request.
const CREDIT: u64 = 100 * 100;

/// The budget, in percent of the requests; 100 means unlimited.
#[derive(Debug, Clone, Copy)]
pub struct Budget(pub u32);

impl Budget {
    /// Earns the percentage of one request.
    pub fn earn(self, counters: &PolicyShard) {
        let debt = counters.budget.get();
        counters.budget.sub(debt.min(self.0.into()));
    }

    /// Spends one second request. Returns false if the budget does not allow it.
    pub fn spend(self, counters: &PolicyShard) -> bool {
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
