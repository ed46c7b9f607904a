//! Policies that choose one of several routes: by the key, by what is asked, by where the client came in.

use serde_json::{Map, Value, json};

use super::super::choices::choose;
use super::super::error::{At, Flaw, Mistakes, quote};
use super::super::keys::{Keys, Typed};
use super::super::{Bind, address, suggest};
use super::{FLAG, Policy, Reader, Route};
use crate::protocol::MAX_KEY;
use crate::protocol::operation::{Group, Operation};

/// By the beginning of the key. The longest beginning wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix {
    /// Beginnings, with the routes of the keys that begin so.
    pub routes: Vec<(String, Route)>,
    /// The beginning is taken off the key.
    pub strip: bool,
    /// Where all other keys go.
    pub otherwise: Route,
}

/// By what is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ByCommand {
    /// A single operation wins over its group.
    pub routes: Vec<(Which, Route)>,
    /// Where all other requests go.
    pub otherwise: Route,
}

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// One operation.
    One(Operation),
    /// A group of them.
    All(Group),
}

/// By the listener that the client came in through.
#[derive(Debug, Clone, PartialEq)]
pub struct ByListener {
    /// What listeners bind, with their routes.
    pub routes: Vec<(Bind, Route)>,
    /// Where the requests of all others go.
    pub otherwise: Route,
}

type Branches = Vec<(At<String>, Route)>;

/// Reads the chooser that is typed in `keys`, with what stands beside it. `None`: none is, or it is a mistake.
pub fn read(reader: &mut Reader<'_>, keys: &mut Keys<'_, '_>) -> Option<Policy> {
    const CHOOSERS: [&str; 4] = ["prefix", "routing_prefix", "by_command", "by_listener"];
    let [prefix, routing, by_command, by_listener] =
        CHOOSERS.map(|name| keys.get(name, |value, mistakes| branches(reader, value, mistakes)));
    let otherwise = keys.get("else", |value, mistakes| reader.route(value, mistakes));
    let strip = keys.value("strip", choose(FLAG));
    if CHOOSERS.iter().any(|name| keys.has(name)) {
        keys.require(
            "else",
            Flaw::new("it is not said where all others go").hint("add `else:` with a pool or a route"),
        );
    } else if keys.has("else") {
        keys.mistake(Flaw::new("`else` stands beside a policy that does not choose").hint("leave it out"));
    }
    if strip.is_some() && !keys.has("prefix") {
        keys.mistake(Flaw::new("`strip` stands beside a policy that knows no prefix").hint("leave it out"));
    }
    let otherwise = otherwise?;
    if let Some(routes) = prefix {
        let routes = each(keys, routes, beginning)?;
        return Some(Policy::Prefix(Prefix {
            routes,
            strip: strip.unwrap_or(false),
            otherwise,
        }));
    }
    if let Some(routes) = routing {
        let routes = each(keys, routes, routing_prefix)?;
        return Some(Policy::RoutingPrefix(Prefix {
            routes,
            strip: true,
            otherwise,
        }));
    }
    if let Some(routes) = by_command {
        let routes = each(keys, routes, which)?;
        return Some(Policy::ByCommand(ByCommand { routes, otherwise }));
    }
    let routes = each(keys, by_listener?, address::listener)?;
    Some(Policy::ByListener(ByListener { routes, otherwise }))
}

fn branches(reader: &mut Reader<'_>, value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Branches> {
    let entries = value.entries(mistakes, |_| Ok(()))?;
    if entries.is_empty() {
        let flaw = Flaw::new("there is nothing to choose from");
        mistakes.add(&value.place(), flaw.hint("add at least one, with its route"));
        return None;
    }
    let routes = entries
        .into_iter()
        .map(|(key, value)| Some((key, reader.route(&value, mistakes)?)));
    // All of them are read, so that every mistake is told.
    let routes: Vec<_> = routes.collect();
    routes.into_iter().collect()
}

/// What `parse` makes of what each branch is chosen by.
fn each<T>(
    keys: &mut Keys<'_, '_>,
    mut branches: Branches,
    parse: impl Fn(&str) -> Result<T, Flaw>,
) -> Option<Vec<(T, Route)>> {
    let mut parsed = Vec::new();
    let mut is_good = true;
    // Their order means nothing, so the same choice is shown in the same words.
    branches.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
    for (typed, route) in branches {
        match parse(&typed.value) {
            Ok(value) => parsed.push((value, route)),
            Err(flaw) => {
                keys.mistake_at(&typed.place, flaw);
                is_good = false;
            }
        }
    }
    is_good.then_some(parsed)
}

