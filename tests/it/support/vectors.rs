//! What all vectors of other clients and proxies have in common.

const KEYS: &str = include_str!("../../vectors/keys.json");

/// The keys that every peer was asked about.
pub fn peer_keys() -> Vec<Vec<u8>> {
    let texts: Vec<String> = serde_json::from_str(KEYS).expect("a list of texts");
    let byte = |c: char| u8::try_from(c).expect("a character stands for a byte");
    texts
        .iter()
        .map(|text| text.chars().map(byte).collect())
        .collect()
}
