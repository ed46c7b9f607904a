//! `stats settings` and `stats conns`: the configuration in memcached's terms and order.

use std::path::Path;

use crate::config::Bind;
use crate::node::Kind;
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::worker::context::ActiveRoutes;

use super::StatLines;

/// The maximum number of connections of all listeners together.
pub fn max_connections(snapshot: &Snapshot) -> usize {
    let listeners = snapshot.listeners.iter();
    listeners.fold(0, |sum, it| sum.saturating_add(it.settings.max_connections))
}

/// Writes the settings to `out`. memcached has one port, one socket and one idle timeout: those of the
/// first listener of each kind are shown.
pub fn put(current: &ActiveRoutes, route: &Route, out: &mut StatLines) {
    let snapshot = &current.snapshot;
    let listeners = snapshot.listeners.iter();
    let tcp = listeners.clone().find_map(|it| match it.settings.bind {
        Bind::Tcp(address) => Some(address),
        Bind::Unix(_) => None,
    });
    let unix = listeners.clone().find_map(|it| match &it.settings.bind {
        Bind::Tcp(_) => None,
        Bind::Unix(path) => Some((path, it.settings.access.mode)),
    });
    let idle = listeners.clone().find_map(|it| it.settings.idle_timeout);
    let mode = unix.and_then(|(_, mode)| mode).unwrap_or(0);
    let values = route.pools().iter().map(|pool| pool.settings.max_value_size);
    let embedded = snapshot.nodes.iter().filter_map(|node| match &node.kind {
        Kind::Embedded(embedded) => Some(embedded.capacity()),
        Kind::Remote(_) => None,
    });
    out.put("maxbytes", embedded.sum::<u64>());
    out.put("maxconns", max_connections(snapshot));
    out.put("tcpport", tcp.map_or(0, |address| address.port()));
    out.put("udpport", 0);
    match tcp {
        Some(address) => out.put("inter", address.ip()),
        None => out.put("inter", "NULL"),
    }
    out.put("verbosity", 0);
    out.put("oldest", 0);
    out.put("evictions", "on");
    match unix {
        Some((path, _)) => out.put("domain_socket", shown(path)),
        None => out.put("domain_socket", "NULL"),
    }
    out.put("umask", format_args!("{mode:o}"));
    out.put("shutdown_command", "no");
    out.put("num_threads", snapshot.config.workers);
    out.put("stat_key_prefix", ":");
    out.put("detail_enabled", "no");
    out.put("cas_enabled", "yes");
    out.put("binding_protocol", "auto-negotiate");
    out.put("auth_enabled_sasl", "no");
    out.put("auth_enabled_ascii", "no");
    out.put("item_size_max", values.min().unwrap_or(0));
    out.put("maxconns_fast", "yes");
    out.put("slab_reassign", "no");
    out.put("slab_automove", 0);
    out.put("lru_crawler", "no");
    out.put("flush_enabled", if route.denies_flush() { "no" } else { "yes" });
    out.put("dump_enabled", "no");
    out.put("lru_maintainer_thread", "no");
    out.put("lru_segmented", "no");
    out.put("temp_lru", "no");
    out.put("idle_timeout", idle.map_or(0, |timeout| timeout.as_secs()));
    out.put("read_buf_mem_limit", snapshot.config.memory_limit);
    out.put("track_sizes", "no");
    out.put("ssl_enabled", "no");
}

/// Writes the listeners to `out`, as memcached shows its own. Sessions are omitted: each worker knows only
/// its own.
pub fn put_listeners(state: &State, current: &ActiveRoutes, out: &mut StatLines) {
    for (number, listener) in current.snapshot.listeners.iter().enumerate() {
        let address = match &listener.settings.bind {
            Bind::Tcp(address) if address.is_ipv6() => format!("tcp6:{address}"),
            Bind::Tcp(address) => format!("tcp:{address}"),
            Bind::Unix(path) => format!("unix:{}", shown(path)),
        };
        out.put(format_args!("{number}:addr"), address);
        out.put(format_args!("{number}:state"), "conn_listening");
        let seconds = state.started.elapsed().as_secs();
        out.put(format_args!("{number}:secs_since_last_cmd"), seconds);
    }
}

/// Formats a path on one line.
fn shown(path: &Path) -> String {
    path.to_string_lossy().replace(['\r', '\n'], "?")
}
