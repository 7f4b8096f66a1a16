// The wall. Every clip is decoded once into its frames, and one clock draws the same frame of all of them: nothing can drift.
// Gradio gives element, trigger, props and watch. The template never changes, so what is built here stays.
// It is one script with wall_clips.js and wall_curves.js, which come before it.

const SIZES = [64, 96, 128, 192, 256, 320, 384, 512, 640]; // pixels, of a clip's width
const GAP = 12; // pixels, as in wall.css
const HOVER_MS = 280;
const SIZE_KEY = "prior-studio-wall-size";
const NOTHING = { rows: [], columns: [], cells: [], curves: [], frames: 0, fps: 8, best: null, blind: false, note: "", picked: null, tools: [] };

const find = (selector, root = element) => root.querySelector(selector);
const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const percent = (share, digits = 0) => `${(share * 100).toFixed(digits)} %`;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const stored = () => { try { return localStorage.getItem(SIZE_KEY); } catch { return null; } };
const store = (size) => { try { localStorage.setItem(SIZE_KEY, size); } catch { /* then it holds for this page */ } };

const wall = find(".wall");
const view = find(".wall-view");
const scroll = find(".wall-scroll");
const grid = find(".wall-grid");
const loupe = find(".wall-loupe");
const divider = find(".loupe-divider");
const scrubber = find(".scrub input");
const act = (name) => find(`[data-act="${name}"]`);
const gone = new AbortController(); // ends every listener of this wall when Gradio has thrown its element away
const listen = (target, kinds, action, options = {}) =>
  kinds.split(" ").forEach((kind) => target.addEventListener(kind, action, { signal: gone.signal, ...options }));

let shown = NOTHING;
let cells = new Map(); // key -> Cell, in reading order
let reference = null; // key, chosen by hand
let hovered = null, pinned = null; // keys
let lit = null; // column
let wipe = 0; // share of the enlarged clip that shows the reference instead
let held = false, latched = false; // difference: D is down; its button is on
let size = stored(); // null: as large as is good; "fit": all in view; else pixels

// -- The clock ------------------------------------------------------------------------------------------------------------

const clock = { frame: 0, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches, loop: true, speed: 1, from: 0, since: 0 };
let ticking = 0, seen = false;

const total = () => Math.max(1, ...[...cells.values()].map((cell) => cell.frames.length)) || 1;

function setFrame(frame) {
  clock.frame = clamp(frame, 0, total() - 1);
  clock.from = clock.frame;
  clock.since = performance.now();
  paint();
}

function play(on) {
  if (on && !clock.loop && clock.frame >= total() - 1) clock.frame = 0;
  clock.playing = on;
  setFrame(clock.frame);
  showTransport();
  if (on) wake();
}

// When the next frame is due. A wall that nobody sees, and one that has nothing to play, rests.
function wake() {
  if (ticking || !clock.playing || !seen || total() < 2) return;
  const rate = (shown.fps * clock.speed) / 1000, at = (performance.now() - clock.since) * rate + clock.from;
  ticking = setTimeout(() => requestAnimationFrame(tick), (Math.floor(at) + 1 - at) / rate);
}

const watching = new IntersectionObserver(([{ isIntersecting }]) => {
  if (!element.isConnected) return leave();
  seen = isIntersecting;
  wake();
});
watching.observe(wall);

function step(by) {
  const count = total();
  if (clock.playing) play(false);
  setFrame(clock.loop ? (clock.frame + by + count) % count : clock.frame + by);
}

function tick(now) {
  ticking = 0;
  if (!element.isConnected) return leave();
  if (!clock.playing) return;
  const count = total();
  const frame = Math.floor(clock.from + (Math.max(0, now - clock.since) / 1000) * shown.fps * clock.speed + 1e-6);
  if (frame >= count && !clock.loop) {
    clock.frame = count - 1;
    return play(false);
  }
  if (frame % count !== clock.frame) {
    clock.frame = frame % count;
    paint();
  }
  wake();
}

function leave() {
  gone.abort();
  resizing.disconnect();
  watching.disconnect();
  cells.forEach((cell) => cell.close());
  cells.clear();
}

