// The metrics under the wall, as SVG, in the order of its columns. One scope with wall.js.

const svg = (name, attributes = {}, text = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, content] of Object.entries(attributes)) node.setAttribute(key, content);
  node.textContent = text;
  return node;
};

function drawCurves() {
  const place = find(".wall-curves"), width = wall.clientWidth;
  const now = JSON.stringify([shown.curves, shown.columns, shown.best, width]);
  if (place.dataset.now === now || !width) return;
  place.dataset.now = now;
  const numbered = shown.curves.map((curve, i) => ({ ...curve, colour: `var(--curve-${i % 5})` })).filter((curve) => curve.points.length);
  const shares = numbered.filter((curve) => curve.percent);
  const charts = [...(shares.length ? [shares] : []), ...numbered.filter((curve) => !curve.percent).map((curve) => [curve])];
  place.replaceChildren(...charts.map((curves, i) => chart(curves, width, i === 0)));
  if (lit !== null) light(lit);
}

function extent(curves) {
  if (curves[0].percent) return [0, 1];
  const values = curves.flatMap((curve) => curve.points.map((point) => point[1]));
  const low = Math.min(...values), high = Math.max(...values), margin = (high - low) * 0.15 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

function chart(curves, width, first) {
  const figure = make("figure", "wall-chart"), share = curves[0].percent;
  const height = share ? 190 : 120, left = 52, right = 18, top = 20, bottom = 44, [low, high] = extent(curves);
  const slot = (width - left - right) / Math.max(1, shown.columns.length);
  const x = (column) => left + slot * (column + 0.5), y = (v) => top + (height - top - bottom) * (1 - (v - low) / (high - low));
  const text = (v) => (share ? percent(v) : v.toPrecision(3));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": curves.map((curve) => curve.name).join(", ") });
  for (const v of share ? [0, 0.5, 1] : [low, high]) {
    root.append(svg("line", { class: "rule", x1: left, x2: width - right, y1: y(v), y2: y(v) }), svg("text", { class: "scale", x: left - 10, y: y(v) + 4 }, text(v)));
  }
  if (shown.best !== null) {
    root.append(svg("line", { class: "best", x1: x(shown.best), x2: x(shown.best), y1: top - 4, y2: height - bottom }));
    const anchor = shown.best > shown.columns.length * 0.8 ? "end" : "start";
    if (first) root.append(svg("text", { class: "best", x: x(shown.best) + (anchor === "end" ? -6 : 6), y: 11, "text-anchor": anchor }, "best trade-off"));
  }
  for (const curve of curves) root.append(...line(curve, x, y));
  shown.columns.forEach((name, i) => root.append(...columnOf(name, i, curves, { x, slot, top, height, bottom, text })));
  const caption = make("figcaption", "");
  caption.append(...curves.map((curve) => legend(curve, text)), make("span", "axis", shown.column_title));
  figure.append(caption, root);
  return figure;
}

function line(curve, x, y) {
  const points = curve.points.map(([name, v]) => [shown.columns.indexOf(name), v]).filter(([column]) => column >= 0).sort((a, b) => a[0] - b[0]);
  const path = points.map(([column, v], i) => `${i ? "L" : "M"}${x(column).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const dots = points.map(([column, v]) => svg("circle", { class: "point", cx: x(column), cy: y(v), r: 3.5, "data-column": column }));
  return [svg("path", { class: "curve", d: path }), ...dots].map((node) => { node.style.setProperty("--colour", curve.colour); return node; });
}

const valueAt = (curve, column) => curve.points.find(([name]) => name === shown.columns[column])?.[1];

function columnOf(name, i, curves, { x, slot, top, height, bottom, text }) {
  const said = curves.filter((curve) => valueAt(curve, i) !== undefined).map((curve) => `${curve.name} ${text(valueAt(curve, i))}`);
  const hit = svg("rect", {
    class: "hit", x: x(i) - slot / 2, y: top - 8, width: slot, height: height - top + 8, tabindex: 0, role: "button",
    "data-column": i, "aria-label": `${shown.column_title} ${name}: ${said.join(", ") || "no values"}`,
  });
  const label = svg("text", { class: "name", x: x(i), y: height - bottom + 17, "data-column": i });
  lines(name, slot).forEach((part, n) => label.append(svg("tspan", { x: x(i), dy: n ? 13 : 0 }, part)));
  return [label, hit];
}

// At most two lines of a label, cut where they do not fit.
function lines(name, slot) {
  const most = Math.max(2, Math.floor(slot / 6.3)), out = [""];
  for (const word of name.split(" ")) {
    const last = out[out.length - 1];
    if (!last || last.length + word.length + 1 <= most) out[out.length - 1] = last ? `${last} ${word}` : word;
    else out.push(word);
  }
  const kept = out.length > 2 ? [out[0], out.slice(1).join(" ")] : out;
  const cut = kept.map((part) => (part.length > most ? `${part.slice(0, most - 1)}…` : part));
  return cut[0] === kept[0] ? cut : cut.slice(0, 1);
}

function legend(curve, text) {
  const node = make("span", "key", curve.name);
  node.style.setProperty("--colour", curve.colour);
  const reading = make("b", "");
  reading.read = (column) => { const v = column === null ? undefined : valueAt(curve, column); return v === undefined ? "" : text(v); };
  node.append(reading);
  return node;
}

// A column is lit in the wall and in the curves at once.
function light(column) {
  lit = column;
  element.querySelectorAll("[data-column]").forEach((node) => node.toggleAttribute("data-lit", column !== null && Number(node.dataset.column) === column));
  element.querySelectorAll(".wall-chart .key b").forEach((node) => setText(node, node.read(column)));
}
