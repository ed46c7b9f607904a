//! `pools.NAME.handover.from`: the ring before the last change, for processes that start in the middle of its handover.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use super::error::{Diagnostics, Problem, quote};
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::moment::{parse_rfc3339, rfc3339};
use super::rows::{Section, render, section};
use super::{Node, distribution, hash_tag, nodes, schema};
use crate::ring::Distribution;

section! {
    /// The ring before the last change.
    #[derive(Debug, Clone, PartialEq)]
    pub struct HandoverFrom {
        /// When the first process got the new ring, in UTC, such as `2026-11-29T15:00:00Z`.
        began: Option<SystemTime> = None, moment().optional();
        /// The nodes of the previous ring.
        nodes: Vec<Node> = Vec::new(), nodes::kind();
        /// The previous distribution, if it was another.
        distribution: Option<Distribution> = None, distribution::kind().optional();
        /// The previous hash tag, if it was another.
        hash_tag: Option<Option<[u8; 2]>> = None, hash_tag::kind().optional();
    }
}

/// A mapping.
pub fn kind() -> Kind<Arc<HandoverFrom>> {
    let rules = || json!({ "required": ["began", "nodes"] });
    Kind::new(
        |value, diagnostics| Some(Arc::new(read(value, diagnostics))),
        |from: &Arc<HandoverFrom>| render(&**from),
        move || schema::mapping(HandoverFrom::rows(), rules()),
    )
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> HandoverFrom {
    let mut from = HandoverFrom::default();
    let mut keys = value.keys(diagnostics);
    from.read_rows(&mut keys);
    keys.require(
        "began",
        Problem::new("the time of the change is missing")
            .hint("add `began:` with the time at which the first process was told the new ring"),
    );
    keys.require(
        "nodes",
        Problem::new("the nodes before are missing").hint("add `nodes:`, or leave out `from`"),
    );
    keys.finish();
    from
}

/// A time in UTC.
fn moment() -> Kind<SystemTime> {
    let parse = |text: &str| {
        parse_rfc3339(text).ok_or_else(|| {
            Problem::new(format!("{} is not a time in UTC", quote(text)))
                .hint("write 2026-11-29T15:00:00Z, as `date -u +%FT%TZ` does")
        })
    };
    Kind::text(
        parse,
        |moment| json!(rfc3339(*moment)),
        || schema::pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    )
}
