// The table of bans, and what can be done with one.

import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, count, element, names, say, span, visible } from "./dom.js";
import { everywhere } from "./fleet.js";

const PAGE = 200; // Rows that are shown at first, and more of them by each click.
const MOST = 1000; // Bans in one answer of the daemon.
const PAUSE = 300; // Milliseconds without a key, before all bans are looked through.
const TIMES = [["", "as configured"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "1 week"], ["-1", "for ever"]];

let bans = [];
let rest = false; // Whether there are more than `bans`.
let found = []; // What the daemon told of whom is searched for.
let passed = null; // How many bans were looked through, while that goes on.
let changed = () => {};

export function onChange(callback) {
  changed = callback;
}

// Tells all bans, the newest first, a page after the other.
async function* pages(limit = MOST) {
  let cursor = null;
  do {
    const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await ask("GET", `/api/v1/bans?limit=${limit}${from}`);
    cursor = page.cursor;
    yield { found: page.bans, rest: cursor !== null };
  } while (cursor !== null);
}

// Shows so many of the newest bans, and those that are searched for.
export async function load(wanted = Math.max(PAGE, bans.length)) {
  const loaded = [];
  for await (const page of pages(Math.min(wanted, MOST))) {
    loaded.push(...page.found);
    rest = page.rest;
    if (loaded.length >= wanted) break;
  }
  bans = loaded;
  show();
}

// Takes note that somebody is let through.
export function lifted(address) {
  found = found.filter((ban) => ban.address !== address);
}

const typed = () => byId("search").value.trim().toLowerCase();

// Looks among what is loaded, asks the daemon where it is an address, and else looks through all other bans.
async function search() {
  const text = typed();
  found = [];
  passed = null;
  if (/^[0-9a-f:.]+(\/\d+)?$/i.test(text) && /[.:]/.test(text)) {
    try {
      const told = (await ask("GET", `/api/v1/bans?address=${encodeURIComponent(text)}`)).bans;
      if (typed() === text) found = told;
    } catch {
      // Not a whole address yet.
    }
  }
  if (typed() !== text) return;
  show();
  if (text && rest && !found.length) await further(text);
}

// Looks through all bans, until enough are found, or something else is searched for.
async function further(text) {
  passed = 0;
  show();
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  if (typed() !== text) return;
  for await (const page of pages()) {
    if (typed() !== text) return;
    passed += page.found.length;
    found = [...found, ...page.found.filter((ban) => matches(ban, text))].slice(0, PAGE);
    show();
    if (found.length === PAGE) break;
  }
  passed = null;
  show();
  say(`${count(matching().length)} found`);
}

function matches(ban, text) {
  return [ban.address, country(ban), ban.reason, ban.comment, ban.node, ...ban.accounts].some((one) => one.toLowerCase().includes(text));
}

function matching() {
  const text = typed();
  if (!text) return bans;
  const loaded = bans.filter((ban) => matches(ban, text));
  const known = new Set(loaded.map((ban) => ban.address));
  return [...found.filter((ban) => !known.has(ban.address)), ...loaded];
}

function nobody() {
  if (passed !== null) return `Looked through ${count(passed)} bans …`;
  return typed() ? "Nobody of whom this is true." : "Nobody is banned.";
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
  const tried = ban.accounts.length ? ban.accounts.map(visible) : [visible(ban.comment) || "–"];
  const why = ban.failures ? `${count(ban.failures)} failure${ban.failures === 1 ? "" : "s"}` : ban.origin === ban.reason ? "" : ban.origin;
  const button = (text, act) =>
    element("button", { type: "button", class: "small", "aria-label": `${text} ${ban.address}`, onclick: () => act(ban.address) }, text);
  return element("tr", {},
    element("td", { class: "who" }, element("span", { class: "address" }, ban.address),
      ban.country ? element("span", { class: "sub" }, country(ban)) : null),
    element("td", { class: "tried" }, names(tried)),
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
  byId("none").hidden = shown.length > 0 && passed === null;
  byId("none").textContent = nobody();
  byId("more").hidden = !rest || Boolean(typed());
}

async function done(text) {
  say(text);
  await load();
  if (typed()) search();
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
  byId("more").addEventListener("click", () => load(bans.length + PAGE));
  setInterval(show, 30_000);
}
