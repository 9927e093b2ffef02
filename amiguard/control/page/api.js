// What the page asks of the daemon. A token, where one is needed, is kept for this tab alone.

export class Refused extends Error {}

const SAME = 3000; // Milliseconds by which the same beginning may differ, for `uptime` is whole seconds.

let askForToken = async () => "";
let asking = null;

export function onTokenNeeded(ask) {
  askForToken = ask;
}

// Asks once, however many requests wait for the token: another question would wipe out what is being typed.
function token() {
  asking ??= askForToken().finally(() => {
    asking = null;
  });
  return asking;
}

function headers(more = {}) {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function send(method, path, body) {
  const options = { method, headers: headers(method === "POST" ? { "Content-Type": "application/json" } : {}) };
  if (body !== undefined) options.body = JSON.stringify(body);
  return fetch(path, options);
}

export async function ask(method, path, body) {
  let answer = await send(method, path, body);
  while (answer.status === 401) {
    sessionStorage.setItem("token", await token());
    answer = await send(method, path, body);
  }
  const told = await answer.json();
  if (!answer.ok) throw new Refused(told.error ?? answer.statusText);
  return told;
}

// Calls `onLine(line)` for each line of the log, and `onLost(count)` where some are missing, for ever.
// `fetch` and not `EventSource`, which can't send a token.
export async function watch(onLine, onLost, onState) {
  let [last, life] = ["0", null];
  for (let wait = 1000; ; wait = Math.min(wait * 2, 30000)) {
    try {
      const now = await begun();
      if (life !== null && now - life > SAME) last = "0"; // Another daemon, which counts its lines from 1.
      life = now;
      const answer = await fetch("/api/v1/events", { headers: headers({ "Last-Event-ID": last }) });
      if (answer.ok) {
        onState(true);
        wait = 1000;
        for await (const event of events(answer.body)) {
          last = event.id ?? last;
          const data = JSON.parse(event.data);
          if (event.event === "lost") onLost(data.lost);
          else onLine(data);
        }
      }
    } catch {
      // The connection broke: it is made anew below.
    }
    onState(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// Returns when the daemon began, by this browser's clock.
async function begun() {
  const { uptime } = await ask("GET", "/api/v1/status");
  return performance.now() - uptime * 1000;
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (event.data) yield event;
    }
  }
}
