//! Waiting until Ringway has nothing more to do.

use std::thread::sleep;
use std::time::Duration;

use super::ringway::{Ringway, wait_for};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// So many looks in a row must see the same: a busy machine may let Ringway wait for as long as one pause.
const LOOKS: usize = 5;

/// Waits until nothing has come from the nodes for a while, after something did.
pub fn wait_until_replies_stop(ringway: &Ringway) {
    let (mut last, mut same) = (0.0, 0);
    wait_for("the node's replies to stop", || {
        sleep(PAUSE);
        let now = ringway.metric("ringway_node_bytes_read_total", &[]);
        same = if now > 0.0 && now == last { same + 1 } else { 0 };
        last = now;
        same == LOOKS
    });
}
