"use strict";

// Everything is drawn from `run`; a line is [at_ns, who, what, gathers, durable, queue?, ready?, unacked?].
const run = JSON.parse(document.getElementById("run").textContent);
const at = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};
const ROW = 22, MAP_LANE = 15, MAP_TOP = 18, MAP_BOTTOM = 16;
const FAULTS = /^! (c\d+(\/\d+)? )?(crash|power|disk|eof|reset|vanish|stall|clog|garbage)\b|^! the process ends|^! \d+ .* is (torn|not done|done|done in part)$/;
const KINDS = [
  ["to", "to the broker"], ["from", "from the broker"], ["inner", "inside"],
  ["step", "steps"], ["fault", "faults"], ["disk", "disk"],
];

// ---- what the lines say -------------------------------------------------------------------------

const clientOf = (who) => /^c\d+/.exec(who)?.[0] ?? "";
const clients = [...new Set(run.lines.map((line) => clientOf(line[1])))].filter(Boolean)
  .sort((a, b) => a.slice(1) - b.slice(1));
const lanes = [...clients, "broker", "disk"];
// All lanes together leave room for what happened.
const LANE = Math.max(8, Math.min(15, 240 / lanes.length));
const laneOf = (who) => who === "disk" ? lanes.length - 1
  : who === "" ? lanes.length - 2 : lanes.indexOf(clientOf(who));

