//! Keeps the nodes of one pool up to date: queries its source, and requests the changes that are due.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::ask::{Asked, List, NoList};
use super::probe::probe;
use crate::config::{self, Discover, Node};
use crate::control::jitter::jittered;
use crate::control::reload::{MembersTaken, Reloader};
use crate::diff::{self, percent};
use crate::discovery::members::{Change, Members, Rules};
use crate::discovery::status::{Held, Outcome, Status};
use crate::health;
use crate::route::Pool;
use crate::state::State;

/// The interval between checks of nodes that are about to join or to leave, and between queries while there
/// is no list yet.
const TICK: Duration = Duration::from_secs(1);
/// The delay from the event of a file to the look: writers need a moment.
const SETTLE: Duration = Duration::from_millis(200);
/// The maximum number of names of one change that are logged.
const MAX_LOGGED: usize = 20;

/// Keeps the nodes of one pool up to date.
pub struct Keeper {
    state: Arc<State>,
    reloader: Arc<Reloader>,
    pool: String,
    discover: Discover,
    source: Asked,
    members: Members,
    born: Instant,
    /// The change that is held, with the share of keys that it moves.
    held: Option<(Change, f64)>,
    /// Why the last query had no list.
    complaint: Option<String>,
}

impl Keeper {
    /// Returns a keeper of `pool`, beginning with the nodes in the snapshot.
    pub fn new(state: &Arc<State>, reloader: &Arc<Reloader>, pool: &str, discover: &Discover) -> Keeper {
        let snapshot = state.snapshot.load();
        let nodes = snapshot.config.pools.get(pool).into_iter();
        let nodes: Vec<Node> = nodes.flat_map(config::Pool::discovered).cloned().collect();
        let from = discover.from.to_string();
        let is_same = |node: &Node| node.origin.as_ref().is_some_and(|origin| origin.from == from);
        let has_list = nodes.iter().all(is_same);
        let rules = Rules {
            add_after: discover.add_after,
            remove_after: discover.remove_after,
            min_nodes: discover.min_nodes,
        };
        Keeper {
            state: state.clone(),
            reloader: reloader.clone(),
            pool: pool.to_owned(),
            discover: discover.clone(),
            source: Asked::new(discover),
            members: Members::new(rules, nodes, has_list),
            born: Instant::now(),
            held: None,
            complaint: None,
        }
    }

    /// Runs until this future is dropped, or the configuration of the pool's discovery changes.
    pub async fn run(mut self) {
        loop {
            let holds = self.ask().await.unwrap_or_default();
            // Names may lead elsewhere by now.
            self.reloader.remember().await;
            let interval = match self.members.has_list() || !holds.is_zero() {
                true => self.discover.interval.max(holds),
                false => self.discover.interval.min(TICK),
            };
            let again = Instant::now() + jittered(interval);
            loop {
                if !self.look().await {
                    return;
                }
                self.show();
                let look = match self.members.is_settled() {
                    true => again,
                    false => again.min(Instant::now() + TICK),
                };
                if timeout_at(look, self.source.touched()).await.is_ok() {
                    sleep_until(Instant::now() + SETTLE).await;
                    break;
                }
                if Instant::now() >= again {
                    break;
                }
            }
        }
    }

    /// Asks the source. Returns for how long its list holds, if it says so.
    async fn ask(&mut self) -> Option<Duration> {
        let snapshot = self.state.snapshot.load_full();
        let settings = snapshot.config.pools.get(&self.pool);
        let protection = settings.map(|pool| pool.protection.clone()).unwrap_or_default();
        let answer = match self.source.ask(&protection).await {
            Ok(List { nodes, holds }) => self.take(nodes).map(|()| holds),
            Err(no_list) => Err(no_list),
        };
        let holds = answer.as_ref().ok().copied().flatten();
        let outcome = answer
            .as_ref()
            .map_or_else(|no_list| no_list.outcome, |_| Outcome::Ok);
        let complaint = answer.err().map(|no_list| no_list.reason);
        self.status(|status| {
            status.answers[outcome as usize] += 1;
            status.last_error.clone_from(&complaint);
            if complaint.is_none() {
                status.last_answer = Some(std::time::Instant::now());
            }
        });
        let (pool, from) = (&self.pool, self.discover.from.to_string());
        match (&complaint, &self.complaint) {
            (Some(reason), before) if before.as_ref() != Some(reason) => {
                warn!(pool, from, reason, "no list of nodes, the last one stays");
            }
            (None, Some(_)) => info!(pool, from, "the list of nodes is there again"),
            _ => {}
        }
        self.complaint = complaint;
        holds
    }

    /// Takes a list, without the nodes that must not be discovered.
    fn take(&mut self, nodes: Vec<Node>) -> Result<(), NoList> {
        let snapshot = self.state.snapshot.load();
        let config = &snapshot.config;
        let listed = config.pools.get(&self.pool);
        let is_free =
            |node: &Node| !listed.is_some_and(|pool| pool.lists(node)) && !config.is_own_listener(node);
        let nodes: Vec<Node> = nodes.into_iter().filter(is_free).collect();
        let (count, least) = (nodes.len(), self.discover.min_nodes);
        match self.members.answer(self.born.elapsed(), nodes) {
            true => Ok(()),
            false => Err(NoList {
                outcome: Outcome::TooFew,
                reason: format!("its list has {count} nodes, and min_nodes is {least}"),
            }),
        }
    }

