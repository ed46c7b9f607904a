//! `pools.NAME.auth`: the user that Ringway is to nodes that ask.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, quote};
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::schema;
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

section! {
    /// The keys of `auth`.
    struct AuthKeys {
        /// The user.
        user: Option<String> = None, user_kind().optional();
        /// The password: `{file: PATH}` or `{env: NAME}`.
        password: Option<Secret> = None, secret::kind().optional();
    }
}

/// The key `auth` of a pool: `false` or a mapping.
pub fn kind() -> Kind<Option<Arc<NodeAuth>>> {
    let show = |auth: &Option<Arc<NodeAuth>>| {
        let keys = |auth: &Arc<NodeAuth>| AuthKeys {
            user: Some(auth.user.clone()),
            password: Some(auth.password.clone()),
        };
        auth.as_ref().map_or(Value::Null, |auth| render(&keys(auth)))
    };
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        || {
            schema::or_false(schema::mapping(
                AuthKeys::rows(),
                json!({ "required": ["user", "password"] }),
            ))
        },
    )
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<NodeAuth> {
    if value.is_false() {
        return None;
    }
    let mut read = AuthKeys::default();
    let mut keys = value.keys(diagnostics);
    read.read_rows(&mut keys);
    let missing = |what: &str| Problem::new(format!("the {what} is missing"));
    keys.require(
        "user",
        missing("user").hint("add `user:` with a name of the nodes' file of users, or of their ACL: `default` if they ask for a password alone"),
    );
    keys.require(
        "password",
        missing("password").hint("add `password: {file: PATH}` or `password: {env: NAME}`"),
    );
    keys.finish();
    Some(NodeAuth {
        user: read.user?,
        password: read.password?,
    })
}

fn user_kind() -> Kind<String> {
    Kind::text(
        user,
        |user| json!(user),
        || schema::pattern(r"^[^\s\u0000-\u001f\u007f:]{1,250}$"),
    )
}

/// Reads the name of a user, which has no space and no colon in memcached's file of users.
fn user(text: &str) -> Result<String, Problem> {
    if text.contains(':') {
        // What is behind the colon is probably a password.
        return Err(Problem::new("the name of a user has no colon")
            .hint("write the name alone: the password is in `password: {file: PATH}`"));
    }
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if text.is_empty() || text.len() > LONGEST || text.contains(is_odd) {
        let problem = Problem::new(format!("{} is not a user", quote(text)));
        return Err(problem.hint(format!("a name has 1 to {LONGEST} bytes, and no spaces")));
    }
    Ok(text.to_owned())
}
