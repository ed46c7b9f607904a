//! The settings of `by_listener`, which is decided when routes are compiled: no request ever meets it.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::Diagnostics;
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::super::{Bind, address};
use super::choosers::{self, branches, parse_each};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

/// The listener that the client connected to chooses the route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ByListener {
    /// What listeners bind, with their routes.
    pub routes: Vec<(Bind, Route)>,
    /// The route of all other listeners.
    pub otherwise: Route,
}

impl Section for ByListener {}

impl Settings for ByListener {
    const NAME: &'static str = "by_listener";
    const BESIDE: &'static [&'static str] = &["else"];

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<ByListener> {
        let routes = branches(reader, value, diagnostics)?;
        Some(ByListener {
            routes: parse_each(routes, diagnostics, address::listener)?,
            otherwise: beside.otherwise.clone()?,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        choosers::routes(&self.routes, |bind| bind.to_string().into(), &self.otherwise)
    }

    fn schema() -> Value {
        schema::branches(address::listener_schema())
    }

    fn to_json(&self) -> Value {
        choosers::to_json(self)
    }

    fn at_listener(&self, bind: &Bind) -> Option<&Route> {
        let found = self.routes.iter().find(|(other, _)| other == bind);
        Some(found.map_or(&self.otherwise, |(_, route)| route))
    }
}
