//! The figures as lines of text that fit the terminal.

use super::choice::Choice;
use super::look::{Figures, HotKey, NodeView, RouteView, View, takes_requests};

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// In columns.
    pub width: usize,
    /// In lines; `None` if there may be any number.
    pub height: Option<usize>,
    /// Whether it has colours.
    pub is_coloured: bool,
}

const RED: &str = "31";
const YELLOW: &str = "33";
const BOLD: &str = "1";

/// The columns of figures, with their widths.
const FIGURES: [(&str, usize); 5] = [("REQ/S", 7), ("HITS", 6), ("ERR/S", 6), ("P50", 7), ("P99", 7)];
/// What stands between the name of a node and its figures, and behind them.
const NODE: [(&str, usize); 2] = [("STATE", 9), ("SHARE", 6)];
const IN_FLIGHT: (&str, usize) = ("INFL", 5);
/// What stands behind a hot key; then follows the node.
const HOT: [(&str, usize); 4] = [("SHARE", 6), ("READ/S", 7), ("WRITE/S", 7), ("BYTES/S", 9)];
/// The hot keys that are shown.
const MAX_HOT: usize = 5;
/// The hot prefixes that are shown.
const MAX_PREFIXES: usize = 3;
/// The least width of a name, and of an error that is worth a column.
const NAME: usize = 12;
const ERROR: usize = 16;

/// Renders what `choice` leaves of the view. If keys can be pressed, the last line says which. Names come from a configuration, errors from nodes: both are escaped.
pub fn render(view: &mut View<'_>, choice: &Choice, has_keys: bool, shape: Shape) -> String {
    choice.filter(view);
    choice.sort(view, is_troubled);
    let view = &*view;
    let mut lines = vec![head(view, shape)];
    lines.extend(
        view.problems
            .iter()
            .map(|problem| paint(&cut(&escaped(problem), shape.width), RED, shape)),
    );
    let hot = [
        routes(&view.routes, shape),
        hot_keys("HOT KEY", MAX_HOT, &view.hot_keys, view.pools.len(), shape),
        hot_keys(
            "HOT PREFIX",
            MAX_PREFIXES,
            &view.hot_prefixes,
            view.pools.len(),
            shape,
        ),
    ]
    .concat();
    let before = lines.len() + view.pools.len() + hot.len() + 4 + usize::from(has_keys);
    lines.push(String::new());
    lines.extend(pools(view, shape));
    lines.push(String::new());
    lines.extend(hot);
    let room = shape.height.map(|height| height.saturating_sub(before + 1));
    lines.extend(nodes(view, shape, room));
    if has_keys {
        lines.push(paint(&cut(&help(choice), shape.width), BOLD, shape));
    }
    lines.join("\n") + "\n"
}

fn head(view: &View<'_>, shape: Shape) -> String {
    let line = format!(
        "ringway {}: {}, up for {}, {} sessions, buffers {} of {}",
        view.version,
        view.phase,
        age(view.uptime_seconds),
        view.sessions,
        bytes(view.buffer_bytes),
        bytes(view.memory_limit_bytes),
    );
    paint(
        &cut(&line, shape.width),
        if view.ready { BOLD } else { RED },
        shape,
    )
}

fn pools(view: &View<'_>, shape: Shape) -> Vec<String> {
    let names: Vec<String> = view.pools.iter().map(|pool| escaped(pool.pool)).collect();
    let own = (" NODES", 9);
    let fixed: usize = FIGURES.iter().chain([&own]).map(|(_, width)| width + 1).sum();
    let width = name_width(&names, "POOL", shape.width.saturating_sub(fixed));
    let headings = [own].into_iter().chain(FIGURES);
    let mut lines = vec![paint(&heading("POOL", width, headings), BOLD, shape)];
    for (pool, name) in view.pools.iter().zip(&names) {
        let up = format!("{:>1$}", format!("{}/{}", pool.up, pool.nodes), own.1);
        let up = if pool.up < pool.nodes {
            paint(&up, RED, shape)
        } else {
            up
        };
        let name = cut(name, width);
        lines.push(format!("{name:width$} {up}{}", figures(&pool.figures, shape)));
    }
    lines
}

