//! The query of a URI: a field is found by its name, and its value is what was escaped.

use std::fmt::Write;

use ringway::control::admin::query::field;

/// The bytes are a query; hyper lets no others than text through.
pub fn check(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else {
        return;
    };
    for name in ["key", "route", "listener", ""] {
        let typed = query
            .split('&')
            .find(|field| field.split('=').next() == Some(name))
            .map(|field| field.get(name.len() + 1..).unwrap_or_default());
        let Some(typed) = typed else {
            assert_eq!(field(query, name), Ok(None));
            continue;
        };
        let escapes = typed.split('%').skip(1);
        let is_good = escapes.clone().all(|escape| {
            let digits = escape.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
        let Ok(Some(value)) = field(query, name) else {
            assert!(!is_good, "{typed:?} is refused");
            continue;
        };
        assert!(is_good, "{typed:?} is taken");
        assert_eq!(value.len() + 2 * escapes.count(), typed.len());
        assert_eq!(field(&escaped(name, &value), name), Ok(Some(value)));
    }
}

fn escaped(name: &str, value: &[u8]) -> String {
    let mut query = format!("{name}=");
    for byte in value {
        write!(query, "%{byte:02x}").expect("a string takes all");
    }
    query
}
