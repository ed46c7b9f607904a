//! `admin.hosts`: the names under which clients may ask the admin listener.

use serde_json::json;

use super::address::NO_AUTH;
use super::credentials::refuse_user;
use super::error::{Problem, quote};
use super::kind::Kind;
use super::schema;

/// A host name, as [`normal`] writes it.
pub fn kind() -> Kind<String> {
    Kind::text(
        host,
        |host| json!(host),
        || schema::pattern(r"^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$"),
    )
}

/// A host name in lower case and without the dot that may end it: all spellings of one name are one.
pub fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn host(text: &str) -> Result<String, Problem> {
    refuse_user(text, NO_AUTH)?;
    let no_name = || Problem::new(format!("{} is not a host name", quote(text)));
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(no_name().hint(format!("write the name alone: {}", quote(host))));
    }
    if let Some((host, port)) = text.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(no_name().hint(format!("leave the port out: {}", quote(host))));
    }
    let name = normal(text);
    let is_label = |label: &str| {
        let letters = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        !label.is_empty() && label.len() <= 63 && letters
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(no_name().hint("write a name such as ringway.example.com; addresses are always allowed"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_spelling_and_other_things_come_with_a_way_out() {
        let cases = [
            ("Ringway.Example.COM.", Ok("ringway.example.com")),
            ("shop-ringway", Ok("shop-ringway")),
            ("a_b", Ok("a_b")),
            ("ringway:9155", Err("leave the port out: \"ringway\"")),
            ("http://ringway:9155/", Err("write the name alone: \"ringway\"")),
            (
                "https://bob:secret@ringway:9155/",
                Err("leave out what is before the @"),
            ),
            (
                "*.example.com",
                Err("write a name such as ringway.example.com; addresses are always allowed"),
            ),
            (
                "",
                Err("write a name such as ringway.example.com; addresses are always allowed"),
            ),
        ];
        for (raw, expected) in cases {
            let found = host(raw).map_err(|problem| problem.hint.unwrap_or_default());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{raw}");
        }
    }
}