/// Which keys can be pressed, and what was chosen.
fn help(choice: &Choice) -> String {
    let filter = match (choice.is_typing, choice.filter.as_str()) {
        (true, text) => format!("filter: {text}_"),
        (false, "") => "/ filter".to_owned(),
        (false, text) => format!("/ filter: {text}"),
    };
    let pause = if choice.is_paused {
        "p go on: PAUSED"
    } else {
        "p pause"
    };
    format!("s sort: {}  {filter}  {pause}  q quit", choice.order_name())
}

/// What policies did and a line without text, or nothing if there are none.
fn routes(routes: &[RouteView<'_>], shape: Shape) -> Vec<String> {
    if routes.is_empty() {
        return Vec::new();
    }
    let text = |route: &RouteView<'_>| escaped(&format!("{} ({})", route.route, route.policy));
    let names: Vec<String> = routes.iter().map(text).collect();
    let (rate, events_width) = (("REQ/S", 7), shape.width / 2);
    let width = name_width(
        &names,
        "ROUTE",
        shape.width.saturating_sub(rate.1 + 3 + events_width),
    );
    let title = heading("ROUTE", width, [rate].into_iter()) + "  EVENTS/S";
    let mut lines = vec![paint(&title, BOLD, shape)];
    for (route, name) in routes.iter().zip(&names) {
        let events = route.events_per_second.iter();
        let events: Vec<String> = events
            .map(|(event, rate)| format!("{event} {}", count(*rate)))
            .collect();
        let (name, requests) = (cut(name, width), count(route.requests_per_second));
        let events = cut(&events.join(", "), events_width);
        lines.push(
            format!("{name:width$} {requests:>7}  {events}")
                .trim_end()
                .to_owned(),
        );
    }
    lines.push(String::new());
    lines
}

/// The hottest keys, at most `most`, and a line without text, or nothing if there are none.
fn hot_keys(title: &str, most: usize, keys: &[&HotKey], pools: usize, shape: Shape) -> Vec<String> {
    let shown = &keys[..keys.len().min(most)];
    if shown.is_empty() {
        return Vec::new();
    }
    let text = |hot: &HotKey| escaped(hot.key.as_ref().or(hot.hash.as_ref()).map_or("", |text| text));
    let names: Vec<String> = shown.iter().map(|hot| text(hot)).collect();
    let fixed: usize = HOT.iter().map(|(_, width)| width + 1).sum();
    let width = name_width(&names, title, shape.width.saturating_sub(fixed + ERROR + 2));
    let node_width = shape.width.saturating_sub(width + fixed + 2);
    let mut lines = vec![paint(
        &(heading(title, width, HOT.into_iter()) + "  NODE"),
        BOLD,
        shape,
    )];
    for (hot, name) in shown.iter().zip(&names) {
        let cells = [
            percent(Some(hot.share)),
            count(hot.reads_per_second),
            count(hot.writes_per_second),
            bytes(hot.bytes_per_second as u64),
        ];
        let cells = cells
            .iter()
            .zip(HOT)
            .map(|(cell, (_, width))| format!(" {cell:>width$}"));
        let node = match (&hot.node, pools) {
            (Some(node), 1) => escaped(node),
            (Some(node), _) => escaped(&format!("{}/{node}", hot.pool)),
            (None, _) => escaped(&hot.pool),
        };
        let name = cut(name, width);
        lines.push(format!(
            "{name:width$}{}  {}",
            cells.collect::<String>(),
            cut(&node, node_width)
        ));
    }
    lines.push(String::new());
    lines
}

/// At most `room` nodes, in their order.
fn nodes(view: &View<'_>, shape: Shape, room: Option<usize>) -> Vec<String> {
    let nodes = &view.nodes;
    let shown = room.map_or(nodes.len(), |room| nodes.len().min(room.max(1)));
    let names: Vec<String> = nodes[..shown].iter().map(|node| name(view, node)).collect();
    let columns = || NODE.into_iter().chain(FIGURES).chain([IN_FLIGHT]);
    let fixed: usize = columns().map(|(_, width)| width + 1).sum();
    let width = name_width(&names, "NODE", shape.width.saturating_sub(fixed));
    let error_width = shape.width.saturating_sub(width + fixed + 2);
    let mut title = heading("NODE", width, columns());
    if error_width >= ERROR {
        title += "  LAST ERROR";
    }
    let mut lines = vec![paint(&title, BOLD, shape)];
    for (node, name) in nodes[..shown].iter().zip(&names) {
        let state = format!("{:>1$}", state(node), NODE[0].1);
        let state = colour(node).map_or(state.clone(), |colour| paint(&state, colour, shape));
        let share = format!("{:>1$}", percent(Some(node.share)), NODE[1].1);
        let in_flight = format!("{:>1$}", node.in_flight, IN_FLIGHT.1);
        let name = cut(name, width);
        let mut line = format!(
            "{name:width$} {state} {share}{} {in_flight}",
            figures(&node.figures, shape)
        );
        if let Some(error) = node.last_error.filter(|_| error_width >= ERROR) {
            line += &format!("  {}", cut(&escaped(error), error_width));
        }
        lines.push(line);
    }
    if shown < nodes.len() {
        lines.push(format!("… and {} more nodes", nodes.len() - shown));
    }
    lines
}

fn name(view: &View<'_>, node: &NodeView<'_>) -> String {
    match view.pools.len() {
        1 => escaped(node.node),
        _ => escaped(&format!("{}/{}", node.pool, node.node)),
    }
}

fn state<'a>(node: &NodeView<'a>) -> &'a str {
    match (node.drained, takes_requests(node.state) && !node.in_ring) {
        (true, _) => "drained",
        (false, true) => "out",
        (false, false) => node.state,
    }
}