// What can be done with a clip beside opening it; drawn anew only where it is another.
function showTools() {
  const tools = shown.tools ?? [], place = find(".loupe-tools"), now = JSON.stringify(tools);
  if (place.dataset.now === now) return;
  place.dataset.now = now;
  place.replaceChildren(...tools.map((tool) => {
    const button = Object.assign(make("button", "", tool.text), { type: "button", title: tool.help, disabled: tool.disabled });
    Object.assign(button.dataset, { act: "tool", tool: tool.action });
    return button;
  }));
}

// -- Enlarged -----------------------------------------------------------------------------------------------------------------------

let hovering = 0, pointed = null; // the key under the pointer, enlarged or not yet

function hover(key) {
  clearTimeout(hovering);
  pointed = key;
  light(key ? cells.get(key).data.column : null);
  const change = () => { hovered = key; showLoupe(); };
  if (pinned) return;
  if (key && hovered) change();
  else hovering = setTimeout(change, key ? HOVER_MS : 60);
}

function pin(key) {
  clearTimeout(hovering);
  const back = pinned;
  pinned = key === pinned ? null : key;
  hovered = null;
  wipe = 0;
  showLoupe();
  if (!pinned) cells.get(back)?.clip.focus({ preventScroll: true });
}

function showLoupe() {
  const key = pinned ?? hovered, cell = cells.get(key), base = referenceCell();
  const on = Boolean(cell?.ready);
  loupe.hidden = !on;
  loupe.toggleAttribute("data-pinned", on && pinned !== null);
  grid.toggleAttribute("data-solo", on);
  cells.forEach((each) => {
    each.figure.toggleAttribute("data-solo", on && each === cell);
    each.clip.setAttribute("aria-pressed", on && pinned !== null && each === cell);
  });
  if (!on) return;
  setText(find(".loupe-text b"), cell.data.label || shown.columns[cell.data.column] || "");
  setText(find(".loupe-text span"), cell.data.detail);
  act("open").hidden = shown.blind;
  showTools();
  act("reference").disabled = cell === base && reference !== null;
  divider.hidden = !pinned || !base || base === cell;
  setWipe(wipe);
  place(cell);
  paint();
}

// Over its cell, as large as is useful, in sight, and where there is room for that not over the transport.
function place(cell) {
  const ratio = cell.canvas.width / cell.canvas.height, box = view.getBoundingClientRect(), at = cell.clip.getBoundingClientRect();
  const foot = 58, top = Math.max(8, scroller()?.getBoundingClientRect().top ?? 0), bar = find(".wall-bar").getBoundingClientRect().top;
  const bottom = bar - top > 420 ? Math.min(bar, innerHeight) - 8 : innerHeight - 8;
  const room = Math.min(Math.max(448, at.width * 1.5), box.width, (bottom - top - foot) * ratio);
  const width = room >= 384 ? Math.floor(room / 64) * 64 : room;
  const height = width / ratio + foot;
  const left = clamp(at.left + at.width / 2 - width / 2, box.left, box.right - width);
  const y = clamp(at.top + at.height / 2 - width / ratio / 2, top, Math.max(top, bottom - height));
  Object.assign(loupe.style, { width: `${width}px`, left: `${left - box.left}px`, top: `${y - box.top}px` });
}

function scroller() {
  let node = wall.parentElement;
  while (node && !(node.scrollHeight > node.clientHeight && ["auto", "scroll"].includes(getComputedStyle(node).overflowY))) node = node.parentElement;
  return node === document.documentElement || node === document.body ? null : node;
}

function setWipe(share) {
  wipe = clamp(share, 0, 1);
  loupe.style.setProperty("--wipe", wipe);
  divider.setAttribute("aria-valuenow", Math.round(wipe * 100));
  find(".loupe-side").hidden = divider.hidden || wipe < 0.2;
}

listen(divider, "pointerdown", (event) => {
  divider.setPointerCapture(event.pointerId);
  event.preventDefault();
  divider.focus({ preventScroll: true });
});
listen(divider, "pointermove", (event) => {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const box = find(".loupe-frame").getBoundingClientRect();
  setWipe((event.clientX - box.left) / box.width);
  paint();
});