/// A beginning of keys: what a key may have in it.
pub fn beginning(text: &str) -> Result<String, Flaw> {
    let is_good = !text.is_empty()
        && text.len() <= MAX_KEY
        && !text
            .chars()
            .any(|c| c.is_ascii_whitespace() || c.is_ascii_control());
    is_good.then(|| text.to_owned()).ok_or_else(|| {
        Flaw::new(format!("no key begins with {}", quote(text))).hint(format!(
            "write 1 to {MAX_KEY} bytes without spaces and control characters"
        ))
    })
}

fn routing_prefix(text: &str) -> Result<String, Flaw> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", region, cluster, ""] if !region.is_empty() && !cluster.is_empty() => beginning(text),
        _ => Err(Flaw::new(format!("{} is no routing prefix", quote(text)))
            .hint("write it as mcrouter does: /region/cluster/")),
    }
}

fn which(text: &str) -> Result<Which, Flaw> {
    let one = Operation::WORDS.iter().find(|(word, _)| *word == text);
    let all = Group::WORDS.iter().find(|(word, _)| *word == text);
    match (one, all) {
        (Some((_, Operation::FlushAll)), _) => Err(Flaw::new(
            "flush_all has no key, and goes to every pool of the route",
        )
        .hint("refuse it with `deny`, or with the pool's `flush_all: deny`")),
        (Some((_, operation)), _) => Ok(Which::One(*operation)),
        (None, Some((_, group))) => Ok(Which::All(*group)),
        (None, None) => {
            let groups = Group::WORDS.iter().map(|(word, _)| *word);
            let words = groups.chain(Operation::WORDS.iter().map(|(word, _)| *word));
            let words = words.filter(|word| *word != "flush_all");
            Err(
                Flaw::new(format!("{} is no command", quote(text))).hint(suggest::hint(
                    text,
                    "choose one of",
                    words,
                )),
            )
        }
    }
}

impl Prefix {
    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        with(&self.routes, &self.otherwise)
    }

    /// As it is typed behind `name`.
    pub fn show(&self, name: &str) -> Value {
        let mut shown = show(name, &self.routes, String::clone, &self.otherwise);
        if name == "prefix" {
            shown["strip"] = json!(self.strip);
        }
        shown
    }
}

impl ByCommand {
    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        with(&self.routes, &self.otherwise)
    }

    /// As it is typed.
    pub fn show(&self) -> Value {
        show(
            "by_command",
            &self.routes,
            |which| which.word().to_owned(),
            &self.otherwise,
        )
    }
}

impl Which {
    /// The word for it.
    pub fn word(self) -> &'static str {
        let one = Operation::WORDS
            .iter()
            .find(|(_, other)| Which::One(*other) == self);
        let all = Group::WORDS.iter().find(|(_, other)| Which::All(*other) == self);
        one.map(|(word, _)| *word)
            .or(all.map(|(word, _)| *word))
            .expect("each has its word")
    }
}

impl ByListener {
    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        with(&self.routes, &self.otherwise)
    }

    /// As it is typed.
    pub fn show(&self) -> Value {
        show("by_listener", &self.routes, ToString::to_string, &self.otherwise)
    }

    /// The route of the listener bound to `bind`.
    pub fn of(&self, bind: &Bind) -> &Route {
        let found = self.routes.iter().find(|(other, _)| other == bind);
        found.map_or(&self.otherwise, |(_, route)| route)
    }
}

fn with<'a, T>(routes: &'a [(T, Route)], otherwise: &'a Route) -> Vec<&'a Route> {
    routes.iter().map(|(_, route)| route).chain([otherwise]).collect()
}

fn show<T>(name: &str, routes: &[(T, Route)], word: impl Fn(&T) -> String, otherwise: &Route) -> Value {
    let routes: Map<String, Value> = routes
        .iter()
        .map(|(key, route)| (word(key), route.show()))
        .collect();
    json!({ name: routes, "else": otherwise.show() })
}
