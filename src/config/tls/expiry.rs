//! Until when a certificate holds.
//!
//! Reads as much of X.509 as leads to that date (RFC 5280, section 4.1): what is trusted is decided by rustls.

/// The end of the time for which the certificate in `der` holds, as Unix time; `None` if it is none.
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if let Some((_version, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    let (_serial_number, fields) = element(fields, INTEGER)?;
    let (_signature, fields) = element(fields, SEQUENCE)?;
    let (_issuer, fields) = element(fields, SEQUENCE)?;
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_not_before, rest) = element(validity, UTC_TIME).or_else(|| element(validity, GENERALIZED_TIME))?;
    match element(rest, UTC_TIME) {
        Some((time, _)) => {
            let year = number(time.get(..2)?)?;
            let century = if year < 50 { 2000 } else { 1900 };
            unix_time(century + year, time.get(2..)?)
        }
        None => {
            let (time, _) = element(rest, GENERALIZED_TIME)?;
            unix_time(number(time.get(..4)?)?, time.get(4..)?)
        }
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// What the element with `tag` at the front of `der` holds, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // The length of the length; 4 bytes are enough for any certificate.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (length, rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length))?
}

/// Unix time of `MMDDhhmmssZ` in `year`.
fn unix_time(year: i64, rest: &[u8]) -> Option<i64> {
    let part = |index: usize| number(rest.get(index..index + 2)?);
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || rest.get(10) != Some(&b'Z') {
        return None;
    }
    // Days since 1970, with years that begin in March, so that the day of a leap year is their last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_and_of_nothing_else() {
        for (year, month, day, expected) in [
            (2026, 11, 29, 1_795_910_400),
            (2024, 2, 29, 1_709_164_800),
            (2000, 3, 1, 951_868_800),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (2100, 1, 1, 4_102_444_800),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).expect("a name");
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = params.self_signed(&key).expect("signed");
            let der: &[u8] = certificate.der();
            assert_eq!(not_after(der), Some(expected), "{year}-{month}-{day}");
            for length in 0..200 {
                assert_eq!(not_after(&der[..length]), None, "{length} bytes of it");
            }
        }
        assert_eq!(not_after(b"0\x84\xff\xff\xff\xff"), None);
    }
}
