//! What the script returns: a string of fixed layout, and a value behind it.
//!
//! ```text
//!   status   marks    flags     cas id    ttl before   ttl after   idle      size      value
//!   2 bytes  1 byte   4 bytes   8 bytes   8 bytes      8 bytes     4 bytes   4 bytes   the rest
//! ```

/// The length of everything but the value, in bytes.
pub const LENGTH: usize = 39;

/// What a script returned, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How it went.
    pub status: Status,
    /// Whether the item is stale.
    pub is_stale: bool,
    /// Whether another client has its token.
    pub is_token_sent: bool,
    /// Whether this client was given its token.
    pub wins: bool,
    /// The client's flags.
    pub flags: u32,
    /// The cas id, if it was asked for.
    pub cas: u64,
    /// The milliseconds that were left; negative if it never ends.
    pub before: i64,
    /// The same after the command.
    pub after: i64,
    /// The seconds since it was used.
    pub idle: u32,
    /// The size of its value in bytes.
    pub size: u32,
}

/// How an operation of the script went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Done,
    /// A read found nothing.
    Miss,
    /// The key is not there.
    NotFound,
    /// The condition did not hold.
    NotStored,
    /// The cas id did not match.
    Exists,
    /// The value is not a number.
    NotNumeric,
    /// The key has a value that is no string.
    OtherType,
}

impl Outcome {
    /// Reads an outcome and its value; `None` if no script of this version returned it.
    pub fn split(text: &[u8]) -> Option<(Outcome, &[u8])> {
        let (head, value) = text.split_at_checked(LENGTH)?;
        let status = match &head[..2] {
            b"HD" => Status::Done,
            b"EN" => Status::Miss,
            b"NF" => Status::NotFound,
            b"NS" => Status::NotStored,
            b"EX" => Status::Exists,
            b"NN" => Status::NotNumeric,
            b"WT" => Status::OtherType,
            _ => return None,
        };
        let marks = head[2];
        let long = |at: usize| {
            head[at..]
                .first_chunk::<8>()
                .map(|bytes| u64::from_be_bytes(*bytes))
        };
        let short = |at: usize| {
            head[at..]
                .first_chunk::<4>()
                .map(|bytes| u32::from_be_bytes(*bytes))
        };
        let outcome = Outcome {
            status,
            is_stale: marks & 1 != 0,
            is_token_sent: marks & 2 != 0,
            wins: marks & 4 != 0,
            flags: short(3)?,
            cas: long(7)?,
            before: long(15)?.cast_signed(),
            after: long(23)?.cast_signed(),
            idle: short(31)?,
            size: short(35)?,
        };
        Some((outcome, value))
    }
}

#[test]
fn an_outcome_is_read_as_the_script_lays_it_out() {
    let mut text = b"HD\x05\0\0\0\x07\0\0\0\0\0\0\0\x09".to_vec();
    text.extend_from_slice(&(-1i64).to_be_bytes());
    text.extend_from_slice(&60_000i64.to_be_bytes());
    text.extend_from_slice(b"\0\0\0\x03\0\0\0\x05value");
    let expected = Outcome {
        status: Status::Done,
        is_stale: true,
        is_token_sent: false,
        wins: true,
        flags: 7,
        cas: 9,
        before: -1,
        after: 60_000,
        idle: 3,
        size: 5,
    };
    assert_eq!(Outcome::split(&text), Some((expected, &b"value"[..])));
    for end in 0..LENGTH {
        assert_eq!(Outcome::split(&text[..end]), None);
    }
    text[0] = b'?';
    assert_eq!(Outcome::split(&text), None);
}
