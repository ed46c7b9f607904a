//! Encodes questions and decodes answers of name servers; `simple-dns` handles the bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE, header_buffer};

use super::{Answer, Error, Service};

/// The maximum number of aliases that are followed in one answer.
const MAX_ALIASES: usize = 16;

/// The kind of records to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services.
    Srv,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An A or AAAA record.
    Address(IpAddr),
    /// An SRV record.
    Service(Service),
}

/// The content of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Records, at least one.
    Records(Answer<Record>),
    /// Another name to ask for, and how long that is valid.
    Alias(String, Duration),
}

/// The result of reading a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// It answers something else: the answer may still arrive.
    Foreign,
    /// It is truncated: ask over TCP.
    Truncated,
    /// The answer.
    Reply(Result<Reply, Error>),
}

/// Encodes the question for the records of `name`; `None` if it is not a valid name.
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    let question = Question::new(name, kind.code().into(), CLASS::IN.into(), false);
    packet.questions.push(question);
    packet.build_bytes_vec().ok()
}

/// Reads a message that arrived after the question with this `id`.
pub fn read(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Read {
    let is_answer = header_buffer::id(bytes) == Ok(id)
        && header_buffer::has_flags(bytes, PacketFlag::RESPONSE) == Ok(true);
    if !is_answer {
        return Read::Foreign;
    }
    if header_buffer::has_flags(bytes, PacketFlag::TRUNCATION) == Ok(true) {
        return Read::Truncated;
    }
    let Ok(packet) = Packet::parse(bytes) else {
        return Read::Reply(Err(Error::Malformed));
    };
    let is_question =
        |question: &Question<'_>| is_same(&question.qname, name) && question.qtype == kind.code().into();
    match packet.questions.first() {
        Some(question) if !is_question(question) => return Read::Foreign,
        // Some servers omit the question from an error.
        None if packet.rcode() == RCODE::NoError => return Read::Foreign,
        _ => {}
    }
    Read::Reply(match packet.rcode() {
        RCODE::NoError => records(&packet.answers, name, kind),
        RCODE::NameError => Err(Error::NoSuchName),
        code => Err(Error::Refused(shown(code).to_owned())),
    })
}

/// Returns the records of `name`, or the name that it is an alias of. Records of other kinds and names are
/// ignored.
fn records(answers: &[ResourceRecord<'_>], name: &str, kind: Kind) -> Result<Reply, Error> {
    let mut name = name.to_owned();
    let mut ttl = Duration::MAX;
    let mut has_alias = false;
    for _ in 0..MAX_ALIASES {
        let own: Vec<_> = answers
            .iter()
            .filter(|record| is_same(&record.name, &name))
            .collect();
        let found = own
            .iter()
            .filter_map(|record| Some((kind.record(&record.rdata)?, record.ttl)));
        let found: Vec<(Record, u32)> = found.collect();
        if !found.is_empty() {
            let shortest = found.iter().map(|(_, ttl)| *ttl).min().map(u64::from);
            return Ok(Reply::Records(Answer {
                ttl: ttl.min(Duration::from_secs(shortest.unwrap_or_default())),
                records: found.into_iter().map(|(record, _)| record).collect(),
            }));
        }
        let alias = own.iter().find_map(|record| match &record.rdata {
            RData::CNAME(alias) => Some((alias.0.to_string(), record.ttl)),
            _ => None,
        });
        match alias {
            Some((target, holds)) => {
                ttl = ttl.min(Duration::from_secs(holds.into()));
                name = target;
                has_alias = true;
            }
            None if has_alias => return Ok(Reply::Alias(name, ttl)),
            None => return Err(Error::NoRecords),
        }
    }
    Err(Error::Malformed)
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
            Kind::Srv => TYPE::SRV,
        }
    }

    /// Converts `data` if it is of this kind.
    fn record(self, data: &RData<'_>) -> Option<Record> {
        match (self, data) {
            (Kind::A, RData::A(a)) => Some(Record::Address(Ipv4Addr::from(a.address).into())),
            (Kind::Aaaa, RData::AAAA(a)) => Some(Record::Address(Ipv6Addr::from(a.address).into())),
            (Kind::Srv, RData::SRV(service)) => {
                let target = service.target.to_string();
                // The root means that the service does not exist (RFC 2782).
                let is_there = !target.is_empty() && target != "." && service.port > 0;
                is_there.then_some(Record::Service(Service {
                    target,
                    port: service.port,
                }))
            }
            _ => None,
        }
    }
}

fn is_same(one: &Name<'_>, other: &str) -> bool {
    one.to_string().eq_ignore_ascii_case(other)
}