    /// Applies the change that is due, if any. Returns false if the configuration of the pool's discovery
    /// has changed.
    async fn look(&mut self) -> bool {
        let Some(pool) = self.pool() else {
            return false;
        };
        let settings = &pool.settings;
        for (label, outcome) in probe(self.members.unproven(), settings).await {
            self.members.probed(&label, outcome);
        }
        let down = self.down();
        let Some(change) = self.members.change(self.born.elapsed(), |label| {
            // A handover takes over from a node that still answers.
            settings.handover.is_some() || down.contains(label)
        }) else {
            self.held = None;
            return true;
        };
        let is_accepted = self.status(|status| std::mem::take(&mut status.is_accepted));
        if let (true, Some((held, _))) = (is_accepted, &self.held) {
            info!(pool = self.pool, "the change that was held is accepted");
            self.members.accept(held);
        }
        let moved = match &self.held {
            Some((held, moved)) if *held == change => *moved,
            _ => moved(pool.clone(), change.at_most.clone()).await,
        };
        let is_too_much = moved * 100.0 > f64::from(self.discover.max_moved);
        if is_too_much && !change.is_first && !self.members.is_accepted(&change) {
            self.hold(change, moved);
            return true;
        }
        self.held = None;
        let next = change.next.clone();
        let moved = match next == change.at_most {
            true => moved,
            false => self::moved(pool.clone(), next.clone()).await,
        };
        match self.reloader.take_members(&self.pool, &self.discover, next).await {
            MembersTaken::Applied => {}
            // It is still due, and tried again.
            MembersTaken::Waits => return true,
            MembersTaken::OtherDiscovery => return false,
        }
        self.members.apply(&change);
        let Change {
            added,
            removed,
            changed,
            ..
        } = &change;
        let (pool, moved) = (&self.pool, percent(moved));
        let [added, removed, changed] = [added, removed, changed].map(|names| shown(names));
        let members = self.members.count();
        info!(
            pool,
            added, removed, changed, members, moved, "discovered nodes changed"
        );
        true
    }

    fn hold(&mut self, change: Change, moved: f64) {
        if self.held.as_ref().is_none_or(|(held, _)| *held != change) {
            let pool = &self.pool;
            let [added, removed] = [&change.added, &change.missing].map(|names| shown(names));
            let (moved, most) = (percent(moved), self.discover.max_moved);
            warn!(
                pool,
                added,
                removed,
                moved,
                max_moved = format!("{most}%"),
                "a change of the discovered nodes is held: POST /pools/NAME/accept applies it"
            );
        }
        self.held = Some((change, moved));
    }

    /// The pool; `None` if the configuration of its discovery has changed.
    fn pool(&self) -> Option<Arc<Pool>> {
        let snapshot = self.state.snapshot.load();
        let pool = snapshot.pools.get(&self.pool);
        pool.filter(|pool| pool.settings.discover.as_ref() == Some(&self.discover))
            .cloned()
    }

    /// The names of the pool's nodes that are down.
    fn down(&self) -> HashSet<String> {
        let snapshot = self.state.snapshot.load();
        let nodes = snapshot.nodes.iter().filter(|node| node.pool == self.pool);
        let down = nodes.filter(|node| node.state() == health::State::Down);
        down.map(|node| node.label.clone()).collect()
    }

    fn show(&self) {
        let held = self.held.as_ref().map(|(change, moved)| Held {
            added: change.added.clone(),
            removed: change.missing.clone(),
            moved: *moved,
        });
        self.status(|status| {
            status.members = self.members.count();
            status.joining = self.members.joining();
            status.leaving = self.members.missing();
            status.held = held;
        });
    }

    fn status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        let mut statuses = self.state.discovery.lock().expect("no holder panics");
        change(statuses.entry(self.pool.clone()).or_default())
    }
}

/// Returns the share of the keys of `pool` that move if its discovered nodes become `members`. The rings
/// are built on a thread of their own.
async fn moved(pool: Arc<Pool>, members: Vec<Node>) -> f64 {
    let compare = move || {
        let mut new = pool.settings.clone();
        new.set_discovered(members);
        diff::moved(&pool.settings, &new, Some(&pool.ring))
    };
    // Assumes that all keys move if it panics.
    tokio::task::spawn_blocking(compare).await.unwrap_or(1.0)
}

/// Formats names for the log, truncated if there are very many.
fn shown(names: &[String]) -> String {
    let mut text = names[..names.len().min(MAX_LOGGED)].join(" ");
    if let Some(more @ 1..) = names.len().checked_sub(MAX_LOGGED) {
        text += &format!(" and {more} more");
    }
    text
}
