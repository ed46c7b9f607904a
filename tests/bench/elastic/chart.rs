//! Lines over time, in an SVG that stands by itself.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 40.0;
const COLOURS: [&str; 3] = ["#d1242f", "#8a6d00", "#1f6feb"];

/// Draws `lines` of ratios from 0 to 1, a point each `pause` seconds, with the times and names of `changes`.
pub fn draw(lines: &[(&str, Vec<f64>)], changes: &[(f64, &str)], pause: f64) -> String {
    let points = lines.iter().map(|(_, points)| points.len()).max().unwrap_or(0);
    let seconds = points as f64 * pause;
    let lowest = lines
        .iter()
        .flat_map(|(_, points)| points)
        .copied()
        .fold(1.0, f64::min);
    let lowest = (lowest * 10.0).floor() / 10.0;
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |ratio: f64| TOP + (1.0 - ratio) / (1.0 - lowest).max(0.1) * (HEIGHT - TOP - BOTTOM);
    let mut body = String::new();
    let mut tenth = (lowest * 10.0).round() as u32;
    while tenth <= 10 {
        let at = y(f64::from(tenth) / 10.0);
        line(&mut body, (LEFT, at), (WIDTH - RIGHT, at), "#d0d7de", "");
        text(
            &mut body,
            LEFT - 6.0,
            at + 4.0,
            "end",
            &format!("{} %", tenth * 10),
        );
        tenth += 1;
    }
    for second in (0..=seconds as u32).step_by(20) {
        text(
            &mut body,
            x(second.into()),
            HEIGHT - BOTTOM + 18.0,
            "middle",
            &format!("{second} s"),
        );
    }
    for (second, name) in changes {
        line(
            &mut body,
            (x(*second), TOP - 10.0),
            (x(*second), HEIGHT - BOTTOM),
            "#57606a",
            "4 3",
        );
        text(&mut body, x(*second) + 4.0, TOP - 8.0, "start", name);
    }
    for (index, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path = points.iter().enumerate().map(|(at, ratio)| {
            let middle = (at as f64 + 0.5) * pause;
            format!("{:.1},{:.1}", x(middle), y(*ratio))
        });
        let path: Vec<String> = path.collect();
        let _ = writeln!(
            body,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
            path.join(" ")
        );
        let left = LEFT + 170.0 * index as f64;
        line(&mut body, (left, 20.0), (left + 22.0, 20.0), colour, "");
        text(&mut body, left + 28.0, 24.0, "start", name);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>Hit ratio while the ring changes</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, dashes: &str) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-dasharray=\"{dashes}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}
