//! When a stale value is a fault of Ringway's, and when it may be there: a node that was killed, stopped, left out or
//! brought back may hold old values, and a set that was not answered may be carried out late. What is stored and
//! read while nothing of that goes on, nor did shortly before, must be right to the last version.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// After the last disturbance: longer than a request may take, and than its node may take to carry it out.
const SETTLE: Duration = Duration::from_secs(3);
/// So old, a suspicion is confirmed if nothing was found that excuses it: nodes are looked at more often than this.
const CONFIRMED: Duration = Duration::from_secs(3);

/// What disturbs the nodes, and what looked wrong meanwhile.
#[derive(Debug)]
pub struct Quiescence {
    /// Disturbances that go on now.
    ongoing: Cell<usize>,
    /// The quiet time begins here, unless it is disturbed before.
    from: Cell<Instant>,
    suspicions: RefCell<Vec<(Instant, String)>>,
    excused: Cell<u64>,
}

impl Quiescence {
    /// Nothing has settled yet.
    pub fn new() -> Self {
        Self {
            ongoing: Cell::new(0),
            from: Cell::new(Instant::now() + SETTLE),
            suspicions: RefCell::default(),
            excused: Cell::new(0),
        }
    }

    /// The soak begins to disturb something.
    pub fn begin(&self) {
        self.ongoing.set(self.ongoing.get() + 1);
    }

    /// A disturbance that began is over.
    pub fn end(&self) {
        self.ongoing.set(self.ongoing.get() - 1);
        self.from.set(Instant::now() + SETTLE);
    }

    /// Something is found to be disturbed, or to have been. What looked wrong lately may have come from it, unless
    /// it comes from what the soak does itself.
    pub fn disturb(&self) {
        self.from.set(Instant::now() + SETTLE);
        if self.ongoing.get() == 0 {
            let excused = self.suspicions.take().len() as u64;
            self.excused.set(self.excused.get() + excused);
        }
    }

    /// The beginning of the quiet time that goes on now. `None`: something is disturbed.
    pub fn since(&self) -> Option<Instant> {
        let from = self.from.get();
        (self.ongoing.get() == 0 && from <= Instant::now()).then_some(from)
    }

    /// Something looks wrong, if it turns out that nothing was disturbed.
    pub fn suspect(&self, what: String) {
        self.suspicions.borrow_mut().push((Instant::now(), what));
    }

    /// What looked wrong, and no disturbance was found for it.
    pub fn confirmed(&self) -> Option<String> {
        let suspicions = self.suspicions.borrow();
        let (at, what) = suspicions.first()?;
        (at.elapsed() > CONFIRMED).then(|| what.clone())
    }

    /// How much looked wrong and had a disturbance to it.
    pub fn excused(&self) -> u64 {
        self.excused.get()
    }
}
