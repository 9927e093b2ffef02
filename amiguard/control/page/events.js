// The journal's lines as they are written, the newest first.

import { byId, element, names, visible } from "./dom.js";

const MOST = 150;
const ALERTS = new Set(["injection", "account-under-attack", "suspected-compromise", "log-alarm"]);

let paused = false;

function entry(line) {
  const action = line["event.action"];
  const at = new Date(line["@timestamp"]);
  const who = line["source.ip"] ?? line["source.address"] ?? "";
  const tried = (line["user.name"] ? [line["user.name"]] : line["related.user"] ?? []).map(visible);
  const kind = action === "ban" ? "ban" : ALERTS.has(action) || line["log.level"] === "error" ? "alert" : "";
  const service = visible(line["asterisk.service"] ?? "");
  const detail = [service, service && tried.length ? " · " : "", ...(tried.length ? ["tried ", names(tried)] : [])];
  const text = action === "failure" ? `${who} ${line["event.reason"]}` : line.message;
  return element("li", { class: kind },
    element("time", { datetime: line["@timestamp"] }, at.toLocaleTimeString("en-GB")),
    element("span", {},
      element("span", { class: "action" }, action), " ", names([visible(text)]),
      service || tried.length ? element("span", { class: "sub" }, ...detail) : null),
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
