//! The settings of the policies that answer in a pool's place, for tests and drills: `miss`, `error`, `blackhole`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::error::{Diagnostics, Problem, quote};
use super::super::kind::timeout;
use super::super::map_reader::YamlNode;
use super::super::rows::Section;
use super::super::units::{self, show_duration};
use super::reader::{Beside, Reader};
use super::{Settings, Under};

/// The default time after which a blackhole answers: the default `request_timeout` of a pool.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Every key is missing, and nothing is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Miss;

/// Every request is answered with `SERVER_ERROR`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReply {
    /// The words after `SERVER_ERROR`.
    pub words: String,
}

/// Every request times out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blackhole {
    /// After this long.
    pub timeout: Duration,
}

impl Section for Miss {}

impl Settings for Miss {
    const NAME: &'static str = "miss";

    fn read(
        _reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Miss> {
        if !value.is_empty() {
            diagnostics.add(
                &value.location(),
                Problem::new("`miss` has no options").hint("write {miss: {}}"),
            );
            return None;
        }
        Some(Miss)
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        Vec::new()
    }

    fn schema() -> Value {
        json!({ "type": ["object", "null"], "maxProperties": 0 })
    }
}

impl Section for ErrorReply {}

impl Settings for ErrorReply {
    const NAME: &'static str = "error";

    fn read(
        _reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<ErrorReply> {
        let words = if value.is_empty() {
            "refused by the route".to_owned()
        } else {
            value.read(diagnostics, words)?
        };
        Some(ErrorReply { words })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        Vec::new()
    }

    fn schema() -> Value {
        json!({ "type": ["string", "null", "object"], "minLength": 1, "maxLength": LONGEST, "maxProperties": 0 })
    }

    fn options(&self) -> Value {
        json!(self.words)
    }
}

impl Section for Blackhole {}

impl Settings for Blackhole {
    const NAME: &'static str = "blackhole";

    fn read(
        _reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Blackhole> {
        let timeout = if value.is_empty() {
            TIMEOUT
        } else {
            value.read(diagnostics, units::timeout)?
        };
        Some(Blackhole { timeout })
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        Vec::new()
    }

    fn schema() -> Value {
        let mut time = (timeout().schema)();
        time["type"] = json!(["string", "null", "object"]);
        time["maxProperties"] = json!(0);
        time
    }

    fn options(&self) -> Value {
        json!(show_duration(self.timeout))
    }
}

/// The longest words of an error reply, in bytes.
const LONGEST: usize = 250;

/// Checks that the words fit into one line of a reply.
fn words(text: &str) -> Result<String, Problem> {
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let hint = format!("write 1 to {LONGEST} bytes without control characters");
        return Err(Problem::new(format!("{} does not fit into one line", quote(text))).hint(hint));
    }
    Ok(text.to_owned())
}
