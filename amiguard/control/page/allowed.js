// Who is never banned, and to take that back.

import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, element, say, visible } from "./dom.js";

const SAYS = { settings: "settings", self: "this host", name: "a name", runtime: "an administrator", fleet: "an administrator of", learned: "a phone or trunk" };

export async function load() {
  if (!byId("allowed").open) return;
  const { allowed } = await ask("GET", "/api/v1/allow");
  byId("exempt").replaceChildren(...allowed.map(entry));
}

function entry({ address, origin, comment, node }) {
  const who = [SAYS[origin] ?? origin, visible(node)].filter(Boolean).join(" ");
  const why = [who, visible(comment)].filter(Boolean).join(": ");
  const remove = element("button", { type: "button", class: "small", "aria-label": `Remove ${address}`, onclick: () => take(address) }, "Remove");
  return element("li", {},
    element("span", {}, element("span", { class: "address" }, address), element("span", { class: "sub" }, why)),
    ["runtime", "fleet"].includes(origin) ? remove : null,
  );
}

function take(address) {
  return confirm({
    title: `May ${address} be banned again?`,
    yes: "Remove",
    act: async () => {
      await ask("DELETE", `/api/v1/allow/${encodeURIComponent(address)}`);
      say(`${address} may be banned again`);
      await load();
    },
  });
}

export function start() {
  byId("allowed").addEventListener("toggle", load);
}