const kindOf = ([, who, what]) => {
  if (FAULTS.test(what)) return "fault";
  if (who === "disk") return "disk";
  if (what[0] === ">") return "to";
  if (what[0] === "<") return "from";
  return what[0] === "!" ? "step" : "inner";
};
const messagesOf = (what) => what.match(/\bm\d+\b/g) ?? [];
const words = (text) => text.match(/[^\s,"[\]=]+/g) ?? [];

const lines = run.lines.map((line, index) => ({
  index, at: line[0], who: line[1], what: line[2], gathers: line[3], durable: line[4],
  queue: line[5], ready: line[6], unacked: line[7],
  lane: laneOf(line[1]), kind: kindOf(line), messages: messagesOf(line[2]),
}));

// Phases come in order; the last mention of `stop` that counts is behind that of `drain`.
const phases = [{ name: run.phases[0]?.name ?? "safety", from: 0 }];
for (const { name } of run.phases.slice(1)) {
  const from = lines.findIndex((line) =>
    line.index > phases.at(-1).from && line.who === "" && line.what === `! ${name}`);
  if (from >= 0) phases.push({ name, from });
}
const phaseStart = new Map(phases.slice(1).map((phase) => [phase.from, phase.name]));
const phaseAt = (index) => phases.findLast((phase) => phase.from <= index)?.name ?? "";

// Which lanes live at each line: clients that are connected, a broker that serves.
const lives = lanes.map(() => new Uint8Array(lines.length));
{
  const now = new Uint8Array(lanes.length);
  const broker = lanes.length - 2;
  now[lanes.length - 1] = 1;
  for (const { index, who, what, lane } of lines) {
    if (who === "" && what.startsWith("^ serves")) now[broker] = 1;
    if (who === "" && what.startsWith("! the process")) now.fill(0, 0, broker + 1);
    if (what === "> connects") now[lane] = 1;
    const isGone = what === "> end of stream" || what === "< closes" || /^! c\d+ (reset|vanish)/.test(what);
    if (lane < broker && isGone) now[lane] = 0;
    now.forEach((lives_now, at) => { lives[at][index] = lives_now; });
  }
}

const failing = run.failure
  ? lines.findLastIndex((line) => line.what.startsWith("<!")) >= 0
    ? lines.findLastIndex((line) => line.what.startsWith("<!"))
    : lines.length - 1
  : -1;
const isBad = (line) => run.failure && (line.index === failing || line.index === lines.length - 1);

const isAbout = {
  message: (line, message) => line.messages.includes(message),
  queue: (line, queue) => line.queue === queue || words(line.what).includes(queue),
};

// ---- filters ------------------------------------------------------------------------------------

const filter = { search: "", client: "", queue: "", message: "", hidden: new Set() };
let shown = lines, picked = -1;

const passes = (line) => {
  if (isBad(line)) return true;
  if (filter.hidden.has(line.kind)) return false;
  if (filter.client && lanes[line.lane] !== filter.client) return false;
  if (filter.queue && !isAbout.queue(line, filter.queue)) return false;
  if (filter.message && !isAbout.message(line, filter.message)) return false;
  if (!filter.search) return true;
  return `${line.who} ${line.what}`.toLowerCase().includes(filter.search.toLowerCase());
};

const setFilter = (change) => {
  const middle = picked >= 0 ? picked : shown[firstRow()]?.index ?? 0;
  Object.assign(filter, change);
  for (const id of ["search", "client", "queue", "message"]) at(id).value = filter[id];
  shown = lines.filter(passes);
  base = null;
  const all = lines.length.toLocaleString("en");
  at("count").textContent = shown.length === lines.length
    ? `${all} lines` : `${shown.length.toLocaleString("en")} of ${all} lines`;
  for (const button of at("lanes").children) {
    button.classList.toggle("on", button.textContent === filter.client);
  }
  at("rows").style.height = `${shown.length * ROW}px`;
  scrollTo(middle);
  draw();
};

// ---- the list -----------------------------------------------------------------------------------

const list = at("list"), rows = at("rows");
const firstRow = () => Math.floor(list.scrollTop / ROW);
const visibleRows = () => Math.ceil(list.clientHeight / ROW);
const rowOf = (index) => {
  const row = shown.findIndex((line) => line.index >= index);
  return row < 0 ? shown.length - 1 : row;
};
const scrollTo = (index) => {
  const row = rowOf(index), top = row * ROW;
  const isVisible = top >= list.scrollTop && top + 3 * ROW <= list.scrollTop + list.clientHeight;
  if (!isVisible) list.scrollTop = top - list.clientHeight / 2;
};

const time = (ns) => `${Math.floor(ns / 1e9)}.${String(Math.floor(ns / 1e3) % 1e6).padStart(6, "0")}`;
const x = (lane) => LANE / 2 + lane * LANE;
const color = (name) => `var(--${name})`;

const gutter = (line) => {
  const broker = lanes.length - 2, width = lanes.length * LANE;
  const parts = lanes.map((_, lane) => {
    const isAlive = lives[lane][line.index];
    const dash = isAlive ? "" : ` stroke-dasharray="1 4"`;
    const stroke = lane === broker && !isAlive ? "fault" : "up";
    return `<path d="M${x(lane)} 0V${ROW}" stroke="${color(stroke)}"${dash}/>`;
  });
  const tint = color(isBad(line) ? "bad" : line.kind);
  const isToBroker = line.lane < broker && line.what[0] === ">";
  const isFromBroker = line.lane < broker && line.what[0] === "<";
  const isDisk = line.lane > broker && line.what[0] !== "!";
  if (isToBroker || isFromBroker || isDisk) {
    // A disk's `>` goes from the broker to the disk, a client's to the broker.
    const away = isFromBroker || isDisk && line.what[0] === ">";
    const [from, to] = away ? [broker, line.lane] : [line.lane, broker];
    const tip = to > from ? -5 : 5;
    parts.push(`<path d="M${x(from)} 11H${x(to)}" stroke="${tint}" stroke-width="1.6"/>`,
      `<path d="M${x(to)} 11l${tip} -3.5v7z" fill="${tint}"/>`);
  } else if (line.kind === "fault" || line.kind === "step") {
    parts.push(`<path d="M${x(line.lane)} 5l6 6l-6 6l-6 -6z" fill="${tint}"/>`);
  } else {
    parts.push(`<circle cx="${x(line.lane)}" cy="11" r="3" fill="${tint}"/>`);
  }
  return `<svg width="${width}" height="${ROW}" fill="none">${parts.join("")}</svg>`;
};

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const linked = (text) => escape(text).replace(/\bm\d+\b/g, (m) => `<a data-message="${m}">${m}</a>`);

const rowHtml = (line, row) => {
  const isSame = row > 0 && time(shown[row - 1].at) === time(line.at);
  const phase = phaseStart.get(line.index);
  const classes = ["row", line.index === picked && "picked", isBad(line) && "bad", phase && "phase"];
  const state = line.queue === undefined ? ""
    : `<a data-queue="${escape(line.queue)}">${escape(line.queue)}</a> ready ${line.ready} held ${line.unacked}`;
  const kind = phase ? "phase-name" : line.kind;
  return `<div class="${classes.filter(Boolean).join(" ")}" style="top:${row * ROW}px" data-index="${line.index}">`
    + `<span class="time${isSame ? " same" : ""}">${time(line.at)}</span>${gutter(line)}`
    + `<span class="who">${escape(line.who)}</span>`
    + `<span class="what ${kind}">${linked(line.what)}</span>`
    + `<span class="state">${state}</span>`
    + `<span class="pos">${line.gathers}${line.durable < line.gathers - 1 ? ` (${line.durable})` : ""}</span></div>`;
};

const draw = () => {
  const from = Math.max(0, firstRow() - 10), to = Math.min(shown.length, from + visibleRows() + 20);
  rows.innerHTML = shown.length
    ? shown.slice(from, to).map((line, offset) => rowHtml(line, from + offset)).join("")
    : `<div class="none">No line passes the filters.</div>`;
  drawMap();
};

const pick = (index, moves = true) => {
  picked = index;
  history.replaceState(null, "", `#${index + 1}`);
  if (moves) scrollTo(index);
  draw();
  showLine(lines[index]);
};

// ---- the map ------------------------------------------------------------------------------------

const map = at("map");
// All but the window, which moves with the list; made anew when it can have changed.
let base = null;
const place = (index) => index / Math.max(1, lines.length) * map.clientWidth;
const tint = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const drawMap = () => {
  const scale = window.devicePixelRatio || 1, width = map.clientWidth;
  const height = MAP_TOP + lanes.length * MAP_LANE + MAP_BOTTOM;
  if (!base) {
    map.style.height = `${height}px`;
    map.width = width * scale;
    map.height = height * scale;
    base = make("canvas", { width: map.width, height: map.height });
    const c = base.getContext("2d");
    c.scale(scale, scale);
    drawBase(c, width, height - MAP_BOTTOM);
  }
  const c = map.getContext("2d");
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, map.width, map.height);
  c.drawImage(base, 0, 0);
  c.scale(scale, scale);
  drawWindow(c, height - MAP_BOTTOM);
};

const drawBase = (c, width, foot) => {
  c.font = `11px ${tint("mono")}`;
  drawPhases(c, foot, width);
  c.fillStyle = tint("up");
  lanes.forEach((_, lane) => drawLife(c, lane));
  const tints = new Map(["bad", ...KINDS.map(([kind]) => kind)].map((name) => [name, tint(name)]));
  const step = Math.max(1, width / lines.length);
  for (const line of shown) {
    c.fillStyle = tints.get(isBad(line) ? "bad" : line.kind);
    const isLoud = line.kind === "fault" || isBad(line);
    const top = MAP_TOP + line.lane * MAP_LANE + (isLoud ? 0 : 3);
    const [across, down] = isLoud ? [Math.max(2, Math.min(step, 5)), MAP_LANE] : [Math.min(step, 3), MAP_LANE - 6];
    c.fillRect(place(line.index), top, across, down);
  }
  drawTimes(c, foot, width);
  if (failing < 0) return;
  c.fillStyle = tint("bad");
  c.fillRect(Math.min(place(failing), width - 2), 0, 2, foot);
};

const drawPhases = (c, foot, width) => {
  phases.forEach((phase, nth) => {
    const from = place(phase.from), to = place(phases[nth + 1]?.from ?? lines.length);
    if (nth % 2) {
      c.fillStyle = tint("hover");
      c.fillRect(from, 0, to - from, foot);
    }
    c.fillStyle = tint("dim");
    if (c.measureText(phase.name).width + 8 < to - from) c.fillText(phase.name, from + 4, 12);
  });
  c.strokeStyle = tint("line");
  c.strokeRect(0.5, MAP_TOP - 0.5, width - 1, foot - MAP_TOP);
};

const drawLife = (c, lane) => {
  const middle = MAP_TOP + lane * MAP_LANE + MAP_LANE / 2;
  let since = -1;
  for (let index = 0; index <= lines.length; index += 1) {
    const isAlive = index < lines.length && lives[lane][index];
    if (isAlive && since < 0) since = index;
    if (!isAlive && since >= 0) {
      c.fillRect(place(since), middle - 0.5, place(index) - place(since), 1);
      since = -1;
    }
  }
};

// The map goes by lines, not by time, so that idle time takes no room: times stand below.
const drawTimes = (c, foot, width) => {
  c.fillStyle = tint("faint");
  for (let left = 0; left + 60 < width; left += 110) {
    const line = lines[Math.floor(left / width * lines.length)];
    if (line) c.fillText(`${(line.at / 1e9).toFixed(3)}s`, left + 3, foot + 12);
    c.fillRect(left, foot, 1, 4);
  }
};

const drawWindow = (c, foot) => {
  if (!shown.length) return;
  const first = shown[Math.min(firstRow(), shown.length - 1)].index;
  const last = shown[Math.min(firstRow() + visibleRows(), shown.length - 1)].index;
  c.strokeStyle = tint("accent");
  c.lineWidth = 1.5;
  c.strokeRect(place(first), 1, Math.max(4, place(last) - place(first)), foot - 1);
};

const goOnMap = (event) => {
  const { left, width } = map.getBoundingClientRect();
  const index = Math.floor((event.clientX - left) / width * lines.length);
  list.scrollTop = rowOf(Math.max(0, index)) * ROW - list.clientHeight / 2;
};
const tellOnMap = (event) => {
  const { left, width } = map.getBoundingClientRect();
  const line = lines[Math.floor((event.clientX - left) / width * lines.length)];
  if (line) map.title = `${phaseAt(line.index)}, ${time(line.at)} s, line ${line.index + 1}`;
};
map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); goOnMap(event); });
map.addEventListener("pointermove", (event) => { tellOnMap(event); if (event.buttons) goOnMap(event); });

