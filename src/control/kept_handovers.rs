//! What a process that starts knows of handovers: it keeps them in `state_dir`, and goes on with them after a
//! restart; without, it learns them from `handover.from` of the file.
//!
//! A process that did not know of one would write at the new owners alone, while other processes still read
//! the old ones.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use super::leftovers::NOTE;
use super::remembered::write_whole;
use crate::config::{self, Config, HandoverFrom};
use crate::route::Handover;
use crate::route::handover::progress::{Phase, Progress};
use crate::snapshot::Snapshot;

/// The file in `state_dir`.
const FILE: &str = "handovers.json";

/// The handovers of an earlier process, by pool.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept(BTreeMap<String, KeptHandover>);

/// What another process needs to go on with a handover.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptHandover {
    /// The name of the phase.
    pub phase: String,
    /// When the phase began, in milliseconds since 1970.
    since: u64,
    /// The ring before, as a configuration with one pool.
    old: Value,
    /// The ring after.
    new: Value,
    /// The marks of the new nodes, in their order.
    marks: Vec<u64>,
    /// Which old nodes are not read any more, in their order.
    #[serde(default)]
    pub lost: Vec<bool>,
    /// Whether the process joined when others may have served already.
    #[serde(default)]
    is_late: bool,
}

/// Returns what `state_dir` of `config` has of handovers. A file that makes no sense counts as none.
pub fn recall(config: &Config) -> Kept {
    let Some(dir) = &config.state_dir else {
        return Kept::default();
    };
    let path = dir.join(FILE);
    let read = config::read_regular(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.unwrap_or_else(|error| {
        if error.kind() != ErrorKind::NotFound {
            warn!(path = %path.display(), %error, "handovers cannot be read");
        }
        Kept::default()
    })
}

impl Kept {
    /// The handover of the pool called `name` alone.
    pub fn one(name: &str, handover: KeptHandover) -> Kept {
        Kept(BTreeMap::from([(name.to_owned(), handover)]))
    }

    /// Gives each pool of `before` whose file says what its handover is from, and whose handover was not kept, the
    /// ring of that time. Returns those pools, and how long their handovers have gone on.
    fn join_from(&self, before: &mut Config) -> Vec<(String, Duration)> {
        let pools = before.pools.iter_mut();
        let unkept = pools.filter(|(name, _)| !self.0.contains_key(*name));
        let mut joined = Vec::new();
        for (name, settings) in unkept {
            let handover = settings.handover.as_ref();
            let from = handover.and_then(|handover| handover.from.clone());
            if let Some((from, elapsed)) = from.and_then(|from| from.elapsed(settings)) {
                *settings = settings.before(&from);
                joined.push((name.clone(), elapsed));
            }
        }
        joined
    }

    /// Returns the first snapshot of `config`, in which the kept handovers go on, and those that the file knows.
    pub fn first_snapshot(&self, mut config: Config) -> Snapshot {
        let mut before = config.clone();
        let mut going = Vec::new();
        let joined = self.join_from(&mut before);
        for (name, kept) in &self.0 {
            let (Some(old), Some(new)) = (ring(&kept.old), ring(&kept.new)) else {
                continue;
            };
            let Some(settings) = config.pools.get_mut(name) else {
                continue;
            };
            // The file was changed since; that waits, as it would have without the restart.
            if !settings.has_ring_of(&new) {
                settings.keep_ring_of(&new);
            }
            if let Some(settings) = before.pools.get_mut(name) {
                settings.keep_ring_of(&old);
                going.push((name, kept));
            }
        }
        if going.is_empty() && joined.is_empty() {
            return Snapshot::build(config, None);
        }
        let before = Snapshot::build(before, None);
        let first = Snapshot::build(config, Some(&before));
        for (name, kept) in going {
            if let Some(handover) = &first.pools[name].handover {
                kept.restore(&handover.progress);
                let phase = handover.progress.phase().name();
                info!(
                    pool = name,
                    phase, "the handover that an earlier process began goes on"
                );
            }
        }
        for (name, elapsed) in joined {
            if let Some(handover) = &first.pools[&name].handover {
                join(&handover.progress, elapsed);
                let phase = handover.progress.phase().name();
                info!(
                    pool = name,
                    phase, "joins the handover that the configuration says is going on"
                );
            }
        }
        first
    }
}

/// Goes to where a handover is that began `elapsed` ago.
fn join(progress: &Progress, elapsed: Duration) {
    progress.go_on(progress.phase(), elapsed);
    // Before, no process serves, and its marks are as good as those of the others.
    if progress.phase() > Phase::Prepare {
        let left = longest(&progress.plan).saturating_sub(elapsed);
        progress.join_late(Instant::now() + left);
    }
}

/// How long after its beginning a handover may be going on: all phases, and the time for which others' note about
/// leftovers lives.
fn longest(plan: &config::Handover) -> Duration {
    plan.prepare * 2 + plan.serve + Duration::from_secs(NOTE.into())
}

impl HandoverFrom {
    /// Returns itself, and the time since the handover to `settings` began; `None` if it is over.
    fn elapsed(self: Arc<HandoverFrom>, settings: &config::Pool) -> Option<(Arc<HandoverFrom>, Duration)> {
        let elapsed = SystemTime::now().duration_since(self.began?).unwrap_or_default();
        let longest = longest(settings.handover.as_ref()?);
        (elapsed < longest).then_some((self, elapsed))
    }
}

impl KeptHandover {
    /// Returns that of the pool called `name`, to the ring of `new`; `None` if it is over.
    pub fn of(name: &str, handover: &Handover, new: &config::Pool) -> Option<KeptHandover> {
        let progress = &handover.progress;
        let since = SystemTime::now() - progress.elapsed();
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(KeptHandover {
            phase: progress.phase().name()?.to_owned(),
            since: since.as_millis() as u64,
            old: ring_text(name, &handover.old.settings),
            new: ring_text(name, new),
            marks: (0..new.nodes.len()).map(|member| progress.mark(member)).collect(),
            lost: (0..handover.old.nodes.len())
                .map(|member| progress.has_lost(member))
                .collect(),
            is_late: progress.joined_until().is_some(),
        })
    }

    /// Records in `progress` which old nodes are not read any more.
    pub fn restore_lost(&self, progress: &Progress) {
        let lost = self.lost.iter().enumerate();
        lost.filter(|(_, is_lost)| **is_lost)
            .for_each(|(member, _)| progress.lose(member));
    }

    /// Sets `progress` to where it is by now. It ends only once leftovers are removed, so it is not taken
    /// beyond the last phase.
    fn restore(&self, progress: &Progress) {
        for (member, &mark) in self.marks.iter().enumerate() {
            progress.set_mark(member, mark);
        }
        self.restore_lost(progress);
        let since = UNIX_EPOCH + Duration::from_millis(self.since);
        let elapsed = SystemTime::now().duration_since(since).unwrap_or_default();
        let phase = match self.phase.as_str() {
            "prepare" => Phase::Prepare,
            "serve" => Phase::Serve,
            _ => Phase::Finish,
        };
        progress.go_on(phase, elapsed);
        if self.is_late {
            progress.join_late(Instant::now() + longest(&progress.plan));
        }
    }
}

/// The ring of `pool` as a configuration with one pool called `name`, in which every node is listed.
fn ring_text(name: &str, pool: &config::Pool) -> Value {
    let mut ring = config::Pool::new(Vec::new());
    ring.keep_ring_of(pool);
    config_of(name, &ring)
}

/// A configuration with one pool called `name`, with the settings of `pool`, in which every node is listed.
pub fn config_of(name: &str, pool: &config::Pool) -> Value {
    let mut pool = pool.clone();
    pool.discover = None;
    pool.nodes.iter_mut().for_each(|node| node.origin = None);
    json!({ "pools": { name: config::show_pool(&pool) } })
}

fn ring(text: &Value) -> Option<config::Pool> {
    let config = config::parse(&text.to_string(), FILE).ok()?;
    config.pools.into_values().next()
}

/// Writes the handovers of `snapshot` to `state_dir`, if there is one.
pub async fn keep(snapshot: &Snapshot) {
    let Some(dir) = snapshot.config.state_dir.clone() else {
        return;
    };
    let path = dir.display().to_string();
    let text = text(snapshot);
    let writing = tokio::task::spawn_blocking(move || write_whole(&dir, FILE, &text));
    if let Err(error) = writing.await.map_err(io::Error::from).flatten() {
        warn!(state_dir = path, %error, "handovers cannot be kept: a restart would not know of them");
    }
}

fn text(snapshot: &Snapshot) -> String {
    let kept = snapshot.pools.iter().filter_map(|(name, pool)| {
        let handover = pool.handover.as_deref()?;
        Some((name.clone(), KeptHandover::of(name, handover, &pool.settings)?))
    });
    let kept = Kept(kept.collect());
    serde_json::to_string_pretty(&kept).expect("names and numbers are JSON")
}
