//! `ringway import`: mcrouter's route handles as its source means them, in the combinations that people publish.

use std::fs;

use crate::import_kinds::{POOL, is_good, mcrouter, ringway};

#[test]
fn a_host_id_route_says_that_all_hosts_go_to_its_first_child() {
    for handle in [
        r#"{"type": "HostIdRoute", "children": "Pool|A", "salt": "x"}"#,
        "\"HostIdRoute|Pool|A\"",
    ] {
        let printed = mcrouter(&format!("\"route\": {handle}"));
        assert_eq!(printed.code, Some(1), "{handle}");
        assert!(
            printed.lost.contains("all hosts go to the first"),
            "{}",
            printed.lost
        );
        assert!(printed.text.contains("default: A.1\n"), "{}", printed.text);
        is_good(&printed);
    }
    let printed = mcrouter(r#""route": {"type": "HostIdRoute", "children": ["PoolRoute|B"]}"#);
    assert_eq!((printed.code, printed.lost.as_str()), (Some(0), ""));
}

#[test]
fn cas_goes_where_gets_does_or_that_it_does_not_is_said() {
    let selector = |policies: &str, default: &str| {
        mcrouter(&format!(
            r#""route": {{"type": "OperationSelectorRoute", "operation_policies": {{{policies}}}, "default_policy": {default}}}"#
        ))
    };
    let all = "\"AllSyncRoute|Pool|A\"";
    let moved = selector(
        &format!(r#""get": "LatestRoute|Pool|A", "set": {all}"#),
        "\"PoolRoute|A\"",
    );
    assert_eq!((moved.code, moved.lost.as_str()), (Some(0), ""));
    let cas = "cas: {replicate: {to: [A.1, A.2], write: all, read: first}}";
    assert!(moved.text.contains(cas), "{}", moved.text);
    assert!(moved.text.contains("and so cas where set goes"), "{}", moved.text);
    is_good(&moved);

    // The default has its cas ids from the same node already.
    for default in [all, "\"FailoverRoute|Pool|A\""] {
        let same = selector(r#""get": "LatestRoute|Pool|A", "delete": "PoolRoute|B""#, default);
        assert_eq!((same.code, same.lost.as_str()), (Some(0), ""), "{default}");
        assert!(!same.text.contains("cas:"), "{}", same.text);
    }
    for (policies, said) in [
        (
            r#""get": "PoolRoute|A", "set": "PoolRoute|B""#,
            "gets goes where get goes and cas elsewhere",
        ),
        (
            r#""get": "PoolRoute|A", "cas": "PoolRoute|B", "set": "PoolRoute|A""#,
            "cas elsewhere",
        ),
        (r#""gets": "PoolRoute|A""#, "get goes where gets goes"),
    ] {
        let printed = selector(policies, "\"PoolRoute|B\"");
        assert_eq!(printed.code, Some(1), "{policies}");
        assert!(printed.lost.contains(said), "{policies}\n{}", printed.lost);
    }
}

const CLUSTERS: &str = r#""routes": [{"aliases": ["/e/one"], "route": "PoolRoute|A"}, {"aliases": ["w/one/"], "route": "PoolRoute|B"}]"#;

#[test]
fn keys_without_a_routing_prefix_go_where_mcrouters_option_says() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("m.json"), format!("{{{POOL},{CLUSTERS}}}")).expect("written");
    let with = |prefix: &str| {
        let output = ringway(dir.path(), &["import", "m.json", "--route-prefix", prefix]);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        (
            output.status.code(),
            said,
            String::from_utf8(output.stdout).expect("UTF-8"),
        )
    };
    for prefix in ["/w/one/", "w/one"] {
        let (code, said, text) = with(prefix);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{prefix}");
        for line in [
            "    else: route-w-one\n",
            "\"/*/*/\": {replicate: {to: [route-w-one, route-e-one], write: async}}",
            "      /e/one/: route-e-one\n",
            "answer SERVER_ERROR in mcrouter; here they go to route-w-one under their whole name",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
    let (code, said, _) = with("/x/y/");
    assert_eq!(code, Some(1));
    assert!(said.contains("no route has the prefix /x/y/"), "{said}");
    let unsaid = mcrouter(CLUSTERS);
    assert_eq!(unsaid.code, Some(1));
    assert!(
        unsaid.lost.contains("(--route-prefix /e/one/)"),
        "{}",
        unsaid.lost
    );
}

#[test]
fn a_single_routing_prefix_has_its_stars_and_a_fallback_cluster_is_told() {
    let printed = mcrouter(r#""routes": {"/e/one/": "PoolRoute|A"}"#);
    assert_eq!((printed.code, printed.lost.as_str()), (Some(0), ""));
    for pattern in ["\"/*/*/\"", "\"/*/one/\"", "\"/e/*/\"", "/e/one/"] {
        let line = format!("      {pattern}: route-e-one\n");
        assert!(printed.text.contains(&line), "{line}\n{}", printed.text);
    }
    is_good(&printed);
    let printed = mcrouter(r#""routes": {"/e/fallback/": "PoolRoute|A"}"#);
    assert!(
        printed.lost.contains("with an unknown cluster"),
        "{}",
        printed.lost
    );
}

#[test]
fn a_copy_has_the_expiry_that_mcrouter_gives_it() {
    let warm_up = r#"{"type": "WarmUpRoute", "cold": "PoolRoute|A", "warm": "PoolRoute|B", "exptime": 10}"#;
    let read = mcrouter(&format!(
        r#""route": {{"type": "OperationSelectorRoute", "operation_policies": {{"get": {warm_up}, "gets": "PoolRoute|B"}},
            "default_policy": {{"type": "ModifyExptimeRoute", "target": "PoolRoute|B", "exptime": 30}}}}"#
    ));
    assert!(
        read.text
            .contains("lazy_fill: {to: {expiry: {to: A, min: 10s, max: 10s}}, from: B}"),
        "{}",
        read.text
    );
    assert!(
        read.text.contains("else: {expiry: {to: B, min: 30s, max: 30s}}"),
        "{}",
        read.text
    );
    is_good(&read);
    let whole = mcrouter(&format!("\"route\": {warm_up}"));
    assert_eq!(whole.code, Some(1));
    assert!(whole.lost.contains("copies live as long as"), "{}", whole.lost);
    for exptime in ["0", "-1"] {
        let printed = mcrouter(&format!(
            r#""route": {{"type": "ModifyExptimeRoute", "target": "PoolRoute|B", "exptime": {exptime}}}"#
        ));
        assert!(printed.lost.contains("a second or more"), "{}", printed.lost);
    }
}

#[test]
fn the_shadows_of_a_pool_copy_a_share_of_its_keys() {
    let shadow = |settings: &str| {
        mcrouter(&format!(
            r#""route": {{"type": "PoolRoute", "pool": "A", "shadows": [{{"target": "PoolRoute|B", {settings}}}]}}"#
        ))
    };
    let part = shadow(r#""index_range": [0, 2], "key_fraction_range": [0, 0.1]"#);
    assert_eq!((part.code, part.lost.as_str()), (Some(0), ""));
    assert!(
        part.text.contains("shadow: {of: A, to: B, share: 10%}"),
        "{}",
        part.text
    );
    is_good(&part);
    let whole = shadow(r#""index_range": [0, 100], "key_fraction_range": [0, 1]"#);
    assert!(whole.text.contains("shadow: {of: A, to: B}"), "{}", whole.text);
    for (settings, said) in [
        (
            r#""index_range": [0, 1], "key_fraction_range": [0, 1]"#,
            "index_range",
        ),
        (r#""index_range": [0, 2]"#, "key_fraction_range"),
        (
            r#""index_range": [0, 2], "key_fraction_range": [0, 0.001]"#,
            "a whole percent",
        ),
        (
            r#""index_range": [0, 2], "key_fraction_range": [0, 1], "requests_fraction": 0.5"#,
            "requests_fraction",
        ),
    ] {
        let printed = shadow(settings);
        assert_eq!(printed.code, Some(1), "{settings}");
        assert!(printed.lost.contains(said), "{settings}\n{}", printed.lost);
    }
}
