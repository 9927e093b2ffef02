// The table of bans, and what can be done with one.

import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, count, element, say, span, visible } from "./dom.js";
import { everywhere } from "./fleet.js";

const PAGE = 200;
const TIMES = [["", "as configured"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "1 week"], ["-1", "for ever"]];

let bans = [];
let cursor = null;
let found = null; // What the daemon says of an address that is searched for.
let changed = () => {};

export function onChange(callback) {
  changed = callback;
}

export async function load() {
  const page = await ask("GET", `/api/v1/bans?limit=${PAGE}`);
  bans = page.bans;
  cursor = page.cursor;
  show();
}

async function more() {
  const page = await ask("GET", `/api/v1/bans?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`);
  bans = [...bans, ...page.bans];
  cursor = page.cursor;
  show();
}

// Looks among what is loaded, and asks the daemon where it is an address.
async function search() {
  const text = byId("search").value.trim();
  found = null;
  if (/^[0-9a-f:.]+(\/\d+)?$/i.test(text) && /[.:]/.test(text)) {
    try {
      found = (await ask("GET", `/api/v1/bans?address=${encodeURIComponent(text)}`)).bans;
    } catch {
      found = null; // Not a whole address yet.
    }
  }
  if (byId("search").value.trim() === text) show();
}

function matching() {
  const text = byId("search").value.trim().toLowerCase();
  if (!text) return bans;
  const loaded = bans.filter((ban) =>
    [ban.address, country(ban), ban.reason, ban.comment, ban.node, ...ban.accounts].some((one) => one.toLowerCase().includes(text)));
  const known = new Set(loaded.map((ban) => ban.address));
  return [...(found ?? []).filter((ban) => !known.has(ban.address)), ...loaded];
}

const regions = new Intl.DisplayNames(["en"], { type: "region" });

function country(ban) {
  return ban.country ? regions.of(ban.country) : "";
}

function left(ban) {
  return ban.until === null ? "for ever" : span((Date.parse(ban.until) - Date.now()) / 1000);
}

function row(ban) {
  const via = [ban.service, ban.transport].filter(Boolean).join(" ");
  const tried = ban.accounts.map(visible).join(", ") || visible(ban.comment) || "–";
  const why = ban.failures ? `${count(ban.failures)} failure${ban.failures === 1 ? "" : "s"}` : ban.origin === ban.reason ? "" : ban.origin;
  const button = (text, act) =>
    element("button", { type: "button", class: "small", "aria-label": `${text} ${ban.address}`, onclick: () => act(ban.address) }, text);
  return element("tr", {},
    element("td", { class: "who" }, element("span", { class: "address" }, ban.address),
      ban.country ? element("span", { class: "sub" }, country(ban)) : null),
    element("td", { class: "tried" }, tried),
    element("td", { class: "reason" }, ban.reason, why ? element("span", { class: "sub" }, why) : null,
      ban.node ? element("span", { class: "sub" }, `told by ${visible(ban.node)}`) : null),
    element("td", { class: "evidence" }, ban.evidence ?? "–", via ? element("span", { class: "sub" }, via) : null),
    element("td", { class: "number left" }, left(ban), ban.earlier ? element("span", { class: "sub" }, `banned ${ban.earlier + 1} times`) : null),
    element("td", { class: "number dropped" }, ban.dropped ? count(ban.dropped.packets) : "–"),
    element("td", { class: "actions" }, button("Unban", unban), button("Allow", allow)),
  );
}

export function show() {
  const shown = matching();
  const focused = document.activeElement?.getAttribute("aria-label");
  byId("rows").replaceChildren(...shown.map(row));
  if (focused) [...byId("rows").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  byId("bans").classList.toggle("no-drops", !bans.some((ban) => ban.dropped));
  byId("none").hidden = shown.length > 0;
  byId("none").textContent = byId("search").value ? "Nobody of whom this is true." : "Nobody is banned.";
  byId("more").hidden = cursor === null || Boolean(byId("search").value);
}

async function done(text) {
  say(text);
  await load();
  changed();
}

function unban(address) {
  return confirm({
    title: `Unban ${address}?`,
    text: everywhere("Its packets are let through again, and its failures are forgotten."),
    yes: "Unban",
    act: async () => {
      await ask("DELETE", `/api/v1/bans/${encodeURIComponent(address)}`);
      await done(`${address} is no longer banned`);
    },
  });
}

function allow(address = "") {
  return confirm({
    title: address ? `Never ban ${address}?` : "Never ban an address",
    text: everywhere("A ban that runs is lifted, until you take this back here."),
    yes: "Allow",
    fields: [
      { name: "address", label: "Address or network", value: address, required: true },
      { name: "comment", label: "Comment" },
    ],
    act: async ({ address: whom, comment }) => {
      const told = await ask("POST", "/api/v1/allow", { address: whom, comment });
      await done(`${told.address} is never banned`);
    },
  });
}

function ban() {
  return confirm({
    title: "Ban an address",
    text: everywhere("All its packets are dropped at once."),
    yes: "Ban",
    fields: [
      { name: "address", label: "Address or network", required: true },
      { name: "time", label: "For how long", options: TIMES },
      { name: "reason", label: "Reason" },
    ],
    act: async ({ address, time, reason }) => {
      const told = await ask("POST", "/api/v1/bans", { address, reason, ...(time ? { time: Number(time) } : {}) });
      await done(`${told.address} is banned`);
    },
  });
}

export function start() {
  byId("search").addEventListener("input", search);
  byId("ban").addEventListener("click", ban);
  byId("allow").addEventListener("click", () => allow());
  byId("more").addEventListener("click", more);
  setInterval(show, 30_000);
}
