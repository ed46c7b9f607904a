//! What Ringway says of a configuration.

use ringway::config;

/// The mistakes in `text`, a line each, or `fine`.
pub fn diagnostics(text: &str) -> String {
    match config::parse(text, "r.yaml") {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string(),
    }
}
