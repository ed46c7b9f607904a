//! Constructors for answers: plain text and JSON, never cached.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer with its whole body.
pub type Answer = Response<Full<Bytes>>;

/// Returns an answer of plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    raw(status, "text/plain; charset=utf-8", body)
}

/// Returns an answer of JSON, on one line.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let mut body = serde_json::to_string(value).expect("maps have text keys only");
    body.push('\n');
    raw(status, "application/json", body)
}

/// Returns an answer of this content type.
pub fn raw(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
