//! The settings of `key`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::kind::Kind;
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, section};
use super::prefix::{beginning, beginning_schema};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// Changes the key.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Key {
        (
            /// The route under it.
            to: Route,
        )
        /// Taken off the key if the key begins with it.
        strip_prefix: String = String::new(), prefix();
        /// Then put before it.
        add_prefix: String = String::new(), prefix();
        /// Then put behind it.
        add_suffix: String = String::new(), prefix();
    }
}

/// A part of keys, or nothing.
fn prefix() -> Kind<String> {
    let show = |prefix: &String| {
        if prefix.is_empty() {
            Value::Null
        } else {
            json!(prefix)
        }
    };
    Kind::text(beginning, show, beginning_schema)
}

impl Settings for Key {
    const NAME: &'static str = "key";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Key> {
        let mut settings = Key::default();
        let mut keys = value.keys(diagnostics);
        let to = reader.at("to", &mut keys);
        settings.read_rows(&mut keys);
        if !["strip_prefix", "add_prefix", "add_suffix"]
            .iter()
            .any(|key| keys.has(key))
        {
            keys.diagnostic(
                Problem::new("the key stays as it is").hint("add `add_prefix:` or `strip_prefix:`"),
            );
        }
        keys.finish();
        Some(Key { to: to?, ..settings })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn schema() -> Value {
        let mut key = schema::mapping::<Key>(&["to"], &["to"]);
        key["anyOf"] = json!([{ "required": ["strip_prefix"] }, { "required": ["add_prefix"] }, { "required": ["add_suffix"] }]);
        key
    }
}
