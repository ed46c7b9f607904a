"use strict";
// Names, keys and errors come from outside: they reach the page as text only, never as markup.
const EVERY = 2000, FIRST = 700, WINDOW = 6, POINTS = 40;
const $ = (id) => document.getElementById(id);
const sparks = new Map();
let looks = [], timer = 0, isPaused = false, sort = { column: -1, isDown: false };

function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}
function say(element, text) { if (element.textContent !== text) element.textContent = text; }
function name(element, value) { if (element.className !== value) element.className = value; }

// Numbers as people read them.
const none = "–";
function count(n) {
  if (n === null) return none;
  if (n >= 1e6) return (n / 1e6).toFixed(1) + " M";
  if (n >= 1e4) return (n / 1e3).toFixed(1) + " k";
  return n >= 10 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}
const percent = (n) => n === null ? none : (n * 100).toFixed(n > 0 && n < 0.01 ? 2 : 1) + " %";
function time(s) {
  if (s === null) return none;
  if (s < 1e-3) return Math.round(s * 1e6) + " µs";
  return s < 1 ? (s * 1e3).toFixed(s < 0.01 ? 1 : 0) + " ms" : s.toFixed(1) + " s";
}
function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return (unit && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[unit];
}
function age(s) {
  if (s < 90) return Math.max(0, Math.round(s)) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
}
const since = (moment) => age((Date.now() - Date.parse(moment)) / 1000);

// What happened between the oldest look that is kept and the newest.
const grown = (now, before) => before === undefined || now < before ? now : now - before;
function rate(now, before, field) {
  const seconds = (looks.at(-1).uptime_milliseconds - looks[0].uptime_milliseconds) / 1000;
  return seconds > 0 ? grown(now[field], before?.[field]) / seconds : null;
}
function hits(now, before) {
  const reads = grown(now.reads, before?.reads);
  return looks.length > 1 && reads > 0 ? grown(now.read_hits, before?.read_hits) / reads : null;
}
function quantile(part, now, before) {
  if (looks.length < 2) return null;
  const bounds = looks.at(-1).duration_bounds;
  const of = (look, i) => look ? look.read_durations[i] + look.write_durations[i] + look.delete_durations[i] : 0;
  const counts = now.read_durations.map((_, i) => Math.max(0, of(now, i) - of(before, i)));
  let left = part * counts.reduce((sum, n) => sum + n, 0);
  if (left === 0) return null;
  for (let i = 0; i < bounds.length; i += 1) {
    const low = i ? bounds[i - 1] : 0;
    if (left <= counts[i]) return low + (bounds[i] - low) * left / counts[i];
    left -= counts[i];
  }
  return bounds.at(-1);
}

// A table keeps its rows and cells, so that what has the focus keeps it.
function cell(row, column, text, note, kind) {
  const td = row.cells[column];
  if (!td.firstChild) td.append(make("span"), make("small"));
  say(td.firstChild, text);
  name(td.firstChild, kind || "");
  say(td.children[1], note || "");
  td.children[1].hidden = !note;
  td.classList.toggle("blank", !text && !note);
}
function rows(table, columns, items, key, fill) {
  const body = table.tBodies[0];
  const old = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
  items.forEach((item, place) => {
    const id = key(item);
    let row = old.get(id);
    old.delete(id);
    if (!row) {
      row = make("tr");
      row.dataset.key = id;
      for (const column of columns) {
        const td = make("td", undefined, column.name || "number");
        td.dataset.label = column.title;
        row.append(td);
      }
    }
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
    fill(row, item);
  });
  for (const row of old.values()) row.remove();
}
function headings(table, columns, isSorted) {
  columns.forEach((column, index) => {
    const th = make("th");
    th.scope = "col";
    if (isSorted && column.by) {
      const button = make("button", column.title);
      button.type = "button";
      button.addEventListener("click", () => {
        sort = { column: index, isDown: sort.column === index ? !sort.isDown : column.name !== "wide" };
        show();
      });
      th.append(button);
    } else th.textContent = column.title;
    table.tHead.rows[0].append(th);
  });
}
const POOLS = [{ title: "Pool", name: "wide" }, { title: "Nodes" }, { title: "Requests/s" }, { title: "Hits" },
  { title: "Errors/s" }, { title: "p50" }, { title: "p99" }, { title: "Discovery", name: "wide" }];
