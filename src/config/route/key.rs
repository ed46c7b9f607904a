//! The settings of `key`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem};
use super::super::map_reader::YamlNode;
use super::prefix::beginning;
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under};

/// Changes the key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The route under it.
    pub to: Route,
    /// Taken off the key if the key begins with it.
    pub strip_prefix: String,
    /// Then put before it.
    pub add_prefix: String,
}

impl Settings for Key {
    const NAME: &'static str = "key";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Key> {
        let (to, (strip_prefix, add_prefix)) = reader.to(value, diagnostics, |keys| {
            let read = ["strip_prefix", "add_prefix"].map(|key| keys.value(key, beginning));
            if !keys.has("strip_prefix") && !keys.has("add_prefix") {
                keys.diagnostic(
                    Problem::new("the key stays as it is").hint("add `add_prefix:` or `strip_prefix:`"),
                );
            }
            let [strip, add] = read.map(Option::unwrap_or_default);
            (strip, add)
        })?;
        Some(Key {
            to,
            strip_prefix,
            add_prefix,
        })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::One(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = json!({});
        for (key, prefix) in [
            ("strip_prefix", &self.strip_prefix),
            ("add_prefix", &self.add_prefix),
        ] {
            if !prefix.is_empty() {
                options[key] = json!(prefix);
            }
        }
        options
    }
}
