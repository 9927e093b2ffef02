// Draws failures and bans over the last day, ten minutes a bar.

import { byId, count } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const BINS = 144;
const BIN = 600_000;
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [1000, 150, 44, 20, 8];

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Returns the smallest of 1, 2, 5, 10, 20, ... that is not below `most`.
function rounded(most) {
  for (let power = 1; ; power *= 10) {
    for (const step of [1, 2, 5]) if (step * power >= most) return step * power;
  }
}

export function draw(minutes, now = Date.now()) {
  const width = Math.max(320, byId("plot").clientWidth || WIDTH);
  const first = (Math.floor(now / BIN) - BINS + 1) * BIN;
  const bins = Array.from({ length: BINS }, () => ({ failures: 0, bans: 0 }));
  for (const { at, failures, bans } of minutes) {
    const bin = bins[Math.floor((Date.parse(at) - first) / BIN)];
    if (bin) {
      bin.failures += failures;
      bin.bans += bans;
    }
  }
  const total = (name) => bins.reduce((sum, bin) => sum + bin[name], 0);
  const top = rounded(Math.max(1, ...bins.map((bin) => Math.max(bin.failures, bin.bans))));
  const step = (width - LEFT) / BINS;
  const height = (value) => ((HEIGHT - BOTTOM - TOP) * value) / top;
  const label = `Failures and bans of the last 24 hours: ${count(total("failures"))} failures, ${count(total("bans"))} bans`;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const y = HEIGHT - BOTTOM - height(top * part);
    svg.append(shape("line", { class: "axis", x1: LEFT, x2: width, y1: y, y2: y }));
    if (part === 0 || top * part >= 1) svg.append(shape("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, count(top * part)));
  }
  bins.forEach((bin, index) => {
    const x = LEFT + index * step;
    for (const [name, share] of [["failures", 0.85], ["bans", 0.45]]) {
      if (!bin[name]) continue;
      const tall = Math.max(1.5, height(bin[name]));
      svg.append(shape("rect", { class: name, x, y: HEIGHT - BOTTOM - tall, width: step * share, height: tall, rx: 1 }));
    }
  });
  const every = width < 600 ? 6 : 3;
  for (let hour = new Date(Math.ceil(first / 3_600_000) * 3_600_000); hour < now; hour = new Date(+hour + 3_600_000)) {
    if (hour.getHours() % every) continue;
    const x = LEFT + ((hour - first) / BIN) * step;
    const anchor = x > width - 20 ? "end" : "middle";
    const time = hour.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    svg.append(shape("text", { x, y: HEIGHT - 5, "text-anchor": anchor }, time));
  }
  byId("plot").replaceChildren(svg);
  byId("bans-day").textContent = count(total("bans"));
  byId("failures-day").textContent = count(total("failures"));
}
