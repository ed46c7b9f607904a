//! What was typed of a pool's nodes: no two of one name, of one address, or shown under one label.

use std::collections::HashMap;

use super::address;
use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::map_reader::YamlNode;
use super::units::{count, size};
use super::{Address, Node, foreign, overlap};

/// An item may take half of a small cache: below 4 MiB, values of 1 MiB no longer fit.
const SMALLEST_EMBEDDED: u64 = 1 << 20;

const LARGEST_EMBEDDED: u64 = 1 << 40;

const HEAVIEST: u64 = 1_000_000;

/// Reads the nodes of a pool.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<Node>> {
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
        return Err(Problem::new(format!("{} is no name", quote(text))).hint(format!(
            "a name has 1 to {LONGEST} bytes, and no spaces or control characters"
        )));
    }
    Ok(text.to_owned())
}

/// Reads the weight of a node.
pub fn weight(text: &str) -> Result<u32, Problem> {
    let weight = count(1..=HEAVIEST)(text)?;
    Ok(u32::try_from(weight).expect("a million is less than 2^32"))
}

struct RawNode {
    node: Node,
    name: Option<Location>,
    address: Location,
}

fn node(item: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<RawNode> {
    if item.is_scalar() {
        let address = item.read(diagnostics, address::node)?;
        return Some(RawNode {
            node: Node {
                name: None,
                address,
                weight: 1,
                origin: None,
            },
            name: None,
            address: item.location(),
        });
    }
    let mut keys = item.keys(diagnostics);
    let name = keys.at("name", name);
    let weight = keys.value("weight", weight);
    let address = keys.at("address", address::node);
    let embedded = keys.at("embedded", size(SMALLEST_EMBEDDED..=LARGEST_EMBEDDED));
    match (keys.has("address"), keys.has("embedded")) {
        (true, true) => keys.diagnostic(
            Problem::new("a node has an address or is embedded").hint("leave out `address` or `embedded`"),
        ),
        (false, true) if !keys.has("name") => {
            keys.diagnostic(
                Problem::new("an embedded node needs a name").hint("the ring hashes it: add `name:`"),
            );
        }
        (false, false) => keys.require_one_of(
            &["address", "embedded"],
            Problem::new("the node has no address").hint("add `address: host:port`, or `embedded: 64MiB`"),
        ),
        _ => {}
    }
    keys.translate(foreign::NODE);
    keys.finish();
    let address = match (address, embedded) {
        (Some(address), None) => address,
        (None, Some(Spanned { value, location })) => Spanned {
            value: Address::Embedded(value),
            location,
        },
        _ => return None,
    };
    let weight = weight.unwrap_or(1);
    let (name, name_place) = name.map_or((None, None), |name| (Some(name.value), Some(name.location)));
    let node = Node {
        name,
        address: address.value,
        weight,
        origin: None,
    };
    Some(RawNode {
        node,
        name: name_place,
        address: address.location,
    })
}

/// What the nodes before have taken, and which of them did.
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
            // Without names the twins' addresses were the mistake.
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
