//! `pools.NAME.insight`: what is reported about a pool's requests.

use std::time::Duration;

use serde_json::json;

use super::error::{Problem, quote};
use super::kind::{Kind, flag};
use super::rows::section;
use super::schema;
use super::units::{self, show_duration};

section! {
    /// What is reported about a pool's requests.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Insight {
        /// Requests that take longer are in the slow log: a time, or `auto` for ten times the pool's median and at
        /// least `10ms`, or `"off"`.
        slow: Slow = Slow::Auto, slow();
        /// Whether Ringway estimates the hit ratio for more or less memory.
        miss_ratio: bool = false, flag();
    }
}

/// From when on a request is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// From a multiple of the pool's median on.
    Auto,
    /// From this time on.
    From(Duration),
    /// Never.
    Off,
}

fn slow() -> Kind<Slow> {
    let parse = |text: &str| match text {
        "auto" => Ok(Slow::Auto),
        "off" => Ok(Slow::Off),
        text => units::timeout(text).map(Slow::From).map_err(|problem| {
            let hint = "write a time such as 20ms, or auto, or \"off\"";
            match text.starts_with(|first: char| first.is_ascii_digit()) {
                true => problem,
                false => Problem::new(format!("{} is not a time", quote(text))).hint(hint),
            }
        }),
    };
    let show = |slow: &Slow| match slow {
        Slow::Auto => json!("auto"),
        Slow::Off => json!("off"),
        Slow::From(time) => json!(show_duration(*time)),
    };
    Kind::text(parse, show, || {
        schema::pattern("^(auto|off|0*[1-9][0-9]*(ms|s|m|h))$")
    })
}
