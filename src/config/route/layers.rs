//! The settings of `layers`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::kind::timeout;
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// A near cache in front of a far one.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Layers {
        (
            /// The route that is asked first and holds copies.
            near: Route,
            /// The route that has the values.
            far: Route,
        )
        /// The longest that a copy lives.
        near_expiry: Duration = Duration::ZERO, timeout();
    }
}

impl Settings for Layers {
    const NAME: &'static str = "layers";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Layers> {
        let mut settings = Layers::default();
        let mut keys = value.keys(diagnostics);
        let [near, far] = ["near", "far"].map(|key| reader.meta_at(key, &mut keys));
        settings.read_rows(&mut keys);
        keys.need("near_expiry", ", such as 10s");
        keys.finish();
        Some(Layers {
            near: near?,
            far: far?,
            ..settings
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("near".into(), Under::One(&self.near)),
            ("far".into(), Under::One(&self.far)),
        ]
    }

    fn schema() -> Value {
        schema::mapping::<Layers>(&["near", "far"], &["near", "far", "near_expiry"])
    }
}
