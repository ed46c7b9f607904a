//! Detects IPv6 addresses that lack quotes: to YAML, their brackets are a list.

use std::net::Ipv6Addr;

use super::error::Problem;

/// Returns the problem of the `host` in brackets and the text behind them, such as `:11211`.
pub(super) fn unquoted(host: &str, behind: &str) -> Problem {
    let port = if behind.is_empty() { ":11211" } else { behind };
    Problem::new("an address in brackets is a list to YAML").hint(format!("quote it: \"[{host}]{port}\""))
}

/// Finds the address that ends just before character `column` of `line`, at which the parser stopped.
/// Returns the column where it begins, from 1, and its problem.
pub fn before(line: &str, column: usize) -> Option<(usize, Problem)> {
    let end = line.char_indices().nth(column.checked_sub(1)?)?.0;
    let raw = line[..end].strip_suffix(']')?;
    let begin = raw.rfind('[')?;
    let behind = &line[end..];
    let digits = behind.strip_prefix(':')?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let host = &raw[begin + 1..];
    let column = line[..begin].chars().count() + 1;
    (length > 0 && is_ipv6(host)).then(|| (column, unquoted(host, &behind[..=length])))
}

pub(super) fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}
