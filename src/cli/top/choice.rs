//! What the user chose to see: the order, a filter, and whether the figures stand still.

use clap::ValueEnum;

use super::look::{NodeView, View};

/// The order of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Those with a problem first, then those with the most requests.
    Problems,
    /// Those with the most requests first.
    Requests,
    /// Those with the fewest hits first.
    Hits,
    /// Those with the most errors first.
    Errors,
    /// The slowest first, by the 99th percentile.
    P99,
    /// By pool and name.
    Name,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The order of the nodes.
    pub order: Order,
    /// Only what has this in its name, pool or state.
    pub filter: String,
    /// Whether the figures stand still.
    pub is_paused: bool,
    /// Whether keys are letters of the filter now.
    pub is_typing: bool,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The figures are drawn anew.
    Draw,
    /// Nothing changed.
    Nothing,
    /// The program ends.
    End,
}

const CONTROL_C: u8 = 3;
const BACKSPACE: [u8; 2] = [8, 127];
const ENTER: [u8; 2] = [b'\n', b'\r'];
const ESCAPE: u8 = 27;

impl Choice {
    /// Returns a choice of this order and filter.
    pub fn new(order: Order, filter: Option<String>) -> Choice {
        Choice {
            order,
            filter: filter.unwrap_or_default(),
            is_paused: false,
            is_typing: false,
        }
    }

    /// Takes a key.
    pub fn press(&mut self, key: u8) -> Then {
        match key {
            CONTROL_C => return Then::End,
            _ if self.is_typing => return self.type_key(key),
            b'q' => return Then::End,
            b'p' | b' ' => self.is_paused = !self.is_paused,
            b's' => self.order = self.next(),
            b'/' => self.is_typing = true,
            ESCAPE => self.filter.clear(),
            _ => return Then::Nothing,
        }
        Then::Draw
    }

    fn type_key(&mut self, key: u8) -> Then {
        match key {
            ESCAPE => {
                self.filter.clear();
                self.is_typing = false;
            }
            key if ENTER.contains(&key) => self.is_typing = false,
            key if BACKSPACE.contains(&key) => drop(self.filter.pop()),
            key if key.is_ascii_graphic() => self.filter.push(key.into()),
            _ => return Then::Nothing,
        }
        Then::Draw
    }

    fn next(&self) -> Order {
        let orders = Order::value_variants();
        let place = orders.iter().position(|order| *order == self.order).unwrap_or(0);
        orders[(place + 1) % orders.len()]
    }

    /// The name of the order.
    pub fn order_name(&self) -> String {
        let value = self.order.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// Leaves what the filter hides out of `view`.
    pub fn filter(&self, view: &mut View<'_>) {
        let has = |texts: &[&str]| texts.iter().any(|text| text.contains(&self.filter));
        view.nodes.retain(|node| has(&[node.pool, node.node, node.state]));
        view.pools
            .retain(|pool| has(&[pool.pool]) || view.nodes.iter().any(|node| node.pool == pool.pool));
        for keys in [&mut view.hot_keys, &mut view.hot_prefixes] {
            keys.retain(|hot| {
                let texts = [&hot.key, &hot.hash, &hot.node];
                let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
                has(&texts) || has(&[&hot.pool])
            });
        }
        view.routes.retain(|route| has(&[route.route, route.policy]));
    }

    /// Sorts the nodes of `view`; `is_troubled` says which have a problem.
    pub fn sort(&self, view: &mut View<'_>, is_troubled: impl Fn(&NodeView<'_>) -> bool) {
        let requests = |node: &NodeView<'_>| -node.figures.requests_per_second;
        let by = |node: &NodeView<'_>| match self.order {
            Order::Problems => f64::from(u8::from(!is_troubled(node))),
            Order::Requests | Order::Name => 0.0,
            Order::Hits => node.figures.hit_ratio.unwrap_or(2.0),
            Order::Errors => -node.figures.errors_per_second,
            Order::P99 => -node.figures.p99_seconds.unwrap_or(0.0),
        };
        view.nodes.sort_by(|one, other| match self.order {
            Order::Name => (one.pool, one.node).cmp(&(other.pool, other.node)),
            _ => by(one)
                .total_cmp(&by(other))
                .then(requests(one).total_cmp(&requests(other))),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(keys: &[u8]) -> (Choice, Then) {
        let mut choice = Choice::new(Order::Problems, None);
        let mut then = Then::Nothing;
        keys.iter().for_each(|key| then = choice.press(*key));
        (choice, then)
    }

    #[test]
    fn keys_choose_an_order_a_filter_and_a_pause() {
        assert_eq!(pressed(b"s").0.order, Order::Requests);
        assert_eq!(pressed(b"ssssss").0.order, Order::Problems, "all the way round");
        assert!(pressed(b"p").0.is_paused && !pressed(b"p ").0.is_paused);
        let (choice, then) = pressed(b"/cax\x7fche-q\n");
        assert_eq!(
            (choice.filter.as_str(), choice.is_typing, then),
            ("cache-q", false, Then::Draw)
        );
        assert_eq!(pressed(b"/x\ns").0.order, Order::Requests, "a key again");
        assert_eq!(pressed(b"/x\x1b").0.filter, "");
        assert_eq!(pressed(b"/x\n\x1b").0.filter, "");
        assert_eq!(pressed(b"z").1, Then::Nothing);
    }

    #[test]
    fn q_ends_it_unless_it_is_a_letter_and_control_c_always_does() {
        assert_eq!(pressed(b"q").1, Then::End);
        assert_eq!(pressed(b"/q").1, Then::Draw);
        assert_eq!(pressed(b"/q\x03").1, Then::End);
    }
}
