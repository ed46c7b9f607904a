//! The first words to a Valkey or Redis, and what its answer says: whether it is a server that Ringway can use.

use super::value::Value;
use super::words::write_words;

/// Since this version servers know `GETEX`, `GETDEL` and `SET` with `PXAT`.
const OLDEST: [u32; 2] = [6, 2];

/// Writes the greeting: `HELLO 2`, with a user and a password if there are any.
pub fn write(login: Option<(&str, &str)>, put: &mut impl FnMut(&[u8])) {
    match login {
        None => write_words(&[b"HELLO", b"2"], put),
        Some((user, password)) => {
            let words = [&b"HELLO"[..], b"2", b"AUTH", user.as_bytes(), password.as_bytes()];
            write_words(&words, put);
        }
    }
}

/// Reads the answer to a greeting: the server's version.
///
/// # Errors
/// Why the server cannot be used, for people.
pub fn read(answer: &Value) -> Result<String, String> {
    let fields = match answer {
        Value::Array(fields) => fields,
        Value::Error(error) => return Err(refused(error)),
        _ => return Err("it is no Valkey or Redis: unexpected answer to HELLO".to_owned()),
    };
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| pair[0] == Value::Text(name.as_bytes().to_vec()))?;
        match &pair[1] {
            Value::Text(text) => Some(text.escape_ascii().to_string()),
            _ => None,
        }
    };
    let version = field("version").unwrap_or_default();
    match field("mode").as_deref() {
        Some("standalone") => {}
        Some("cluster") => {
            return Err("it is a node of a Cluster, whose keys cannot be placed by a ring: use a server with `cluster-enabled no`".to_owned());
        }
        Some("sentinel") => {
            return Err("it is a Sentinel, which holds no items: name the server that it watches".to_owned());
        }
        mode => return Err(format!("it is in an unknown mode: {}", mode.unwrap_or("none"))),
    }
    if field("role").as_deref() != Some("master") {
        return Err("it is a replica, which takes no writes (READONLY): name its master".to_owned());
    }
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let known = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
    match known >= OLDEST {
        true => Ok(version),
        false => Err(format!(
            "its version {version} is too old: 6.2 is the first that can be used"
        )),
    }
}

/// Explains an error that answers a greeting.
fn refused(error: &str) -> String {
    let word = error.split(' ').next().unwrap_or_default();
    let meaning = match word {
        "NOAUTH" => "it asks for a password: set `auth` of the pool",
        "WRONGPASS" => "it refuses the user or the password in `auth` of the pool",
        "NOPROTO" => "it is too old: 6.2 is the first version that can be used",
        "LOADING" => "it is loading its data",
        "ERR" if error.contains("unknown command") => {
            "it is too old: 6.2 is the first version that can be used"
        }
        _ => return format!("it refuses HELLO: {error}"),
    };
    format!("{meaning} ({word})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: &str, mode: &str, role: &str) -> Value {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let pairs = [
            ("server", "redis"),
            ("version", version),
            ("mode", mode),
            ("role", role),
        ];
        let mut fields: Vec<Value> = pairs
            .iter()
            .flat_map(|(name, value)| [text(name), text(value)])
            .collect();
        fields.extend([
            text("proto"),
            Value::Integer(2),
            text("modules"),
            Value::Array(Vec::new()),
        ]);
        Value::Array(fields)
    }

    #[test]
    fn only_a_master_that_stands_alone_and_is_new_enough_can_be_used() {
        for version in ["6.2.0", "7.0.15", "9.1.2"] {
            assert_eq!(
                read(&hello(version, "standalone", "master")),
                Ok(version.to_owned())
            );
        }
        for (answer, reason) in [
            (hello("7.0.15", "cluster", "master"), "Cluster"),
            (hello("7.0.15", "sentinel", "master"), "Sentinel"),
            (hello("7.0.15", "standalone", "replica"), "replica"),
            (hello("6.0.16", "standalone", "master"), "6.2"),
            (hello("7.0.15", "x", "master"), "unknown mode"),
            (Value::Error("NOAUTH HELLO must be called".to_owned()), "auth"),
            (Value::Error("WRONGPASS invalid".to_owned()), "refuses the user"),
            (Value::Error("ERR unknown command `HELLO`".to_owned()), "too old"),
            (Value::Text(b"OK".to_vec()), "no Valkey"),
        ] {
            let error = read(&answer).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }
}
