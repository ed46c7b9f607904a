//! `prefix`, `routing_prefix`: the route is chosen by the beginning of the key, the longest one that fits.
//!
//! | command | what happens |
//! |---|---|
//! | any with a key | goes where its key says; of `strip: true` see `key` |
//! | flush_all, version, stats | all pools |

use crate::route::Route;

/// Beginnings of keys with their routes.
#[derive(Debug)]
pub struct Prefix {
    /// Sorted by their beginning.
    branches: Vec<Branch>,
    otherwise: Route,
}

#[derive(Debug)]
struct Branch {
    beginning: Vec<u8>,
    route: Route,
    /// The longest other beginning that this one begins with.
    shorter: Option<usize>,
}

impl Prefix {
    /// Of `branches`; all other keys go to `otherwise`.
    pub fn new(mut branches: Vec<(Vec<u8>, Route)>, otherwise: Route) -> Prefix {
        branches.sort_by(|(one, _), (other, _)| one.cmp(other));
        let beginnings: Vec<Vec<u8>> = branches.iter().map(|(beginning, _)| beginning.clone()).collect();
        // What begins a beginning is sorted before it, the longest last.
        let shorter = |index: usize| {
            let before = beginnings[..index].iter();
            before
                .enumerate()
                .filter(|(_, other)| beginnings[index].starts_with(other))
                .map(|(at, _)| at)
                .next_back()
        };
        let branch = |(index, (beginning, route))| Branch {
            beginning,
            route,
            shorter: shorter(index),
        };
        Prefix {
            branches: branches.into_iter().enumerate().map(branch).collect(),
            otherwise,
        }
    }

    /// Where `key` goes.
    pub fn choose(&self, key: &[u8]) -> &Route {
        self.find(key).map_or(&self.otherwise, |branch| &branch.route)
    }

    /// The branch whose beginning is the longest that fits: the last that is sorted not behind the key, or one that
    /// begins it.
    fn find(&self, key: &[u8]) -> Option<&Branch> {
        let end = self
            .branches
            .partition_point(|branch| branch.beginning.as_slice() <= key);
        let mut next = end.checked_sub(1);
        loop {
            let branch = &self.branches[next?];
            if key.starts_with(&branch.beginning) {
                return Some(branch);
            }
            next = branch.shorter;
        }
    }

    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        let branches = self.branches.iter().map(|branch| &branch.route);
        branches.chain([&self.otherwise]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::{Command, Reply};
    use crate::route::testing::{Fake, ask, run};

    #[test]
    fn the_longest_beginning_wins() {
        let route = "{prefix: {\"u\": a, \"user:\": b, \"user:x:\": c, \"v\": {miss: {}}, \"users\": {error: no}}, else: {miss: {}}}";
        let cases = [
            ("u", "a"),
            ("user", "a"),
            ("user:", "b"),
            ("user:x", "b"),
            ("user:x:", "c"),
            ("user:x:y:z", "c"),
            ("user:y", "b"),
            ("userz", "a"),
            ("users", ""),
            ("", ""),
            ("t", ""),
            ("z", ""),
        ];
        run(async move {
            let fake = Fake::new(route, |_, _| Some(Reply::Done));
            for (key, expected) in cases {
                fake.ask(&ask(Command::Get, key)).await;
                let seen = fake.seen();
                let pool = seen.first().map_or("", |line| &line[..1]);
                assert_eq!(pool, expected, "{key}");
            }
        });
    }

    #[test]
    fn each_of_many_beginnings_is_found() {
        let fake = Fake::new("a", |_, _| None);
        let texts: BTreeSet<String> = (0..400).map(|n| format!("{:b}", n * 37 % 1021)).collect();
        let branch = |text: &String| (text.clone().into_bytes(), fake.route.clone());
        let prefix = Prefix::new(texts.iter().map(branch).collect(), fake.route.clone());
        for number in 0..2000 {
            let key = format!("{:b}", number * 101 % 4093);
            let fitting = texts.iter().filter(|text| key.starts_with(*text));
            let longest = fitting.max_by_key(|text| text.len());
            let found = prefix.find(key.as_bytes()).map(|branch| &*branch.beginning);
            assert_eq!(found, longest.map(String::as_bytes), "{key}");
        }
    }
}
