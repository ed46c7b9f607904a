//! A password that was typed in a wrong place is refused, and no message shows it.

use crate::import::import;
use crate::support::diagnostics::diagnostics;
use crate::support::program;

const SECRET: &str = "s3cr3tpw";

#[test]
fn a_password_in_the_configuration_is_refused_and_not_shown() {
    let with_pool = |pool: &str| format!("pools: {{p: {{{pool}}}}}");
    let with_listener =
        |listener: &str| format!("listeners: [{{{listener}}}]\npools: {{p: {{nodes: [a:1]}}}}");
    let no_user = "an address has no user and no password, leave out what is before the @";
    let cases = [
        (with_pool("nodes: ['bob:s3cr3tpw@127.0.0.1:1']"), no_user),
        (with_pool("nodes: ['s3cr3tpw@127.0.0.1:1']"), no_user),
        (with_pool("nodes: ['memcached://bob:s3cr3tpw@a:1']"), no_user),
        (with_pool("nodes: ['redis://bob:s3cr3tpw@a:1']"), no_user),
        (with_pool("nodes: ['redis+unix://bob:s3cr3tpw@/r.sock']"), no_user),
        (
            with_pool("nodes: [{address: 'bob:s3cr3tpw@a:1', weight: 2}]"),
            no_user,
        ),
        (with_pool("discover: {from: 'dns+bob:s3cr3tpw@a:1'}"), no_user),
        (
            with_pool("discover: {from: 'dns+redis://bob:s3cr3tpw@a:1'}"),
            no_user,
        ),
        (with_pool("discover: {from: 'dnssrv+bob:s3cr3tpw@a'}"), no_user),
        (
            with_pool("discover: {from: 'elasticache+bob:s3cr3tpw@a:1'}"),
            no_user,
        ),
        (with_pool("discover: {from: 'bob:s3cr3t+s3cr3tpw@a:1'}"), no_user),
        (
            with_pool("discover: {from: 'dns+a:1', resolver: 'bob:s3cr3tpw@1.1.1.1:53'}"),
            no_user,
        ),
        (
            with_pool("nodes: [a:1], auth: {user: 'bob:s3cr3tpw', password: {env: PATH}}"),
            "the name of a user has no colon",
        ),
        (
            with_pool("nodes: [a:1], auth: {user: bob, password: {env: s3cr3tpw}}"),
            "the environment has no variable of this name",
        ),
        (
            with_pool("nodes: [a:1], auth: {user: bob, password: {s3cr3tpw}}"),
            "a secret must not be in the configuration itself",
        ),
        (
            with_pool("nodes: [{bob:s3cr3tpw@a:1}]"),
            "a key without a value is not known here",
        ),
        (
            with_listener("bind: '127.0.0.1:1', auth: {bob:s3cr3tpw}"),
            "a key without a value is not known here",
        ),
        (with_listener("bind: 'bob:s3cr3tpw@127.0.0.1:1'"), no_user),
        (
            with_listener("bind: '127.0.0.1:1', auth: {users: 'bob:s3cr3tpw'}"),
            "name a file with lines user:password",
        ),
        (
            format!(
                "admin: {{bind: 'bob:s3cr3tpw@127.0.0.1:1'}}\n{}",
                with_pool("nodes: [a:1]")
            ),
            no_user,
        ),
        (
            format!(
                "admin: {{hosts: ['http://bob:s3cr3tpw@a']}}\n{}",
                with_pool("nodes: [a:1]")
            ),
            no_user,
        ),
        (
            format!("takeover: 'bob:s3cr3tpw@a'\n{}", with_pool("nodes: [a:1]")),
            no_user,
        ),
    ];
    for (text, expected) in cases {
        let told = diagnostics(&text);
        assert!(told.contains(expected), "{text}\n{told}");
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_shown() {
    for arguments in [
        &["nodes", "--admin", "bob:s3cr3tpw@127.0.0.1:1"][..],
        &["warm", "--admin", "https://s3cr3tpw@127.0.0.1:1"],
        &["explain", "--admin", "http://bob:s3cr3tpw@127.0.0.1:1", "key"],
        &["observe", "--node", "a:1", "--listen", "bob:s3cr3tpw@127.0.0.1:1"],
        &["demo", "--admin", "bob:s3cr3tpw@127.0.0.1:1"],
        &["demo", "--load-only", "bob:s3cr3tpw@127.0.0.1:1"],
    ] {
        let (code, out, err) = program::said(&program::output(&mut program::ringway(arguments)));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.contains("an address has no user and no password"), "{err}");
        assert!(!err.contains(SECRET), "{err}");
    }
    let observe = ["observe", "--node", "bob:s3cr3tpw@127.0.0.1:1"];
    let (code, _, err) = program::said(&program::output(&mut program::ringway(&observe)));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("an address has no user and no password"), "{err}");
    assert!(!err.contains(SECRET), "{err}");
}

#[test]
fn a_password_in_an_imported_file_is_refused_and_not_shown() {
    for (name, text) in [
        (
            "n.yml",
            "a: {listen: '127.0.0.1:1', servers: ['bob:s3cr3tpw@127.0.0.1:1:1']}",
        ),
        (
            "n.yml",
            "a: {listen: 'bob:s3cr3tpw@127.0.0.1:1', servers: ['127.0.0.1:1:1']}",
        ),
        (
            "m.json",
            r#"{"pools": {"A": {"servers": ["bob:x:s3cr3tpw@a:1"]}}, "route": "PoolRoute|A"}"#,
        ),
        (
            "m.json",
            r#"{"pools": {"A": {"servers": ["bob:s3cr3tpw@a:1:ascii"]}}, "route": "PoolRoute|A"}"#,
        ),
        ("l.txt", "--SERVER=s3cr3tpw@a:1"),
    ] {
        let printed = import(name, text);
        assert_eq!(printed.code, Some(1), "{text}");
        assert!(
            printed
                .lost
                .contains("Ringway would refuse this: an address has no user"),
            "{text}\n{}",
            printed.lost
        );
        assert!(!printed.lost.contains(SECRET), "{}", printed.lost);
    }
}
