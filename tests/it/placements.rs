//! Every preset against what the client or proxy that it is named after answered: `tests/vectors/README.md`.

use std::collections::{BTreeMap, BTreeSet};

use ringway::ring::{Distribution, Hash, Member, Ring};
use serde_json::Value;

use crate::support::vectors::peer_keys;

const PEERS: &str = include_str!("../vectors/peers.jsonl");

/// One line of the vectors.
struct Case(Value);

impl Case {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().expect("a list")
    }

    fn distribution(&self) -> Distribution {
        let preset = Distribution::preset(self.text("preset")).expect("a preset");
        let preset = preset.with_salt(self.text("salt")).with_seed(self.text("seed"));
        let preset = match self.0["full_weight"].as_u64() {
            Some(full) => preset.with_full_weight(u32::try_from(full).expect("a weight")),
            None => preset,
        };
        match Hash::from_name(self.text("hash")) {
            Some(hash) => preset.with_hash(hash),
            None => preset,
        }
    }

    fn members(&self) -> Vec<Member<'_>> {
        let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("a small one");
        self.list("nodes")
            .iter()
            .map(|node| Member {
                host: node[0].as_str().expect("a host"),
                port: Some(u16::try_from(number(&node[1])).expect("a port")),
                weight: number(&node[2]),
                name: node[3].as_str(),
            })
            .collect()
    }

    /// The ring of those that are not out.
    fn ring(&self, members: &[Member<'_>]) -> Ring {
        let is_out = |index: usize| {
            self.list("out")
                .iter()
                .any(|out| out.as_u64() == Some(index as u64))
        };
        let standing: Vec<usize> = (0..members.len()).filter(|&index| !is_out(index)).collect();
        Ring::among(&self.distribution(), None, members, &standing)
    }

    /// Where each key went; `None` if the peer could not be asked.
    fn picks(&self) -> Vec<Option<usize>> {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let width = if self.list("nodes").len() <= DIGITS.len() {
            1
        } else {
            2
        };
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let number = |digits: &[u8]| {
            digits
                .iter()
                .try_fold(0, |sum, byte| Some(sum * DIGITS.len() + digit(byte)?))
        };
        self.text("picks").as_bytes().chunks(width).map(number).collect()
    }
}

fn cases() -> impl Iterator<Item = Case> {
    PEERS
        .lines()
        .map(|line| Case(serde_json::from_str(line).expect("JSON")))
}

#[test]
fn every_key_goes_where_its_peer_takes_it() {
    let keys = peer_keys();
    let mut wrong = Vec::new();
    for case in cases() {
        let (members, picks) = (case.members(), case.picks());
        let ring = case.ring(&members);
        assert_eq!(picks.len(), keys.len());
        let asked = keys
            .iter()
            .zip(&picks)
            .filter_map(|(key, pick)| Some((key, (*pick)?)));
        let strays: Vec<_> = asked.filter(|(key, pick)| ring.pick(key) != *pick).collect();
        if let Some((key, pick)) = strays.first() {
            let (preset, title, count) = (case.text("preset"), case.text("title"), strays.len());
            let first = key.escape_ascii();
            wrong.push(format!(
                "{preset}, {title}: {count} keys, such as {first}, which belongs to {pick}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "keys on another node than the peer's:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_preset_has_been_asked_about_two_thousand_keys_on_one_node_to_512() {
    let mut sizes: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for case in cases().filter(|case| case.picks().iter().flatten().count() >= 2000) {
        let of_preset = sizes.entry(case.text("preset").to_owned()).or_default();
        of_preset.insert(case.list("nodes").len());
    }
    for preset in Distribution::PRESETS {
        // These have files of their own; ringway has no peer.
        if !["ketama", "twemproxy", "ringway"].contains(preset) {
            let sizes = sizes.get(*preset).expect("asked");
            assert!(
                [1, 2, 3, 25, 512].iter().all(|size| sizes.contains(size)),
                "{preset}: {sizes:?}"
            );
        }
    }
}