// ---- the side -----------------------------------------------------------------------------------

const lifeOf = (message) => lines.filter((line) => isAbout.message(line, message));

const lifeList = (message) => {
  const items = lifeOf(message).map((line) => make("li",
    { className: line.index === picked ? "on" : "", onclick: () => pick(line.index) },
    make("small", { textContent: `${time(line.at)} ${line.who}` }), line.what));
  return make("ul", { className: "life" }, ...items);
};

const showLine = (line) => {
  const panel = at("panel-line");
  const state = line.queue === undefined ? []
    : [make("h2", { textContent: "Queue" }),
      make("pre", { textContent: `${line.queue}: ${line.ready} ready, ${line.unacked} held by consumers` })];
  const lives = [...new Set(line.messages)].slice(0, 5).flatMap((message) => [
    make("h2", {}, `The life of ${message} `, filterButton(message)), lifeList(message)]);
  panel.replaceChildren(
    make("h2", { textContent: `${time(line.at)} s, ${line.who || "broker and world"}, phase ${phaseAt(line.index)}, line ${line.index + 1}` }),
    make("pre", { className: isBad(line) ? "what bad" : "", textContent: line.what }), ...state,
    make("h2", { textContent: "Log" }),
    make("pre", { textContent: `batch ${line.gathers} gathers, ${line.durable} is the last durable one` }),
    ...lives);
  showTab("line");
};