const NODES = [
  { title: "Node", name: "wide", by: (n) => n.pool + " " + n.node },
  { title: "State", name: "wide", by: (n) => worth(n) },
  { title: "Share", by: (n) => n.share },
  { title: "Requests/s", by: (n) => n.now.requests ?? 0 },
  { title: "Hits", by: (n) => n.now.hits ?? -1 },
  { title: "Errors/s", by: (n) => n.now.errors ?? 0 },
  { title: "p50", by: (n) => n.now.p50 ?? -1 },
  { title: "p99", by: (n) => n.now.p99 ?? -1 },
  { title: "In flight", by: (n) => n.in_flight },
  { title: "Links", by: (n) => n.links },
  { title: "Last error", name: "wide", by: (n) => n.last_error ?? "" },
  { title: "Actions", name: "wide" },
];
const HOT = [{ title: "Key", name: "wide" }, { title: "Share" }, { title: "Reads/s" }, { title: "Writes/s" },
  { title: "Bytes/s" }, { title: "Node", name: "wide" }];
const SLOW = [{ title: "When", name: "wide" }, { title: "Took" }, { title: "Ringway" }, { title: "Queue" }, { title: "Node" },
  { title: "Request", name: "wide" }, { title: "Outcome" }, { title: "Bytes" }, { title: "To", name: "wide" }];
const MEMORY = [{ title: "Pool", name: "wide" }, { title: "Hits" }, { title: "Memory in use" }, { title: "Half" },
  { title: "A quarter more" }, { title: "Half more" }, { title: "Twice" }];
const identity = (n) => JSON.stringify([n.pool, n.node]);
const isDown = (n) => n.state !== "up" && n.state !== "suspect";
const isTroubled = (n) => n.state !== "up" || !n.in_ring || n.drained || n.missed_all || n.now.errors > 0;
const worth = (n) => isDown(n) ? 4 : !n.in_ring || n.drained ? 3 : n.state !== "up" ? 2 : n.missed_all ? 1 : 0;

function showPools(status, before) {
  rows($("pools"), POOLS, status.pools, (pool) => pool.name, (row, pool) => {
    const old = before?.pools.find((other) => other.name === pool.name);
    const own = status.nodes.filter((node) => node.pool === pool.name);
    const up = own.filter((node) => !isDown(node)).length;
    const errors = rate(pool, old, "errors");
    cell(row, 0, pool.name, pool.distribution);
    cell(row, 1, up + " of " + own.length + " up", pool.fails_open ? "fails open" : "", up < own.length ? "badge bad" : "");
    cell(row, 2, count(rate(pool, old, "requests")));
    cell(row, 3, percent(hits(pool, old)));
    cell(row, 4, count(errors), kinds(pool), errors > 0 ? "badge bad" : "");
    cell(row, 5, time(quantile(0.5, pool, old)));
    cell(row, 6, time(quantile(0.99, pool, old)));
    showDiscovery(row, pool);
  });
}
function kinds(part) {
  return Object.entries(part.errors_by_kind).map(([kind, n]) => kind + " " + count(n)).join(", ");
}
function showDiscovery(row, pool) {
  const found = pool.discover, td = row.cells[7];
  const lines = [];
  if (found) {
    const answer = found.last_answer_age_seconds;
    lines.push(found.members + (found.members === 1 ? " member" : " members"), answer === null ? "no answer yet" : "answered " + age(answer) + " ago");
    if (found.joining.length) lines.push("joining: " + found.joining.join(", "));
    if (found.leaving.length) lines.push("leaving: " + found.leaving.join(", "));
    if (found.last_error) lines.push(found.last_error);
  }
  cell(row, 7, found ? found.from : "", lines.join(" · "), found?.last_error ? "badge warn" : "");
  if (!found) return;
  let button = td.querySelector("button");
  if (!button) {
    button = make("button", "Accept the held change");
    button.type = "button";
    td.append(button);
  }
  button.hidden = !found.held;
  button.onclick = () => ask("Accept the change of pool " + pool.name + "?", held(found.held),
    "pools/" + encodeURIComponent(pool.name) + "/accept", "Accept");
}
function held(change) {
  const nodes = (verb, list) => list.length ? verb + " " + list.join(", ") + ". " : "";
  return percent(change.moved) + " of its keys go to another node and are misses once. "
    + nodes("Joining:", change.added) + nodes("Leaving:", change.removed);
}

