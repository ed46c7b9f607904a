//! Requests about Ringway itself: `version` and `stats`. They are short but their answers are long, so each
//! is counted as the work that it takes, and a session has at most one long answer per turn.

use bytes::Bytes;

use super::Requests;
use crate::client::batch::Batch;
use crate::client::reading::Reading;
use crate::client::stats;

/// The cost of looking up one node's version.
const VERSION_OF_NODE: usize = 64;

/// The answer to `stats`.
pub(super) enum Stats {
    /// All lines without the last line end.
    Text(Bytes),
    /// There is no memory for it.
    NoMemory,
    /// It follows in the session's next turn.
    Later,
}

impl Requests {
    /// Returns the answer to `version`.
    pub(super) fn version(&mut self, batch: &Batch<'_>) -> String {
        let pools = batch.route.pools().iter();
        let nodes: usize = pools.map(|pool| pool.nodes.len()).sum();
        self.turn.spend(nodes * VERSION_OF_NODE);
        stats::version(batch.current, batch.route)
    }

    /// Returns the answer to `stats <what>`, which may be long and take time to render: a session has one
    /// in each turn, and sessions that ask in the same turn of the event loop share it.
    pub(super) fn stats(&mut self, batch: &Batch<'_>, what: &[u8]) -> Stats {
        let reading = std::mem::take(&mut self.reading);
        if !self.dispatch.replies().has_room(stats::size(batch.current, what)) {
            batch.worker.shard().out_of_memory.add(1);
            return Stats::NoMemory;
        }
        let render = || stats::stats(&batch.worker.state, batch.current, batch.route, what);
        let Some(section) = stats::long_section(what) else {
            return Stats::Text(render().into());
        };
        let Reading::Stats(waiting) = reading else {
            self.reading = Reading::Stats(batch.worker.local.texts.wait());
            return Stats::Later;
        };
        Stats::Text(waiting.take(format!("{} {section}", batch.bind), render))
    }
}
