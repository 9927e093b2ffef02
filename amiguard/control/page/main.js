// Puts the parts of the page together, and keeps them up to date.

import { ask, onTokenNeeded, watch } from "./api.js";
import * as allowed from "./allowed.js";
import * as bans from "./bans.js";
import { confirm } from "./dialog.js";
import * as events from "./events.js";
import * as health from "./health.js";
import { draw } from "./plot.js";

const CHANGES = new Set(["ban", "unban", "expire"]);
const ENDS = new Set(["unban", "expire"]);

onTokenNeeded(() =>
  confirm({
    title: "Token",
    text: "This daemon wants the token that AMIGUARD_HTTP_TOKEN sets. It is kept until this tab is closed.",
    yes: "Continue",
    fields: [{ name: "token", label: "Token", type: "password", required: true }],
    act: async ({ token }) => token,
    cancellable: false,
  }));

// Returns a function that runs `action` soon, and not more often than every `pause` milliseconds.
function gathered(action, pause) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      action().catch(() => {});
    }, pause);
  };
}

async function status() {
  try {
    health.show(await ask("GET", "/api/v1/status"));
  } catch {
    health.state("not reachable", "bad");
  }
}

let minutes = [];

async function timeline() {
  minutes = (await ask("GET", "/api/v1/timeline")).minutes;
  draw(minutes);
}

bans.start();
allowed.start();
events.start();
bans.onChange(() => {
  status();
  allowed.load();
});
addEventListener("resize", gathered(async () => draw(minutes), 200));

await status();
await Promise.allSettled([bans.load(), timeline()]);

const reload = gathered(async () => Promise.all([bans.load(), status(), timeline()]), 1000);
setInterval(status, 5_000);
setInterval(() => timeline().catch(() => {}), 30_000);
watch(
  (line) => {
    events.add(line);
    if (ENDS.has(line["event.action"])) bans.lifted(line["source.ip"] ?? line["source.address"]);
    if (CHANGES.has(line["event.action"])) reload();
  },
  events.missing,
  (up) => up && reload(),
);