function showNodes(status, before) {
  const old = new Map((before?.nodes ?? []).map((node) => [identity(node), node]));
  for (const node of status.nodes) {
    const was = old.get(identity(node));
    node.now = { requests: rate(node, was, "requests"), errors: rate(node, was, "errors"), hits: hits(node, was),
      p50: quantile(0.5, node, was), p99: quantile(0.99, node, was) };
  }
  const words = $("words").value.toLowerCase().split(" ").filter(Boolean);
  const text = (n) => [n.pool, n.node, n.address, n.state, n.zone, n.drained ? "drained" : ""].join(" ").toLowerCase();
  const shown = status.nodes.filter((node) => words.every((word) => text(node).includes(word))
    && (!$("troubled").checked || isTroubled(node)));
  const by = NODES[sort.column]?.by;
  if (by) {
    const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;
    shown.sort((a, b) => (sort.isDown ? -1 : 1) * order(by(a), by(b)));
  }
  say($("count"), shown.length + " of " + status.nodes.length);
  Array.from($("nodes").tHead.rows[0].cells).forEach((th, index) => {
    if (index === sort.column) th.ariaSort = sort.isDown ? "descending" : "ascending";
    else th.removeAttribute("aria-sort");
  });
  rows($("nodes"), NODES, shown, identity, showNode);
}
function showNode(row, node) {
  const where = node.address === node.node ? "" : node.address + " · ";
  cell(row, 0, node.node, where + "pool " + node.pool + (node.zone ? " · zone " + node.zone : "")
    + (node.weight === 1 ? "" : " · weight " + node.weight));
  const notes = ["for " + since(node.since)];
  if (!node.in_ring && !node.drained) notes.push("takes no keys");
  if (node.probed_within_seconds !== null) notes.push("probed every " + time(node.probed_within_seconds));
  if (node.missed_all) notes.push("all its keys are misses until a flush");
  else if (node.missed_writes) notes.push(count(node.missed_writes) + " keys to delete");
  const kind = isDown(node) ? "bad" : node.drained || node.state !== "up" || !node.in_ring ? "warn" : "good";
  cell(row, 1, node.state + (node.drained ? ", drained" : ""), notes.join(" · "), "badge " + kind);
  cell(row, 2, percent(node.share));
  bar(row.cells[2], node.share);
  cell(row, 3, count(node.now.requests));
  cell(row, 4, percent(node.now.hits));
  cell(row, 5, count(node.now.errors), kinds(node), node.now.errors > 0 ? "badge bad" : "");
  cell(row, 6, time(node.now.p50));
  cell(row, 7, time(node.now.p99));
  spark(row.cells[7], identity(node), node.node);
  cell(row, 8, String(node.in_flight));
  cell(row, 9, node.address === "embedded" ? none : String(node.links));
  cell(row, 10, node.last_error ?? "");
  act(row.cells[11], node);
}
function bar(td, share) {
  let meter = td.querySelector("meter");
  if (!meter) {
    meter = make("meter");
    meter.ariaHidden = "true";
    td.append(meter);
  }
  meter.value = share;
}
function spark(td, id, node) {
  const points = sparks.get(id) ?? [];
  const highest = Math.max(...points, 1e-6);
  let svg = td.querySelector("svg");
  if (!svg) {
    svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 " + (POINTS - 1) + " 10");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
    td.append(svg);
  }
  const line = points.map((p, i) => (POINTS - points.length + i) + "," + (9.5 - 9 * p / highest).toFixed(1));
  svg.firstChild.setAttribute("points", line.join(" "));
}
function showHot(status) {
  $("hot-section").hidden = !status.hot_keys.length;
  rows($("hot"), HOT, status.hot_keys, (hot) => JSON.stringify([hot.pool, hot.key, hot.hash]), (row, hot) => {
    cell(row, 0, hot.key ?? hot.hash, hot.key === null ? "hash of the key · pool " + hot.pool : "pool " + hot.pool);
    cell(row, 1, percent(hot.share));
    bar(row.cells[1], hot.share);
    cell(row, 2, count(hot.reads_per_second));
    cell(row, 3, count(hot.writes_per_second));
    cell(row, 4, bytes(hot.bytes_per_second));
    cell(row, 5, hot.node ?? none);
  });
}
function showSlow(status) {
  $("slow-section").hidden = !status.slow_requests.length;
  const numbered = status.slow_requests.map((slow, index) => [slow, String(index)]);
  rows($("slow"), SLOW, numbered, ([, id]) => id, (row, [slow]) => {
    cell(row, 0, since(slow.at) + " ago", slow.at);
    cell(row, 1, time(slow.seconds));
    cell(row, 2, time(slow.own_seconds));
    cell(row, 3, time(slow.queue_seconds));
    cell(row, 4, time(slow.node_seconds));
    cell(row, 5, slow.command + " " + (slow.key ?? slow.hash), slow.key === null ? "hash of the key" : "");
    cell(row, 6, slow.outcome, slow.retried ? "sent twice" : "");
    cell(row, 7, bytes(slow.bytes));
    cell(row, 8, slow.node, "pool " + slow.pool);
  });
}
function showMemory(status) {
  $("memory-section").hidden = !status.miss_ratios.length;
  rows($("memory"), MEMORY, status.miss_ratios, (one) => one.pool, (row, one) => {
    cell(row, 0, one.pool, count(one.reads) + " reads");
    cell(row, 1, percent(one.hit_ratio));
    cell(row, 2, one.present_bytes === null ? none : bytes(one.present_bytes), "of " + bytes(one.item_bytes) + " of items");
    for (let column = 0; column < 4; column += 1) {
      const change = one.changes[column];
      cell(row, 3 + column, change ? percent(change.hit_ratio) : none, change ? bytes(change.bytes) : "");
    }
  });
}
const VERBS = {
  Drain: ["drain", "It takes no new keys: they go to other nodes. What it owes is answered. A restart forgets the drain."],
  Undrain: ["undrain", "It takes its keys again, once it is cleared as the pool's rejoin says."],
  Admit: ["admit", "It takes its keys again as it is: values that were replaced while it was away may be read."],
};
function act(td, node) {
  const wanted = [node.drained ? "Undrain" : "Drain"];
  if (!node.in_ring && !node.drained && !isDown(node)) wanted.push("Admit");
  for (const verb of Object.keys(VERBS)) {
    let button = td.querySelector("." + verb);
    if (!button && wanted.includes(verb)) {
      button = make("button", verb, verb);
      button.type = "button";
      button.ariaLabel = verb + " node " + node.node + " of pool " + node.pool;
      const [path, text] = VERBS[verb];
      const request = "nodes/" + encodeURIComponent(node.node) + "/" + path + "?pool=" + encodeURIComponent(node.pool);
      button.addEventListener("click", () => ask(button.ariaLabel + "?", text, request, verb));
      td.append(button);
    }
    if (button) button.hidden = !wanted.includes(verb);
  }
}

