//! Turns docs/configuration.md into the man page ringway.yaml(5): headings, paragraphs, lists, blocks and tables of three
//! columns (key, default, meaning). It knows the Markdown that this page uses.

use std::fmt::Write;

/// Returns the man page.
pub fn roff(markdown: &str) -> String {
    let mut out = format!(
        ".TH ringway.yaml 5 \"\" \"ringway {}\" \"File formats\"\n.SH NAME\nringway.yaml \\- configuration of ringway(1)\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut is_block = false;
    for line in markdown.lines().skip_while(|line| line.starts_with("# ")) {
        if line.starts_with("```") {
            is_block = !is_block;
            out += if is_block {
                ".PP\n.nf\n.RS 4\n"
            } else {
                ".RE\n.fi\n"
            };
        } else if is_block {
            let _infallible = writeln!(out, "{}", escape(line));
        } else {
            out += &prose(line);
        }
    }
    out + ".SH SEE ALSO\nringway(1), ringway\\-check(1)\n"
}

fn prose(line: &str) -> String {
    if let Some(heading) = line.strip_prefix("## ") {
        return format!(".SH {}\n", text(heading).to_uppercase());
    }
    if let Some(item) = line.strip_prefix("- ") {
        return format!(".IP \\(bu 2\n{}\n", text(item));
    }
    if let Some(row) = line.strip_prefix("| `") {
        let cells: Vec<&str> = row.trim_end_matches([' ', '|']).split(" | ").collect();
        if let [key, default, meaning] = cells[..] {
            let key = escape(key.trim_end_matches('`'));
            return format!(
                ".TP\n\\fB{key}\\fR (default: {})\n{}\n",
                text(default),
                text(meaning)
            );
        }
    }
    match line {
        "" => String::new(),
        // The head of a table.
        line if line.starts_with('|') => String::new(),
        line => format!(".PP\n{}\n", text(line)),
    }
}

/// Markdown within a line: code is bold, and links keep their words.
fn text(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after
            .split_once("](")
            .and_then(|(words, tail)| Some((words, tail.split_once(')')?.1)));
        plain += before;
        match link {
            Some((words, tail)) => {
                plain += words;
                rest = tail;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain += rest;
    let mut roff = String::new();
    for (number, part) in plain.split('`').enumerate() {
        let part = escape(part);
        match number % 2 {
            1 => roff += &format!("\\fB{part}\\fR"),
            _ => roff += &part,
        }
    }
    roff
}

/// Keeps roff from reading `line` as a request.
fn escape(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}
