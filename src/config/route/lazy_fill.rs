//! The settings of `lazy_fill`.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

/// Warms a cold route from another one as keys are requested.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LazyFill {
    /// The cold route, which is filled.
    pub to: Route,
    /// The warm route, which has the values.
    pub from: Route,
}

impl Section for LazyFill {}

impl Settings for LazyFill {
    const NAME: &'static str = "lazy_fill";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<LazyFill> {
        let mut keys = value.keys(diagnostics);
        let [to, from] = ["to", "from"].map(|key| reader.meta_at(key, &mut keys));
        keys.finish();
        Some(LazyFill { to: to?, from: from? })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("to".into(), Under::One(&self.to)),
            ("from".into(), Under::One(&self.from)),
        ]
    }

    fn schema() -> Value {
        schema::mapping::<LazyFill>(&["to", "from"], &["to", "from"])
    }
}
