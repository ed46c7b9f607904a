//! The shape of the house: which module may import which, and what every file must look like.
//!
//! Reads `src` as text. It knows paths that begin with `crate::` (in `main.rs` also `ringway::`) or that
//! climb to the crate's root by `super::`; it does not resolve what macros make.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::sources::collect_rust_files;

/// From which modules of its own floor a module may import.
#[derive(Clone, Copy, PartialEq)]
enum Neighbours {
    /// From any.
    Free,
    /// From any, but never in a circle.
    NoCircle,
    /// From none.
    Never,
}

/// Lowest first. A file imports only from lower floors, its own folder, and as its neighbours allow.
const FLOORS: [(&[&str], Neighbours); 10] = [
    (
        &[
            "protocol",
            "ring",
            "health",
            "metrics",
            "counter",
            "histogram",
            "hot_keys",
            "insight",
            "log_limit",
        ],
        Neighbours::Free,
    ),
    (&["config", "discovery", "import"], Neighbours::NoCircle),
    (&["runtime", "net", "journal", "resolver"], Neighbours::NoCircle),
    (&["node"], Neighbours::NoCircle),
    (&["reply"], Neighbours::NoCircle),
    (&["link"], Neighbours::NoCircle),
    (&["route"], Neighbours::NoCircle),
    (&["snapshot", "state", "diff", "worker"], Neighbours::NoCircle),
    (&["client", "control"], Neighbours::Never),
    (&["app", "cli", "main", "lib"], Neighbours::NoCircle),
];

/// The modules of each floor, the lowest first.
pub fn modules() -> impl Iterator<Item = &'static [&'static str]> {
    FLOORS.iter().map(|(modules, _)| *modules)
}

/// What floor 0 does without: a runtime, a clock, a lock.
const NOT_ON_FLOOR_0: [&str; 5] = ["tokio", "Instant::now", "SystemTime::now", "Mutex", "RwLock"];

/// A file has fewer lines than this.
const MAX_LINES: usize = 600;

#[test]
fn every_file_keeps_to_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect_rust_files(&root.join("src"), &mut sources);
    assert!(!sources.is_empty(), "no .rs file under src");
    let sources: Vec<Source> = sources
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).expect("a source file is readable");
            let path = path.strip_prefix(root).expect("it lies under the root");
            Source::new(path.to_str().expect("source paths are UTF-8"), &text)
        })
        .collect();
    let mut mistakes = mistakes(&sources);
    mistakes.extend(circles::circles(&sources));
    assert!(
        mistakes.is_empty(),
        "{} mistakes (the table of floors stands in tests/it/floors.rs):\n{}",
        mistakes.len(),
        mistakes.join("\n")
    );
}

/// One source file.
pub struct Source {
    /// From the crate's root: `src/node/mod.rs`.
    path: String,
    /// The top-level module that it belongs to.
    module: String,
    /// How many `super` lead to the crate's root.
    depth: usize,
    text: String,
    /// The text without its line comments, line for line.
    code: String,
}

/// Paths and texts of made-up sources.
type Files = &'static [(&'static str, &'static str)];

/// A path to another top-level module, where it stands.
struct Import {
    from: String,
    to: String,
    place: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let inside = path.strip_prefix("src/").unwrap_or(path);
        let parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        let depth = parts.iter().filter(|part| **part != "mod").count();
        let code: Vec<&str> = text.lines().map(without_comment).collect();
        Source {
            path: path.to_owned(),
            module: parts[0].to_owned(),
            depth,
            text: text.to_owned(),
            code: code.join("\n"),
        }
    }

    fn place(&self, offset: usize) -> String {
        let line = 1 + self.code[..offset].matches('\n').count();
        format!("{}:{line}", self.path)
    }

    /// Every path that leads to another top-level module.
    fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        // One `super` more is needed inside `mod tests`.
        let mut roots = vec![
            "crate::".to_owned(),
            "super::".repeat(self.depth),
            "super::".repeat(self.depth + 1),
        ];
        if self.module == "main" {
            roots = vec!["ringway::".to_owned()];
        }
        for root in &roots {
            for (offset, _) in self.code.match_indices(root.as_str()) {
                if continues_a_path(&self.code[..offset]) {
                    continue;
                }
                let by_super = root.starts_with("super");
                for (at, name) in heads(&self.code, offset + root.len()) {
                    if name != self.module && (!by_super || floor_of(&name).is_some()) {
                        imports.push(Import {
                            from: self.module.clone(),
                            to: name,
                            place: self.place(at),
                        });
                    }
                }
            }
        }
        imports
    }
}

