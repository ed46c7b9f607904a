//! The keys that a policy is for: those that begin with one of its prefixes.

/// Prefixes of keys; without any, all keys are meant.
#[derive(Debug)]
pub struct Prefixes(Box<[Box<[u8]>]>);

impl Prefixes {
    /// Returns `prefixes` as compiled.
    pub fn new(prefixes: &[String]) -> Prefixes {
        Prefixes(prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect())
    }

    /// Whether the policy is for `key`.
    pub fn cover(&self, key: &[u8]) -> bool {
        self.0.is_empty() || self.0.iter().any(|prefix| key.starts_with(prefix))
    }
}
