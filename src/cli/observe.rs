//! `ringway observe`: runs in front of one memcached without a configuration, for those who only want to see what it is
//! asked.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;
use serde_json::json;

use super::unquoted::Unquoted;
use crate::config::{self, Checked};

/// What is observed, and where.
#[derive(Debug, Args)]
pub struct Options {
    /// The memcached: host:port or unix:/path.
    #[arg(long, value_name = "ADDRESS")]
    pub node: String,
    /// Where clients connect instead.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11212", value_parser = Unquoted(SocketAddr::from_str))]
    pub listen: SocketAddr,
    /// The admin address, with the status page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9155", value_parser = Unquoted(SocketAddr::from_str))]
    pub admin: SocketAddr,
}

/// Returns the configuration that observes.
///
/// # Errors
/// The node's address is no address, or one of Ringway's own.
pub fn load(options: &Options) -> Result<Checked, config::Error> {
    let text = json!({
        "listeners": [{ "bind": options.listen.to_string(), "route": "observed" }],
        "admin": { "bind": options.admin.to_string() },
        "pools": { "observed": { "nodes": [options.node] } },
    });
    config::check_bytes(text.to_string().as_bytes(), "--node")
}
