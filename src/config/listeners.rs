//! `listeners`: where clients connect.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{Diagnostics, Location, Problem, Spanned};
use super::kind::{Kind, number};
use super::map_reader::{MapReader, YamlNode};
use super::route::{self, ReadRoute, Route};
use super::rows::{Section, section};
use super::units::{self, show_duration};
use super::{Access, Bind, ListenerTls, Users, access, address, foreign, schema, tls, users};

const MAX_LISTENERS: usize = 1024;

const MAX_SESSIONS: u64 = 10_000_000;

section! {
    /// Where clients connect.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Listener {
        /// `address:port`, `"[::1]:port"` or `unix:/path` (107 bytes at most); no host names.
        bind: Bind = Bind::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 11211))), address::listener_kind();
        /// The route or pool that requests take.
        route: Route = Route::Name(String::new()), route::kind();
        /// Further clients read an error and are closed.
        max_connections: usize = 10_000, number(1..=MAX_SESSIONS);
        /// A client that sends nothing for this long, and has read its replies, is closed, also in the middle of a request;
        /// `0s` means never.
        idle_timeout: Option<Duration> = None, idle_timeout();
        /// TLS for clients: a mapping with `cert`, `key`, `client_ca`, `client_crl` and `allow`.
        tls: Option<Arc<ListenerTls>> = None, tls::listener_kind();
        /// Clients must authenticate: `{users: FILE}`, a file of lines `user:password`.
        auth: Option<Arc<Users>> = None, users::kind();
        ..
        /// Who may connect to a unix socket.
        access: Access;
    }
}

impl Listener {
    /// A listener on `127.0.0.1:11211` whose requests take `route`, all else by default.
    pub fn new(route: Route) -> Listener {
        Listener {
            route,
            ..Listener::default()
        }
    }
}

/// A listener as it is written: its route may be missing.
#[derive(Debug)]
pub struct RawListener {
    /// Its settings, with a stand-in for the route.
    pub settings: Listener,
    /// Its address; `None` if it is invalid.
    pub bind: Option<Spanned<Bind>>,
    /// Its route, or nothing if that is missing; `None` if it is invalid.
    pub route: Option<Spanned<Option<ReadRoute>>>,
}

impl RawListener {
    /// The listener of a file without listeners, whose mistakes are reported at `location`.
    pub fn default_at(location: Location) -> RawListener {
        let settings = Listener::default();
        RawListener {
            bind: Some(Spanned {
                value: settings.bind.clone(),
                location: location.clone(),
            }),
            route: Some(Spanned {
                value: None,
                location,
            }),
            settings,
        }
    }
}

/// The key `listeners`, which is rendered from the validated ones.
pub fn kind() -> Kind<Option<Vec<RawListener>>> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| read(value, diagnostics).map(Some);
    Kind::new(
        read,
        |_| Value::Null,
        || {
            let listener = schema_by_bind(schema::mapping(Listener::rows(), Value::Null));
            json!({ "type": "array", "items": listener, "minItems": 1, "maxItems": MAX_LISTENERS })
        },
    )
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<RawListener>> {
    let items = value.items(diagnostics)?;
    if items.is_empty() {
        let problem =
            Problem::new("there are no listeners").hint("leave the key out for one on 127.0.0.1:11211");
        diagnostics.add(&value.location(), problem);
    }
    if items.len() > MAX_LISTENERS {
        let problem = Problem::new(format!("there are {} listeners", items.len()));
        diagnostics.add(
            &value.location(),
            problem.hint(format!("the maximum is {MAX_LISTENERS}")),
        );
    }
    let items = items.iter().take(MAX_LISTENERS);
    Some(items.map(|item| listener(item, diagnostics)).collect())
}

fn listener(item: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> RawListener {
    let mut settings = Listener::default();
    let mut keys = item.keys(diagnostics);
    settings.read_rows(&mut keys);
    if keys.is_good("bind") {
        reject_other_kind(&settings.bind, &mut keys);
    }
    let bind = keys.is_good("bind").then(|| Spanned {
        value: settings.bind.clone(),
        location: keys.location("bind").unwrap_or(item.location()),
    });
    // Read once more for what it names: the row has reported its mistakes.
    let read = item.find("route");
    let read = read.and_then(|route| route::read(&route, &mut Diagnostics::new("")));
    let route = keys.is_good("route").then(|| Spanned {
        location: keys.location("route").unwrap_or(Location {
            path: format!("{}.route", item.location().path),
            ..item.location()
        }),
        value: read,
    });
    keys.translate(foreign::LISTENER);
    let misspelt = keys.finish();
    RawListener {
        settings,
        bind: bind.filter(|_| !misspelt.contains(&"bind")),
        route: route.filter(|_| !misspelt.contains(&"route")),
    }
}

/// Adds to the schema of a listener: TLS is for TCP ports, permissions are for unix sockets.
pub fn schema_by_bind(mut listener: Value) -> Value {
    listener["if"] = json!({ "properties": { "bind": schema::pattern("^unix:") }, "required": ["bind"] });
    listener["then"] = json!({ "properties": { "tls": false } });
    listener["else"] = json!({ "properties": { "mode": false, "group": false } });
    listener
}

/// Notes a mistake for each key that is for addresses of another kind than `bind`.
pub fn reject_other_kind(bind: &Bind, keys: &mut MapReader<'_, '_>) {
    match bind {
        Bind::Unix(_) => {
            let problem = Problem::new("a unix socket is not encrypted");
            let hint = "TLS is for TCP ports: `mode` and `group` say who may connect";
            keys.reject("tls", problem.hint(hint));
        }
        Bind::Tcp(_) => access::reject(keys),
    }
}

/// A duration, of which zero means never.
fn idle_timeout() -> Kind<Option<Duration>> {
    let parse = |text: &str| Ok(Some(units::duration(text)?).filter(|idle| !idle.is_zero()));
    let show = |idle: &Option<Duration>| json!(show_duration(idle.unwrap_or_default()));
    Kind::text(parse, show, || schema::pattern(schema::DURATION))
}