// -- Layout ---------------------------------------------------------------------------------------------------------------------------

const matrix = () => shown.rows.length > 1;
const snap = (side) => (side >= 128 && wall.classList.contains("crisp") ? Math.floor(side / 64) * 64 : Math.floor(side));

// (clips in a line, pixels of a clip's width)
function arrangement() {
  const width = wall.clientWidth, count = shown.columns.length || 1;
  const across = (n, head = 0) => (width - head - GAP * (n - 1)) / n;
  if (matrix()) {
    const room = across(count, rowHead() + GAP);
    if (size === "fit") return [count, clamp(snap(Math.min(room, fitting(shown.rows.length))), 48, 640)];
    return [count, Number(size) || clamp(snap(room), 128, 384)];
  }
  if (size === "fit") {
    const best = Math.max(...Array.from({ length: count }, (_, i) => Math.min(across(i + 1), fitting(Math.ceil(count / (i + 1))))));
    const side = clamp(snap(best), 48, 640);
    return [clamp(Math.floor((width + GAP) / (side + GAP)), 1, count), side];
  }
  const least = Number(size) || (width < 536 ? Math.min(256, across(2)) : 256); // a phone shows two abreast
  const most = clamp(Math.floor((width + GAP) / (least + GAP)), 1, count);
  const abreast = Math.ceil(count / Math.ceil(count / most)); // lines of the same length
  if (Number(size)) return [abreast, Math.min(Number(size), width)];
  if (width < 536) return [abreast, Math.floor(across(abreast))];
  const roomy = Math.max(256, fitting(Math.ceil(count / abreast))); // larger only while all stay in view
  return [abreast, clamp(snap(Math.min(across(abreast), roomy)), 48, 384)];
}

// The width that lets so many lines fit into the window.
function fitting(lines) {
  const ratio = Number(wall.style.getPropertyValue("--ratio")) || 1;
  return ((innerHeight - 84 - find(".wall-bar").offsetHeight - 64) / lines - 62 - GAP) * ratio;
}

const rowHead = () => Math.min(140, 18 + 7 * Math.max(shown.row_title?.length || 0, ...shown.rows.map((row) => row.length)));

function layout() {
  if (!wall.clientWidth) return;
  const [abreast, side] = arrangement();
  grid.style.gridTemplateColumns = matrix() ? `${rowHead()}px repeat(${abreast}, ${side}px)` : `repeat(${abreast}, ${side}px)`;
  wall.style.setProperty("--side", `${side}px`);
  wall.style.setProperty("--across", `${abreast * (side + GAP) - GAP}px`);
  wall.dataset.small = side < 150 ? "yes" : "no";
  const longest = Math.max(0, ...[...cells.values()].map((cell) => cell.detail.textContent.length));
  wall.style.setProperty("--detail-lines", clamp(Math.ceil((longest * 6.4) / side), 1, 4)); // of every cell, so that rows stay level
  drawCurves();
  if (!loupe.hidden) showLoupe();
}

function resize(by) {
  const [, side] = arrangement();
  const next = by > 0 ? SIZES.find((each) => each > side) : SIZES.findLast((each) => each < side);
  setSize(by === 0 ? (size === "fit" ? "" : "fit") : String(next ?? side));
}

function setSize(next) {
  size = next;
  store(next);
  showTransport();
  layout();
}

function showHeaders() {
  const now = JSON.stringify([shown.rows, shown.columns, shown.row_title, shown.column_title, shown.best, shown.blind]);
  wall.toggleAttribute("data-matrix", matrix());
  const title = [shown.column_title, shown.rows.length === 1 && `${shown.row_title} ${shown.rows[0]}`].filter(Boolean).join(" · ");
  setText(find(".wall-title"), shown.blind ? "Which one is the best? Labels appear when you have picked." : title);
  if (grid.dataset.headers === now) return;
  grid.dataset.headers = now;
  grid.querySelectorAll(":scope > .wall-column, :scope > .wall-row, :scope > .wall-corner").forEach((node) => node.remove());
  if (!matrix()) return;
  const header = (className, text, column, flags = []) => {
    const node = make("div", className);
    showHead(node, text, flags);
    if (column !== null) node.dataset.column = column;
    return node;
  };
  const heads = [header("wall-corner", shown.row_title, null), ...shown.columns.map((text, i) => header("wall-column", text, i, marks(i)))];
  const rows = shown.rows.map((text, i) => { const node = header("wall-row", text, null); node.style.gridRow = i + 2; return node; });
  grid.prepend(...heads, ...rows);
}