/// Whether a node has a problem.
pub fn is_troubled(node: &NodeView<'_>) -> bool {
    colour(node).is_some()
}

/// The colour of a node's state; `None` if all is well.
fn colour(node: &NodeView<'_>) -> Option<&'static str> {
    match state(node) {
        "up" => None,
        "down" | "probation" => Some(RED),
        _ => Some(YELLOW),
    }
}

fn figures(figures: &Figures, shape: Shape) -> String {
    let cells = [
        count(figures.requests_per_second),
        percent(figures.hit_ratio),
        count(figures.errors_per_second),
        time(figures.p50_seconds),
        time(figures.p99_seconds),
    ];
    let cells = cells.iter().zip(FIGURES).map(|(cell, (title, width))| {
        let cell = format!("{cell:>width$}");
        match title {
            "ERR/S" if figures.errors_per_second > 0.0 => format!(" {}", paint(&cell, RED, shape)),
            _ => format!(" {cell}"),
        }
    });
    cells.collect()
}

fn heading(first: &str, width: usize, columns: impl Iterator<Item = (&'static str, usize)>) -> String {
    let mut line = format!("{first:width$}");
    columns.for_each(|(title, width)| line += &format!(" {title:>width$}"));
    line
}

/// As wide as the longest name, but not wider than there is room.
fn name_width(names: &[String], title: &str, room: usize) -> usize {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    longest.max(title.len()).min(room.max(NAME))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}

fn paint(text: &str, colour: &str, shape: Shape) -> String {
    match shape.is_coloured {
        true => format!("\x1b[{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

fn count(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e4 => format!("{:.1}k", n / 1e3),
        n if n >= 10.0 || n == 0.0 => format!("{n:.0}"),
        n => format!("{n:.1}"),
    }
}

fn percent(part: Option<f64>) -> String {
    part.map_or("-".to_owned(), |part| format!("{:.1}%", part * 100.0))
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(s) if s < 1e-3 => format!("{:.0}us", s * 1e6),
        Some(s) if s < 1.0 => format!("{:.1}ms", s * 1e3),
        Some(s) => format!("{s:.1}s"),
    }
}

fn age(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes as f64 / 1024.0 {
        kib if kib < 1024.0 => format!("{kib:.0} KiB"),
        kib => format!("{:.0} MiB", kib / 1024.0),
    }
}
