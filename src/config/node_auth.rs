//! What was written of a pool's `auth`: who Ringway says it is to nodes that ask.

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, quote};
use super::map_reader::YamlNode;
use super::secret::{self, Secret};

/// The longest name of a user, in bytes.
const LONGEST: usize = 250;

/// A user of the nodes of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAuth {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl NodeAuth {
    /// As it is typed.
    pub fn show(&self) -> Value {
        json!({ "user": self.user, "password": self.password.show() })
    }
}

/// Reads `auth` of a pool: `false` or a mapping.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<NodeAuth> {
    if value.is_false() {
        return None;
    }
    let mut keys = value.keys(diagnostics);
    let user = keys.value("user", user);
    let password = keys.get("password", secret::read);
    let missing = |what: &str| Problem::new(format!("the {what} is missing"));
    keys.require(
        "user",
        missing("user").hint("add `user:` with a name of the nodes' file of users"),
    );
    keys.require(
        "password",
        missing("password").hint("add `password: {file: PATH}` or `password: {env: NAME}`"),
    );
    keys.finish();
    Some(NodeAuth {
        user: user?,
        password: password?,
    })
}

/// Reads the name of a user, which has no space and no colon in memcached's file of users.
fn user(text: &str) -> Result<String, Problem> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if text.is_empty() || text.len() > LONGEST || text.contains(is_odd) {
        let problem = Problem::new(format!("{} is no user", quote(text)));
        return Err(problem.hint(format!(
            "a name has 1 to {LONGEST} bytes, and no spaces or colons"
        )));
    }
    Ok(text.to_owned())
}