// -- What a person does ---------------------------------------------------------------------------------------------------------------

function showTransport() {
  const count = total(), button = act("play");
  wall.dataset.playing = clock.playing ? "yes" : "no";
  button.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
  act("loop").setAttribute("aria-pressed", clock.loop);
  act("fit").setAttribute("aria-pressed", size === "fit");
  if (Number(scrubber.max) === count && find(".ticks").childElementCount) return;
  scrubber.max = count;
  const every = [1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200].find((n) => count / n <= 6) ?? 500;
  const numbers = Array.from({ length: count }, (_, i) => i + 1).filter((n) => n === 1 || n === count || (n % every === 0 && n > every / 2 && count - n >= every / 2));
  find(".ticks").replaceChildren(...numbers.map((n) => {
    const tick = make("span", "", String(n));
    tick.style.setProperty("--at", count > 1 ? (n - 1) / (count - 1) : 0);
    return tick;
  }));
}

const ACTIONS = {
  play: () => play(!clock.playing),
  back: () => step(-1),
  forward: () => step(1),
  loop: () => { clock.loop = !clock.loop; showTransport(); if (clock.playing) setFrame(clock.frame); },
  difference: () => setDifference(!latched, false),
  smaller: () => resize(-1),
  larger: () => resize(1),
  fit: () => resize(0),
  reference: () => setReference(pinned),
  open: () => trigger("click", { do: "open", cell: pinned }),
  close: () => pin(pinned),
  tool: (button) => trigger("click", { do: button.dataset.tool, cell: pinned }),
};

let pressed = null; // the clip that the pointer went down on: should the wall move before it goes up, it is still the one that is meant

const keyOf = (node) => node?.closest?.(".wall-cell")?.dataset.key ?? null;

listen(element, "pointerdown", (event) => { pressed = event.target.closest(".wall-clip"); });
listen(element, "click", (event) => {
  const button = event.target.closest("[data-act]"), asked = event.target.closest("[data-do]"), column = event.target.closest(".hit");
  const clip = event.target.closest(".wall-clip") ?? (event.target.contains(pressed) ? pressed : null);
  if (button) ACTIONS[button.dataset.act]?.(button);
  else if (asked) {
    asked.disabled = true; // until the next word from the server
    trigger("click", { do: asked.dataset.do, cell: keyOf(asked) });
  } else if (column) pinColumn(Number(column.dataset.column));
  else if (clip) pin(keyOf(clip));
  else if (pinned && !event.target.closest(".wall-loupe, .wall-bar, .wall-curves")) pin(pinned);
});

function pinColumn(column) {
  const cell = [...cells.values()].find((each) => each.ready && each.data.column === column);
  if (!cell) return;
  pinned = null;
  cell.figure.scrollIntoView({ block: "nearest", inline: "nearest" });
  pin(cell.key);
}

listen(element, "pointerover", (event) => {
  if (event.pointerType === "touch") return;
  const column = event.target.closest(".hit");
  if (column) return light(Number(column.dataset.column));
  const key = event.target.closest(".wall-clip") && keyOf(event.target);
  if (key !== pointed) hover(key && cells.get(key)?.ready ? key : null);
});
listen(element, "pointerleave", () => hover(null));
listen(element, "focusin", (event) => { if (event.target.matches(".hit:focus-visible")) light(Number(event.target.dataset.column)); });
listen(window, "scroll", () => { if (hovered) hover(null); if (pinned) showLoupe(); }, { capture: true, passive: true });
listen(scrubber, "input", () => {
  const frame = Number(scrubber.value) - 1; // before pausing puts the thumb back
  if (clock.playing) play(false);
  setFrame(frame);
});
listen(act("speed"), "change", (event) => { clock.speed = Number(event.target.value); setFrame(clock.frame); });

