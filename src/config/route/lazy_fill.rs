//! The settings of `lazy_fill`.

use std::borrow::Cow;

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
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
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<LazyFill> {
        let mut keys = value.keys(diagnostics);
        let to = keys.get("to", |value, diagnostics| reader.meta_route(value, diagnostics));
        let from = keys.get("from", |value, diagnostics| reader.meta_route(value, diagnostics));
        keys.require(
            "to",
            Problem::new("it is not said what is to be filled").hint("add `to:` with a pool or a route"),
        );
        keys.require(
            "from",
            Problem::new("it is not said what it is filled from").hint("add `from:` with a pool or a route"),
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
