//! Speaks to Valkey and Redis: writes requests as RESP commands, and reads their replies as those of a memcached.
//!
//! ```text
//!   Request ─ commands ─▶ RESP command ─▶ node ─▶ RESP reply ─ frame ─▶ Frame ─ answer ─▶ Reply
//!                └─ Expected: what the reply means ─────────────────────────────┘
//! ```
//!
//! Where one native command does what memcached does, it is used; everything else is one call of a script
//! ([`script`]), which the server executes as a whole. [`stored`] says how items are stored. docs/valkey.md is
//! the page for users.
//!
//! RESP replies name no keys, so a reply is matched by its place in the order and by its type alone.

pub mod answer;
pub mod commands;
pub mod expiry;
pub mod form;
pub mod frame;
pub mod greeting;
pub mod meta;
pub mod outcome;
pub mod refusal;
pub mod script;
pub mod stored;
pub mod value;
pub mod words;
pub mod writer;