const KEYS = {
  " ": () => play(!clock.playing),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Home: () => { play(false); setFrame(0); },
  End: () => { play(false); setFrame(total() - 1); },
  d: () => setDifference(true, true),
  r: () => setReference(pinned ?? pointed ?? keyOf(document.activeElement)),
  l: ACTIONS.loop,
  "+": ACTIONS.larger,
  "-": ACTIONS.smaller,
  0: ACTIONS.fit,
};

// Keys are the wall's while it is in sight and nothing else has a use for them.
function mine(event) {
  const target = event.target;
  if (wall.offsetParent === null || !cells.size || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (target.closest?.("textarea, select, [contenteditable], [role=tab], [role=listbox], [role=dialog]")) return false;
  const input = target.closest?.("input");
  if (input && input !== scrubber && !["checkbox", "radio"].includes(input.type)) return false;
  const inside = wall.contains(target);
  if (!inside && target !== document.body && !(wall.matches(":hover") && !input && !target.closest("button, a, summary"))) return false;
  if (event.key.startsWith("Arrow") && target.closest("[role=slider], input")) return false;
  return event.key !== " " || !inside || !target.closest("button:not(.wall-clip), [role=button]");
}

// On the window, so that Escape closes what is enlarged before it stops a run.
listen(window, "keydown", (event) => {
  if (event.key === "Escape" && pinned && wall.offsetParent !== null) {
    event.stopImmediatePropagation();
    return pin(pinned);
  }
  if (event.target === divider && event.key.startsWith("Arrow")) {
    event.preventDefault();
    setWipe(wipe + (event.key === "ArrowLeft" ? -0.05 : event.key === "ArrowRight" ? 0.05 : 0));
    return paint();
  }
  if (event.key === "Enter" && event.target.matches?.(".hit") && wall.contains(event.target)) return pinColumn(Number(event.target.dataset.column));
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || !mine(event)) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}, { capture: true });
listen(window, "keyup", (event) => {
  if (event.key.toLowerCase() === "d" && held) setDifference(false, true);
  if (event.key === " " && event.target.matches?.(".wall-clip") && wall.contains(event.target)) event.preventDefault(); // else it would pin
});
listen(window, "blur", () => { if (held) setDifference(false, true); });

// -- From the server --------------------------------------------------------------------------------------------------------------------

function update() {
  const sent = props.value;
  shown = sent && Array.isArray(sent.cells) ? { ...NOTHING, ...JSON.parse(JSON.stringify(sent)) } : NOTHING;
  const ordered = [...shown.cells].sort((a, b) => a.row - b.row || a.column - b.column);
  const before = cells;
  cells = new Map(ordered.map((data) => [data.key, before.get(data.key) ?? new Cell(data.key)]));
  before.forEach((cell, key) => { if (!cells.has(key)) cell.close(); });
  wall.toggleAttribute("data-empty", !cells.size);
  wall.toggleAttribute("data-blind", shown.blind);
  showHeaders();
  let last = [...grid.children].findLast((node) => !node.matches(".wall-cell")) ?? null; // the headers come first
  ordered.forEach((data) => {
    const cell = cells.get(data.key), next = last ? last.nextElementSibling : grid.firstElementChild;
    if (next !== cell.figure) grid.insertBefore(cell.figure, next);
    last = cell.figure;
    cell.figure.style.gridArea = matrix() ? `${data.row + 2} / ${data.column + 2}` : "";
    cell.button.disabled = false;
    cell.update(data);
  });
  if (!cells.has(pinned)) pinned = null;
  if (!cells.has(hovered)) hovered = null;
  if (!cells.has(pointed)) pointed = null;
  if (!cells.has(reference)) reference = null;
  setText(find(".wall-note"), shown.note);
  arrived();
  showLoupe();
}

const resizing = new ResizeObserver(() => { layout(); paint(); });
resizing.observe(wall);
listen(window, "resize", layout);
watch("value", update);
update();
