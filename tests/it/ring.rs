//! The ring against what libmemcached and nutcracker answered, and against what consistent hashing promises.

use std::collections::{BTreeSet, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;
use ringway::ring::{Distribution, Hash, Member, Part, Ring};
use serde_json::Value;

use crate::support::vectors::peer_keys;

const KETAMA: &str = include_str!("../vectors/ketama.jsonl");
const TWEMPROXY: &str = include_str!("../vectors/twemproxy.jsonl");

/// One line of the vectors: nodes, and where each key of `keys.json` went.
struct Case {
    title: String,
    kind: String,
    hash: Option<Hash>,
    tag: Option<[u8; 2]>,
    nodes: Vec<Node>,
    picks: Vec<usize>,
}

struct Node {
    name: Option<String>,
    host: String,
    port: Option<u16>,
    weight: u32,
}

impl Case {
    fn distribution(&self, preset: &str) -> Distribution {
        let preset = Distribution::preset(preset).expect("a preset");
        self.hash.into_iter().fold(preset, Distribution::with_hash)
    }

    fn members(&self) -> Vec<Member<'_>> {
        self.nodes.iter().map(Node::member).collect()
    }

    /// Asserts that a ring of `preset` takes every key where the peer took it.
    fn assert_placed_by(&self, preset: &str) {
        let keys = peer_keys();
        let ring = Ring::build(&self.distribution(preset), self.tag, &self.members());
        assert_eq!(keys.len(), self.picks.len(), "{}", self.title);
        let strays = keys
            .iter()
            .zip(&self.picks)
            .filter(|(key, pick)| ring.pick(key) != **pick)
            .count();
        assert_eq!(
            strays, 0,
            "{preset}, {}: keys on another node than the peer's",
            self.title
        );
    }
}

impl Node {
    fn member(&self) -> Member<'_> {
        Member {
            name: self.name.as_deref(),
            host: &self.host,
            port: self.port,
            weight: self.weight,
        }
    }
}

fn cases(file: &str) -> Vec<Case> {
    file.lines()
        .map(|line| case(&serde_json::from_str(line).expect("JSON")))
        .collect()
}

fn case(line: &Value) -> Case {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| value.as_u64().expect("a number");
    let list = |name: &str| line[name].as_array().expect("a list").iter();
    let node = |node: &Value| Node {
        host: text(&node[0]).expect("a host"),
        port: node[1].as_u64().map(|port| u16::try_from(port).expect("a port")),
        weight: u32::try_from(number(&node[2])).expect("a weight"),
        name: text(&node[3]),
    };
    Case {
        title: text(&line["title"]).expect("a title"),
        kind: text(&line["kind"]).expect("a kind"),
        hash: line["hash"]
            .as_str()
            .map(|name| Hash::from_name(name).expect("a hash")),
        tag: line["tag"]
            .as_str()
            .and_then(|tag| tag.as_bytes().try_into().ok()),
        nodes: list("nodes").map(node).collect(),
        picks: list("picks").map(|pick| number(pick) as usize).collect(),
    }
}

fn titled<'a>(cases: &'a [Case], title: &str) -> &'a Case {
    cases
        .iter()
        .find(|case| case.title == title)
        .unwrap_or_else(|| panic!("no vector {title}"))
}

/// `count` members of equal weight, named `node-0`, `node-1`, ….
fn equal_nodes(count: usize) -> Vec<Node> {
    let node = |index| Node {
        name: Some(format!("node-{index}")),
        host: String::new(),
        port: None,
        weight: 1,
    };
    (0..count).map(node).collect()
}

fn ring_of(preset: &str, nodes: &[Node]) -> Ring {
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    Ring::build(&Distribution::preset(preset).expect("a preset"), None, &members)
}

/// The presets whose rules are as `asked`.
fn presets(asked: impl Fn(&Distribution) -> bool) -> impl Iterator<Item = &'static str> {
    let is_asked = move |name: &&str| asked(&Distribution::preset(name).expect("listed"));
    Distribution::PRESETS.iter().copied().filter(is_asked)
}

fn has_points(distribution: &Distribution) -> bool {
    distribution.has(Part::Points)
}

/// Keys without a pattern. Of those that differ only in their last digits twemproxy's FNV makes neighbours
/// on the circle, so that they share nodes: true to the peer, but no measure of the circle.
fn scattered_keys(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1u64;
    (0..count).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("key:{:016x}", state ^ state >> 29).into_bytes()
    })
}

#[test]
fn every_key_goes_where_libmemcached_takes_it() {
    for case in cases(KETAMA) {
        case.assert_placed_by("ketama");
    }
}

