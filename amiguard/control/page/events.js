// The journal's lines as they are written, the newest first.

import { byId, element, visible } from "./dom.js";

const MOST = 150;
const ALERTS = new Set(["injection", "account-under-attack", "suspected-compromise", "log-alarm"]);

let paused = false;

function entry(line) {
  const action = line["event.action"];
  const at = new Date(line["@timestamp"]);
  const who = line["source.ip"] ?? line["source.address"] ?? "";
  const tried = line["user.name"] ?? (line["related.user"] ?? []).join(", ");
  const kind = action === "ban" ? "ban" : ALERTS.has(action) || line["log.level"] === "error" ? "alert" : "";
  const detail = [line["asterisk.service"], tried && `tried ${tried}`].filter(Boolean).map(visible).join(" · ");
  const text = action === "failure" ? `${who} ${line["event.reason"]}` : line.message;
  return element("li", { class: kind },
    element("time", { datetime: line["@timestamp"] }, at.toLocaleTimeString("en-GB")),
    element("span", {},
      element("span", { class: "action" }, action), " ", visible(text),
      detail ? element("span", { class: "sub" }, detail) : null),
  );
}

function put(item) {
  if (paused) return;
  byId("events").prepend(item);
  while (byId("events").children.length > MOST) byId("events").lastChild.remove();
}

export function add(line) {
  put(entry(line));
}

export function missing(lost) {
  put(element("li", { class: "alert" }, element("span", {}), element("span", {}, `${lost} more were not shown`)));
}

export function start() {
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
  });
}