fn mistakes(sources: &[Source]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut beside = Vec::new();
    for source in sources {
        mistakes.extend(mistakes_of_form(source));
        let Some(floor) = floor_of(&source.module) else {
            mistakes.push(format!(
                "{}:1: module `{}` is not in the table of floors: add it where it belongs",
                source.path, source.module
            ));
            continue;
        };
        for import in source.imports() {
            match floor_of(&import.to) {
                None => mistakes.push(format!(
                    "{}: `{}` is no module in the table of floors: name the module that defines it",
                    import.place, import.to
                )),
                Some(other) if other > floor => mistakes.push(format!(
                    "{}: `{}` (floor {floor}) imports `{}` (floor {other}), which stands above it",
                    import.place, import.from, import.to
                )),
                Some(other) if other == floor => beside.push((floor, import)),
                Some(_) => {}
            }
        }
    }
    for (floor, import) in &beside {
        let neighbours = FLOORS[*floor].1;
        if neighbours == Neighbours::Never {
            mistakes.push(format!(
                "{}: `{}` and `{}` never import each other",
                import.place, import.from, import.to
            ));
        } else if neighbours == Neighbours::NoCircle && leads_to(&beside, &import.to, &import.from) {
            mistakes.push(format!(
                "{}: `{}` imports `{}`, which leads back to it: a circle",
                import.place, import.from, import.to
            ));
        }
    }
    mistakes
}

fn mistakes_of_form(source: &Source) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !source.text.starts_with("//!") {
        mistakes.push(format!(
            "{}:1: does not open with a `//!` line that says what it does",
            source.path
        ));
    }
    let lines = source.text.lines().count();
    if lines >= MAX_LINES {
        mistakes.push(format!(
            "{}:{MAX_LINES}: has {lines} lines: split it before {MAX_LINES}",
            source.path
        ));
    }
    if floor_of(&source.module) == Some(0) {
        for word in NOT_ON_FLOOR_0 {
            mistakes.extend(
                source.code.match_indices(word).map(|(offset, _)| {
                    format!("{}: `{word}` on floor 0, which is pure", source.place(offset))
                }),
            );
        }
    }
    mistakes
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(modules, _)| modules.contains(&module))
}

/// Whether `from` reaches `to` by imports between neighbours.
fn leads_to(beside: &[(usize, Import)], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        if module == to {
            return true;
        }
        let onward = beside.iter().filter(|(_, import)| import.from == module);
        next.extend(
            onward
                .map(|(_, import)| import.to.as_str())
                .filter(|to| seen.insert(to)),
        );
    }
    false
}

/// The line up to its `//`, unless that stands in a string.
fn without_comment(line: &str) -> &str {
    line.match_indices("//")
        .map(|(offset, _)| &line[..offset])
        .find(|before| before.matches('"').count() % 2 == 0)
        .unwrap_or(line)
}

