//! The settings of `single_flight`.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

/// Identical reads in flight share one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SingleFlight {
    /// The route under it.
    pub to: Route,
}

impl Section for SingleFlight {}

impl Settings for SingleFlight {
    const NAME: &'static str = "single_flight";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<SingleFlight> {
        let to = reader.only(value, diagnostics)?;
        Some(SingleFlight { to })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        schema::only()
    }
}