#[test]
fn every_key_goes_where_twemproxy_takes_it() {
    for case in cases(TWEMPROXY).iter().filter(|case| case.kind == "ketama") {
        case.assert_placed_by("twemproxy");
    }
}

#[test]
fn both_presets_agree_on_512_nodes_where_the_hash_is_the_same() {
    // libmemcached itself, as it is packaged, refuses more than 100 nodes.
    let twemproxy = cases(TWEMPROXY);
    let case = titled(&twemproxy, "512 nodes by MD5");
    assert_eq!(case.distribution("ketama"), Distribution::default());
    case.assert_placed_by("ketama");
    case.assert_placed_by("twemproxy");
}

#[test]
fn rings_of_156_points_a_node_hold_every_key() {
    let (ketama, twemproxy) = (cases(KETAMA), cases(TWEMPROXY));
    for title in [
        "25 equal nodes",
        "47 equal nodes",
        "50 equal nodes",
        "50 nodes of weight 7",
    ] {
        titled(&ketama, title).assert_placed_by("ketama");
        titled(&twemproxy, title).assert_placed_by("twemproxy");
    }
}

#[test]
fn every_hash_is_twemproxys_to_its_lowest_bits() {
    // Its modula over 127 nodes tells the hash modulo 127, which a circle would hide.
    let twemproxy = cases(TWEMPROXY);
    let keys = peer_keys();
    for name in &Hash::NAMES[..12] {
        let case = titled(&twemproxy, &format!("modula {name}"));
        let hash = Hash::from_name(name).expect("listed");
        for (key, pick) in keys.iter().zip(&case.picks) {
            assert_eq!(
                hash.digest(key) as usize % case.nodes.len(),
                *pick,
                "{name} of {key:?}"
            );
        }
    }
}

#[test]
fn a_node_too_light_for_a_point_leaves_every_key_to_the_others() {
    let mut nodes = equal_nodes(3);
    (nodes[0].weight, nodes[2].weight) = (u32::MAX, u32::MAX);
    for preset in presets(|rules| has_points(rules) && rules.weighs()) {
        let ring = ring_of(preset, &nodes);
        assert!(scattered_keys(2000).all(|key| ring.pick(&key) != 1));
    }
}

#[test]
fn a_thousand_nodes_with_heavy_weights_all_get_keys() {
    let mut nodes = equal_nodes(1000);
    nodes.iter_mut().for_each(|node| node.weight = u32::MAX);
    for preset in presets(has_points) {
        let ring = ring_of(preset, &nodes);
        let mut counts = vec![0; nodes.len()];
        scattered_keys(40_000).for_each(|key| counts[ring.pick(&key)] += 1);
        assert!(counts.iter().all(|&count| count > 0));
    }
}

#[test]
fn equal_nodes_share_keys_as_evenly_as_a_hundred_points_allow() {
    // A node's share of a circle with 160 points of each spreads by 1/√160, about 8 %, around the mean; the
    // bounds are four times that, and sampling adds less than 1 %. No other kind spreads more.
    for preset in Distribution::PRESETS {
        let ring = ring_of(preset, &equal_nodes(10));
        let mut counts = [0; 10];
        scattered_keys(100_000).for_each(|key| counts[ring.pick(&key)] += 1);
        assert!(
            counts.iter().all(|count| (6_800..=13_200).contains(count)),
            "{preset}: {counts:?}"
        );
    }
}

#[test]
fn a_node_of_double_weight_gets_about_double_the_keys() {
    for preset in presets(Distribution::weighs) {
        let mut nodes = equal_nodes(5);
        nodes[3].weight = 2;
        let ring = ring_of(preset, &nodes);
        let mut counts = HashMap::new();
        scattered_keys(60_000).for_each(|key| *counts.entry(ring.pick(&key)).or_insert(0) += 1);
        assert!((14_000..=26_000).contains(&counts[&3]), "{preset}: {counts:?}");
    }
}

#[test]
fn a_pool_of_one_node_asks_nothing_of_the_key() {
    for preset in Distribution::PRESETS {
        assert_eq!(ring_of(preset, &equal_nodes(1)).pick(b""), 0);
    }
}

#[test]
fn keys_of_one_hash_tag_meet_on_one_node() {
    let nodes = equal_nodes(20);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    let tagged = Ring::build(&Distribution::default(), Some(*b"{}"), &members);
    let plain = Ring::build(&Distribution::default(), None, &members);
    for user in 0..200 {
        let bare = format!("{user}");
        let (name, cart) = (format!("user:{{{user}}}:name"), format!("cart:{{{user}}}"));
        assert_eq!(tagged.pick(name.as_bytes()), plain.pick(bare.as_bytes()));
        assert_eq!(tagged.pick(cart.as_bytes()), plain.pick(bare.as_bytes()));
        assert_eq!(tagged.hash(cart.as_bytes()), plain.hash(bare.as_bytes()));
    }
}