function showHead(status, before) {
  say($("phase"), status.phase);
  name($("phase"), "badge " + (status.ready ? "good" : "bad"));
  say($("process"), "version " + status.version + " · up for " + age(status.uptime_milliseconds / 1000) + " · "
    + status.workers + (status.workers === 1 ? " worker" : " workers"));
  document.title = (status.ready ? "" : "! ") + "Ringway " + status.phase;
  const notes = status.reasons.map((reason) => ["bad", reason]);
  if (status.config.mistakes.length) notes.push(["bad",
    "The configuration file is not what runs, the last good one does:\n" + status.config.mistakes.join("\n")]);
  for (const pool of status.pools) {
    if (pool.fails_open) notes.push(["bad", "Pool " + pool.name + ": more nodes are down than max_down allows."]);
    if (pool.discover?.held) notes.push(["warn", "Pool " + pool.name + ": a change is held. " + held(pool.discover.held)]);
  }
  const down = status.nodes.filter(isDown);
  if (down.length) notes.push(["bad", (down.length === 1 ? "1 node is down: " : down.length + " nodes are down: ")
    + down.slice(0, 5).map((node) => node.node).join(", ") + (down.length > 5 ? ", …" : "")]);
  const text = JSON.stringify(notes);
  if ($("notes").dataset.text !== text) {
    $("notes").dataset.text = text;
    $("notes").replaceChildren(...notes.map(([kind, note]) => make("li", note, kind)));
  }
  const all = (look, field) => look?.pools.reduce((sum, pool) => sum + pool[field], 0);
  const sums = (look) => look && { requests: all(look, "requests"), errors: all(look, "errors"), reads: all(look, "reads"),
    read_hits: all(look, "read_hits") };
  const [now, old] = [sums(status), sums(before)];
  const memory = status.memory;
  const slowest = status.pools.map((pool) =>
    quantile(0.99, pool, before?.pools.find((other) => other.name === pool.name)));
  const tiles = [
    ["Requests to nodes", count(rate(now, old, "requests")) + "/s", count(rate(status, before, "client_requests")) + "/s of clients"],
    ["Hits", percent(hits(now, old)), "of reads"],
    ["Errors", count(rate(now, old, "errors")) + "/s", count(rate(status, before, "bad_requests")) + "/s bad requests"],
    ["p99", time(Math.max(...slowest) || null), "of the slowest pool"],
    ["Sessions", count(status.sessions), status.listeners.map((one) => one.bind + " " + one.sessions).join(", ")],
    ["Buffers", percent(memory.buffers / memory.limit), bytes(memory.buffers) + " of " + bytes(memory.limit)],
    ["Batching", count(rate(status, before, "batching_waits")) + "/s", "sleeps that gather events"],
  ];
  tiles.forEach(([title, value, note], index) => {
    let tile = $("tiles").children[index];
    if (!tile) {
      tile = make("div");
      const dd = make("dd");
      dd.append(make("span"), make("small"));
      tile.append(make("dt", title), dd);
      $("tiles").append(tile);
    }
    say(tile.lastChild.firstChild, value);
    say(tile.lastChild.lastChild, note);
  });
}
function showConfig(status) {
  const { config } = status;
  const text = JSON.stringify(config);
  if ($("config").dataset.text === text) return;
  $("config").dataset.text = text;
  const parts = [make("div", "Hash " + config.hash + ", taken " + config.taken_at + ". Reloads: "
    + config.reloads_taken + " taken, " + config.reloads_refused + " refused.")];
  if (config.last_reload) {
    parts.push(make("h3", "The last reload"));
    const list = make("ul");
    const value = (one) => typeof one === "string" ? one : JSON.stringify(one);
    for (const { path, old, new: next } of config.last_reload.changes) {
      list.append(make("li", path + ": " + (old === null ? "added " + value(next)
        : next === null ? "removed " + value(old) : value(old) + " → " + value(next))));
    }
    for (const { pool, to_pool, moved, exact, at_most: atMost, moves } of config.last_reload.pools) {
      const item = make("li", "pool " + pool + (pool === to_pool ? "" : " → " + to_pool) + ": " + (atMost ? "up to " : "")
        + percent(moved)
        + " of all keys moved" + (exact ? "" : " (sampled)"));
      const details = make("ul");
      for (const { from, to, share } of moves) details.append(make("li", from + " → " + to + ": " + percent(share)));
      item.append(details);
      list.append(item);
    }
    parts.push(list);
  }
  $("config").replaceChildren(...parts);
}
function showListeners(status) {
  const binds = status.listeners.map((one) => one.bind);
  const select = $("listener");
  if (select.dataset.text === JSON.stringify(binds)) return;
  select.dataset.text = JSON.stringify(binds);
  select.replaceChildren(...binds.map((bind) => make("option", bind)));
}