/// Whether what follows `before` is the tail of a longer name or path: `my_crate::`, `self::super::`.
fn continues_a_path(before: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

/// The first names of the path that begins at `start`: one, or those of a `{…}` group, with their offsets.
fn heads(code: &str, start: usize) -> Vec<(usize, String)> {
    let Some(group) = code[start..].strip_prefix('{') else {
        return name_at(code, start).into_iter().collect();
    };
    let mut heads = Vec::new();
    let mut depth = 1;
    let mut at_head = true;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_head = true,
            c if c.is_whitespace() => {}
            _ if at_head => {
                heads.extend(name_at(code, start + 1 + offset));
                at_head = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn name_at(code: &str, start: usize) -> Option<(usize, String)> {
    let end = code[start..]
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(code.len(), |length| start + length);
    (end > start).then(|| (start, code[start..end].to_owned()))
}

#[test]
fn what_breaks_the_rules_is_named_with_file_and_line() {
    let cases: [(Files, &[&str]); 15] = [
        (&[("src/ring/mod.rs", "//! R.\nuse crate::protocol::Key;")], &[]),
        (
            &[(
                "src/node/mod.rs",
                "//! N.\n// crate::client\nuse crate::node::link;\n",
            )],
            &[],
        ),
        (
            &[(
                "src/route/mod.rs",
                "//! R.\n\nfn f() { crate::client::session() }",
            )],
            &["src/route/mod.rs:3: `route` (floor 6) imports `client` (floor 8)"],
        ),
        (
            &[(
                "src/config/file.rs",
                "//! C.\nuse crate::{\n    ring::{Ring, Kind},\n    app,\n};",
            )],
            &["src/config/file.rs:4: `config` (floor 1) imports `app` (floor 9)"],
        ),
        (
            &[("src/node/missed.rs", "//! M.\nuse super::super::worker::Worker;")],
            &["src/node/missed.rs:2: `node` (floor 3) imports `worker` (floor 7)"],
        ),
        (&[("src/node/link.rs", "//! L.\nuse super::worker::Turn;")], &[]),
        (
            &[
                ("src/client/mod.rs", "//! C."),
                ("src/control/mod.rs", "//! C.\nuse crate::client;"),
            ],
            &["src/control/mod.rs:2: `control` and `client` never import each other"],
        ),
        (&[("src/node/mod.rs", "//! N.\nuse crate::net::Stream;")], &[]),
        (
            &[
                ("src/net/mod.rs", "//! N.\nuse crate::runtime::Clock;"),
                ("src/runtime/mod.rs", "//! R.\nuse crate::net::Stream;"),
            ],
            &[
                "src/net/mod.rs:2: `net` imports `runtime`",
                "src/runtime/mod.rs:2: `runtime` imports `net`",
            ],
        ),
        (
            &[("src/tls/mod.rs", "//! T.")],
            &["src/tls/mod.rs:1: module `tls` is not in the table of floors"],
        ),
        (
            &[("src/app.rs", "//! A.\nuse crate::Config;")],
            &["src/app.rs:2: `Config` is no module in the table of floors"],
        ),
        (
            &[(
                "src/health.rs",
                "//! H, without tokio.\nlet now = Instant::now(); // no Mutex",
            )],
            &["src/health.rs:2: `Instant::now` on floor 0"],
        ),
        (
            &[("src/app.rs", "use crate::worker;\n")],
            &["src/app.rs:1: does not open with a `//!` line"],
        ),
        (
            &[("src/main.rs", "//! M.\nuse ringway::cli;\nuse ringway::nothing;")],
            &["src/main.rs:3: `nothing` is no module in the table of floors"],
        ),
        (
            &[(
                "src/cli.rs",
                "//! C.\nconst A: &str = \"http://\"; use crate::nothing;",
            )],
            &["src/cli.rs:2: `nothing` is no module in the table of floors"],
        ),
    ];
    for (files, expected) in cases {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let found = mistakes(&sources);
        assert_eq!(found.len(), expected.len(), "{files:?}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} is not {expected:?}");
        }
    }
    let long = format!("//! L.\n{}", "\n".repeat(MAX_LINES));
    let found = mistakes(&[Source::new("src/app.rs", &long)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/app.rs:600: has 601 lines"), "{found:?}");
}
