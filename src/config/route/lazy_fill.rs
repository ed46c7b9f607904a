//! The settings of `lazy_fill`.

use std::borrow::Cow;

use super::super::error::{Flaw, Mistakes};
use super::super::keys::Typed;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

/// Warms a cold route from another one as keys are requested.
#[derive(Debug, Clone, PartialEq)]
pub struct LazyFill {
    /// The cold route, which is to have the values.
    pub to: Route,
    /// The warm route, which had them before.
    pub from: Route,
}

impl Settings for LazyFill {
    const NAME: &'static str = "lazy_fill";

    fn read(
        reader: &mut Reader,
        value: &Typed<'_>,
        _beside: &Beside,
        mistakes: &mut Mistakes,
    ) -> Option<LazyFill> {
        let mut keys = value.keys(mistakes);
        let to = keys.get("to", |value, mistakes| reader.meta_route(value, mistakes));
        let from = keys.get("from", |value, mistakes| reader.meta_route(value, mistakes));
        keys.require(
            "to",
            Flaw::new("it is not said what is to be filled").hint("add `to:` with a pool or a route"),
        );
        keys.require(
            "from",
            Flaw::new("it is not said what it is filled from").hint("add `from:` with a pool or a route"),
        );
        keys.finish();
        Some(LazyFill { to: to?, from: from? })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("to".into(), Under::One(&self.to)),
            ("from".into(), Under::One(&self.from)),
        ]
    }
}
