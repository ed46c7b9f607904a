//! How a pool places one key, step by step: the part that is hashed, the hash, the point of the ring, the node.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{Address, Protection};
use crate::node::Node;
use crate::route::{Place, Pool};

/// The state of a node whose health is not watched.
pub const UNKNOWN: &str = "unknown";

/// One step of a decision. Shown as a line, without its indentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The requested route or pool.
    Route {
        /// Its name.
        name: String,
    },
    /// The pool that it leads to.
    Pool {
        /// Its name.
        name: String,
        /// Its distribution: a preset's name.
        distribution: String,
        /// The number of its nodes.
        nodes: usize,
        /// The number of nodes that take keys now.
        in_ring: usize,
    },
    /// Only a part of the key is hashed.
    Part {
        /// The hashed part; bytes that are not UTF-8 are replaced.
        counted: String,
    },
    /// The hash of the key.
    Hash {
        /// The hash function.
        function: String,
        /// The hash.
        value: u64,
    },
    /// The point of the ring that owns the hash.
    Point {
        /// Its position on the circle of 32 bits.
        value: u32,
    },
    /// One node takes all keys, so nothing is hashed.
    Only,
    /// The primary node of the key, which has it while all nodes take keys.
    Home {
        /// Its name, or its address if it has none.
        node: String,
        /// Why it does not have the key: `drained`, or the state of its health.
        state: String,
    },
    /// The node.
    Node {
        /// Its name, or its address if it has none.
        name: String,
        /// Its address.
        address: String,
        /// Its weight.
        weight: u32,
        /// The source of the node, if the configuration does not list it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The state of its health; `unknown` outside of a running Ringway.
        state: String,
    },
    /// How connections to the node are protected, if they are.
    Protection {
        /// The authority and the name that the node's certificate must have; `None` without TLS.
        tls: Option<String>,
        /// Whether Ringway shows a certificate of its own.
        shows_certificate: bool,
        /// The user that Ringway authenticates as.
        user: Option<String>,
    },
    /// The key moves to the node, and a handover is going on.
    Handover {
        /// Its phase: `prepare`, `serve` or `finish`.
        phase: String,
        /// The old node's name, or its address if it has none.
        from: String,
    },
    /// What clients read if the node fails.
    OnFailure {
        /// For a read: `miss` or `error`.
        read: String,
        /// For a write: `not_stored` or `error`.
        write: String,
    },
    /// The node missed a write of the key, or holds an old copy: the key is a miss until it is deleted there.
    Missed,
    /// The node's reply when it was asked for the key.
    Live {
        /// Whether it answered.
        answers: bool,
        /// Whether it has the key, if it answered.
        holds: Option<bool>,
        /// Why it did not answer.
        reason: Option<String>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Route { name } => write!(f, "route {name}"),
            Step::Pool {
                name,
                distribution,
                nodes,
                in_ring,
            } => {
                write!(f, "pool {name}: {distribution}, {nodes} nodes")?;
                match nodes - in_ring {
                    0 => Ok(()),
                    out => write!(f, ", {out} of them out"),
                }
            }
            Step::Part { counted } => write!(f, "of the key counts {counted}"),
            Step::Hash { function, value } => write!(f, "hash {function}: {value} ({value:#010x})"),
            Step::Point { value } => write!(f, "point {value} ({value:#010x}), which it belongs to"),
            Step::Only => write!(f, "one node takes all keys, nothing is hashed"),
            Step::Home { node, state } => write!(f, "home {node}: {state}, others take its keys"),
            Step::Node {
                name,
                address,
                weight,
                from,
                state,
            } => {
                write!(f, "node {name}")?;
                if name != address {
                    write!(f, " at {address}")?;
                }
                write!(f, ": weight {weight}")?;
                if let Some(from) = from {
                    write!(f, ", from {from}")?;
                }
                match state.as_str() {
                    UNKNOWN => Ok(()),
                    state => write!(f, ", {state}"),
                }
            }
            Step::Protection {
                tls,
                shows_certificate,
                user,
            } => {
                match tls {
                    Some(certificate) => write!(f, "over TLS: {certificate}")?,
                    None => write!(f, "not encrypted")?,
                }
                if *shows_certificate {
                    write!(f, ", with a certificate of its own")?;
                }
                match user {
                    Some(user) => write!(f, ", as the user {user}"),
                    None => Ok(()),
                }
            }
            Step::Handover { phase, from } => write!(f, "handover from {from}: {phase}"),
            Step::OnFailure { read, write } => write!(f, "if it fails: read {read}, write {write}"),
            Step::Missed => write!(
                f,
                "missed: what the node has of the key is old, and is deleted before it is read"
            ),
            Step::Live { holds, reason, .. } => match (holds, reason) {
                (Some(true), _) => write!(f, "live: it answers, and has the key"),
                (Some(false), _) => write!(f, "live: it answers, and does not have the key"),
                (None, reason) => write!(f, "live: no answer: {}", reason.as_deref().unwrap_or("unknown")),
            },
        }
    }
}

