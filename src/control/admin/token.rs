//! Refuses requests without the token of `admin.token`.
//!
//! | request | needs the token |
//! |---|---|
//! | POST | yes |
//! | GET of `/livez`, `/readyz` and `/healthz` | no: kubelet and load balancers have none |
//! | any other GET | with `protect: all` |

use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use subtle::ConstantTimeEq;

use super::answer::is_probe;
use super::guard::Refusal;
use crate::config::{Admin, Protect};

/// The scheme before the token, in any case, as RFC 9110 has it.
const SCHEME: &[u8] = b"Bearer ";

/// Refuses `request` if it needs the token of `admin` and does not bring it.
///
/// # Errors
/// The status and the reason, for people.
pub fn check<B>(request: &Request<B>, admin: &Admin) -> Result<(), Refusal> {
    let Some(token) = &admin.token else {
        return Ok(());
    };
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let is_protected = is_change || (admin.protect == Protect::All && !is_probe(request.uri().path()));
    let brought = request
        .headers()
        .get(AUTHORIZATION)
        .map_or(&b""[..], |field| field.as_bytes());
    let brought = brought.split_at_checked(SCHEME.len());
    let brought = brought.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
    let brought = brought.map(|(_, token)| token).unwrap_or_default();
    // How long the comparison takes must not tell how much of a guess is right.
    if !is_protected || bool::from(brought.ct_eq(token.expose().as_bytes())) {
        return Ok(());
    }
    let reason = "this needs the token of `admin.token`: Authorization: Bearer TOKEN".to_owned();
    Err((StatusCode::UNAUTHORIZED, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn changes_need_the_token_and_everything_but_probes_does_if_all_is_protected() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "right\n").unwrap();
        let admin = |protect: &str| {
            let file = file.display();
            let text = format!(
                "admin: {{token: {{file: {file}}}, protect: {protect}}}\npools: {{p: {{nodes: [a:1]}}}}"
            );
            config::parse(&text, "f").unwrap().admin
        };
        let (changes, all) = (admin("changes"), admin("all"));
        for (admin, method, path, field, expected) in [
            (&changes, "GET", "/nodes", None, true),
            (&changes, "POST", "/reload", None, false),
            (&changes, "POST", "/reload", Some("Bearer right"), true),
            (&changes, "POST", "/reload", Some("bearer right"), true),
            (&changes, "POST", "/reload", Some("BEARER right"), true),
            (&changes, "POST", "/reload", Some("bearer Right"), false),
            (&changes, "POST", "/reload", Some("Bearerright"), false),
            (&changes, "POST", "/reload", Some("right"), false),
            (&changes, "POST", "/reload", Some("Bearer wrong"), false),
            (&changes, "POST", "/reload", Some("Bearer righ"), false),
            (&changes, "POST", "/reload", Some("Bearer "), false),
            (&changes, "POST", "/reload", Some("Basic right"), false),
            (&all, "GET", "/nodes", None, false),
            (&all, "HEAD", "/metrics", None, false),
            (&all, "GET", "/readyz", None, true),
            (&all, "GET", "/nodes", Some("Bearer right"), true),
            (&all, "POST", "/readyz", None, false),
            (&Admin::default(), "POST", "/reload", None, true),
        ] {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(field) = field {
                request = request.header(AUTHORIZATION, field);
            }
            let request = request.body(()).unwrap();
            assert_eq!(
                check(&request, admin).is_ok(),
                expected,
                "{method} {path} {field:?}"
            );
        }
    }
}
