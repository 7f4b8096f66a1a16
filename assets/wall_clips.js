// The wall's clips: decoded, shown in their cells, and compared. One scope with wall.js, which owns the state and the clock.

const BUDGET_BYTES = 384 * 2 ** 20; // of decoded frames: beyond it they are kept at a half, a third... of their size
const DECODERS = 3; // clips at a time
const PATIENCE_MS = 500; // of one frame that is not presented
const HEAT_SIDE = 128; // pixels, of a heat map's longer side
const HEAT_FULL = 0.4; // mean difference of the channels that gets the brightest colour
const CRISP_SIDE = 320; // pixels: clips up to this size are shown with sharp pixels

// -- Decoding ---------------------------------------------------------------------------------------------------------------

let decoding = 0;
const waiting = [];

async function turn() {
  if (decoding >= DECODERS) await new Promise((resolve) => waiting.push(resolve));
  decoding += 1;
  return () => { decoding -= 1; waiting.shift()?.(); };
}

const happens = (target, kind, signal) => new Promise((resolve, reject) => {
  const done = new AbortController();
  const end = (action) => (event) => { done.abort(); action(event); };
  target.addEventListener(kind, end(resolve), { signal: done.signal });
  target.addEventListener("error", end(() => reject(new Error("this browser cannot play it"))), { signal: done.signal });
  signal.addEventListener("abort", end(() => reject(signal.reason)), { signal: done.signal });
});

