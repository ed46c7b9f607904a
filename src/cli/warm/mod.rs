//! `ringway warm`: copies the keys that move in a handover to their new nodes, before clients ask for them.
//!
//! ```text
//! GET /pools/NAME/handover ─▶ both rings, marks ─▶ a snapshot of our own, in serve
//! old nodes ─▶ list: keys that move, newest first ─▶ copy, each under a lease, as a read in serve does
//! GET /pools/NAME/handover, again and again ─▶ whether Ringway still serves; if not, warm ends
//! ```
//!
//! In terms of `docs/handover.md` it is one more process of the fleet, in *serve*, without clients. It starts no
//! handover: without a running Ringway that is in *serve*, a copy could be older than a later write at the old node.

mod bar;
mod list;
mod watch;

use std::cell::RefCell;
use std::io::{Write, stdout};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::{Instant, sleep, sleep_until};

use super::ask::{self, Admin, escaped};
use super::note;
use crate::config::{self, Batching};
use crate::control::discovery::{LOOKUP, resolve_new};
use crate::control::kept_handovers::{Kept, KeptHandover};
use crate::protocol::{Command, Failure, Meta, Reply, Request};
use crate::route::handover::copy::{Copied, copy};
use crate::route::handover::progress::Phase;
use crate::route::{Call, Forwarder, Pool};
use crate::runtime::clock;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::worker::context::WorkerContext;
use crate::worker::forwarder::LinkForwarder;
use bar::Bar;
use list::Moving;
use watch::Watched;

/// Copies that are under way at once, for each connection.
const AT_ONCE: usize = 16;
/// The pause between looks at a handover that has not come to *serve*.
const PAUSE: Duration = Duration::from_millis(500);

/// What the command line says.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The pool; default: the only one that is in a handover.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// The maximum number of keys in a second.
    #[arg(long, value_name = "KEYS", default_value = "1000")]
    rate: NonZeroU32,
    /// Connections to each node.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
}

/// A handover as `GET /pools/NAME/handover` shows it.
#[derive(Debug, Deserialize)]
struct Told {
    config: Value,
    ends_in_seconds: u64,
    missed: Vec<bool>,
    #[serde(flatten)]
    handover: KeptHandover,
}

/// What became of the keys.
#[derive(Debug, Default)]
struct Counts {
    copied: u64,
    newer: u64,
    gone: u64,
    failed: u64,
    /// Why the last one failed.
    failure: Option<String>,
}

impl Counts {
    fn done(&self) -> u64 {
        self.copied + self.newer + self.gone + self.failed
    }
}

/// Copies what moves in the handover of the Ringway at `admin`, and prints what became of it.
///
/// # Errors
/// No handover comes to *serve*, it leaves *serve* too early, a node refuses, or a copy failed.
pub fn run(admin: &Admin<'_>, options: &Options) -> anyhow::Result<()> {
    let pool = match &options.pool {
        Some(pool) => pool.to_owned(),
        None => only_one(admin)?,
    };
    let told = wait_for_serve(admin, &pool)?;
    let snapshot = snapshot(&pool, told, options.connections as usize)?;
    let progress = handover(&snapshot.pools[&pool]).progress.clone();
    let watched = Watched::default();
    std::thread::scope(|threads| {
        threads.spawn(|| watched.follow(|| ask_for(admin, &pool), &progress));
        let warmed =
            event_loop().and_then(|runtime| runtime.block_on(warm(snapshot, &pool, options, &watched)));
        watched.end();
        warmed
    })
}

fn handover(pool: &Pool) -> &crate::route::Handover {
    pool.handover.as_deref().expect("it was built with one")
}

/// Returns the name of the only pool that is in a handover.
fn only_one(admin: &Admin<'_>) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        handover: Option<Value>,
    }
    let (status, body) = admin.get("/pools", ask::PATIENCE)?;
    if status != "200" {
        bail!("{admin}: {}", body.trim());
    }
    let pools: Vec<Listed> = serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))?;
    let in_one = pools.into_iter().filter(|pool| pool.handover.is_some());
    let mut names: Vec<String> = in_one.map(|pool| pool.name).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => bail!("{admin}: no pool is in a handover; warm copies while one is"),
        _ => bail!("name one with --pool: {}", names.join(", ")),
    }
}

