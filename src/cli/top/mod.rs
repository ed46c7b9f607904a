//! `ringway top`: pools and nodes of a running Ringway, with what happened since the look before.
//!
//! ```text
//! GET /status, twice ─▶ look: rates and quantiles of the time between ─▶ table, or a line of JSON
//! ```

mod choice;
mod keyboard;
mod look;
mod table;

use std::io::{IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

pub use self::choice::Order;
use self::choice::{Choice, Then};
use self::keyboard::Keyboard;
use self::look::{Look, View};
use super::ask::{self, Admin};
use super::note;

/// Between two looks; the first comes sooner.
const EVERY: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_secs(1);
/// The width of a terminal that does not say it.
const WIDTH: u16 = 80;

/// How the figures are shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Form {
    /// Show what happened in one second, and exit.
    #[arg(long)]
    pub once: bool,
    /// Print JSON, a line each time.
    #[arg(long)]
    pub json: bool,
    /// The order of the nodes: by default those with a problem first, and in JSON as they are configured. On a terminal
    /// the key s chooses the next one.
    #[arg(long, value_name = "ORDER")]
    pub sort: Option<Order>,
    /// Only what has this in its name, pool or state; on a terminal the key / asks for it.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

/// Shows the Ringway at `admin`.
///
/// # Errors
/// It does not answer at first, or, if it is shown once, at all; or something else does.
pub fn run(admin: &Admin<'_>, form: &Form) -> anyhow::Result<()> {
    let keyboard = if form.once || form.json {
        None
    } else {
        Keyboard::open()
    };
    let mut choice = Choice::new(form.sort.unwrap_or(Order::Problems), form.filter.clone());
    let mut before = look(admin)?;
    let mut shown: Option<Look> = None;
    let mut next = Instant::now() + FIRST;
    loop {
        match wait(keyboard.as_ref(), next).map(|key| choice.press(key)) {
            Some(Then::End) => return Ok(()),
            Some(Then::Draw) => {
                if let Some(now) = &shown {
                    show(View::between(&before, now), &choice, keyboard.is_some(), form)?;
                }
                continue;
            }
            Some(Then::Nothing) => continue,
            None => next = Instant::now() + EVERY,
        }
        if choice.is_paused {
            continue;
        }
        match look(admin) {
            Ok(now) => {
                before = shown.take().unwrap_or(before);
                show(View::between(&before, &now), &choice, keyboard.is_some(), form)?;
                shown = Some(now);
            }
            // It may restart: the next answer is waited for.
            Err(error) if !form.once => note(format_args!("{error:#}")),
            Err(error) => return Err(error),
        }
        if form.once {
            return Ok(());
        }
    }
}

/// Waits until `next`, or for a key.
fn wait(keyboard: Option<&Keyboard>, next: Instant) -> Option<u8> {
    let time = next.saturating_duration_since(Instant::now());
    match keyboard {
        Some(keyboard) => keyboard.wait(time),
        None => {
            sleep(time);
            None
        }
    }
}

fn look(admin: &Admin<'_>) -> anyhow::Result<Look> {
    let (status, body) = admin.get("/status", ask::PATIENCE)?;
    if status != "200" {
        bail!("{admin}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("answer of {admin}"))
}

fn show(mut view: View<'_>, choice: &Choice, has_keys: bool, form: &Form) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if form.json {
        choice.filter(&mut view);
        if form.sort.is_some() {
            choice.sort(&mut view, table::is_troubled);
        }
        // Not by to_writer, whose error hides that the reader of our output has read enough.
        writeln!(out, "{}", serde_json::to_string(&view)?)?;
        return Ok(());
    }
    let is_terminal = out.is_terminal();
    let variable = |name| std::env::var(name).unwrap_or_default();
    let size = terminal_size::terminal_size();
    let size = size.map_or((WIDTH, None), |(width, height)| (width.0, Some(height.0)));
    let shape = table::Shape {
        width: usize::from(size.0),
        // What is printed once can be scrolled.
        height: size.1.filter(|_| is_terminal && !form.once).map(usize::from),
        is_coloured: is_terminal && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb",
    };
    let text = table::render(&mut view, choice, has_keys, shape);
    if is_terminal && !form.once {
        // Writes over what was there line by line: clearing the screen first would flicker.
        write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}
