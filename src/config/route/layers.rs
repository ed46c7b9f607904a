//! The settings of `layers`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::super::units::{show_duration, timeout};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

/// A near cache in front of a far one.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// The route that is asked first and holds copies.
    pub near: Route,
    /// The route that has the values.
    pub far: Route,
    /// The longest that a copy lives.
    pub near_expiry: Duration,
}

impl Settings for Layers {
    const NAME: &'static str = "layers";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Layers> {
        let mut keys = value.keys(diagnostics);
        let near = keys.get("near", |value, diagnostics| reader.meta_route(value, diagnostics));
        let far = keys.get("far", |value, diagnostics| reader.meta_route(value, diagnostics));
        let near_expiry = keys.value("near_expiry", timeout);
        for (key, what) in [
            ("near", "it is not said which pool is near"),
            ("far", "it is not said which pool is far"),
        ] {
            keys.require(
                key,
                Problem::new(what).hint(format!("add `{key}:` with a pool or a route")),
            );
        }
        keys.require(
            "near_expiry",
            Problem::new("it is not said how old a copy may be").hint("add `near_expiry:`, such as 10s"),
        );
        keys.finish();
        Some(Layers {
            near: near?,
            far: far?,
            near_expiry: near_expiry?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![
            ("near".into(), Under::One(&self.near)),
            ("far".into(), Under::One(&self.far)),
        ]
    }

    fn options(&self) -> Value {
        json!({ "near_expiry": show_duration(self.near_expiry) })
    }
}
