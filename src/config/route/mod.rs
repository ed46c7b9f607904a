//! Routes: names, or policies with routes under them, as they are written and as they are rendered.
//!
//! A route may be written wherever a name may be written: it is a mapping whose one key is a policy's name. The value of that
//! key is the route that the policy leads to, a list of them, or a mapping of its options with `to:`. Each policy
//! has a file here: a struct with its settings that implements [`Settings`]. `list.rs` lists them.

mod by_command;
mod by_listener;
mod choosers;
mod delay;
mod deny;
mod expiry;
mod failover;
pub mod graph;
mod hot;
mod hot_cache;
mod key;
mod layers;
mod lazy_fill;
mod limit;
mod list;
mod prefix;
mod reader;
mod replicate;
mod schema;
mod shadow;
mod single_flight;
mod spread;
mod stampede;
mod static_reply;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

pub use by_command::Which;
pub(crate) use list::for_each_policy;
pub use reader::{ReadRoute, SharedBudget, read};
pub use replicate::{Reads, Writes};
pub use schema::schema;
pub use shadow::{By, Copied};

use super::error::Diagnostics;
use super::kind::Kind;
use super::map_reader::{MapReader, YamlNode};
use super::rows::{Section, render};
use super::{Bind, Config};
use reader::{Beside, Reader};

/// A route: a name, or a policy.
pub fn kind() -> Kind<Route> {
    let show = |route: &Route| match route {
        Route::Name(name) if name.is_empty() => Value::Null,
        route => route.to_json(),
    };
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| Some(read(value, diagnostics)?.route);
    Kind::new(read, show, || json!({ "$ref": "#/$defs/route" }))
}

/// Where requests go. By default a name that no pool has.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// The name of a pool or of another route.
    Name(String),
    /// A policy, which decides.
    Policy(Box<Policy>),
}

impl Default for Route {
    fn default() -> Route {
        Route::Name(String::new())
    }
}

/// The settings of one policy, with the routes under it. The rows of the section are its options.
pub trait Settings: Section {
    /// The policy's name in the file, in explanations and in metrics.
    const NAME: &'static str;

    /// Keys that may be beside the name, in the same mapping; see `Beside`.
    const BESIDE: &'static [&'static str] = &[];

    /// Reads the value of the policy's name. Returns `None` if it holds a mistake, which is then noted at its place.
    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self>;

    /// The routes under it, each behind the key at which it is written.
    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)>;

    /// All settings but the routes, as `explain` shows them.
    fn options(&self) -> Value {
        render(self)
    }

    /// The JSON schema of the value of the policy's name.
    fn schema() -> Value;

    /// The whole policy, as it could be written.
    fn to_json(&self) -> Value {
        let mut settings = self.options();
        for (key, under) in self.routes() {
            settings[&*key] = under.to_json();
        }
        json!({ Self::NAME: settings })
    }

    /// The route that takes the policy's place for clients of the listener bound to `bind`, if that alone decides.
    fn at_listener(&self, _bind: &Bind) -> Option<&Route> {
        None
    }
}

/// The routes behind one key of a policy's settings.
#[derive(Debug, Clone, Copy)]
pub enum Under<'a> {
    /// One route.
    One(&'a Route),
    /// A list of routes.
    List(&'a [Route]),
}

macro_rules! settings_of_policies {
    ($($(#[$doc:meta])* $file:ident::$Policy:ident,)*) => {
        /// The settings of each policy.
        pub mod settings {
            $(pub use super::$file::$Policy;)*
        }

        /// The settings of any policy.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Policy {
            $($(#[$doc])* $Policy($file::$Policy),)*
        }

        /// The names of all policies.
        pub const NAMES: &[&str] = &[$($file::$Policy::NAME),*];

        /// Applies `$with` to the settings in `$policy`, whatever their type is.
        macro_rules! with_settings {
            ($policy:expr, $with:expr) => {
                match $policy { $(Policy::$Policy(settings) => $with(settings),)* }
            };
        }

        /// The name, the schema, and the keys that may be beside the name, of each policy.
        pub fn schemas() -> Vec<(&'static str, Value, &'static [&'static str])> {
            vec![$(($file::$Policy::NAME, $file::$Policy::schema(), $file::$Policy::BESIDE)),*]
        }

        impl Policy {
            /// The policy's name in the file, in explanations and in metrics.
            pub fn name(&self) -> &'static str {
                match self { $(Policy::$Policy(_) => $file::$Policy::NAME,)* }
            }

            /// Reads whatever policies are written in `keys`, and counts as known the names of all.
            fn read_all(reader: &mut Reader, keys: &mut MapReader<'_, '_>, beside: &Beside) -> Vec<Policy> {
                let read = [$(
                    keys.get($file::$Policy::NAME, |value, diagnostics| {
                        $file::$Policy::read(reader, value, beside, diagnostics).map(Policy::$Policy)
                    }),
                )*];
                read.into_iter().flatten().collect()
            }

            /// Returns the keys that may be beside the policies that are written in `keys`.
            fn may_stand_beside(keys: &MapReader<'_, '_>) -> Vec<&'static str> {
                let mut all = Vec::new();
                $(if keys.has($file::$Policy::NAME) { all.extend($file::$Policy::BESIDE); })*
                all
            }
        }
    };
}
for_each_policy!(settings_of_policies);

impl Policy {
    /// The routes under it.
    pub fn children(&self) -> Vec<&Route> {
        let routes = with_settings!(self, Settings::routes);
        routes.into_iter().flat_map(|(_, under)| under.routes()).collect()
    }

    /// The whole policy, as it could be written.
    pub fn to_json(&self) -> Value {
        with_settings!(self, Settings::to_json)
    }

    /// All settings but the routes, as `explain` shows them.
    pub fn options(&self) -> Value {
        with_settings!(self, Settings::options)
    }

    /// The route that takes the policy's place for clients of the listener bound to `bind`, if that alone decides.
    pub fn at_listener(&self, bind: &Bind) -> Option<&Route> {
        with_settings!(self, |settings| Settings::at_listener(settings, bind))
    }
}

impl<'a> Under<'a> {
    fn routes(self) -> &'a [Route] {
        match self {
            Under::One(route) => std::slice::from_ref(route),
            Under::List(routes) => routes,
        }
    }

    fn to_json(self) -> Value {
        match self {
            Under::One(route) => route.to_json(),
            Under::List(routes) => routes.iter().map(Route::to_json).collect(),
        }
    }
}

impl Route {
    /// The name, or else the policy's.
    pub fn label(&self) -> &str {
        match self {
            Route::Name(name) => name,
            Route::Policy(policy) => policy.name(),
        }
    }

    /// The route, as it could be written.
    pub fn to_json(&self) -> Value {
        match self {
            Route::Name(name) => json!(name),
            Route::Policy(policy) => policy.to_json(),
        }
    }
}

impl Config {
    /// The names of the pools that `route` leads to, once each.
    pub fn pools_of<'a>(&'a self, route: &'a Route) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut pools = Vec::new();
        let mut left = vec![route];
        while let Some(route) = left.pop() {
            match route {
                Route::Policy(policy) => left.extend(policy.children()),
                Route::Name(name) if !seen.insert(name.as_str()) => {}
                Route::Name(name) => match self.routes.get(name) {
                    Some(route) => left.push(route),
                    None => pools.push(name.as_str()),
                },
            }
        }
        pools
    }
}