function show() {
  const status = looks.at(-1);
  if (!status) return;
  const before = looks.length > 1 ? looks[0] : undefined;
  showHead(status, before);
  showNodes(status, before);
  showPools(status, before);
  showHot(status);
  showSlow(status);
  showMemory(status);
  showConfig(status);
  showListeners(status);
  document.body.dataset.looks = Number(document.body.dataset.looks ?? 0) + 1;
}
function remember(status) {
  const last = looks.at(-1);
  if (last && last.uptime_milliseconds > status.uptime_milliseconds) looks = [];
  looks = looks.slice(1 - WINDOW).concat(status);
  show();
  const known = new Map(status.nodes.map((node) => {
    const points = (sparks.get(identity(node)) ?? []).concat(node.now.p99 ?? 0);
    return [identity(node), points.slice(-POINTS)];
  }));
  sparks.clear();
  known.forEach((points, id) => sparks.set(id, points));
}
async function look() {
  clearTimeout(timer);
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(await answer.text());
    remember(await answer.json());
    document.body.classList.remove("stale");
    say($("seen"), "as of " + new Date().toLocaleTimeString());
  } catch (error) {
    document.body.classList.add("stale");
    say($("seen"), "no answer: " + error.message);
  }
  if (!isPaused && !document.hidden) timer = setTimeout(look, looks.length < 2 ? FIRST : EVERY);
}