fn ask_for(admin: &Admin<'_>, pool: &str) -> anyhow::Result<Told> {
    let path = format!("/pools/{}/handover", escaped(pool));
    let (status, body) = admin.get(&path, ask::PATIENCE)?;
    if status != "200" {
        bail!("{admin}: {pool}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))
}

/// Returns the handover of `pool` once it is in *serve*.
fn wait_for_serve(admin: &Admin<'_>, pool: &str) -> anyhow::Result<Told> {
    let mut has_told = false;
    loop {
        let told = ask_for(admin, pool)?;
        match told.handover.phase.as_str() {
            "serve" => return Ok(told),
            "prepare" if !has_told => {
                let seconds = told.ends_in_seconds;
                note(format_args!(
                    "{pool}: prepare ends in {seconds} s, then values may be copied"
                ));
                has_told = true;
            }
            "prepare" => {}
            phase => bail!("{pool}: {phase}: no more values may be copied in this handover"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Returns a snapshot of the pool called `name` alone, in the handover that was `told`.
fn snapshot(name: &str, told: Told, connections: usize) -> anyhow::Result<Snapshot> {
    let mut config = config::parse(
        &told.config.to_string(),
        "the configuration of the running Ringway",
    )
    .map_err(anyhow::Error::msg)?;
    config.batching = Batching::Never;
    let settings = config.pools.get_mut(name).with_context(|| name.to_owned())?;
    settings.connections = connections;
    let snapshot = Kept::one(name, told.handover).first_snapshot(config);
    let Some(handover) = &snapshot.pools[name].handover else {
        bail!("{name}: the handover moves no keys");
    };
    // Its clock may differ from ours.
    handover.progress.enter(Phase::Serve, Instant::now());
    Ok(snapshot)
}

fn event_loop() -> anyhow::Result<tokio::runtime::LocalRuntime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().on_thread_unpark(clock::turn);
    Ok(builder.build_local(LocalOptions::default())?)
}

async fn warm(snapshot: Snapshot, name: &str, options: &Options, watched: &Watched) -> anyhow::Result<()> {
    resolve_new(&snapshot, LOOKUP).await;
    let keys = list::moving(&snapshot, &snapshot.pools[name], watched).await?;
    let listed = keys.len() as u64;
    let state = Arc::new(State::new(snapshot));
    let worker = Rc::new(WorkerContext::new(state, 0));
    let work = Rc::new(Work {
        pool: worker.running().snapshot.pools[name].clone(),
        keys: RefCell::new(keys.into_iter()),
        counts: RefCell::default(),
        next: RefCell::new(Instant::now()),
        pause: Duration::from_secs(1) / options.rate.get(),
        watched: watched.clone(),
    });
    let mut copiers = tokio::task::JoinSet::new();
    for copier in 0..options.connections as usize * AT_ONCE {
        let forwarder = LinkForwarder::new(worker.clone(), copier).within(handover(&work.pool));
        let call = Call {
            forwarder,
            hold: None,
        };
        copiers.spawn_local(work.clone().copy(call));
    }
    let mut bar = Bar::new(name, listed);
    while !copiers.is_empty() {
        tokio::select! {
            ended = copiers.join_next() => ended.transpose().map(drop)?,
            () = sleep(bar::EVERY) => bar.draw(&work.counts.borrow()),
        }
    }
    bar.clear();
    conclude(name, listed, &work.counts.borrow(), watched)
}

/// Prints the summary, and says what went wrong.
fn conclude(name: &str, listed: u64, counts: &Counts, watched: &Watched) -> anyhow::Result<()> {
    let Counts {
        copied,
        newer,
        gone,
        failed,
        ..
    } = counts;
    let printed = writeln!(
        stdout(),
        "{name}: {listed} keys move: {copied} copied, {newer} were there already, {gone} gone, {failed} failed"
    );
    if let Some(failure) = &counts.failure {
        note(format_args!("{name}: the last failure: {failure}"));
    }
    if let Some(reason) = watched.reason() {
        let left = listed - counts.done();
        bail!("{name}: {reason}: {left} keys were not looked at");
    }
    match failed {
        0 => Ok(printed?),
        _ => bail!("{name}: run it again to copy what failed"),
    }
}

/// What all copiers share.
struct Work {
    pool: Arc<Pool>,
    /// Newest first.
    keys: RefCell<std::vec::IntoIter<Moving>>,
    counts: RefCell<Counts>,
    /// When the next key is due.
    next: RefCell<Instant>,
    pause: Duration,
    watched: Watched,
}

impl Work {
    /// Copies one key after the other, until none is left or no more may be copied.
    async fn copy(self: Rc<Work>, call: Call) {
        while self.watched.reason().is_none() {
            let Some(moving) = self.keys.borrow_mut().next() else {
                return;
            };
            let due = self.due();
            sleep_until(due).await;
            // It may have waited long.
            if self.watched.reason().is_some() || self.watched.has_missed(moving.from) {
                self.count(Copied::Failed(Reply::Failed(Failure::Missed)));
                continue;
            }
            let outcome = copy(&self.pool, handover(&self.pool), &moving.request(), &call).await;
            self.count(outcome);
        }
    }

    /// Returns when the next key may be asked for.
    fn due(&self) -> Instant {
        let mut next = self.next.borrow_mut();
        let due = (*next).max(Instant::now());
        *next = due + self.pause;
        due
    }

    fn count(&self, outcome: Copied) {
        let mut counts = self.counts.borrow_mut();
        match outcome {
            Copied::Stored => counts.copied += 1,
            Copied::Newer => counts.newer += 1,
            Copied::Absent => counts.gone += 1,
            Copied::Failed(reply) => {
                counts.failed += 1;
                counts.failure = Some(reason(&reply));
            }
        }
    }
}

fn reason(reply: &Reply) -> String {
    match reply {
        Reply::Failed(Failure::Unsupported) => {
            "a node knows no leases: it needs memcached 1.6.10 or later".to_owned()
        }
        Reply::Failed(failure) => failure.line().to_owned(),
        other => format!("{other:?}"),
    }
}

impl Moving {
    /// A read of the key, in the form in which nodes take it.
    fn request(&self) -> Request<'_> {
        Request {
            meta: Some(Meta {
                key: self.base64.as_deref().unwrap_or(&self.key),
                flags: if self.base64.is_some() { b"b" } else { b"" },
                is_binary: false,
            }),
            ..Request::new(Command::MetaGet, &self.key)
        }
    }
}