fn shown(code: RCODE) -> &'static str {
    match code {
        RCODE::FormatError => "FORMERR",
        RCODE::ServerFailure => "SERVFAIL",
        RCODE::NotImplemented => "NOTIMP",
        RCODE::Refused => "REFUSED",
        _ => "an error",
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{A, AAAA, CNAME, SRV, TXT};

    use super::*;

    const NAME: &str = "cache.example";

    fn name(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    /// Returns what is read of an answer with these records to a question for NAME.
    fn answer(kind: Kind, records: Vec<(&'static str, u32, RData<'static>)>) -> Read {
        let mut packet = Packet::new_reply(7);
        packet.questions.push(Question::new(
            name(NAME),
            kind.code().into(),
            CLASS::IN.into(),
            false,
        ));
        for (owner, ttl, data) in records {
            packet
                .answers
                .push(ResourceRecord::new(name(owner), CLASS::IN, ttl, data));
        }
        read(
            &packet.build_bytes_vec_compressed().unwrap(),
            7,
            "Cache.EXAMPLE",
            kind,
        )
    }

    fn a(last: u32) -> RData<'static> {
        RData::A(A {
            address: 0x0a00_0000 + last,
        })
    }

    fn alias(target: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(name(target)))
    }

    fn addresses(read: Read) -> (Vec<String>, u64) {
        let Read::Reply(Ok(Reply::Records(Answer { records, ttl }))) = read else {
            panic!("{read:?}");
        };
        let shown = records.iter().map(|record| match record {
            Record::Address(address) => address.to_string(),
            Record::Service(Service { target, port }) => format!("{target}:{port}"),
        });
        (shown.collect(), ttl.as_secs())
    }

    #[test]
    fn addresses_at_the_end_of_a_chain_of_aliases_are_found_with_the_shortest_ttl() {
        let found = answer(
            Kind::A,
            vec![
                ("c.example", 30, a(3)),
                (NAME, 20, alias("b.example")),
                ("b.example", 9, alias("C.example")),
                ("c.example", 40, a(4)),
                ("other.example", 1, a(9)),
            ],
        );
        assert_eq!(
            addresses(found),
            (vec!["10.0.0.3".to_owned(), "10.0.0.4".to_owned()], 9)
        );
        let six = answer(Kind::Aaaa, vec![(NAME, 5, RData::AAAA(AAAA { address: 1 }))]);
        assert_eq!(addresses(six), (vec!["::1".to_owned()], 5));
    }

    #[test]
    fn an_alias_without_records_is_to_be_asked_for_and_a_circle_is_refused() {
        let found = answer(Kind::A, vec![(NAME, 20, alias("b.example"))]);
        let expected = Reply::Alias("b.example".to_owned(), Duration::from_secs(20));
        assert_eq!(found, Read::Reply(Ok(expected)));
        let circle = vec![(NAME, 1, alias("b.example")), ("b.example", 1, alias(NAME))];
        assert_eq!(answer(Kind::A, circle), Read::Reply(Err(Error::Malformed)));
    }

    #[test]
    fn records_of_other_kinds_are_passed_over_and_so_are_services_that_are_not_there() {
        let service = |target: &'static str, port| {
            RData::SRV(SRV {
                priority: 0,
                weight: 0,
                port,
                target: name(target),
            })
        };
        let found = answer(
            Kind::Srv,
            vec![
                (NAME, 5, a(1)),
                (NAME, 5, service("cache-0.example", 11211)),
                (NAME, 5, RData::TXT(TXT::new())),
                (NAME, 5, service("", 0)),
                (NAME, 5, service("cache-1.example", 11212)),
            ],
        );
        let names = ["cache-0.example:11211", "cache-1.example:11212"].map(str::to_owned);
        assert_eq!(addresses(found), (names.into(), 5));
        assert_eq!(
            answer(Kind::Srv, vec![(NAME, 5, a(1))]),
            Read::Reply(Err(Error::NoRecords))
        );
    }

    #[test]
    fn what_answers_another_question_is_foreign_and_an_error_is_told() {
        let asked = question(7, NAME, Kind::A).unwrap();
        assert_eq!(read(&asked, 7, NAME, Kind::A), Read::Foreign, "a question");
        let mut packet = Packet::new_reply(7);
        packet
            .questions
            .push(Question::new(name(NAME), TYPE::A.into(), CLASS::IN.into(), false));
        *packet.rcode_mut() = RCODE::ServerFailure;
        let bytes = packet.build_bytes_vec().unwrap();
        let refused = Error::Refused("SERVFAIL".to_owned());
        assert_eq!(read(&bytes, 7, NAME, Kind::A), Read::Reply(Err(refused)));
        for foreign in [
            read(&bytes, 8, NAME, Kind::A),
            read(&bytes, 7, "other.example", Kind::A),
            read(&bytes, 7, NAME, Kind::Srv),
            read(b"short", 7, NAME, Kind::A),
        ] {
            assert_eq!(foreign, Read::Foreign);
        }
        packet.set_flags(PacketFlag::TRUNCATION);
        let bytes = packet.build_bytes_vec().unwrap();
        assert_eq!(read(&bytes, 7, NAME, Kind::A), Read::Truncated);
        assert!(question(7, &"x".repeat(64), Kind::A).is_none());
    }
}