function ask(title, text, request, verb) {
  say($("dialog-title"), title);
  say($("dialog-text"), text);
  say($("dialog-request"), "POST /" + request);
  say($("dialog-answer"), "");
  say($("dialog-close"), "Cancel");
  say($("dialog-do"), verb);
  $("dialog-do").hidden = false;
  $("dialog-do").onclick = async () => {
    $("dialog-do").hidden = true;
    $("dialog-close").focus();
    try {
      const answer = await fetch(request, { method: "POST" });
      say($("dialog-answer"), await answer.text());
      name($("dialog-answer"), "padded " + (answer.ok ? "good" : "bad"));
    } catch (error) {
      say($("dialog-answer"), "no answer: " + error.message);
    }
    say($("dialog-close"), "Close");
    look();
  };
  name($("dialog-answer"), "");
  $("dialog").showModal();
  $("dialog-close").focus();
}

// A step or a branch of an explanation: its name and its fields, whatever they are.
function described(part) {
  const kind = part.step ?? part.pool ?? part.route ?? "";
  const fields = Object.entries(part).filter(([field, value]) =>
    field !== "step" && value !== null && typeof value !== "object");
  const text = fields.map(([field, value]) => field.replaceAll("_", " ") + " " + value).join(", ");
  return part.step ? String(kind).replaceAll("_", " ") + ": " + text : text;
}
function branches(part) {
  const item = make("li", described(part));
  const inner = Object.values(part).flatMap((value) => Array.isArray(value) ? value : [value])
    .filter((value) => value !== null && typeof value === "object" && Object.keys(value).length);
  if (inner.length) {
    const list = make("ul");
    list.append(...inner.map(branches));
    item.append(list);
  }
  return item;
}
async function explain(event) {
  event.preventDefault();
  const bytes = new TextEncoder().encode($("key").value);
  const key = Array.from(bytes, (byte) => "%" + byte.toString(16).padStart(2, "0")).join("");
  const path = "explain?key=" + key + "&listener=" + encodeURIComponent($("listener").value)
    + ($("live").checked ? "&live=1" : "");
  const parts = [];
  try {
    const answer = await fetch(path, { cache: "no-store" });
    if (answer.ok) {
      // A hash has 64 bits, more than a number of JavaScript: it stays text.
      const found = JSON.parse((await answer.text()).replace(/"value":(\d+)/g, '"value":"$1"'));
      const out = found.instead_of;
      parts.push(make("h3", found.key + " → pool " + found.pool + ", node " + found.node));
      if (out) parts.push(make("p", "instead of " + out.node + ", which is " + out.state));
      if (found.missed) parts.push(make("p", "The node missed a write of it: a miss until it is deleted there."));
      const list = make("ol");
      list.append(...found.steps.map((step) => make("li", described(step))));
      parts.push(list);
      if (found.tree) {
        const tree = make("ul");
        tree.append(branches(found.tree));
        parts.push(make("h3", "Everything it may come to"), tree);
      }
    } else parts.push(make("p", await answer.text(), "bad padded"));
  } catch (error) {
    parts.push(make("p", "no answer: " + error.message, "bad padded"));
  }
  $("explained").replaceChildren(...parts);
}

headings($("pools"), POOLS, false);
headings($("nodes"), NODES, true);
headings($("hot"), HOT, false);
headings($("slow"), SLOW, false);
headings($("memory"), MEMORY, false);
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("words").addEventListener("input", show);
$("troubled").addEventListener("change", show);
$("explain").addEventListener("submit", explain);
$("reload").addEventListener("click", () => ask("Reload the configuration?",
  "The file is read again. With a mistake in it, nothing changes.", "reload", "Reload"));
$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("pause").ariaPressed = String(isPaused);
  say($("pause"), isPaused ? "Go on" : "Pause");
  look();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