const filterButton = (message) =>
  make("button", { textContent: "only this", onclick: () => setFilter({ message }) });

const showTab = (name) => {
  for (const tab of ["line", "plan", "about"]) {
    at(`tab-${tab}`).classList.toggle("on", tab === name);
    at(`panel-${tab}`).hidden = tab !== name;
  }
};
for (const tab of ["line", "plan", "about"]) at(`tab-${tab}`).onclick = () => showTab(tab);

const fillPlan = () => {
  const isStep = run.failure && run.phase === run.phases[0]?.name;
  const steps = run.steps.map((step, nth) => make("div", {
    textContent: step,
    className: nth >= run.steps_begun ? "rest" : isStep && nth === run.steps_begun - 1 ? "bad" : "",
  }));
  const setup = make("div", { textContent: run.setup, className: "setup" });
  at("panel-plan").append(make("div", { className: "plan" }, setup, ...steps));
};

const table = (heads, rows) => make("table", {},
  make("tr", {}, ...heads.map((head) => make("th", { textContent: head }))),
  ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", { textContent: cell })))));

const fillAbout = () => {
  const faults = Object.entries(run.faults).sort((a, b) => b[1] - a[1]);
  at("panel-about").append(
    make("h2", { textContent: "Phases" }),
    table(["", "simulated", "operations"],
      run.phases.map((phase) => [phase.name, `${phase.simulated_s.toFixed(3)} s`, phase.operations])),
    make("h2", { textContent: "Faults" }),
    faults.length ? table(["", "how often"], faults) : make("span", { textContent: "none" }),
    make("h2", { textContent: "Signs" }),
    table(["", ""], [["> to the broker; from it to the disk", ""], ["< from the broker; from the disk", ""],
      ["^ inside the broker", ""], ["! a step of the plan, a fault, a phase", ""],
      ["<! what no checker allows", ""]]),
    make("h2", { textContent: "Keys" }),
    table(["", ""], [["next, previous line", "j  k"], ["next, previous fault", "n  p"],
      ["failing line", "f"], ["search", "/"], ["clear the filters", "esc"]]));
};

// ---- the head -----------------------------------------------------------------------------------

const fillHead = () => {
  const faults = Object.values(run.faults).reduce((sum, count) => sum + count, 0);
  at("verdict").textContent = run.passed ? "passed" : "failed";
  at("verdict").classList.add(run.passed ? "good" : "bad");
  at("name").textContent = run.name;
  const facts = [[run.operations.toLocaleString("en"), "operations"], [faults, "faults"],
    [run.simulated_s.toFixed(1), "simulated seconds"], [run.commit, ""]];
  at("facts").append(...facts.flatMap(([value, what], nth) =>
    [nth ? "  ·  " : "", make("b", { textContent: value }), ` ${what}`]));
  at("lanes").append(...lanes.map((lane) => make("button", {
    textContent: lane, style: `height:${MAP_LANE}px`, title: `Only ${lane}`,
    onclick: () => setFilter({ client: filter.client === lane ? "" : lane }),
  })));
  const names = `<svg width="${lanes.length * LANE}" height="42" font-size="9.5" fill="${color("dim")}">`
    + lanes.map((lane, nth) => `<text transform="translate(${x(nth) + 3} 40) rotate(-90)">${lane}</text>`).join("") + `</svg>`;
  at("head").innerHTML = `<span class="time">seconds</span>${names}<span class="who">who</span>`
    + `<span class="what">what</span><span class="state">queue</span><span class="pos">batch (durable)</span>`;
  if (!run.failure) return;
  at("failure").hidden = false;
  at("checker").textContent = `${run.failure.checker}:`;
  at("why").textContent = `${run.failure.text} (phase ${run.phase})`;
  at("go-failure").onclick = () => pick(failing);
  const message = run.failure.message;
  if (message) {
    at("go-life").hidden = false;
    at("go-life").textContent = `The life of ${message}`;
    at("go-life").onclick = () => setFilter({ message });
  }
};

const fillFilters = () => {
  const options = (select, all, names) => at(select).append(
    make("option", { value: "", textContent: all }),
    ...names.map((name) => make("option", { value: name, textContent: name })));
  const queues = [...new Set(lines.map((line) => line.queue).filter(Boolean))].sort();
  options("client", "all", lanes);
  options("queue", "all", queues);
  const messages = [...new Set(lines.flatMap((line) => line.messages))];
  at("messages").append(...messages.map((message) => make("option", { value: message })));
  at("kinds").append(...KINDS.map(([kind, title]) => make("button", {
    type: "button", textContent: title, className: `on ${kind}`,
    onclick: (event) => {
      const isHidden = !filter.hidden.delete(kind);
      if (isHidden) filter.hidden.add(kind);
      event.currentTarget.classList.toggle("on", !isHidden);
      setFilter({});
    },
  })));
  for (const id of ["search", "client", "queue", "message"]) {
    at(id).addEventListener("input", () => setFilter({ [id]: at(id).value.trim() }));
  }
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("clear").onclick = clear;
};

const clear = () => {
  filter.hidden.clear();
  for (const button of at("kinds").children) button.classList.add("on");
  setFilter({ search: "", client: "", queue: "", message: "" });
};

// ---- mouse, keys, theme ---------------------------------------------------------------------------

rows.addEventListener("click", ({ target }) => {
  if (target.dataset?.message) return setFilter({ message: target.dataset.message });
  if (target.dataset?.queue) return setFilter({ queue: target.dataset.queue });
  const row = target.closest(".row");
  if (row) pick(Number(row.dataset.index), false);
});
list.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
window.addEventListener("resize", () => { base = null; draw(); });

const move = (by, isWanted = () => true) => {
  const start = picked >= 0 ? rowOf(picked) : firstRow() - by;
  for (let row = start + by; row >= 0 && row < shown.length; row += by) {
    if (isWanted(shown[row])) return pick(shown[row].index);
  }
};
const isFault = (line) => line.kind === "fault";
const KEYS = {
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  n: () => move(1, isFault), p: () => move(-1, isFault),
  f: () => failing >= 0 && pick(failing), "/": () => at("search").focus(),
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.activeElement.blur();
    return clear();
  }
  const isTyping = /INPUT|SELECT/.test(document.activeElement.tagName);
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

const THEMES = ["system", "light", "dark"];
const isDark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = "system";
const setTheme = () => {
  const is = theme === "system" ? (isDark.matches ? "dark" : "light") : theme;
  document.documentElement.dataset.theme = is;
  document.documentElement.style.colorScheme = is;
  base = null;
  at("theme").textContent = { system: "◐ system", light: "○ light", dark: "● dark" }[theme];
  drawMap();
};
at("theme").onclick = () => { theme = THEMES[(THEMES.indexOf(theme) + 1) % 3]; setTheme(); };
isDark.addEventListener("change", setTheme);

fillHead();
fillFilters();
fillPlan();
fillAbout();
setFilter({});
setTheme();
// `#187` is line 187: a link to it can be passed on.
const linkedTo = Number(location.hash.slice(1)) - 1;
if (lines[linkedTo]) pick(linkedTo);
else if (failing >= 0) pick(failing);
else showTab("about");
