//! IPv6 addresses that are valid on one interface: `fe80::1%eth0`.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// Parses the address `host`, whose interface has a name or a number, with `port`; `None` if it is not such
/// an address, or there is no such interface.
pub fn read(host: &str, port: u16) -> Option<SocketAddr> {
    let (ip, scope) = host.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = scope.parse().ok().or_else(|| interface(scope))?;
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

/// Returns the number of the interface called `name`, as if_nametoindex(3) does.
fn interface(name: &str) -> Option<u32> {
    if name.contains('/') {
        return None;
    }
    let number = fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_known_by_name_or_number() {
        let number = read("fe80::1%7", 11211).unwrap();
        assert_eq!(number.to_string(), "[fe80::1%7]:11211");
        let SocketAddr::V6(named) = read("::1%lo", 1).unwrap() else {
            panic!("it is IPv6")
        };
        assert_eq!(Some(named.scope_id()), interface("lo"));
        for none in ["fe80::1", "fe80::1%nowhere0", "10.0.0.1%lo", "fe80::1%../lo"] {
            assert_eq!(read(none, 1), None, "{none}");
        }
    }
}
