//! `/readyz`: ready only while serving. A refused configuration is mentioned, but does not make the process less
//! ready: the previous one serves.

use hyper::StatusCode;

use super::response::{Answer, text};
use crate::state::{Phase, State};

/// Whether the process is ready, and why not.
#[derive(Debug)]
pub struct Readiness {
    /// Whether it takes traffic.
    pub is_ready: bool,
    /// What it does, in a word or a sentence.
    pub phase: &'static str,
    /// Pools that have no nodes yet.
    pub missing: Vec<String>,
    /// The mistakes of the configuration file, if it was refused. The configuration before it serves, so they make
    /// the process no less ready.
    pub diagnostics: Vec<String>,
}

impl Readiness {
    /// Looks at the process as it is now.
    pub fn of(state: &State) -> Readiness {
        let (is_ready, phase) = match *state.phase.borrow() {
            Phase::Starting => (false, "starting"),
            Phase::Serving => (true, "ready"),
            Phase::Leaving => (false, "leaving: told to stop"),
            Phase::Draining => (false, "draining: told to stop"),
        };
        let statuses = state.discovery.lock().expect("no holder panics");
        let snapshot = state.snapshot.load();
        let missing = snapshot.config.undiscovered().map(|(pool, discover)| {
            let error = statuses.get(pool).and_then(|status| status.last_error.as_deref());
            let error = error.unwrap_or("no answer yet");
            format!("pool {pool} has no nodes from {} yet: {error}", discover.from)
        });
        let missing = missing.collect();
        let reloads = state.reloads.lock().expect("no holder panics");
        Readiness {
            is_ready,
            phase,
            missing,
            diagnostics: reloads.diagnostics.clone(),
        }
    }
}

/// 200 while it is ready, else 503; a line for each thing to know.
pub fn answer(state: &State) -> Answer {
    let found = Readiness::of(state);
    let mut lines = vec![found.phase];
    lines.extend(found.missing.iter().map(String::as_str));
    if !found.diagnostics.is_empty() {
        lines.push("the configuration file is not what runs, the last good one does:");
        lines.extend(found.diagnostics.iter().map(String::as_str));
    }
    let status = match found.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, lines.join("\n") + "\n")
}
