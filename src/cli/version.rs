//! What `ringway --version` says: the version, the commit, and how it was built.
//!
//! `deploy/release` and the Dockerfile give the commit in `RINGWAY_COMMIT` while compiling. Without it, as with
//! `cargo install`, the commit is not known: no build script asks git, because each commit would build the crate again.

use std::sync::LazyLock;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What can be left out of other programs of this kind, and is in every build of this one.
const FEATURES: &str = "tls discovery embedded-nodes import";

/// For `-V`: one line.
pub static SHORT: LazyLock<String> = LazyLock::new(|| match commit() {
    Some(commit) => format!("{VERSION} ({commit:.12})"),
    None => VERSION.to_owned(),
});

/// For `--version`: one fact per line.
pub static LONG: LazyLock<String> = LazyLock::new(|| {
    let linking = match cfg!(target_feature = "crt-static") {
        true => "static",
        false => "dynamic",
    };
    let profile = match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    };
    format!(
        "{VERSION}\ncommit: {}\nfeatures: {FEATURES}\nbuild: {profile}, {}-{}, {linking}",
        commit().unwrap_or("unknown"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
});

fn commit() -> Option<&'static str> {
    option_env!("RINGWAY_COMMIT").filter(|commit| !commit.is_empty())
}
