//! Reads the repository's Markdown pages: their fenced blocks, code spans, links and headings.
//!
//! Knows the Markdown that these pages use: fences of three backquotes, headings with `#`, links as
//! `[words](target)`. Anchors are made as GitHub makes them.

use std::fs;
use std::path::{Path, PathBuf};

/// One Markdown file of the repository.
pub struct Page {
    /// From the repository's root: `docs/limits.md`.
    pub path: String,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// What stands behind the opening fence: `yaml`, `sh`.
    pub info: String,
    /// The number of the line with the opening fence.
    pub line: usize,
    pub text: String,
}

/// The README, the other pages beside it, and every page under `docs`, if that folder exists. The changelog
/// is none of them: it may name what is gone.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root("")).expect("the repository is readable") {
        paths.push(entry.expect("the repository is readable").path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.retain(|path| !path.ends_with("CHANGELOG.md"));
    collect(&root("docs"), &mut paths);
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

pub fn page(path: &str) -> Page {
    Page::read(&root(path))
}

pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    if !folder.exists() {
        return;
    }
    for entry in fs::read_dir(folder).expect("docs is readable") {
        let path = entry.expect("docs is readable").path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

impl Page {
    fn read(path: &Path) -> Page {
        let inside = path.strip_prefix(root("")).expect("it lies in the repository");
        Page {
            path: inside.to_str().expect("paths are UTF-8").to_owned(),
            text: fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((line, opening)) = lines.next() {
            if let Some(info) = opening.strip_prefix("```") {
                let text: Vec<&str> = lines
                    .by_ref()
                    .map(|(_, text)| text)
                    .take_while(|text| *text != "```")
                    .collect();
                blocks.push(Block {
                    info: info.to_owned(),
                    line: line + 1,
                    text: text.join("\n") + "\n",
                });
            }
        }
        blocks
    }

    /// The lines outside of fenced blocks, with their numbers.
    fn prose(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        let mut prose = Vec::new();
        for (line, text) in self.text.lines().enumerate() {
            if text.starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose.push((line + 1, text));
            }
        }
        prose
    }

    /// What stands between backquotes in the prose, with the numbers of the lines.
    pub fn spans(&self) -> Vec<(usize, &str)> {
        let mut spans = Vec::new();
        for (line, text) in self.prose() {
            spans.extend(text.split('`').skip(1).step_by(2).map(|span| (line, span)));
        }
        spans
    }

    /// The commands to type: each code span, and each line of a shell block without its comment.
    pub fn commands(&self) -> Vec<(usize, String)> {
        let mut commands: Vec<(usize, String)> = self
            .spans()
            .into_iter()
            .map(|(line, span)| (line, span.to_owned()))
            .collect();
        commands.extend(self.shell_lines());
        commands
    }

    /// Each line of its shell blocks, without its comment.
    pub fn shell_lines(&self) -> Vec<(usize, String)> {
        let mut lines = Vec::new();
        for block in self.blocks().iter().filter(|block| block.info == "sh") {
            for (offset, text) in block.text.lines().enumerate() {
                let command = text.split(" #").next().unwrap_or(text).trim();
                lines.push((block.line + 1 + offset, command.to_owned()));
            }
        }
        lines
    }

    /// The targets of its links, with the numbers of the lines.
    pub fn links(&self) -> Vec<(usize, &str)> {
        let mut links = Vec::new();
        for (line, text) in self.prose() {
            let targets = text.split("](").skip(1);
            links.extend(targets.filter_map(|rest| Some((line, rest.split_once(')')?.0))));
        }
        links
    }

    /// The text of the section with this heading of the second level.
    pub fn section(&self, heading: &str) -> &str {
        let start = self
            .text
            .find(&format!("\n## {heading}\n"))
            .unwrap_or_else(|| panic!("{} has no section {heading:?}", self.path));
        let rest = &self.text[start + 4..];
        &rest[..rest.find("\n## ").unwrap_or(rest.len())]
    }

    /// The anchors of its headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, text) in self.prose() {
            if let Some((hashes, heading)) = text.split_once(' ')
                && !hashes.is_empty()
                && hashes.chars().all(|c| c == '#')
            {
                let anchor = anchor(heading);
                let again = anchors.iter().filter(|other| **other == anchor).count();
                anchors.push(match again {
                    0 => anchor,
                    again => format!("{anchor}-{again}"),
                });
            }
        }
        anchors
    }
}

/// The anchor of a heading: its letters in lower case, hyphens for spaces, and no punctuation.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn a_pages_parts_are_found() {
    let page = Page {
        path: "docs/made_up.md".to_owned(),
        text: "# `One` & two\n\nSee [it](a.md#b), `ringway check X` and\n```sh\ntests/run # all\n# [no](link)\n```\n## Twice\n## Twice\n"
            .to_owned(),
    };
    assert_eq!(page.anchors(), ["one--two", "twice", "twice-1"]);
    assert_eq!(page.links(), [(3, "a.md#b")]);
    assert_eq!(page.spans(), [(1, "One"), (3, "ringway check X")]);
    let commands: Vec<String> = page.commands().into_iter().map(|(_, command)| command).collect();
    assert_eq!(commands, ["One", "ringway check X", "tests/run", "# [no](link)"]);
    let blocks = page.blocks();
    assert_eq!((blocks[0].line, blocks[0].info.as_str()), (4, "sh"));
}