/// Every preset and kind.
fn every_rule() -> impl Iterator<Item = Distribution> {
    let presets = Distribution::PRESETS
        .iter()
        .filter_map(|name| Distribution::preset(name));
    presets.chain(
        Distribution::KINDS
            .iter()
            .filter_map(|name| Distribution::kind(name)),
    )
}

#[test]
fn when_a_node_goes_out_only_its_keys_move_and_when_it_is_back_they_are_too() {
    // Under every rule, whatever the weights, and whoever is out already.
    let mut nodes = equal_nodes(9);
    (0..)
        .zip(&mut nodes)
        .for_each(|(index, node)| node.weight = index % 3 + 1);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    let keys: Vec<Vec<u8>> = scattered_keys(400).collect();
    for rule in every_rule() {
        let mut standing: Vec<usize> = (0..members.len()).collect();
        let mut before = Ring::build(&rule, None, &members);
        for out in [4, 0, 8, 5, 1, 3, 7, 6] {
            standing.retain(|&index| index != out);
            let after = Ring::among(&rule, None, &members, &standing);
            for key in &keys {
                let (home, now) = (before.pick(key), after.pick(key));
                assert!(standing.contains(&now), "{}: {now} is out", rule.name());
                assert!(home == out || home == now, "{}: {home} became {now}", rule.name());
            }
            before = after;
        }
    }
}

#[test]
fn the_keys_of_a_node_that_is_out_are_shared_by_all_others() {
    let nodes = equal_nodes(6);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    for rule in every_rule() {
        let whole = Ring::build(&rule, None, &members);
        let without = Ring::among(&rule, None, &members, &[0, 1, 3, 4, 5]);
        let mut counts = [0; 6];
        let orphans = scattered_keys(6000).filter(|key| whole.pick(key) == 2);
        orphans.for_each(|key| counts[without.pick(&key)] += 1);
        let (orphans, most) = (counts.iter().sum::<usize>(), counts.iter().max().expect("six"));
        assert!(
            orphans > 500 && *most < orphans / 2,
            "{}: {counts:?}",
            rule.name()
        );
    }
}

#[test]
fn where_nodes_are_numbers_one_that_joins_at_the_end_takes_its_share_and_moves_no_other_key() {
    let nodes = equal_nodes(8);
    for preset in [
        "mcrouter",
        "memcached-proxy",
        "ringway",
        "pymemcache",
        "mcrouter-rendezvous",
    ] {
        let (before, after) = (ring_of(preset, &nodes[..7]), ring_of(preset, &nodes));
        let mut joined = 0;
        for key in scattered_keys(8000) {
            let (old, new) = (before.pick(&key), after.pick(&key));
            assert!(new == old || new == 7, "{preset}: {old} became {new}");
            joined += usize::from(new == 7);
        }
        assert!((850..=1150).contains(&joined), "{preset}: {joined} of 8000");
    }
}

#[test]
fn ringways_own_ring_cares_for_names_and_not_for_the_order_of_the_list() {
    for rule in [Distribution::preset("ringway"), Distribution::kind("maglev")] {
        let rule = rule.expect("listed");
        let mut nodes = equal_nodes(5);
        nodes[1].weight = 3;
        let straight = Ring::build(&rule, None, &nodes.iter().map(Node::member).collect::<Vec<_>>());
        let turned = Ring::build(
            &rule,
            None,
            &nodes.iter().rev().map(Node::member).collect::<Vec<_>>(),
        );
        assert!(scattered_keys(2000).all(|key| straight.pick(&key) == 4 - turned.pick(&key)));
    }
}

#[test]
fn a_seed_a_salt_and_a_stop_count_as_they_say() {
    let nodes = equal_nodes(50);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    for rule in every_rule() {
        let ring = |rule: &Distribution| Ring::build(rule, None, &members);
        let (plain, salted) = (ring(&rule), ring(&rule.clone().with_salt("pepper")));
        let (stopped, seeded) = (
            ring(&rule.clone().with_hash_stop("#")),
            ring(&rule.clone().with_seed("s")),
        );
        let takes_a_seed = rule.has(Part::Seed);
        let mut moved = 0;
        for key in scattered_keys(200) {
            let joined = |end: &str| [&key, end.as_bytes()].concat();
            assert_eq!(
                salted.pick(&key),
                plain.pick(&joined("pepper")),
                "{}",
                rule.name()
            );
            assert_eq!(
                stopped.pick(&joined("#more")),
                plain.pick(&key),
                "{}",
                rule.name()
            );
            moved += usize::from(seeded.pick(&key) != plain.pick(&key));
        }
        assert_eq!(takes_a_seed, moved > 100, "{}: {moved} of 200", rule.name());
        assert!(takes_a_seed || moved == 0, "{}", rule.name());
    }
}

