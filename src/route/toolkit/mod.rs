//! What several policies need: budgets, leases, quorums, rewritten requests. Nothing here knows a policy.

pub mod budget;
pub mod compare_and_swap;
pub mod hedge_delay;
pub mod hot;
pub mod lease;
pub mod prefixes;
pub mod quorum;
pub mod race;
pub mod read_through;
pub mod refill;
pub mod reply;
pub mod rewrite;
pub mod shared_nodes;
pub mod state;
pub mod writes;