/// Returns how `pool` places `key` on the node with the index `chosen` among `nodes`, those of the snapshot.
pub fn of_pool(pool: &Pool, chosen: usize, nodes: &[Arc<Node>], key: &[u8]) -> Vec<Step> {
    let mut steps = vec![Step::Pool {
        name: pool.name.clone(),
        distribution: pool.settings.distribution.name().to_owned(),
        nodes: pool.nodes.len(),
        in_ring: pool.targets.len(),
    }];
    let hashed_part = pool.ring.hashed_part(key);
    if hashed_part != key {
        steps.push(Step::Part {
            counted: String::from_utf8_lossy(hashed_part).into_owned(),
        });
    }
    if pool.ring.is_hashed() {
        steps.push(Step::Hash {
            function: pool.ring.hash_name().to_owned(),
            value: pool.ring.hash(key),
        });
    } else {
        steps.push(Step::Only);
    }
    steps.extend(pool.ring.point(key).map(|value| Step::Point { value }));
    let node = &nodes[chosen];
    let settings = &pool.settings.nodes[chosen - pool.nodes[0]];
    steps.push(Step::Node {
        name: node.label.clone(),
        address: node.address.to_string(),
        weight: settings.weight,
        from: settings.origin.as_ref().map(|origin| origin.from.clone()),
        state: node.state().name().to_owned(),
    });
    steps.extend(protection(&pool.settings.protection, &node.address));
    if let (Some(handover), Place::Moving(owners)) = (&pool.handover, pool.place(key)) {
        steps.extend(handover.progress.phase().name().map(|phase| Step::Handover {
            phase: phase.to_owned(),
            from: nodes[handover.old.nodes[owners.old]].label.clone(),
        }));
    }
    let on_error = pool.settings.on_error();
    let word = |hides, hidden: &str| if hides { hidden } else { "error" }.to_owned();
    steps.push(Step::OnFailure {
        read: word(on_error.read_is_miss, "miss"),
        write: word(on_error.write_is_not_stored, "not_stored"),
    });
    steps
}

/// Returns how connections to the node at `address` are protected; `None` if they are not.
fn protection(protection: &Protection, address: &Address) -> Option<Step> {
    let Address::Tcp { host, .. } = address else {
        return None;
    };
    let Protection { tls, auth } = protection;
    (tls.is_some() || auth.is_some()).then(|| Step::Protection {
        tls: tls.as_ref().map(|tls| {
            let name = tls.keys.name.as_ref().unwrap_or(host);
            match &tls.keys.ca {
                Some(ca) => format!("certificate of {name} from {}", ca.display()),
                None => format!("certificate of {name} from an authority of the system"),
            }
        }),
        shows_certificate: tls.as_ref().is_some_and(|tls| tls.keys.cert.is_some()),
        user: auth.as_ref().map(|auth| auth.user.clone()),
    })
}
