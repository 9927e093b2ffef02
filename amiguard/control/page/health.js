// Whether it protects, and how its sources and the rest are.

import { byId, count, element, span, visible } from "./dom.js";
import * as fleet from "./fleet.js";

export function state(text, kind) {
  const badge = byId("state");
  if (badge.textContent === text) return; // Else a screen reader would read it out again and again.
  badge.textContent = text;
  badge.className = `state ${kind}`;
}

export function show(status) {
  if (!status.firewall.enforces) state("dry run: nothing is dropped", "bad");
  else if (status.ready) state("protecting", "good");
  else state("not protecting", "bad");
  byId("uptime").textContent = `up ${span(status.uptime)}`;
  byId("active").textContent = count(status.bans.active);
  byId("tracked").textContent = count(status.jail.tracked);
  byId("dropped").textContent = count(status.dropped.packets);
  const parts = [
    ...status.sources,
    { name: "firewall", ...status.firewall },
    { name: "database", ...status.store },
    ...status.notifiers.map((one) => ({ ...one, up: !one.error })),
    ...status.feeds.map(list),
  ];
  fleet.show(status.fleet);
  byId("sources").replaceChildren(...parts.map(part));
}

function list({ name, where, up, error, entries }) {
  return { name: `list ${name}`, where: `${count(entries)} named, ${where}`, up, error };
}

function part({ name, up, where, error }) {
  const more = [where, error].filter(Boolean).join(": ");
  return element("li", {},
    element("span", {}, name),
    element("span", { class: up ? "up" : "down" }, up ? "up" : "down"),
    more ? element("span", { class: "sub" }, visible(more)) : null,
  );
}
