//! Files that import each other in a circle, whatever folder they lie in.
//!
//! A file may use what the `mod.rs` of its own folder defines: that is what its folder shares. Every other import
//! counts, and a name that a `mod.rs` only hands on (`pub use`) belongs to the file that it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

/// Which files a file imports from.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Every circle, as one line that names its files.
pub fn circles(sources: &[Source]) -> Vec<String> {
    let files: BTreeMap<String, &Source> = sources
        .iter()
        .map(|source| (module_of(&source.path), source))
        .collect();
    let mut graph = Graph::new();
    for (module, source) in &files {
        let imported = paths(module, source)
            .into_iter()
            .filter_map(|path| resolve(&files, &path))
            .filter(|other| *other != module && !is_folder_of(other, module))
            .collect();
        graph.insert(module, imported);
    }
    let mut circles = BTreeSet::new();
    for &module in graph.keys() {
        let there = reached(&graph, module);
        let circle: Vec<&str> = there
            .iter()
            .copied()
            .filter(|other| reached(&graph, other).contains(module))
            .collect();
        if there.contains(module) {
            circles.insert(format!("a circle of imports: {}", circle.join(", ")));
        }
    }
    circles.into_iter().collect()
}

/// `src/link/mod.rs` is `link`, `src/link/set.rs` is `link::set`.
fn module_of(path: &str) -> String {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside.trim_end_matches("/mod").replace('/', "::")
}

/// Whether `folder` is a folder that `module` lies in.
fn is_folder_of(folder: &str, module: &str) -> bool {
    module
        .strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with("::"))
}

/// Every path of `source` from the crate's root, without the root; what its tests import does not count.
fn paths(module: &str, source: &Source) -> Vec<String> {
    let code = source
        .code
        .split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    let mut paths = Vec::new();
    for (offset, _) in code.match_indices("::") {
        let head_start = code[..offset]
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |before| before + 1);
        if code[..head_start].ends_with(':') {
            continue;
        }
        let base = match &code[head_start..offset] {
            "crate" => String::new(),
            "self" => module.to_owned(),
            "super" => parent(module).to_owned(),
            child if source.code.contains(&format!("mod {child};\n")) => format!("{module}::{child}"),
            _ => continue,
        };
        if is_handed_on(code, head_start) {
            continue;
        }
        for tail in tails(&code[offset + 2..]) {
            let mut base = base.as_str();
            let mut tail = tail.as_str();
            while let Some(rest) = tail.strip_prefix("super::") {
                (base, tail) = (parent(base), rest);
            }
            paths.push(format!("{base}::{tail}").trim_start_matches("::").to_owned());
        }
    }
    paths
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

/// Whether the path that begins at `start` stands in a `pub use`.
fn is_handed_on(code: &str, start: usize) -> bool {
    let statement = code[..start].rfind([';', '}']).map_or(0, |end| end + 1);
    code[statement..start].trim_start().starts_with("pub use ")
}

/// What follows a path's first `::`: one path, or each of a group.
fn tails(code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let end = code.find(|c: char| !is_path(c)).unwrap_or(code.len());
    let head = &code[..end];
    let Some(group) = code[end..]
        .strip_prefix('{')
        .filter(|_| head.is_empty() || head.ends_with(':'))
    else {
        return vec![head.to_owned()];
    };
    let mut depth = 1;
    let length = group
        .find(|c| {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        })
        .unwrap_or(group.len());
    members(&group[..length])
        .iter()
        .flat_map(|member| tails(member))
        .map(|tail| format!("{head}{tail}"))
        .collect()
}

/// The members of a group, nested groups whole.
fn members(group: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(group[start..offset].trim());
                start = offset + 1;
            }
            _ => {}
        }
    }
    members.push(group[start..].trim());
    members.retain(|member| !member.is_empty());
    members
}

/// The file that defines what `path` leads to; `None` for names of other crates.
fn resolve<'a>(files: &'a BTreeMap<String, &Source>, path: &str) -> Option<&'a str> {
    let mut module = path;
    while !files.contains_key(module) {
        module = module.rsplit_once("::")?.0;
    }
    let (module, source) = files.get_key_value(module)?;
    let name = path[module.len()..].trim_start_matches("::").split("::").next()?;
    let origin = source
        .code
        .split(';')
        .filter_map(|statement| statement.trim_start().strip_prefix("pub use "))
        .find(|handed| {
            let words = handed.split(|c: char| !c.is_alphanumeric() && c != '_');
            !name.is_empty() && words.skip(1).any(|word| word == name)
        })
        .and_then(|handed| handed.split("::").next());
    match origin {
        Some(child) => files
            .get_key_value(&format!("{module}::{child}"))
            .map(|(module, _)| module.as_str()),
        None => Some(module),
    }
}

/// Every file that imports lead to from `module`.
fn reached<'a>(graph: &Graph<'a>, module: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![module];
    while let Some(module) = next.pop() {
        let imported = graph.get(module).into_iter().flatten();
        next.extend(imported.filter(|other| reached.insert(**other)));
    }
    reached
}

#[test]
fn a_circle_of_files_is_found_whatever_way_they_name_each_other() {
    let circle = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circles(&sources)
    };
    let found = |a: &str, b: &str| {
        circle(&[
            ("src/link/a.rs", a),
            ("src/link/b.rs", b),
            ("src/link/mod.rs", "mod a;\nmod b;\n"),
        ])
    };
    let named = ["a circle of imports: link::a, link::b"];
    assert_eq!(found("use super::b::B;", "use crate::link::a::A;"), named);
    assert_eq!(
        found("use super::{b::{B, C}, D};", "fn f() { super::a::g() }"),
        named
    );
    assert_eq!(found("use super::b::B;", "use super::C;"), [""; 0]);
    let tests_only = "fn f() {}\n#[cfg(test)]\nmod tests {\n use super::super::a::A;\n}";
    assert_eq!(found("use super::b::B;", tests_only), [""; 0]);
    // A name that mod.rs hands on belongs to the file it comes from; one that mod.rs defines is the folder's own.
    let folder = |name: &str| {
        circle(&[
            (
                "src/link/mod.rs",
                "mod a;\nmod b;\npub use a::{A, One};\nuse b::B;\nstruct Own;",
            ),
            ("src/link/a.rs", "use super::b::B;"),
            ("src/link/b.rs", &format!("use super::{name};")),
        ])
    };
    assert_eq!(folder("One"), named);
    assert_eq!(folder("Own"), [""; 0]);
}