#[test]
fn two_rings_asked_together_answer_as_each_of_them_does_alone() {
    // As in a handover: of more or fewer nodes, under the same rule, another one or another hash tag.
    let nodes = equal_nodes(5);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    let mut keys: Vec<Vec<u8>> = scattered_keys(60).collect();
    keys.extend([b"cart:{7}".to_vec(), vec![b'k'; 250], b"{}".to_vec()]);
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let others = [
        Distribution::default(),
        Distribution::preset("ringway").expect("a preset"),
    ];
    let mut asked = BTreeSet::new();
    for rule in every_rule() {
        let ring = Ring::build(&rule, None, &members[..4]);
        for other in others.iter().chain([&rule]) {
            for (count, tag) in [(1, None), (3, None), (5, None), (4, Some(*b"{}"))] {
                let other = Ring::build(other, tag, &members[..count]);
                if !ring.shares_digests(&other) {
                    continue;
                }
                asked.insert(rule.name());
                let alone: Vec<_> = keys.iter().map(|key| (ring.pick(key), other.pick(key))).collect();
                let together: Vec<_> = keys.iter().map(|key| ring.pick_in_both(&other, key)).collect();
                assert_eq!(together, alone, "{}", rule.name());
                let mut at_once = vec![(0, 0); keys.len()];
                for (keys, owners) in keys.chunks(8).zip(at_once.chunks_mut(8)) {
                    ring.pick_eight_in_both(&other, keys, owners);
                }
                assert_eq!(at_once, alone, "{}", rule.name());
            }
        }
    }
    for name in ["ringway", "ketama", "maglev"] {
        assert!(asked.contains(name), "{name} is not among {asked:?}");
    }
}

#[test]
fn the_last_node_that_stands_takes_every_key() {
    let nodes = equal_nodes(3);
    let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
    for rule in every_rule() {
        let ring = Ring::among(&rule, None, &members, &[1]);
        assert!(scattered_keys(50).all(|key| ring.pick(&key) == 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_under_any_rules_go_to_a_node_that_is_there(
        key in vec(any::<u8>(), 0..300),
        weights in vec(prop_oneof![1..20u32, 1..=u32::MAX], 1..12),
        tag in proptest::option::of(any::<[u8; 2]>()),
        preset in 0..Distribution::PRESETS.len(),
        hash in 0..Hash::NAMES.len(),
    ) {
        let mut nodes = equal_nodes(weights.len());
        nodes.iter_mut().zip(&weights).for_each(|(node, weight)| node.weight = *weight);
        let members: Vec<Member<'_>> = nodes.iter().map(Node::member).collect();
        let hash = Hash::from_name(Hash::NAMES[hash]).expect("listed");
        let preset = Distribution::preset(Distribution::PRESETS[preset]).expect("listed");
        let ring = Ring::build(&preset.with_hash(hash), tag, &members);
        prop_assert!(ring.pick(&key) < members.len());
        prop_assert_eq!(ring.pick(&key), ring.pick(&key));
    }

    /// The peers' rounding gives all nodes 156 points at some sizes and 160 at the others. At the step from
    /// one to the other 1/40 of everybody's points come or go too, and with them about so many keys.
    #[test]
    fn a_node_that_joins_takes_its_share_of_keys_and_the_others_keep_theirs(
        count in 1..60usize,
        preset in proptest::sample::select(vec!["ketama", "twemproxy"]),
    ) {
        const KEYS: usize = 8_000;
        let nodes = equal_nodes(count + 1);
        let (before, after) = (ring_of(preset, &nodes[..count]), ring_of(preset, &nodes));
        let (mut joined, mut strayed) = (0, 0);
        for key in scattered_keys(KEYS) {
            let (old, new) = (before.pick(&key), after.pick(&key));
            joined += usize::from(new == count);
            strayed += usize::from(new != count && new != old);
        }

        let share = KEYS / (count + 1);
        prop_assert!(joined > share / 2 && joined < share * 3 / 2 + 20, "{joined} of {share}");
        let rounds_down = |count: usize| [25, 47, 50, 55].contains(&count);
        if rounds_down(count) != rounds_down(count + 1) {
            prop_assert!(strayed < KEYS / 20, "{strayed} strayed");
        } else {
            prop_assert_eq!(strayed, 0);
        }
    }
}
