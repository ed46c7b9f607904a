//! `GET /`: the status page for a browser, the list of paths for every other program.
//!
//! The page is one document with its style and its script in it, and asks nothing but this listener. Its policy
//! allows exactly that style and that script, by their hashes.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::response::{Answer, raw, text};

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let markup = include_str!("status.html");
    let style = element("style", include_str!("status.css"));
    let script = element("script", include_str!("status.js"));
    let page = markup.replace("<style></style>", &style);
    Bytes::from(page.replace("<script></script>", &script))
});

/// The hashes are those of status.js and status.css; `tests/it/status_page.rs` says what they are after a change.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-JUKCJIchUjBsLmPHZbE/y/dNGr2yD1P/ilMOm//m8TY='; \
    style-src 'sha256-VOH08R1BYsN2MZxcSq5OTmD28qNuKnFCkXzOmEzRrLA='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Answers with the page if `headers` ask for HTML, else with `index`.
pub fn answer(headers: &HeaderMap, index: &'static str) -> Answer {
    let mut answer = if wants_html(headers) {
        let mut page = raw(StatusCode::OK, "text/html; charset=utf-8", PAGE.clone());
        for (name, value) in HEADERS {
            page.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        page
    } else {
        text(StatusCode::OK, index)
    };
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept"));
    answer
}

/// Whether HTML is among what is accepted by name: curl accepts everything, and gets text.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let name = kind.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("text/html")
    })
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}
