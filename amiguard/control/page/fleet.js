// The other nodes, where there are any: who is there, and whether Redis answers.

import { byId, element, span, visible } from "./dom.js";

let shared = false;

// Adds to a question that its answer holds for all nodes.
export function everywhere(text) {
  return shared ? `${text} This holds on all nodes of the fleet.` : text;
}

export function show(fleet) {
  shared = fleet !== null && fleet !== undefined;
  byId("fleet").hidden = !shared;
  if (!shared) return;
  const waiting = fleet.waiting ? `${fleet.waiting} changes wait` : "";
  const more = [fleet.server, fleet.error, waiting].filter(Boolean).join(": ");
  byId("nodes").replaceChildren(
    element("li", {},
      element("span", {}, "Redis"),
      element("span", { class: fleet.up ? "up" : "down" }, fleet.up ? `up, ${(fleet.lag * 1000).toFixed(0)} ms` : "down"),
      element("span", { class: "sub" }, visible(more)),
    ),
    ...fleet.nodes.map((node) => row(node, fleet.node)),
  );
}

function row({ node, version, seen }, own) {
  const name = node === own ? `${node} (this one)` : node;
  return element("li", {},
    element("span", {}, visible(name)),
    element("span", { class: "sub" }, `${visible(version)}, ${seen < 120 ? "here" : `heard of ${span(seen)} ago`}`),
  );
}
