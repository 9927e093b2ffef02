// Makes elements. Text is only ever set as text: nothing that an attacker wrote becomes markup.

export const byId = (id) => document.getElementById(id);

export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function say(text) {
  byId("said").textContent = text;
}

// Control characters and direction marks are written out: they could make a text look like another one.
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

// Names that strangers chose, each by itself: a right-to-left one turns nothing around but itself. What is too long is cut by
// the style; `title` has it all.
export function names(list) {
  const parts = list.flatMap((name, index) => [...(index ? [", "] : []), element("bdi", {}, name)]);
  return element("span", { class: "names", title: list.join(", ") }, ...parts);
}

export function span(seconds) {
  if (seconds === null) return "for ever";
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [index, [unit, size]] of units.entries()) {
    if (seconds >= size) {
      const [next, small] = units[index + 1] ?? [null, 0];
      const rest = next ? Math.floor((seconds % size) / small) : 0;
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${next}` : ""}`;
    }
  }
  return `${Math.max(0, Math.ceil(seconds))} s`;
}

export const count = (number) => number.toLocaleString("en");
