//! Nodes from name servers: `dns+`, `dnssrv+` and `dnssrvnoa+`, with the same meaning as in Thanos, Mimir
//! and Loki.
//!
//! A target of an SRV record is identified by its name, so that it keeps its keys at another address.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::{Address, Node, Origin, Server, is_host};
use crate::resolver::{self, Answer, Error, Service};

/// The maximum number of concurrent lookups of targets.
const AT_ONCE: usize = 64;

/// Returns a node for each address of `host`.
pub async fn addresses(
    host: &str,
    port: u16,
    server: Server,
    origin: &Arc<Origin>,
) -> Result<Answer<Node>, Error> {
    let found = resolver::of(origin.resolver).addresses(host).await?;
    let node = |ip: &std::net::IpAddr| node(ip.to_string(), port, server, origin);
    Ok(Answer {
        records: found.records.iter().map(node).collect(),
        ttl: found.ttl,
    })
}

/// Returns a node for each target of the services called `name`, at `port` or that of its record.
/// `is_resolved`: only for those that have an address.
pub async fn services(
    name: &str,
    port: Option<u16>,
    is_resolved: bool,
    server: Server,
    origin: &Arc<Origin>,
) -> Result<Answer<Node>, Error> {
    let Answer { records, mut ttl } = resolver::of(origin.resolver).services(name).await?;
    let mut targets: Vec<Service> = records;
    targets.retain(|service| is_host(&service.target));
    if is_resolved {
        (targets, ttl) = with_address(targets, ttl, origin).await?;
    }
    let node = |service: Service| node(service.target, port.unwrap_or(service.port), server, origin);
    Ok(Answer {
        records: targets.into_iter().map(node).collect(),
        ttl,
    })
}

/// Returns those of `targets` that have an address, valid for the shortest TTL of all answers.
async fn with_address(
    targets: Vec<Service>,
    mut ttl: Duration,
    origin: &Arc<Origin>,
) -> Result<(Vec<Service>, Duration), Error> {
    let mut found = Vec::new();
    for part in targets.chunks(AT_ONCE) {
        let mut lookups = JoinSet::new();
        for service in part.iter().cloned() {
            let resolver = resolver::of(origin.resolver);
            lookups.spawn(async move {
                // It is a complete name.
                let looked_up = resolver.addresses(&format!("{}.", service.target)).await;
                (service, looked_up)
            });
        }
        while let Some(Ok((service, looked_up))) = lookups.join_next().await {
            match looked_up {
                Ok(answer) => {
                    ttl = ttl.min(answer.ttl);
                    found.push(service);
                }
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok((found, ttl))
}

fn node(host: String, port: u16, server: Server, origin: &Arc<Origin>) -> Node {
    Node {
        name: None,
        address: Address::Tcp { host, port, server },
        weight: 1,
        origin: Some(origin.clone()),
    }
}
