//! Answers of name servers: only an answer to the question that was asked is taken, and what it is taken for can be
//! asked, or said again, and is read the same.

use std::net::IpAddr;
use std::time::Duration;

use ringway::resolver::message::{Kind, Read, Record, Reply, question, read};
use ringway::resolver::{Answer, Service};
use simple_dns::rdata::{A, AAAA, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, ResourceRecord};

/// The name that was asked for.
const NAME: &str = "cache.example";

/// The first byte says what was asked for, the others are the message.
pub fn check(bytes: &[u8]) {
    let Some((first, message)) = bytes.split_first() else {
        return;
    };
    let kind = [Kind::A, Kind::Aaaa, Kind::Srv][usize::from(first % 3)];
    let id = message.first_chunk().copied().map_or(0, u16::from_be_bytes);
    assert_eq!(
        read(message, !id, NAME, kind),
        Read::Foreign,
        "another question's id"
    );
    assert!(
        !matches!(read(message, id, "other.example", kind), Read::Reply(Ok(_)))
            || !matches!(read(message, id, NAME, kind), Read::Reply(Ok(_))),
        "one message answers for two names"
    );
    for end in super::prefixes(message.len()) {
        read(&message[..end], id, NAME, kind);
    }
    let answer = read(message, id, NAME, kind);
    // The flags are in the third byte.
    let is_truncated = message.get(2).is_some_and(|flags| flags & 0b10 != 0);
    assert!(
        !is_truncated || matches!(answer, Read::Truncated | Read::Foreign),
        "a part is taken for the whole"
    );
    match answer {
        Read::Reply(Ok(Reply::Records(answer))) => check_records(&answer, id, kind),
        Read::Reply(Ok(Reply::Alias(target, ttl))) => {
            assert!(!target.eq_ignore_ascii_case(NAME), "an alias of itself");
            assert!(ttl <= Duration::from_secs(u32::MAX.into()));
            check_question(id, &target, kind);
        }
        Read::Reply(Err(_)) | Read::Truncated | Read::Foreign => {}
    }
}

/// There are records, all of the kind that was asked for, and a server that has them is read the same.
fn check_records(answer: &Answer<Record>, id: u16, kind: Kind) {
    assert!(!answer.records.is_empty());
    let asked = question(id, NAME, kind).expect("a name");
    let mut packet = Packet::parse(&asked).expect("a question");
    packet.set_flags(PacketFlag::RESPONSE);
    let ttl = u32::try_from(answer.ttl.as_secs()).expect("a TTL has 32 bits");
    for record in &answer.records {
        let data = match (kind, record) {
            (Kind::A, Record::Address(IpAddr::V4(ip))) => RData::A(A {
                address: (*ip).into(),
            }),
            (Kind::Aaaa, Record::Address(IpAddr::V6(ip))) => RData::AAAA(AAAA {
                address: (*ip).into(),
            }),
            (Kind::Srv, Record::Service(Service { target, port })) => {
                assert!(!target.is_empty() && *port > 0, "no service");
                // A name with bytes that no host has is refused by who takes the target for a host.
                let Ok(target) = Name::new(target) else {
                    return;
                };
                RData::SRV(SRV {
                    priority: 0,
                    weight: 0,
                    port: *port,
                    target,
                })
            }
            _ => panic!("{record:?} is no answer to {kind:?}"),
        };
        let name = Name::new(NAME).expect("a name");
        packet
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, ttl, data));
    }
    let Ok(bytes) = packet.build_bytes_vec() else {
        return;
    };
    assert_eq!(
        read(&bytes, id, NAME, kind),
        Read::Reply(Ok(Reply::Records(answer.clone())))
    );
    for end in super::prefixes(bytes.len()) {
        let part = read(&bytes[..end], id, NAME, kind);
        assert!(
            !matches!(part, Read::Reply(Ok(_))),
            "the first {end} are an answer"
        );
    }
}

/// A target is asked for by its own name, or cannot be asked for.
fn check_question(id: u16, target: &str, kind: Kind) {
    if let Some(bytes) = question(id, target, kind) {
        let packet = Packet::parse(&bytes).expect("a question");
        assert_eq!(packet.questions[0].qname.to_string(), target);
    }
}
