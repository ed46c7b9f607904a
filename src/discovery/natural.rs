//! Natural order of names with numbers: `cache-2` before `cache-10`.

/// Returns the sort key of `name`: its parts, digits as numbers, then the name itself.
pub fn key(name: &str) -> (Vec<Part>, String) {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(if is_number {
            let digits = part.trim_start_matches('0');
            Part::Number(digits.len(), digits.to_owned())
        } else {
            Part::Text(part.to_owned())
        });
        rest = after;
    }
    (parts, name.to_owned())
}

/// A part of a name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Digits without leading zeros, after their count: numbers of any length compare correctly.
    Number(usize, String),
    /// The text between digits.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let sorted = [
            "",
            "2",
            "10",
            "cache",
            "cache-1",
            "cache-02",
            "cache-2",
            "cache-2.b",
            "cache-10",
            "cache-10.a-9",
            "cache-10.a-18446744073709551617",
            "dache-1",
        ];
        let mut mixed = sorted;
        mixed.reverse();
        mixed.sort_by_cached_key(|name| key(name));
        assert_eq!(mixed, sorted);
    }
}
