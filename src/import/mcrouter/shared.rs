//! Named route handles: each is converted once, to a route of its name. So a file whose handles refer to
//! each other many times does not grow.

use super::super::yaml::{Shape, Value, is_same};
use super::{Comes, McrouterReader};
use crate::config::tree::SpannedValue;

/// The maximum nesting of route handles, including references by name.
const MAX_DEPTH: usize = 400;

impl<'a> McrouterReader<'a> {
    /// Calls `read` one level deeper at `tree`, unless that is too deep.
    pub fn deeper<T>(&mut self, tree: &SpannedValue, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == MAX_DEPTH {
            self.lose(tree, "route", "the route handles are nested too deep");
            return None;
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// Returns the route of the handle `handle` called `name`, to which something at `tree` refers.
    pub fn named(
        &mut self,
        name: &'a str,
        handle: &'a SpannedValue,
        tree: &SpannedValue,
        comes: Comes,
    ) -> Option<Value> {
        if let Some(known) = self.known.get(&(name, comes)) {
            return known.clone();
        }
        if self.open.contains(&name) {
            self.lose(tree, "route", "the route handles go in a circle");
            return None;
        }
        self.open.push(name);
        let route = self.route_of(handle, comes);
        self.open.pop();
        let route = route.map(|route| self.share(name, route));
        self.known.insert((name, comes), route.clone());
        route
    }

    /// Makes `route` a named one, unless it is just a name itself.
    fn share(&mut self, name: &str, route: Value) -> Value {
        if matches!(route.shape, Shape::Text(_)) {
            return route;
        }
        let origin = route.origin;
        let same = |(known, other): &&(String, Value)| known.starts_with(name) && is_same(other, &route);
        if let Some((known, _)) = self.routes.iter().find(same) {
            return Value::text(known, origin);
        }
        let wanted: String = name
            .chars()
            .map(|c| {
                if c.is_whitespace() || c.is_control() {
                    '-'
                } else {
                    c
                }
            })
            .take(100)
            .collect();
        let names =
            std::iter::once(wanted.clone()).chain((2..).map(|number| format!("{wanted}-route-{number}")));
        for name in names {
            if !self.is_taken(&name) {
                self.routes.push((name.clone(), route));
                return Value::text(name, origin);
            }
        }
        unreachable!("there is always another number")
    }

    /// Whether a pool or a route has the name, or may get it.
    fn is_taken(&self, name: &str) -> bool {
        matches!(name, "default" | "default-route" | "")
            || name.starts_with("route-")
            || self.pools.contains_key(name)
            || self.made.iter().any(|(made, _)| made == name)
            || self.routes.iter().any(|(known, _)| known == name)
    }
}