// Resolves once the frame that is shown at `time` can be drawn. "seeked" alone may come while the frame before is still the one that is
// drawn, where the machine is busy. A page that nobody sees presents no frames: there, and in old browsers, a pause must do.
function presented(video, time, fps) {
  return new Promise((resolve) => {
    setTimeout(resolve, PATIENCE_MS);
    const look = (_, { mediaTime }) => {
      if (Math.abs(time - mediaTime - 0.5 / fps) < 0.5 / fps) resolve();
      else video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback?.(look);
  });
}

// All frames of a video, each sought by the middle of the time it is shown, which no rounding can move to its neighbour.
async function decode(url, fps, clips, signal) {
  const done = await turn();
  const video = document.createElement("video");
  const frames = [];
  let source = null;
  try {
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error("its file is missing");
    source = URL.createObjectURL(await answer.blob());
    Object.assign(video, { muted: true, preload: "auto", playsInline: true, src: source });
    await happens(video, "loadeddata", signal);
    const count = Math.max(1, Math.round(video.duration * fps));
    const options = reduced(video, count * clips);
    for (let i = 0; i < count; i += 1) {
      const time = Math.min((i + 0.5) / fps, video.duration);
      const sought = Promise.all([happens(video, "seeked", signal), presented(video, time, fps)]);
      video.currentTime = time;
      await sought;
      frames.push(await createImageBitmap(video, options));
    }
    return frames;
  } catch (error) {
    frames.forEach((frame) => frame.close());
    throw error;
  } finally {
    video.removeAttribute("src");
    video.load();
    if (source) URL.revokeObjectURL(source);
    done();
  }
}

// Whole divisors, so that enlarged pixels stay square.
function reduced(video, frames) {
  let divisor = 1;
  const side = (length) => Math.ceil(length / divisor);
  while (side(video.videoWidth) * side(video.videoHeight) * 4 * frames > BUDGET_BYTES && divisor < 8) divisor += 1;
  if (divisor === 1) return {};
  return { resizeWidth: side(video.videoWidth), resizeHeight: side(video.videoHeight), resizeQuality: "medium" };
}

// -- Cells --------------------------------------------------------------------------------------------------------------------

const WORDS = { waiting: "waiting", making: "being made", stopped: "stopped", failed: "failed" };

class Cell {
  constructor(key) {
    this.key = key;
    this.frames = [];
    this.url = null;
    this.broken = "";
    this.loading = null;
    this.painted = "";
    this.away = new Map(); // reference's url -> mean difference from it
    this.figure = make("figure", "wall-cell");
    this.head = make("figcaption", "wall-head");
    this.clip = Object.assign(make("button", "wall-clip"), { type: "button" });
    this.canvas = make("canvas", "");
    this.preview = Object.assign(make("img", "wall-preview"), { alt: "" });
    this.state = make("span", "wall-state");
    this.badge = make("span", "wall-badge", "reference");
    this.delta = make("span", "wall-delta");
    this.clip.append(this.canvas, this.preview, this.state, this.badge, this.delta);
    this.detail = make("p", "wall-detail");
    this.button = Object.assign(make("button", "wall-do"), { type: "button" });
    this.place = make("div", "wall-place");
    this.place.append(this.clip);
    this.figure.append(this.head, this.place, this.detail, this.button);
    this.figure.dataset.key = key;
  }

  get ready() { return this.frames.length > 0; }

  update(data) {
    this.data = data;
    this.load(data.state === "ready" ? data.video : null);
    this.preview.hidden = this.ready || !data.preview;
    if (data.preview && this.preview.getAttribute("src") !== data.preview) this.preview.src = data.preview;
    this.show();
  }

  load(url) {
    if (url === this.url) return;
    this.url = url;
    this.loading?.abort();
    this.loading = null;
    this.broken = "";
    if (!url) return this.keep([]);
    const mine = (this.loading = new AbortController());
    const clips = shown.cells.filter((cell) => cell.video).length;
    decode(url, shown.fps, Math.max(clips, shown.columns.length * Math.max(1, shown.rows.length)), mine.signal).then(
      (frames) => (mine.signal.aborted ? frames.forEach((frame) => frame.close()) : this.keep(frames)),
      (error) => { if (!mine.signal.aborted) { this.broken = `This clip cannot be shown: ${error.message}.`; this.keep([]); } },
    );
  }

  keep(frames) {
    const before = this.frames;
    this.frames = frames;
    this.painted = "";
    this.away.clear();
    if (frames.length) Object.assign(this.canvas, { width: frames[0].width, height: frames[0].height });
    before.forEach((frame) => frame.close());
    this.loading = null;
    this.preview.hidden = this.ready || !this.data.preview;
    this.show();
    arrived();
  }

  close() {
    this.loading?.abort();
    this.frames.forEach((frame) => frame.close());
    this.frames = [];
    this.figure.remove();
  }

  show() {
    const { state, label, detail, column } = this.data;
    const missing = this.broken ? "failed" : this.ready ? "" : state === "ready" ? "loading" : state;
    const told = this.broken || (["making", "failed"].includes(state) && detail);
    const text = told || (missing === "loading" ? "loading" : WORDS[missing] || "");
    this.figure.dataset.state = missing || "ready";
    this.figure.dataset.column = column;
    this.figure.dataset.row = this.data.row;
    if (!this.ready) delete this.figure.dataset.frame;
    setText(this.state, text);
    this.state.title = text;
    setText(this.detail, told ? "" : detail);
    this.detail.title = detail;
    this.clip.setAttribute("aria-label", [label, missing && text].filter(Boolean).join(", "));
    this.clip.disabled = !this.ready;
    showHead(this.head, shown.columns[column] ?? label, marks(column, this.key));
    this.showButton(missing);
  }

  showButton(missing) {
    const retry = missing === "failed" || missing === "stopped";
    const pick = shown.blind && this.ready;
    this.button.hidden = !retry && !pick;
    this.button.dataset.do = retry ? "retry" : "pick";
    (retry ? this.place : this.figure).append(this.button);
    setText(this.button, !retry ? "Pick this one" : missing === "failed" ? "Try again" : "Make it");
    this.button.setAttribute("aria-label", `${this.button.textContent}: ${this.data.label}`);
  }

  frameAt(frame) { return this.frames[Math.min(frame, this.frames.length - 1)]; }

  paint(base, difference) {
    if (!this.ready) return;
    const frame = Math.min(clock.frame, this.frames.length - 1);
    const heat = difference && base && base !== this;
    const now = `${frame}${heat ? base.url : ""}`;
    if (now === this.painted) return;
    this.painted = now;
    drawClip(this.canvas, this, heat ? base : null);
    this.figure.dataset.frame = frame;
  }
}

function marks(column, key) {
  return [column === shown.best && !shown.blind && "best trade-off", key && key === shown.picked && "your pick"].filter(Boolean);
}

function showHead(node, text, flags) {
  const now = [text, ...flags].join("|");
  if (node.dataset.now === now) return;
  node.dataset.now = now;
  node.title = text;
  node.replaceChildren(make("span", "text", text), ...flags.map((flag) => make("em", "flag", flag)));
}

// A clip has come or gone: the scrubber's length, the shape of the cells and what is measured may be others now.
function arrived() {
  const first = [...cells.values()].find((cell) => cell.ready);
  if (first) {
    wall.style.setProperty("--ratio", (first.canvas.width / first.canvas.height).toFixed(4));
    wall.classList.toggle("crisp", Math.max(first.canvas.width, first.canvas.height) <= CRISP_SIDE);
  }
  layout();
  showTransport();
  showReference();
  if (clock.frame >= total()) setFrame(0);
  paint();
  if (clock.playing && !ticking) play(true);
}

// -- Painting -------------------------------------------------------------------------------------------------------------------

function paint() {
  if (!element.isConnected || wall.offsetParent === null) return;
  const base = referenceCell();
  const difference = held || latched;
  cells.forEach((cell) => cell.paint(base, difference));
  paintLoupe(base, difference);
  scrubber.value = clock.frame + 1;
  scrubber.style.setProperty("--done", total() > 1 ? clock.frame / (total() - 1) : 0);
  setText(find("output.frame"), `${clock.frame + 1} / ${total()}`);
}

function drawClip(canvas, cell, base) {
  const context = canvas.getContext("2d");
  const frame = cell.frameAt(clock.frame);
  if (!base) return context.drawImage(frame, 0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(heatMap(frame, base.frameAt(clock.frame)), 0, 0, canvas.width, canvas.height);
}

const scratch = [0, 1, 2].map(() => document.createElement("canvas").getContext("2d", { willReadFrequently: true }));

function pixels(context, frame, width, height) {
  if (context.canvas.width !== width || context.canvas.height !== height) Object.assign(context.canvas, { width, height });
  context.imageSmoothingQuality = "high";
  context.drawImage(frame, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// Mean absolute difference of the three channels of each pixel, in [0, 1], to `each`; returns the size.
function differences(frame, base, each) {
  const scale = Math.min(1, HEAT_SIDE / Math.max(frame.width, frame.height));
  const width = Math.max(1, Math.round(frame.width * scale)), height = Math.max(1, Math.round(frame.height * scale));
  const a = pixels(scratch[0], frame, width, height).data, b = pixels(scratch[1], base, width, height).data;
  for (let i = 0; i < a.length; i += 4) each((Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2])) / 765, i);
  return [width, height];
}

// Dark to bright in even steps of lightness, readable without colour vision.
const HEAT = ((stops) => Array.from({ length: 256 }, (_, i) => {
  const x = (i / 255) * (stops.length - 1), low = Math.min(Math.floor(x), stops.length - 2);
  return stops[low].map((channel, c) => Math.round(channel + (stops[low + 1][c] - channel) * (x - low)));
}))([[8, 9, 12], [62, 16, 98], [150, 38, 96], [222, 82, 48], [250, 165, 34], [252, 250, 190]]);

function heatMap(frame, base) {
  const values = [];
  const [width, height] = differences(frame, base, (difference) => values.push(difference));
  const context = scratch[2];
  Object.assign(context.canvas, { width, height });
  const image = context.createImageData(width, height);
  values.forEach((difference, i) => image.data.set([...HEAT[Math.round(clamp(difference / HEAT_FULL, 0, 1) * 255)], 255], i * 4));
  context.putImageData(image, 0, 0);
  return context.canvas;
}

function paintLoupe(base, difference) {
  const cell = cells.get(pinned ?? hovered);
  if (loupe.hidden || !cell?.ready) return;
  const canvas = find("canvas", loupe), { width, height } = cell.canvas;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  drawClip(canvas, cell, difference && base && base !== cell ? base : null);
  const beside = base && base !== cell && pinned ? Math.round(wipe * width) : 0;
  if (beside) {
    const context = canvas.getContext("2d"), frame = base.frameAt(clock.frame);
    context.drawImage(frame, 0, 0, (frame.width * beside) / width, frame.height, 0, 0, beside, height);
  }
  loupe.dataset.frame = Math.min(clock.frame, cell.frames.length - 1);
}

// -- The reference and the difference from it -------------------------------------------------------------------------------------

function referenceCell() {
  const chosen = cells.get(reference);
  return chosen?.ready ? chosen : [...cells.values()].find((cell) => cell.ready) ?? null;
}

function setReference(key) {
  if (!cells.get(key)?.ready) return;
  reference = key;
  showReference();
  showLoupe();
  paint();
}

function showReference() {
  const base = referenceCell(), difference = held || latched;
  cells.forEach((cell) => { cell.figure.toggleAttribute("data-reference", cell === base && (difference || reference !== null)); });
  wall.toggleAttribute("data-difference", difference);
  act("difference").setAttribute("aria-pressed", latched);
  find(".legend").hidden = !difference || !base;
  setText(find(".legend-of"), base ? `from ${base.data.label || "the reference"}` : "");
  if (difference && base) measure(base);
}

// Mean difference over the whole clip, in a pause between two frames each.
async function measure(base) {
  for (const cell of [...cells.values()]) {
    if (cell !== base && cell.ready && !cell.away.has(base.url)) {
      let sum = 0, count = 0;
      for (let i = 0; i < cell.frames.length && base.ready; i += 1) differences(cell.frames[i], base.frameAt(i), (x) => { sum += x; count += 1; });
      cell.away.set(base.url, count ? sum / count : 0);
      await new Promise((resolve) => setTimeout(resolve));
    }
    setText(cell.delta, cell === base || !cell.ready ? "" : percent(cell.away.get(base.url) ?? 0, 1));
    if (referenceCell() !== base) return;
  }
}

function setDifference(on, byKey) {
  if (byKey) held = on; else latched = on;
  showReference();
  paint();
}
