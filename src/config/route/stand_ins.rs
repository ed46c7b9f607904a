//! The settings of what stands in for a pool in tests and drills (`miss`, `error`, `blackhole`) and of `delay`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Flaw, Mistakes, quote};
use super::super::keys::Typed;
use super::super::units::{percent, show_duration, timeout};
use super::{Policy, Reader, Route};

/// How long a black hole keeps a request, where nothing else is said: as long as a pool waits for a node.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers, or does not, without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandIn {
    /// Nothing is there, and nothing is stored.
    Miss,
    /// Everything is `SERVER_ERROR` and these words.
    Error(String),
    /// Nothing is answered, until after so long it has timed out.
    Blackhole(Duration),
}

/// Later.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    /// Where it leads.
    pub to: Route,
    /// How much later.
    pub by: Duration,
    /// Percent of the requests, by chance.
    pub share: u32,
}

/// Reads `miss`, behind which nothing stands.
pub fn miss(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    if !value.is_empty() {
        mistakes.add(
            &value.place(),
            Flaw::new("`miss` has no options").hint("write {miss: {}}"),
        );
        return None;
    }
    Some(Policy::StandIn(StandIn::Miss))
}

/// Reads `error` and its words.
pub fn error(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let words = if value.is_empty() {
        "refused by the route".to_owned()
    } else {
        value.read(mistakes, words)?
    };
    Some(Policy::StandIn(StandIn::Error(words)))
}

/// Words of one line.
fn words(text: &str) -> Result<String, Flaw> {
    const LONGEST: usize = 250;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let hint = format!("write 1 to {LONGEST} bytes without control characters");
        return Err(Flaw::new(format!("{} cannot be said in a line", quote(text))).hint(hint));
    }
    Ok(text.to_owned())
}

/// Reads `blackhole`, behind which a duration may stand.
pub fn blackhole(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let patience = if value.is_empty() {
        PATIENCE
    } else {
        value.read(mistakes, timeout)?
    };
    Some(Policy::StandIn(StandIn::Blackhole(patience)))
}

/// Reads `delay`.
pub fn delay(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Policy> {
    let (to, (by, share)) = reader.to(value, mistakes, |keys| {
        keys.require(
            "by",
            Flaw::new("it is not said how long").hint("add `by:`, such as 10ms"),
        );
        (keys.value("by", timeout), keys.value("share", percent))
    })?;
    Some(Policy::Delay(Delay {
        to,
        by: by?,
        share: share.unwrap_or(100),
    }))
}

impl StandIn {
    /// Its name in the file and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            StandIn::Miss => "miss",
            StandIn::Error(_) => "error",
            StandIn::Blackhole(_) => "blackhole",
        }
    }

    /// What stands behind its name.
    pub fn show(&self) -> Value {
        match self {
            StandIn::Miss => json!({}),
            StandIn::Error(words) => json!(words),
            StandIn::Blackhole(patience) => json!(show_duration(*patience)),
        }
    }
}

impl Delay {
    /// As it is typed.
    pub fn show(&self) -> Value {
        json!({
            "to": self.to.show(),
            "by": show_duration(self.by),
            "share": format!("{}%", self.share),
        })
    }
}
