//! `pools.NAME.nodes`: no two have the same name, address, or label.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::address;
use super::error::{Diagnostics, Location, Problem, quote};
use super::kind::{Kind, number, size};
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::units::count;
use super::{Address, Node, foreign, overlap, schema};

/// An item may take half of a small cache: below 4 MiB, values of 1 MiB no longer fit.
const MIN_EMBEDDED: u64 = 1 << 20;

const MAX_EMBEDDED: u64 = 1 << 40;

const MAX_WEIGHT: u64 = 1_000_000;

/// The nodes of a pool. Those that were discovered are not rendered.
pub fn kind() -> Kind<Vec<Node>> {
    let show = |nodes: &Vec<Node>| {
        let listed = nodes.iter().filter(|node| node.is_listed());
        let listed: Vec<Value> = listed.map(|node| render(&NodeKeys::of(node))).collect();
        if listed.is_empty() {
            Value::Null
        } else {
            json!(listed)
        }
    };
    Kind::new(read, show, || {
        let rules = json!({ "oneOf": [{ "required": ["address"] }, { "required": ["embedded", "name"] }] });
        let node = json!({ "anyOf": [address::node_schema(), schema::mapping(NodeKeys::rows(), rules)] });
        json!({ "type": "array", "minItems": 1, "items": node })
    })
}

/// The name of a node, a pool or a route, or of a zone.
pub fn name_kind() -> Kind<String> {
    Kind::text(
        name,
        |name| json!(name),
        || schema::pattern(r"^[^\s\x00-\x1f\x7f]{1,250}$"),
    )
}

fn address_kind() -> Kind<Address> {
    Kind::text(
        address::node,
        |address| json!(address.to_string()),
        address::node_schema,
    )
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<Node>> {
    let items = value.items(diagnostics)?;
    if items.is_empty() {
        diagnostics.add(
            &value.location(),
            Problem::new("the pool has no nodes").hint("give it at least one"),
        );
    }
    let mut taken = TakenNames::default();
    let mut nodes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(raw) = node(item, diagnostics) {
            taken.add(index, &raw, diagnostics);
            nodes.push(raw.node);
        }
    }
    Some(nodes)
}

/// Reads the name of a node, a pool or a route.
pub fn name(text: &str) -> Result<String, Problem> {
    // Names are labels of metrics, words of `stats` lines and parts of what rings hash.
    const LONGEST: usize = 250;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(
            Problem::new(format!("{} is not a name", quote(text))).hint(format!(
                "a name has 1 to {LONGEST} bytes, and no spaces or control characters"
            )),
        );
    }
    Ok(text.to_owned())
}

/// Reads the weight of a node.
pub fn weight(text: &str) -> Result<u32, Problem> {
    let weight = count(1..=MAX_WEIGHT)(text)?;
    Ok(u32::try_from(weight).expect("a million is less than 2^32"))
}

struct RawNode {
    node: Node,
    name: Option<Location>,
    address: Location,
}

section! {
    /// The keys of a node.
    #[derive(Debug)]
    struct NodeKeys {
        /// `host:port` or `unix:/path`; of a Valkey or Redis `valkey://host:port/database` or `redis://…`, over TLS
        /// `valkeys://…` or `rediss://…`, over a unix socket `valkey+unix:/path?db=database`.
        address: Option<Address> = None, address_kind().optional();
        /// What the ring hashes instead of the address, so that a node can get another address without moving keys.
        name: Option<String> = None, name_kind().optional();
        /// A node of weight 2 gets twice as many keys.
        weight: u32 = 1, number(1..=MAX_WEIGHT);
        /// Instead of an address: the size of a cache inside this process, which all workers share. It needs a name and
        /// at least 1MiB; an item may take half of it.
        embedded: Option<u64> = None, size(MIN_EMBEDDED..=MAX_EMBEDDED).optional();
    }
}

fn node(item: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<RawNode> {
    let mut read = NodeKeys::default();
    if item.is_scalar() {
        read.address = Some(item.read(diagnostics, address::node)?);
        return read.into_node(None, item.location());
    }
    let mut keys = item.keys(diagnostics);
    read.read_rows(&mut keys);
    let [name, address, embedded] = ["name", "address", "embedded"].map(|key| keys.location(key));
    match (&address, &embedded) {
        (Some(_), Some(_)) => keys.diagnostic(
            Problem::new("a node has an address or is embedded").hint("leave out `address` or `embedded`"),
        ),
        (None, Some(_)) if name.is_none() => {
            keys.diagnostic(
                Problem::new("an embedded node needs a name").hint("the ring hashes it: add `name:`"),
            );
        }
        (None, None) => keys.require_one_of(
            &["address", "embedded"],
            Problem::new("the node has no address").hint("add `address: host:port`, or `embedded: 64MiB`"),
        ),
        _ => {}
    }
    keys.translate(foreign::NODE);
    keys.finish();
    read.into_node(name, address.or(embedded)?)
}

impl NodeKeys {
    fn of(node: &Node) -> NodeKeys {
        let size = match node.address {
            Address::Embedded(size) => Some(size),
            _ => None,
        };
        NodeKeys {
            address: size.is_none().then(|| node.address.clone()),
            name: node.name.clone(),
            weight: node.weight,
            embedded: size,
        }
    }

    /// The node, if it has one address.
    fn into_node(self, name: Option<Location>, place: Location) -> Option<RawNode> {
        let address = match (self.address, self.embedded) {
            (Some(address), None) => address,
            (None, Some(size)) => Address::Embedded(size),
            _ => return None,
        };
        let node = Node {
            name: self.name,
            address,
            weight: self.weight,
            origin: None,
        };
        let name = name.filter(|_| node.name.is_some());
        Some(RawNode {
            node,
            name,
            address: place,
        })
    }
}

/// The labels and addresses of the nodes before, with their numbers.
#[derive(Default)]
struct TakenNames {
    labels: HashMap<String, usize>,
    addresses: HashMap<Address, usize>,
}

impl TakenNames {
    fn add(&mut self, index: usize, raw: &RawNode, diagnostics: &mut Diagnostics) {
        let address = overlap::canonical(&raw.node.address);
        let twin = address.as_ref().and_then(|address| self.addresses.get(address));
        if let Some(twin) = twin {
            let problem = Problem::new(format!(
                "nodes[{twin}] has the address {} too",
                quote(&shown(&raw.node))
            ));
            diagnostics.add(
                &raw.address,
                problem.hint("list a node once, with a `weight` if it should get more keys"),
            );
        } else if let Some(address) = address {
            self.addresses.insert(address, index);
        }
        let label = raw.node.label();
        match self.labels.get(&label) {
            None => {
                self.labels.insert(label, index);
            }
            // Without names the equal addresses were reported already.
            Some(twin) => {
                if let Some(location) = &raw.name {
                    let problem = Problem::new(format!("nodes[{twin}] has the name {} too", quote(&label)));
                    diagnostics.add(
                        location,
                        problem.hint("names in a pool must differ, the ring hashes them"),
                    );
                }
            }
        }
    }
}

fn shown(node: &Node) -> String {
    node.address.to_string()
}
